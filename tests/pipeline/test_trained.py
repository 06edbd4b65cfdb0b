"""Adapters that were trained before, named by their directory or on the hub: `{method: trained, path: ...}`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from peft import LoraConfig, get_peft_model

from harness.adapters.catalogue import find_methods
from harness.catalog.trained import trained_adapter
from harness.errors import NotFoundError, PrerequisiteError, RunError, SpecError
from harness.pipeline.check import count
from harness.pipeline.plan import plan
from harness.report.leaderboard import leaderboards
from harness.schedule.options import Options
from harness.schedule.points import foreign_bases
from harness.schedule.run import run
from harness.spec.grid import expand, points
from harness.spec.load import load_experiment
from harness.spec.run import ModelRef
from harness.store.store import open_store
from harness.train.base_model import load_base
from harness.train.existing import load_existing

METHODS = find_methods()
EXPERIMENT = """\
name: %s
base: {model: micro-llama}
data: {train: micro, limit: 8}
train: {steps: 2, batch_size: 4, learning_rate: 1.0e-2, max_length: 64}
score: {limit: 4, batch_size: 2, store_outputs: all}
adapters:
  - %s
tasks: [micro_true_false, micro_fill_blank]
"""
RANK = 2


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    torch.set_num_threads(1)
    return tmp_path


def experiment(name, entry):
    Path(f"{name}.yaml").write_text(EXPERIMENT % (name, entry))
    return load_experiment(f"{name}.yaml", None, (), METHODS)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """The directory of an adapter that PEFT saved, of which nothing is recorded."""
    base, _ = load_base(ModelRef(name="micro-llama"), torch.device("cpu"))
    model = get_peft_model(base, LoraConfig(r=RANK, target_modules=["q_proj"], init_lora_weights=False))
    folder = tmp_path_factory.mktemp("made") / "mine"
    model.save_pretrained(folder)
    return folder


def size_of(base):
    return sum(RANK * (layer.self_attn.q_proj.in_features + layer.self_attn.q_proj.out_features)
               for layer in base.model.layers)  # fmt: skip


def changed(folder, **fields):
    """Writes other fields into an adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def samples(store, run_id):
    return {
        task: [(s.doc_id, s.doc_hash, s.outcome, s.answer, s.output) for s in store.samples(run_id, task)]
        for task in ("micro_true_false", "micro_fill_blank")
    }


def test_the_adapter_of_an_earlier_run_gets_the_scores_that_it_had(place):
    before = experiment("before", "{method: denselora, r: 2}")
    assert run(before, None, Options("in-process")).exit_code == 0
    (trained,) = expand(before)
    after = experiment("after", f"{{method: trained, path: home/adapters/{trained.train_id}}}")
    (again,) = expand(after)
    shutil.move(place / "home", place / "moved")  # by its content it is known, wherever it lies
    moved = experiment("moved", f"{{method: trained, path: moved/adapters/{trained.train_id}}}")
    known_as, (again,) = again.run_id, expand(moved)

    assert again.run_id == known_as
    assert (again.data, again.train, again.seed) == (None, None, None)
    assert count([again])[again.run_id] == count([trained])[trained.run_id]
    assert [planned.action for planned in plan([again], None).runs] == ["score"]
    assert run(moved, None, Options("in-process")).exit_code == 0

    with open_store("sqlite:///results.db") as store:
        assert samples(store, again.run_id) == samples(store, trained.run_id)
        assert len(samples(store, again.run_id)["micro_true_false"]) == 4
        records = {record.run_id: record for record in store.runs()}
        made, loaded = (records[found.run_id].training for found in (trained, again))
        assert loaded.trainable_params == made.trainable_params
        assert loaded.provenance["saved"] == made.provenance["saved"]
        assert loaded.provenance["peft_config"]["peft_type"] == "DENSELORA"
        assert loaded.provenance["warning"] is None
        (board,) = leaderboards(store, experiment="moved")
        assert [(row.method, row.trainable_params, row.train_seconds) for row in board.rows] == [
            ("trained", made.trainable_params, None)
        ]
        assert [planned.action for planned in plan([again], store).runs] == ["reuse"]


def test_identity_is_the_content_of_weights_and_configuration(adapter, place):
    shutil.copytree(adapter, place / "copy")
    (place / "copy" / "README.md").write_text("A model card.")
    first, copy = (expand(experiment("x", f"{{method: trained, path: {path}}}"))[0] for path in (adapter, "copy"))
    assert (first.train_id, first.run_id) == (copy.train_id, copy.run_id)
    other_seeds = load_experiment("x.yaml", None, ["seeds=[3, 4]", "train.steps=9", "data.limit=2"], METHODS)
    assert [found.run_id for found in expand(other_seeds)] == [first.run_id]

    changed(place / "copy", lora_alpha=16)
    (other,) = expand(experiment("x", "{method: trained, path: copy}"))
    assert other.run_id != first.run_id


