"""`benchmarks/adapter_step.py` measures what docs/performance.md says it does."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
STARTED = ("--sizes", "tiny", "--dtypes", "fp32", "--dropouts", "0.05", "--rounds", "2", "--new-tokens", "2")


def run(*arguments):
    command = [sys.executable, "benchmarks/adapter_step.py", *STARTED, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def document():
    done = run("--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(ROOT / "benchmarks") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_json_has_exactly_the_fields_that_the_docs_name(document):
    how = PAGE.read_text(encoding="utf-8").partition("## How it is measured")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", how, re.MULTILINE))
    assert documented == {field for row in document["rows"] for field in row}
    assert {"environment", "settings", "agreement", "rows"} == set(document)


def test_every_contender_is_measured_in_training_and_generation(document):
    found = {(row["measure"], row["contender"]) for row in document["rows"]}
    for measure in ("step", "memory", "generation"):
        for contender in ("base", "lora", "dora", "vera", "literal", "ours"):
            assert (measure, contender) in found
    assert {("merged", "base"), ("merged", "lora-merged"), ("merged", "only-matrix-merged")} <= found


def test_the_targets_stand_beside_our_figures(document):
    targets = {(row["measure"], row["contender"]): row["target"] for row in document["rows"] if row["target"]}
    assert targets == {
        ("step", "ours"): 0.90,
        ("memory", "ours"): 0.78,
        ("generation", "ours"): 1.05,
        ("merged", "only-matrix-merged"): 1.02,
        ("merged", "only-matrix-unloaded"): 1.02,
    }
    for row in document["rows"]:
        assert row["met"] == (row["ratio"] <= row["target"] if row["target"] else None)


def test_nothing_is_kept_behind_autograds_back(document):
    for row in document["rows"]:
        if row["measure"] == "memory":
            assert row["held_bytes"] == pytest.approx(row["value"], rel=0.02), row["contender"]


@pytest.mark.slow
def test_a_part_can_be_measured_alone_as_a_markdown_table():
    done = run("--contenders", "ours", "--only", "memory", "--markdown")
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")] == [
        "", "---", "LoRA", "DenseLoRA, ours",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_unknown_contender_is_refused_with_those_that_there_are():
    done = run("--contenders", "ours,loar")
    assert done.returncode == 2
    assert "loar is none of base, lora, dora, vera, literal, ours" in done.stderr


def test_saved_bytes_count_a_storage_once_and_no_parameter(modules):
    from saved import saved_bytes

    linear = nn.Linear(8, 16, bias=False)
    x = torch.randn(4, 8, requires_grad=True)

    def loss():
        hidden = linear(x)
        return (hidden * hidden.view(4, 16)).sum()

    # x for the weight's gradient and `hidden` twice for the product's; the weight, for that of x, is a parameter.
    assert saved_bytes(linear, loss) == 4 * (4 * 8 + 4 * 16)


def test_counting_leaves_nothing_behind(modules):
    from saved import saved_bytes

    class Probe:
        pass

    alive = []

    def loss():
        probe, output = Probe(), torch.ones(4, requires_grad=True).exp()
        output.register_hook(lambda gradient: probe and None)
        alive.append(weakref.ref(probe))
        return output.sum()

    assert saved_bytes(nn.Identity(), loss) == 4 * 4
    gc.collect()
    assert alive[0]() is None


def test_nothing_is_timed_where_ours_and_the_literal_formula_differ(modules, monkeypatch):
    import literal
    from agreement import check_agreement
    from contenders import Adapter
    from shapes import make_base

    base, ids = make_base("tiny", "fp32", "cpu", 0), torch.randint(64, (2, 8))
    adapter = Adapter(["q_proj", "up_proj"], r=4, alpha=8, dropout=0.0)
    assert max(check_agreement(base, adapter, "fp32", ids, 0).values()) < 1e-4
    monkeypatch.setattr(literal, "F", SimpleNamespace(linear=F.linear, gelu=F.silu))
    with pytest.raises(AssertionError, match="differs from the literal formula"):
        check_agreement(base, adapter, "fp32", ids, 0)


def test_the_base_weights_are_shared_and_merging_leaves_them_alone(modules):
    from contenders import Adapter, make_merged, make_trainee
    from shapes import make_base

    base = make_base("tiny", "fp32", "cpu", 0)
    weight = base.model.layers[0].self_attn.q_proj.weight
    before = weight.clone()
    adapter = Adapter(["q_proj"], r=4, alpha=8, dropout=0.0)
    lora = make_trainee("lora", base, adapter, 0)
    assert lora.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight is weight
    merged = make_merged("only-matrix-unloaded", base, adapter, 0)
    assert not torch.equal(merged.model.layers[0].self_attn.q_proj.weight, before)
    assert torch.equal(weight, before)
