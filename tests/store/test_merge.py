"""Pooling the results of two machines."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import StoreError
from harness.store.merge import MergeConflict
from harness.store.store import Store, open_store

from .conftest import Databases
from .records import RUN, TRAINING, completed, entry, experiment, result, samples, taken

OTHER = "ba9876543210"
Opened = Callable[[str], Store]


@pytest.fixture
def opened(databases: Databases) -> Iterator[Opened]:
    stores: list[Store] = []

    def make(name: str) -> Store:
        stores.append(open_store(databases(name)))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def recorded(store: Store) -> dict[str, Any]:
    """Everything that is recorded of runs, whatever numbers the database gives its rows."""
    ids = sorted(run.run_id for run in store.runs())
    return {
        "runs": {run.run_id: dataclasses.replace(run, created_at="") for run in store.runs(loss=True)},
        "scores": {dataclasses.replace(score, scored_at="") for score in store.scores(ids)},
        "samples": {run_id: store.samples(run_id, "boolq") for run_id in ids},
        "attempts": {
            run_id: sorted((a.worker, a.started_at, a.outcome) for a in store.attempts(run_id)) for run_id in ids
        },
        "late": {run_id: store.late_results(run_id) for run_id in ids},
        "places": {(place.experiment, place.run_id, place.label, place.tasks) for place in store.memberships()},
    }


def with_run(store: Store, run_id: str, name: str = "first", **fields: Any) -> Store:
    store.register(experiment(name), [entry(run_id, **fields)])
    return store


def test_what_the_other_has_is_added_whole(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), OTHER, "second", label="DoRA")
    completed(ours)
    late = taken(theirs, OTHER, worker="dead:1:1")
    completed_by = theirs.claim(OTHER, "here:2:2", "cpu", theirs.states([OTHER])[OTHER])
    assert completed_by is not None
    theirs.record_training(completed_by, "t" + OTHER[1:], TRAINING)
    theirs.record_task(completed_by, result("boolq"))
    theirs.finish(completed_by, {"packages": {}})
    theirs.record_late(late, "dead:1:1", "boolq", {"accuracy": 0.1})
    before = recorded(theirs)
    found = ours.merge(theirs)

    assert (found.runs, found.trainings, found.scores, found.experiments, found.conflicts) == (1, 1, 1, 1, ())
    assert recorded(ours)["runs"][OTHER] == before["runs"][OTHER]
    assert ours.samples(OTHER, "boolq") == samples()
    assert [attempt.outcome for attempt in ours.attempts(OTHER)] == ["lost", "complete"]
    assert [kept.payload for kept in ours.late_results(OTHER)] == [{"accuracy": 0.1}]
    assert [place.label for place in ours.memberships("second")] == ["DoRA"]
    assert recorded(theirs) == before


def test_merging_again_adds_nothing(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), OTHER)
    completed(ours)
    completed(theirs, OTHER)
    ours.merge(theirs)
    before = recorded(ours)
    again = ours.merge(theirs)

    assert (again.runs, again.trainings, again.scores, again.experiments) == (0, 0, 0, 0)
    assert recorded(ours) == before


def test_the_order_in_which_databases_are_pooled_does_not_matter(opened: Opened) -> None:
    first, second, third = (opened(name) for name in ("first", "second", "third"))
    for store, run_id in ((first, RUN), (second, OTHER), (third, "c" * 12)):
        completed(with_run(store, run_id), run_id)
    one, other = opened("one"), opened("other")
    for store in (first, second, third):
        one.merge(store)
    for store in (third, first, second):
        other.merge(store)

    assert recorded(one) == recorded(other)
    assert set(recorded(one)["runs"]) == {RUN, OTHER, "c" * 12}


def test_identical_results_count_once_and_missing_tasks_are_added(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    completed(ours, tasks=("boolq",))
    completed(theirs, tasks=("boolq", "piqa"))
    found = ours.merge(theirs)

    assert (found.runs, found.trainings, found.scores) == (0, 0, 1)
    assert {score.task for score in ours.scores([RUN])} == {"boolq", "piqa"}


def test_identical_answers_that_were_compressed_otherwise_count_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    completed(ours)
    compress = zlib.compress
    monkeypatch.setattr(zlib, "compress", lambda data: compress(data, 0))
    completed(theirs)

    assert (ours.merge(theirs).scores, ours.merge(theirs).conflicts) == (0, ())


def test_answers_that_differ_conflict_though_the_scores_are_the_same(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    completed(ours)
    claim = taken(theirs)
    swapped = (dataclasses.replace(samples()[0], answer="Yes"), samples()[1])
    theirs.record_task(claim, dataclasses.replace(result("boolq"), samples=swapped))
    theirs.finish(claim, {})

    with pytest.raises(MergeConflict, match="boolq was answered otherwise there"):
        ours.merge(theirs)


def test_a_run_that_is_done_there_is_done_here(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    ours.fail(taken(ours), "oom", "out of memory", "", {})
    completed(theirs)
    ours.merge(theirs)

    state = ours.states([RUN])[RUN]
    assert (state.status, state.kind, state.error, state.trained) == ("complete", None, None, True)


def test_a_run_that_is_worked_on_there_waits_here(opened: Opened) -> None:
    ours, theirs = opened("ours"), with_run(opened("theirs"), RUN)
    taken(theirs)
    ours.merge(theirs)

    assert ours.states([RUN])[RUN].status == "pending"
    assert taken(ours).run_id == RUN


def test_a_run_that_had_all_its_scores_while_it_was_worked_on_there_is_ended_here(opened: Opened) -> None:
    ours, theirs = opened("ours"), with_run(opened("theirs"), RUN)
    claim = taken(theirs)
    theirs.record_training(claim, "t" + RUN[1:], TRAINING)
    theirs.record_task(claim, result("boolq"))
    ours.merge(theirs)
    (attempt,) = ours.attempts(RUN)

    assert (attempt.outcome, attempt.kind) == ("lost", "crashed")
    assert attempt.ended_at is not None
    assert (ours.states([RUN])[RUN].status, ours.states([RUN])[RUN].attempts) == ("pending", 1)
    assert ours.findings() == ()


def test_an_attempt_that_went_on_there_has_its_end_after_the_next_merge(opened: Opened) -> None:
    ours, theirs = opened("ours"), with_run(opened("theirs"), RUN)
    claim = taken(theirs)
    ours.merge(theirs)
    theirs.record_task(claim, result("boolq"))
    theirs.finish(claim, {"packages": {"peft": "0.21.2"}})
    ours.merge(theirs)

    assert ours.attempts(RUN) == theirs.attempts(RUN)
    assert ours.states([RUN])[RUN].status == "complete"


def test_a_run_that_was_begun_there_stays_when_the_experiment_asks_for_it_no_more(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    claim = taken(theirs)
    theirs.record_task(claim, result("boolq"))
    theirs.release(claim, {})
    ours.merge(theirs)
    with_run(ours, OTHER)

    assert {place.run_id for place in ours.memberships("first")} == {RUN, OTHER}
    assert {score.task for score in ours.scores([RUN])} == {"boolq"}


def test_a_worker_keeps_the_run_of_which_it_is_in_the_middle(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    for _ in range(2):
        theirs.release(taken(theirs), {})
    claim = taken(ours)
    ours.merge(theirs)
    ours.record_task(claim, result("boolq"))
    ours.finish(claim, {})
    assert ours.states([RUN])[RUN].status == "complete"


def test_a_claim_after_the_merge_is_newer_than_those_that_were_made_there(opened: Opened) -> None:
    ours, theirs = with_run(opened("ours"), RUN), with_run(opened("theirs"), RUN)
    late = taken(theirs)
    theirs.release(late, {})
    ours.merge(theirs)

    assert taken(ours).token > late.token


def differing(opened: Opened) -> tuple[Store, Store]:
    """Two databases that differ in a run, and another run that only the second has."""
    ours, theirs = with_run(opened("ours"), RUN), opened("theirs")
    theirs.register(experiment(), [entry(RUN), entry(OTHER)])
    completed(ours)
    claim = taken(theirs)
    theirs.record_task(claim, result("boolq", value=0.75))
    theirs.finish(claim, {})
    completed(theirs, OTHER)
    return ours, theirs


def test_runs_whose_results_differ_are_named_and_nothing_is_written(opened: Opened, tmp_path: Path) -> None:
    ours, theirs = differing(opened)
    before = recorded(ours)

    with pytest.raises(MergeConflict, match=f"run {RUN}: boolq was answered otherwise there"):
        ours.merge(theirs)
    assert recorded(ours) == before


def test_runs_whose_results_differ_may_be_left_out(opened: Opened) -> None:
    ours, theirs = differing(opened)
    before = recorded(ours)
    found = ours.merge(theirs, keep_ours=True)

    assert found.runs == 1
    assert [RUN in conflict for conflict in found.conflicts] == [True]
    assert recorded(ours)["scores"] >= before["scores"]
    assert [score.value for score in ours.scores([RUN])] == [score.value for score in ours.scores([OTHER])]


def trained(store: Store, run_id: str, saved: str) -> None:
    """Does a whole run of the adapter that RUN trains."""
    store.register(experiment(), [dataclasses.replace(entry(run_id), train_id="t" + RUN[1:])])
    claim = taken(store, run_id)
    store.record_training(claim, "t" + RUN[1:], dataclasses.replace(TRAINING, provenance={"saved": saved}))
    store.record_task(claim, result("boolq"))
    store.finish(claim, {})


@pytest.mark.parametrize("run_id", [RUN, OTHER])
def test_adapters_that_were_trained_to_other_weights_conflict(opened: Opened, run_id: str) -> None:
    ours, theirs = opened("ours"), opened("theirs")
    trained(ours, RUN, "w1")
    trained(theirs, run_id, "w2")

    with pytest.raises(MergeConflict, match=f"run {run_id}: adapter t{RUN[1:]} was trained to other weights there"):
        ours.merge(theirs)
    found = ours.merge(theirs, keep_ours=True)
    assert (found.runs, found.scores, len(found.conflicts)) == (0, 0, 1)
    assert [run.run_id for run in ours.runs()] == [RUN]


def test_runs_that_score_the_same_weights_share_them(opened: Opened) -> None:
    ours, theirs = opened("ours"), opened("theirs")
    trained(ours, RUN, "w1")
    trained(theirs, OTHER, "w1")
    found = ours.merge(theirs)

    assert (found.runs, found.trainings, found.scores, found.conflicts) == (1, 0, 1, ())


def test_the_command_takes_a_file_reads_it_only_and_says_what_it_added(
    opened: Opened, db: Path, tmp_path: Path
) -> None:
    completed(with_run(opened("results"), RUN))
    shutil.copy(db, tmp_path / "copy.db")
    before = hashlib.sha256((tmp_path / "copy.db").read_bytes()).hexdigest()
    ours = f"sqlite:///{tmp_path / 'new.db'}"
    done = CliRunner().invoke(cli, ["--db", ours, "db", "merge", str(db)], catch_exceptions=False)

    assert done.exit_code == 0
    assert "added 1 run, 1 training, 1 scored task of" in done.stdout
    assert hashlib.sha256((tmp_path / "copy.db").read_bytes()).hexdigest() == before
    with open_store(ours, read_only=True) as store:
        assert store.samples(RUN, "boolq") == samples()


def test_a_database_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such database yet"):
        CliRunner().invoke(
            cli,
            ["--db", f"sqlite:///{tmp_path / 'ours.db'}", "db", "merge", str(tmp_path / "none.db")],
            catch_exceptions=False,
        )
    assert not (tmp_path / "ours.db").exists()