def test_its_parameters_are_as_many_as_its_file_holds(adapter):
    (found,) = expand(experiment("x", f"{{method: trained, path: {adapter}}}"))
    base, _ = load_base(found.model, torch.device("cpu"))
    size, whole = size_of(base), base.num_parameters()

    counted = count([found])[found.run_id]

    assert (counted.trainable_params, counted.base_params) == (size, whole)
    assert counted.trainable_percent == pytest.approx(100 * size / (size + whole))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{method: trained}", "x.yaml:7 adapters[0]: path is required"),
        ("{method: trained, path: 3}", "x.yaml:7 adapters[0].path: must be a text, got 3"),
        ("{method: trained, path: /gone}", "x.yaml:7 adapters[0].path: /gone is no directory here"),
        ("{method: trained, path: gone}", "x.yaml:7 adapters[0].path: gone is no directory here and no hub id"),
        ("{method: trained, path: ./mine, revision: main}", "adapters[0].path: a directory has no revision"),
        ("{method: trained, path: ./mine, r: 4}", "adapters[0].r: trained has no such parameter"),
        ("{mixed: [{method: trained, path: ./mine}, {method: lora}]}", "trained can't be mixed with others"),
    ],
)
def test_what_can_not_be_is_told_with_its_line(entry, problem, adapter, place):
    shutil.copytree(adapter, place / "mine")
    with pytest.raises(SpecError) as it:
        experiment("x", entry)
    assert problem in str(it.value)


def no_weights(folder):
    (folder / "adapter_model.safetensors").unlink()


def cut(folder):
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])


def no_header(folder):
    (folder / "adapter_model.safetensors").write_bytes(b"nothing of it")


def whole_model(folder):
    (folder / "adapter_config.json").rename(folder / "config.json")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (no_weights, "holds no adapter_model.safetensors or adapter_model.bin"),
        (cut, "bytes where its header says"),
        (no_header, "is no safetensors file, or a broken one"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "holds no adapter_config.json"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json can't be read"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "it names no peft_type"),
        (whole_model, "holds a whole model, no adapter: name it as base.model"),
    ],
)
def test_a_broken_directory_is_told_with_the_line_that_names_it(break_it, message, adapter, place):
    shutil.copytree(adapter, place / "mine")
    break_it(place / "mine")
    with pytest.raises(SpecError) as it:
        experiment("x", "{method: trained, path: ./mine}")
    assert str(it.value).startswith("x.yaml:7 adapters[0].path: ")
    assert message in str(it.value)


def test_no_adapter_is_put_on_a_model_behind_an_api(adapter, place):
    (place / "x.yaml").write_text(EXPERIMENT % ("x", f"{{method: trained, path: {adapter}}}"))
    changes = ["base={model: some, api: openai-chat}", "prompt=none"]
    with pytest.raises(SpecError, match="which only answers"):
        load_experiment("x.yaml", None, changes, METHODS)


def test_another_base_than_its_own_is_a_warning(adapter, place):
    shutil.copytree(adapter, place / "mine")
    entry = "{method: trained, path: ./mine}"
    for same in ("micro-llama", "/elsewhere/of/another/model", None):
        changed(place / "mine", base_model_name_or_path=same)
        asked = experiment("x", entry)
        assert foreign_bases(asked, points(asked)) == []
    changed(place / "mine", base_model_name_or_path="owner/other-7b")
    asked = experiment("x", entry)
    (problem,) = foreign_bases(asked, points(asked))
    assert str(problem) == "x.yaml:7 adapters[0].path: was trained on owner/other-7b, and is put on micro-llama"


def test_an_adapter_that_its_file_holds_only_in_part_is_not_scored(adapter, place):
    shutil.copytree(adapter, place / "mine")
    changed(place / "mine", target_modules=["q_proj", "v_proj"])
    outcome = run(experiment("x", "{method: trained, path: ./mine}"), None, Options("in-process"))
    (result,) = outcome.results
    assert (result.kind, outcome.exit_code) == ("config", 1)
    assert "missing adapter keys" in result.message


def test_an_adapter_that_changed_since_the_run_was_planned_is_another_one(adapter, place):
    shutil.copytree(adapter, place / "mine")
    (planned,) = expand(experiment("x", "{method: trained, path: ./mine}"))
    changed(place / "mine", lora_alpha=64)
    base, _ = load_base(planned.model, torch.device("cpu"))
    with pytest.raises(RunError, match="another adapter now") as it:
        load_existing(base, planned.model, planned.adapter.loads)
    assert it.value.kind == "data"


@pytest.fixture
def hub(adapter, place, monkeypatch):
    """A hub's cache that holds the adapter as owner/mine, and no hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place / "hub"))
    commit = "0123456789" * 4
    repository = place / "hub" / "models--owner--mine"
    shutil.copytree(adapter, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return repository


def test_an_adapter_of_the_hub_is_known_by_name_and_revision(hub):
    found = trained_adapter("owner/mine")
    assert (found.source, found.content, found.fetched) == ("hub", "hub:owner/mine@main", True)
    assert trained_adapter("owner/mine", "v2").content == "hub:owner/mine@v2"
    with pytest.raises(NotFoundError):
        trained_adapter("owner/mine/deeper")


def test_an_adapter_of_the_hub_is_scored_without_the_hub_once_it_was_fetched(hub):
    asked = experiment("x", "{method: trained, path: owner/mine}")
    assert run(asked, None, Options("in-process")).exit_code == 0
    with open_store("sqlite:///results.db") as store:
        (record,) = store.runs()
        assert record.training.provenance["loaded"]["content"] == "hub:owner/mine@main"
        assert record.training.trainable_params == count(expand(asked))[record.run_id].trainable_params > 0


def test_one_that_was_never_fetched_and_can_not_be_is_told_before_anything_is_loaded(place, hub):
    with pytest.raises(PrerequisiteError, match=r"x.yaml:6 adapters: owner/else is no directory here, and no adapter"):
        run(experiment("x", "{method: trained, path: owner/else}"), None, Options("in-process"))
