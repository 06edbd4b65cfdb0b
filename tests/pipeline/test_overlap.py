"""Training/test overlap is measured once for each pair of contents, and goes with the score."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import load_experiment, run
from harness.errors import PrerequisiteError
from harness.pipeline.overlap import noted, overlaps
from harness.score.items import Items
from harness.spec.run import DataRef, SourceRef
from harness.store.records import TaskResult
from harness.store.store import open_store

QUESTIONS = tuple(f"What is {i} times {i + 1}?" for i in range(20))
TASKS = {"sums": Items("s1", QUESTIONS), "birds": Items("b1", ("Is a heron a bird?",))}
EXPERIMENT = """\
name: leak
base: {model: micro-llama}
data: {train: {path: train.json}}
train: {steps: 1, max_length: 128}
score: {limit: 2}
tasks_path: own
adapters: [{method: lora, r: 4}]
tasks: [mine]
"""
TASK = """\
task: mine
custom_dataset: !function harness.score.testset.load
test_split: test
output_type: generate_until
doc_to_text: !function harness.score.prompting.prompt
doc_to_target: answer
generation_kwargs: {until: [], max_gen_toks: 4}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0, file: %s}
"""


def trained_on(path: Path, questions: tuple[str, ...]) -> DataRef:
    path.write_text(json.dumps([{"instruction": question, "output": "12"} for question in questions]))
    return DataRef(name="mine", sources=(SourceRef(kind="path", location=str(path), name=path.name),))


def kept() -> list[Path]:
    return sorted(Path("home", "overlap").iterdir())


def test_one_measurement_serves_every_run_on_the_same_contents(place: Path) -> None:
    data = trained_on(place / "a.json", QUESTIONS[:7])
    found = overlaps(data, TASKS)
    assert {task: counts["exact"] for task, counts in found.items()} == {"sums": 7, "birds": 0}
    for file in kept():
        file.write_text(json.dumps({**json.loads(file.read_text()), "exact": 99}))
    share = data.model_copy(update={"fraction": 0.5})
    assert {counts["exact"] for counts in overlaps(share, TASKS).values()} == {99}
    other = trained_on(place / "b.json", QUESTIONS[:5])
    assert overlaps(other, TASKS)["sums"]["exact"] == 5
    renewed = {"sums": Items("s2", QUESTIONS[5:])}
    assert overlaps(data, renewed)["sums"] == {"items": 15, "exact": 2, "normalised": 2, "ngram": 0, "long": 0}
    assert len(kept()) == 5


def test_where_nothing_is_trained_nothing_overlaps(place: Path) -> None:
    assert overlaps(None, TASKS) == {}


def test_training_data_that_are_gone_cost_no_run(place: Path) -> None:
    data = trained_on(place / "a.json", QUESTIONS)
    (place / "a.json").unlink()
    found = overlaps(data, TASKS)
    assert found.keys() == TASKS.keys()
    assert "a.json is not there" in found["sums"]["error"]


def test_a_result_carries_what_was_found_of_its_task() -> None:
    results = [TaskResult(name, "1", "f", (), (), 1.0, {"n_shot": 0}) for name in ("sums", "other")]
    sums, other = noted(results, {"sums": {"items": 20, "exact": 7}})
    assert sums.provenance == {"n_shot": 0, "overlap": {"items": 20, "exact": 7}}
    assert other.provenance == {"n_shot": 0}


@pytest.fixture
def leak(place: Path) -> Path:
    """An experiment that trains on 3 of its 4 test items."""
    items = [{"instruction": question, "output": "12", "answer": "12"} for question in QUESTIONS[:4]]
    (place / "train.json").write_text(json.dumps(items[:3] * 5))
    (place / "test.json").write_text(json.dumps(items))
    (place / "own").mkdir()
    (place / "own" / "mine.yaml").write_text(TASK % (place / "test.json"))
    (place / "leak.yaml").write_text(EXPERIMENT)
    return place / "leak.yaml"


def done(path: Path) -> tuple[str, str | None, str | None]:
    """Runs an experiment of one run: its id, and its failure's kind and message."""
    from harness.schedule.options import Options

    (result,) = run(load_experiment(path), db="results.db", options=Options(executor="in-process")).results
    return result.run_id, result.kind, result.message


def test_the_database_holds_what_was_measured(leak: Path) -> None:
    run_id, kind, message = done(leak)
    assert (kind, message) == (None, None)
    with open_store("sqlite:///results.db", read_only=True) as store:
        counts = {"items": 4, "exact": 3, "normalised": 3, "ngram": 0, "long": 0}
        assert store.overlaps([run_id]) == {run_id: {"mine": counts}}
        (record,) = store.runs([run_id])
    assert record.training.counts["duplicates"] == 12
    assert record.training.provenance["prefix"]["checked"] == 15


def test_a_task_that_can_not_be_asked_is_refused_before_anything_begins(leak: Path) -> None:
    leak.with_name("test.json").write_text(json.dumps([{"instruction": "1 + 1?"}, {"instruction": "2 + 2?"}]))
    with pytest.raises(PrerequisiteError, match=r"leak\.yaml:8 tasks: mine item 0: no answer, which the task needs"):
        done(leak)
