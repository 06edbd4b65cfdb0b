"""What is scored in the process that trained it is scored alike in a fresh one, whatever came before it there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from harness.store.store import open_store

from .conftest import Project

pytestmark = pytest.mark.slow

TASKS = ("micro_true_false", "micro_fill_blank")
EXPERIMENT = {
    "name": "before",
    "base": {"model": "micro-llama"},
    "data": {"train": "micro", "limit": 40},
    "train": {"steps": 8, "batch_size": 4, "learning_rate": 1e-3, "max_length": 128, "loss_on": "completion"},
    "score": {"limit": 20, "batch_size": 8, "store_outputs": "all"},
    "keep": True,
    "tasks": list(TASKS),
}
METHODS = ("lora", "dora", "prompt_tuning", "ia3", "full", "loreft", "denselora")


def write(project, name, **changes):
    project.write(f"{name}.yaml", json.dumps({**EXPERIMENT, "name": name, **changes}))


def samples(project, run_id):
    with open_store(f"sqlite:///{project.folder / 'results.db'}") as store:
        return [(task, s.doc_id, s.outcome, s.answer, s.output) for task in TASKS for s in store.samples(run_id, task)]


def runs(project, name, *options):
    return project.json("plan", f"{name}.yaml", *options, "--json")["runs"]


def adapter_file(project, run) -> Path:
    (file,) = (project.folder / ".harness" / "adapters" / run["train_id"]).glob("*.safetensors")
    return file


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fresh_process_that_loads_the_saved_adapter_gives_the_same_answers(project, dtype):
    base = {"model": "micro-llama", "dtype": dtype}
    write(project, "before", base=base, adapters=[{"method": name} for name in ("lora", "dora", "denselora")])
    project.harness("run", "before.yaml")
    before = runs(project, "before")
    paths = [str(adapter_file(project, run).parent) for run in before]
    write(project, "after", base=base, adapters=[{"method": "trained", "path": path} for path in paths])
    project.harness("run", "after.yaml")
    for trained, loaded in zip(before, runs(project, "after"), strict=True):
        ours, theirs = samples(project, trained["run_id"]), samples(project, loaded["run_id"])
        assert len(ours) == 40
        assert trained["run_id"] != loaded["run_id"]
        answers = slice(None) if dtype == "float32" else slice(4)
        assert [sample[answers] for sample in ours] == [sample[answers] for sample in theirs], trained["label"]


def test_each_of_many_runs_of_a_worker_ends_as_alone_in_a_fresh_process(tmp_path):
    together = Project(tmp_path / "together")
    together.folder.mkdir()
    write(together, "before", adapters=[{"method": name} for name in METHODS])
    together.harness("run", "before.yaml", "--workers", "1")
    planned = runs(together, "before")
    assert {run["action"] for run in planned} == {"reuse"}
    for run in planned:
        alone = Project(tmp_path / run["method"])
        alone.folder.mkdir()
        write(alone, "before", adapters=[{"method": run["method"]}])
        alone.harness("run", "before.yaml")
        ours, theirs = (load_file(adapter_file(project, run)) for project in (together, alone))
        assert ours.keys() == theirs.keys()
        assert all(value.equal(theirs[name]) for name, value in ours.items()), run["method"]
        assert samples(together, run["run_id"]) == samples(alone, run["run_id"])
