"""A task that is another one now is scored again, whoever it belongs to; the old score stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.task_now import TasksNow
from harness.store.records import Score, TaskResult
from tests.pipeline.conftest import Small

OWN = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: mine/sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}} The number is "
doc_to_target: !function answers.answer
metric_list: [{metric: exact_match}]
metadata: {version: 1.0}
"""
ASKED = ("tasks: [llm_adapters_boolq, llm_adapters_piqa]", "tasks_path: mine\ntasks: [sums]")


@pytest.fixture
def own(small: Small, place: Path) -> Path:
    """A folder with one task, whose run is scored."""
    folder = place / "mine"
    folder.mkdir()
    (folder / "sums.yaml").write_text(OWN)
    (folder / "sums.jsonl").write_text('{"question": "2?", "answer": "2"}\n')
    (folder / "answers.py").write_text("def answer(doc):\n    return doc['answer']\n")
    (run,) = small.runs(ASKED)
    claim = small.claim(run)
    small.train(claim, run)
    fingerprint = TasksNow().fingerprint("sums", str(folder))
    small.store.record_task(
        claim, TaskResult("sums", "1.0", fingerprint, (Score("exact_match", 0.5, None, 1),), (), 1.0)
    )
    small.store.finish(claim, {})
    return folder


def planned(small: Small) -> PlannedRun:
    return plan(small.runs(ASKED), small.store).runs[0]


def test_an_own_task_as_it_was_scored_is_reused(small: Small, own: Path) -> None:
    assert planned(small).action == "reuse"


def rewritten(name: str, old: str, new: str) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return rewrite


@pytest.mark.parametrize(
    "edit",
    [
        rewritten("sums.yaml", "The number is", "The answer is"),
        rewritten("sums.yaml", "version: 1.0", "version: 2.0"),
        rewritten("sums.jsonl", "2?", "3?"),
        rewritten("answers.py", "doc['answer']", "doc['answer'].strip()"),
    ],
    ids=["words", "version", "data", "code"],
)
def test_an_own_task_that_was_edited_is_scored_again(small: Small, own: Path, edit: Callable[[Path], None]) -> None:
    edit(own)
    found = planned(small)
    assert (found.action, found.tasks) == ("score", ("sums",))
    assert found.reason.endswith("changed since they were scored: sums")


def test_what_can_t_be_looked_at_any_more_counts_as_it_was_scored(small: Small, own: Path) -> None:
    (own / "sums.yaml").write_text("task: [")
    assert TasksNow().fingerprint("sums", str(own)) is None
    assert TasksNow().fingerprint("arc_easy", None) is None


def test_a_task_that_comes_with_the_harness_over_another_test_file_is_scored_again(small: Small, place: Path) -> None:
    (run,) = small.runs()
    claim = small.claim(run)
    small.train(claim, run)
    small.score(claim, *run.tasks)
    small.store.finish(claim, {})
    (file,) = (place / "data").rglob("boolq/*.json")
    before = file.read_text()
    file.write_text('[{"instruction": "1 + 2?", "answer": "3"}]')
    assert plan([run], small.store).runs[0].tasks == ("llm_adapters_boolq",)
    file.unlink()
    assert plan([run], small.store).runs[0].action == "reuse"  # its version is the one that was scored
    file.write_text(before)
    assert plan([run], small.store).runs[0].action == "reuse"
