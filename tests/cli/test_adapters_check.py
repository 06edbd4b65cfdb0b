"""`harness adapters check`: what a method promises is proved, and what it hides comes to light."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from harness.adapters.method import load_method
from harness.cli.check_table import drawn
from harness.errors import Problem
from harness.pipeline.proof.prove import CHECKS, Prover, declared, unusable
from harness.pipeline.proof.verdict import Check, Proof, Seen, judged

from .conftest import Project

CODE = """\
from peft import LoraConfig
from transformers import TrainerCallback

class MineConfig(LoraConfig):
    pass

class Sharpen(TrainerCallback):
    '''Changes a weight of the base, which no adapter file holds, by what no checkpoint holds.'''

    steps = 0

    def on_step_end(self, args, state, control, **kwargs):
        self.steps += 1

    def on_train_end(self, args, state, control, model=None, **kwargs):
        weight = model.get_base_model().model.norm.weight.data
        weight *= 1 + self.steps / 100

        def merge_and_unload():
            weight.mul_(2)
            raise ValueError("half way")

        model.merge_and_unload = merge_and_unload

class Stumble(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        raise KeyError("no such thing\\nand more")
"""
MINE = """\
method: mine
config_class: mine:MineConfig
params: {r: 2, targets: QV}
config: {r: "${r}", target_modules: "${targets}"}
"""
WRONG = (
    MINE.replace("method: mine", "method: wrong").replace('{r: "${r}"', '{init_lora_weights: false, r: "${r}"')
    + "callbacks: ['mine:Sharpen']\nmergeable: false\nlimits: {counts: counted by hand}\n"
)
STUMBLES = MINE.replace("method: mine", "method: stumbles") + "callbacks: ['mine:Stumble']\n"
BAD = "method: bad\nconfig_class: peft:LoraConfig\nparmas: {r: 2}\ntrain: {learning_rate: fast}\n"
NOWHERE = "method: nowhere\nconfig_class: nowhere:X\n"


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """A project in which two methods of a user's, one of them dishonest, and a shipped one were checked."""
    made = Project(tmp_path_factory.mktemp("checked"))
    made.write("mine.py", CODE)
    made.write("adapters/mine.yaml", MINE)
    made.write("own/wrong.yaml", WRONG)
    made.write("own/stumbles.yaml", STUMBLES)
    (made.folder / "temporary").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(made.folder / "temporary"))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        arguments = ("adapters", "check", "mine", "own/wrong.yaml", "own/stumbles.yaml", "none", "--json")
        done = made.harness(*arguments, exits=1)
    made.printed.append(done.stderr)
    return made, json.loads(done.stdout)


def results(document: dict[str, Any], method: str) -> dict[str, tuple[str, str]]:
    (found,) = [one for one in document["methods"] if one["method"] == method]
    return {check["name"]: (check["result"], check["detail"]) for check in found["checks"]}


def test_a_users_honest_method_passes_every_check(checked: tuple[Project, dict[str, Any]]) -> None:
    _, document = checked
    mine = document["methods"][0]
    assert (mine["method"], mine["file"], mine["passed"]) == ("mine", "adapters/mine.yaml", True)
    assert {check["result"] for check in mine["checks"]} == {"passed"}
    # five layers; Q is 128 x 128, V 128 x 64; rank 2
    assert mine["trainable_params"] == 5 * 2 * (256 + 192)
    assert mine["adapter_bytes"] > 4 * mine["trainable_params"]
    assert mine["seconds"] > 0
    assert [check["name"] for check in mine["checks"]] == [
        "schema", "builds", "counts", "starts_as_base", "learns", "reloads", "resumes", "size", "merges",
    ]  # fmt: skip


def test_what_a_method_hides_comes_to_light_and_fails(checked: tuple[Project, dict[str, Any]]) -> None:
    _, document = checked
    found = results(document, "wrong")
    assert document["passed"] is False
    assert {name for name, (result, _) in found.items() if result == "failed"} == {
        "counts", "starts_as_base", "reloads", "resumes", "merges",
    }  # fmt: skip
    assert "untrained, its logits differ from the base's by" in found["starts_as_base"][1]
    assert "in a fresh process, its logits differ by" in found["reloads"][1]
    assert found["resumes"][1].endswith("base_model.model.model.norm.weight differs (1 in all)")
    assert "refuses (half way) only after it changed logits by" in found["merges"][1]


def test_a_declaration_that_is_not_true_fails(checked: tuple[Project, dict[str, Any]]) -> None:
    _, document = checked
    found = results(document, "wrong")
    assert "declares that it does not (counted by hand): take that out" in found["counts"][1]


def test_an_exception_is_a_cross_with_its_first_line_and_what_needs_it_does_not_apply(
    checked: tuple[Project, dict[str, Any]],
) -> None:
    project, document = checked
    found = results(document, "stumbles")
    assert found["learns"] == ("failed", "KeyError: 'no such thing\\nand more'")
    assert {found[name] for name in ("reloads", "resumes", "size", "merges")} == {
        ("not_applicable", "it could not be trained")
    }
    assert "[3/4] stumbles: failed: learns (" in project.printed[0]


