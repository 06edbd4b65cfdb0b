"""`harness export`: an adapter that others can load, with a card that says what it is."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from harness.cli.main import cli
from harness.errors import HarnessError
from harness.schedule.options import Options
from harness.schedule.run import run
from harness.spec.load import load_experiment
from harness.spec.run import ModelRef
from harness.store.store import open_store
from harness.train.base_model import load_base

EXPERIMENT = """\
name: line
base: {model: micro-llama}
data: {train: micro, limit: 8}
train: {steps: 2, batch_size: 4, learning_rate: 1.0e-2, max_length: 64}
score: {batch_size: 2}
adapters:
  - {method: none}
  - {method: lora, r: 2}
  - {method: denselora, r: 2, label: ours}
  - {mixed: [{method: lora, r: 2, targets: QV}, {method: denselora, r: 2, targets: UD}], label: both}
  - {method: full, train: {learning_rate: 1.0e-3}}
tasks: [micro_true_false]
"""
TRAINED = ("lora", "ours", "both", "full")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The run ids of an experiment that has been run, by label; its folder is the current one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("export"))
        patch.setenv("HARNESS_HOME", "home")
        patch.setenv("HARNESS_DB", "results.db")
        patch.delenv("HARNESS_PROFILE", raising=False)
        torch.set_num_threads(1)
        Path("line.yaml").write_text(EXPERIMENT)
        changes = ("keep=true", "score.limit=4")
        outcome = run(load_experiment("line.yaml", None, changes), "results.db", Options(executor="in-process"))
        assert outcome.exit_code == 0
        with open_store("sqlite:///results.db", read_only=True) as store:
            yield {place.label: place.run_id for place in store.memberships("line")}


def harness(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def export(run_id: str, folder: Path | str, *options: str) -> str:
    """What the command prints."""
    done = harness("export", run_id, str(folder), *options)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(run_id: str, folder: Path | str, db: str = "results.db") -> str:
    """Why nothing is exported."""
    done = harness("--db", db, "export", run_id, str(folder))
    assert isinstance(done.exception, HarnessError) and not done.stdout
    return str(done.exception)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([[5, 6, 7, 8]])).logits


@pytest.mark.parametrize("label", TRAINED)
def test_the_cards_code_loads_the_trained_model(runs: dict[str, str], label: str, tmp_path: Path) -> None:
    export(runs[label], tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code.replace("path/of/this/folder", str(tmp_path / "out")), names)

    base, _ = load_base(ModelRef(name="micro-llama"), torch.device("cpu"))
    assert not torch.equal(logits(names["model"]), logits(base))  # type: ignore[arg-type]
    assert names["tokenizer"]("heron")["input_ids"]  # type: ignore[operator]


def test_the_weights_are_those_that_are_kept(runs: dict[str, str], tmp_path: Path) -> None:
    told = json.loads(export(runs["ours"], tmp_path / "out", "--json"))
    kept, copied = Path("home/adapters") / told["train_id"], tmp_path / "out"

    assert told["run_id"] == runs["ours"]
    assert told["files"] == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    for name in told["files"][1:]:
        assert (kept / name).read_bytes() == (copied / name).read_bytes()


def test_the_card_has_the_recorded_scores_and_what_made_them(runs: dict[str, str], tmp_path: Path) -> None:
    export(runs["ours"][:8], tmp_path / "new" / "out")
    card = ModelCard.load(tmp_path / "new" / "out" / "README.md")
    with open_store("sqlite:///results.db", read_only=True) as store:
        scores = store.scores([runs["ours"]])
        training = store.runs([runs["ours"]])[0].training

    found = [(one.dataset_type, one.metric_type, one.metric_value) for one in card.data.eval_results]
    assert found == [(score.task, score.metric.partition(",")[0], score.value) for score in scores]
    assert card.data.library_name == "peft" and card.data.tags == ["peft-harness", "denselora"]
    assert training is not None
    for row in (
        f"| True or false | 1.0 | accuracy, % | 4 | {100 * scores[0].value:.2f} |",
        f"| trainable parameters | {training.trainable_params:,} (",
        "| r | 2 |",
        "| steps | 2 |",
        "greedy, 4 items a task; one training, seed 0.",
        f"harness run line.yaml --profile paper --only {runs['ours']} --limit 4",
        f"| fingerprint of the weights | {training.provenance['saved']} |",
    ):
        assert row in card.text
    assert "{{ instruction }}" in card.text


def test_a_run_without_weights_of_its_own(runs: dict[str, str], tmp_path: Path) -> None:
    assert (
        refused(runs["none"], tmp_path / "out")
        == f"run {runs['none']} scores the bare base: there is no adapter to export"
    )
    assert refused("nosuchrun", tmp_path / "out").startswith("no run 'nosuchrun' in sqlite:///results.db")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_stays_as_it_is(runs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert refused(runs["lora"], tmp_path) == f"{tmp_path} is there already: name a folder that is new or empty"
    assert refused(runs["lora"], tmp_path / "notes.txt").endswith("name a folder that is new or empty")
    assert refused(runs["lora"], "/proc/out").startswith("/proc/out can't be written: ")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.fixture
def kept(runs: dict[str, str]) -> Iterator[Path]:
    """The folder of LoRA's weights, which is whole again afterwards."""
    with open_store("sqlite:///results.db", read_only=True) as store:
        folder = Path("home/adapters").absolute() / store.runs([runs["lora"]])[0].train_id
    shutil.copytree(folder, "spare")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move("spare", folder)