def test_of_the_bare_base_only_what_applies_is_checked(checked: tuple[Project, dict[str, Any]]) -> None:
    _, document = checked
    found = results(document, "none")
    assert [name for name, (result, _) in found.items() if result == "passed"] == ["schema", "builds", "counts"]
    assert {result for result, _ in found.values()} == {"passed", "not_applicable"}


def test_nothing_is_left_behind(checked: tuple[Project, dict[str, Any]]) -> None:
    project, _ = checked
    assert sorted(path.name for path in project.folder.iterdir()) == ["adapters", "mine.py", "own", "temporary"]
    assert not list((project.folder / "temporary").glob("harness-*"))


def test_files_that_can_not_be_used_are_told_with_their_lines(project: Project) -> None:
    project.write("bad.yaml", BAD)
    project.write("nowhere.yaml", NOWHERE)
    done = project.harness("adapters", "check", "bad.yaml", "nowhere.yaml", "missing.yaml", exits=2)
    problems = done.stderr.splitlines()
    assert problems[0] == "bad.yaml:3 parmas: unknown field, did you mean 'params'?"
    assert problems[1].startswith("missing.yaml: can't be read: No such file")
    assert problems[2].startswith("nowhere.yaml:2 config_class: nowhere:X can't be imported")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("denslora",), "unknown method 'denslora', did you mean 'denselora'?"),
        ((), "name FILEs or METHODs, or --all"),
        (("lora", "--all"), "name FILEs or METHODs, or --all"),
    ],
)
def test_what_names_no_method_is_refused(project: Project, arguments: tuple[str, ...], said: str) -> None:
    assert said in project.harness("adapters", "check", *arguments, exits=2).stderr


@pytest.mark.parametrize(
    ("seen", "limits", "result"),
    [
        (Seen(True), {}, "passed"),
        (Seen(False, "differs"), {}, "failed"),
        (Seen(False, "differs"), {"resumes": "keeps no state"}, "declared"),
        (Seen(True), {"resumes": "keeps no state"}, "failed"),
        (Seen(False, "differs", excusable=False), {"resumes": "keeps no state"}, "failed"),
        (Seen(None, "not built"), {"resumes": "keeps no state"}, "not_applicable"),
        (Seen(False, "differs"), {"reloads": "another check"}, "failed"),
    ],
)
def test_a_declared_limit_excuses_its_check_only_where_it_is_true(
    seen: Seen, limits: dict[str, str], result: str
) -> None:
    found = judged("resumes", seen, limits)
    assert found.result == result
    if result == "declared":
        assert found.detail == "keeps no state (seen: differs)"


def test_mergeable_false_is_a_declaration(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE + "mergeable: false\nlimits: {resumes: never}\n")
    assert declared(load_method(file)) == {"merges": "mergeable: false", "resumes": "never"}


def test_random_states_and_the_current_directory_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "wandering.py").write_text(CODE + "import os\nos.chdir('/')\n")
    (tmp_path / "mine.yaml").write_text(MINE.replace("mine:Mine", "wandering:Mine").replace("QV", "[nothing_like_it]"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = random.getstate(), torch.get_rng_state(), torch.get_num_threads(), os.getcwd()
    with Prover() as prover:
        proof = prover.prove(load_method(Path("mine.yaml")))
    assert proof.failed == ("builds",)
    assert (random.getstate(), torch.get_num_threads(), os.getcwd()) == (before[0], *before[2:])
    assert torch.equal(torch.get_rng_state(), before[1])


def proof_of(method: str, **results: str) -> Proof:
    checks = tuple(Check(name, results.get(name, "passed"), "why not " * 30) for name in CHECKS)
    return Proof(method, f"{method}.yaml", checks, 3_369_336, 841_088, 12.3)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_gives_the_reason_of_each_cross(width: int) -> None:
    proofs = [
        proof_of("residual_prompt_tuning", reloads="failed", merges="declared"),
        proof_of("lora"),
        unusable("broken", [Problem("broken.yaml", 3, "params", "must be a mapping")]),
    ]
    lines = drawn(proofs, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("residual_prompt") and line.count("✗") == line.count("○") == 1 for line in lines)
    assert any(line.startswith("lora ") and line.count("✓") == len(CHECKS) for line in lines)
    assert any(line.startswith("✗ residual_prompt_tuning reloads: why not") for line in lines)
    assert any(line.startswith("○ residual_prompt_tuning merges: why not") for line in lines)
    assert "✗ broken schema: broken.yaml:3 params: must be a mapping" in lines
    assert not any(line.startswith("✓ lora") for line in lines)
    assert ("841,088" in lines[5 if width == 120 else 4]) is (width == 120)
    assert lines[-1] == "1 of 3 methods pass"