def test_weights_that_are_not_the_recorded_ones_are_not_handed_out(
    runs: dict[str, str], kept: Path, tmp_path: Path
) -> None:
    file = kept / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors[next(iter(tensors))][0, 0] += 1e-3
    save_file(tensors, file, {"format": "pt"})
    said = refused(runs["lora"], tmp_path / "out")
    assert said == f"{kept} holds other weights than those that were trained and recorded"

    file.write_bytes(file.read_bytes()[:-8])
    assert refused(runs["lora"], tmp_path / "out").startswith(f"{kept} can't be read: ")
    file.unlink()
    assert refused(runs["lora"], tmp_path / "out").startswith(f"{kept} can't be read: ")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_gone_are_made_again_by_the_commands_that_are_told(
    runs: dict[str, str], kept: Path, tmp_path: Path
) -> None:
    shutil.rmtree(kept)
    said = refused(runs["lora"], tmp_path / "out")
    assert said.startswith(f"the weights of run {runs['lora']} are not kept in {kept}; to train them again")
    train, give = re.findall(r"harness (--db again.db .*?)(?:;|\. )", said)

    done = harness(*shlex.split(train), "--executor", "in-process")
    assert done.exit_code == 0, done.stderr
    done = harness(*shlex.split(give.replace("DIR", str(tmp_path / "out"))))
    assert done.exit_code == 0, done.stderr
    first = load_file("spare/adapter_model.safetensors")
    made = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert all(torch.equal(first[name], made[name]) for name in first)


def test_a_run_that_is_not_trained_yet(runs: dict[str, str], tmp_path: Path) -> None:
    Path("later.yaml").write_text(EXPERIMENT.replace("name: line", "name: later").replace("steps: 2", "steps: 3"))
    done = harness(
        "--db", "later.db", "run", "later.yaml", "--only", "none", "--limit", "1", "--executor", "in-process"
    )
    assert done.exit_code == 0, done.stderr
    with open_store("sqlite:///later.db", read_only=True) as store:
        waiting = next(place.run_id for place in store.memberships("later") if place.label == "full")
    said = refused(waiting, tmp_path / "out", "later.db")
    assert said.startswith(f"run {waiting} is pending and has no trained weights yet: harness run later.yaml")
    assert said.endswith(f"--only {waiting} --limit 1 --set keep=true")
