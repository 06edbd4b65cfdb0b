"""Registering runs, and what is recorded of them."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
from pathlib import Path

import pytest

from harness.errors import RunError
from harness.store.records import Sample
from harness.store.store import Store

from .records import RUN, TRAINING, completed, entry, experiment, result, samples, taken

OTHER = "ba9876543210"


def test_a_registered_run_waits(store: Store) -> None:
    state = store.states([RUN, "unknown"])

    assert list(state) == [RUN]
    assert (state[RUN].status, state[RUN].attempts, state[RUN].scored, state[RUN].trained) == ("pending", 0, {}, False)


def test_a_run_goes_from_pending_over_running_to_complete(store: Store) -> None:
    claim = taken(store, worker="here:7:7")
    store.beat(claim, "train")
    running = store.states([RUN])[RUN]
    store.record_training(claim, running.train_id, TRAINING)
    store.record_task(claim, result("boolq"))
    store.finish(claim, {"packages": {}})
    done = store.states([RUN])[RUN]

    assert (running.status, running.stage, running.worker) == ("running", "train", "here:7:7")
    assert running.beat_seconds_ago is not None
    assert 0 <= running.beat_seconds_ago < 60
    assert (done.status, done.stage, done.worker, done.attempts, done.trained) == ("complete", None, None, 1, True)
    assert done.scored == {"boolq": frozenset({("1.0", "f1")})}
    assert store.runs([RUN])[0].finished_at is not None


def test_registering_again_keeps_the_status_and_moves_the_place(store: Store) -> None:
    completed(store)
    store.register(experiment(), [entry(OTHER, label="DoRA"), entry(tasks=("boolq",), label="LoRA r=16")])

    assert store.states([RUN])[RUN].status == "complete"
    places = {place.run_id: (place.position, place.label, place.tasks) for place in store.memberships("first")}
    assert places == {OTHER: (0, "DoRA", ("boolq", "piqa")), RUN: (1, "LoRA r=16", ("boolq",))}


def test_runs_that_never_began_are_forgotten_when_nobody_asks_for_them(store: Store) -> None:
    store.register(experiment(), [entry(OTHER)])

    assert [place.run_id for place in store.memberships("first")] == [OTHER]
    assert store.states([RUN]) == {}


def test_a_run_that_another_experiment_asks_for_is_not_forgotten(store: Store) -> None:
    store.register(experiment("second"), [entry()])
    store.register(experiment("first"), [entry(OTHER)])

    assert store.states([RUN])[RUN].status == "pending"
    assert [place.experiment for place in store.memberships(run_ids=[RUN])] == ["second"]


def test_a_run_that_began_stays_in_its_experiment(store: Store) -> None:
    store.release(taken(store), {})
    store.register(experiment(), [entry(OTHER)])

    assert {place.run_id for place in store.memberships("first")} == {RUN, OTHER}


def test_the_latest_registered_experiment_comes_first(store: Store) -> None:
    store.register(experiment("second"), [entry()])
    store.register(experiment("first"), [entry()])

    assert [place.experiment for place in store.memberships()] == ["first", "second"]


def test_a_training_comes_back_as_it_was_recorded(store: Store) -> None:
    completed(store)

    assert store.runs([RUN], loss=True)[0].training == TRAINING
    assert store.runs(prefix=RUN[:4])[0].training == dataclasses.replace(TRAINING, loss=())
    assert list(store.trainings(["t" + RUN[1:], "unknown"])) == ["t" + RUN[1:]]


def test_recorded_scores_never_change(store: Store) -> None:
    completed(store)
    before = store.scores([RUN])
    store.record_task(taken(store), result("boolq", value=0.99))

    assert store.scores([RUN]) == before
    assert [(score.metric, score.position, score.value) for score in before] == [
        ("accuracy", 0, 0.5),
        ("extracted", 1, 0.5),
    ]


def test_missing_tasks_are_added_to_a_complete_run(store: Store) -> None:
    completed(store, tasks=("boolq",))
    completed(store, tasks=("piqa",))

    assert set(store.states([RUN])[RUN].scored) == {"boolq", "piqa"}
    assert [attempt.outcome for attempt in store.attempts(RUN)] == ["complete", "complete"]


def test_items_are_stored_once_however_many_runs_answer_them(store: Store, db: Path) -> None:
    store.register(experiment(), [entry(), entry(OTHER)])
    completed(store)
    completed(store, OTHER)

    with sqlite3.connect(db) as connection:
        assert connection.execute("SELECT n FROM item_sets").fetchall() == [(2,)]
        assert connection.execute("SELECT count(*) FROM samples").fetchone() == (2,)


def test_outputs_are_compressed_and_come_back_whole(store: Store, db: Path) -> None:
    completed(store)
    text = samples()[1].output
    assert text is not None

    assert store.samples(RUN, "boolq") == samples()
    with sqlite3.connect(db) as connection:
        (size,) = connection.execute("SELECT length(outputs) FROM samples").fetchone()
    assert size < len(text) / 4


def test_samples_come_back_by_document_id_whatever_their_outcomes(store: Store) -> None:
    given = (Sample(7, "h7", 0.25), Sample(2, "h2", -1.5, "é"), Sample(5, "h5", 1.0, "", 0, ""))
    store.record_task(taken(store), dataclasses.replace(result("f1"), samples=given))

    assert store.samples(RUN, "f1") == tuple(sorted(given, key=lambda sample: sample.doc_id))


def test_outcomes_of_many_runs_are_read_at_once_and_share_their_items(store: Store) -> None:
    store.register(experiment(), [entry(), entry(OTHER)])
    completed(store, tasks=("boolq", "piqa"))
    claim = taken(store, OTHER)
    store.record_task(claim, result("boolq", fingerprint="f1"))
    flipped = tuple(dataclasses.replace(sample, outcome=1 - sample.outcome) for sample in samples())
    store.record_task(claim, dataclasses.replace(result("boolq", fingerprint="f2"), samples=flipped))

    found = {(outcomes.run_id, outcomes.task): outcomes for outcomes in store.outcomes([RUN, OTHER])}
    assert {key: list(outcomes.values) for key, outcomes in found.items()} == {
        (RUN, "boolq"): [1, 0],
        (RUN, "piqa"): [1, 0],
        (OTHER, "boolq"): [0, 1],
    }
    assert found[(RUN, "boolq")].items.hashes == ("hash0", "hash1")
    assert [outcomes.task for outcomes in store.outcomes([RUN], ["piqa", "unknown"])] == ["piqa"]
    first, second = store.outcomes([RUN], ["boolq"]), store.outcomes([RUN, OTHER], ["piqa"])
    assert first[0].items.doc_ids == second[0].items.doc_ids == (0, 1)


def test_samples_are_those_of_the_latest_scoring(store: Store) -> None:
    claim = taken(store)
    store.record_task(claim, result("boolq", fingerprint="f1"))
    store.record_task(claim, result("boolq", fingerprint="f2", outputs=False))

    assert store.samples(RUN, "boolq") == samples(outputs=False)
    assert store.states([RUN])[RUN].scored == {"boolq": frozenset({("1.0", "f1"), ("1.0", "f2")})}


def test_overlap_with_the_training_data_comes_back_as_it_was_last_measured(store: Store) -> None:
    claim = taken(store)
    for fingerprint, exact in (("f1", 3), ("f2", 5)):
        scored = result("boolq", fingerprint=fingerprint)
        store.record_task(claim, dataclasses.replace(scored, provenance={"overlap": {"items": 9, "exact": exact}}))
    store.record_task(claim, result("piqa"))

    assert store.overlaps([RUN, "unknown"]) == {RUN: {"boolq": {"items": 9, "exact": 5}}}


def test_a_score_that_is_not_a_number_is_refused_whole(store: Store) -> None:
    claim = taken(store)
    with pytest.raises(RunError, match="boolq: accuracy is not a number"):
        store.record_task(claim, result("boolq", value=math.nan))

    assert store.scores([RUN]) == ()
    assert store.samples(RUN, "boolq") == ()


def test_a_failed_run_keeps_its_kind_message_and_traceback(store: Store) -> None:
    store.fail(taken(store), "oom", "out of memory", "Traceback: line 1", {"gpu": "none"})

    state, (attempt,) = store.states([RUN])[RUN], store.attempts(RUN)
    assert (state.status, state.kind, state.error, state.worker) == ("failed", "oom", "out of memory", None)
    assert (attempt.outcome, attempt.kind, attempt.message) == ("failed", "oom", "out of memory")
    assert (attempt.traceback, attempt.provenance) == ("Traceback: line 1", {"gpu": "none"})


ODD = b"x\xff".decode("utf-8", "surrogateescape")
"""A file's name that is no UTF-8, as Python reads it."""
ESCAPED = "x\\udcff"


def test_an_experiment_whose_names_are_no_utf8_is_recorded_and_found(store: Store) -> None:
    store.register(experiment(ODD), [entry(label=ODD)])
    store.register(experiment(ODD), [entry(label=ODD)])

    (place,) = store.memberships(ODD)
    assert (place.experiment, place.label) == (ESCAPED, ESCAPED)
    assert [group.experiment for group in store.groups(ODD)] == [ESCAPED]


def test_an_error_that_is_no_utf8_is_recorded(store: Store) -> None:
    store.fail(taken(store), "data", f"no {ODD}", f"Traceback: {ODD}", {"file": ODD, "packages": {"a": ODD}})

    (attempt,) = store.attempts(RUN)
    assert (store.states([RUN])[RUN].error, attempt.message) == (f"no {ESCAPED}", f"no {ESCAPED}")
    assert attempt.traceback == f"Traceback: {ESCAPED}"


def test_an_answer_that_ends_within_a_character_comes_back_as_it_was(store: Store) -> None:
    given = (Sample(0, "h0", 0.0, "\ud83d", 1, "smile: \ud83d"),)
    store.record_task(taken(store), dataclasses.replace(result("f1"), samples=given))

    assert store.samples(RUN, "f1") == given


def test_what_is_returned_cannot_be_changed(store: Store) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        store.runs([RUN])[0].status = "complete"  # type: ignore[misc]


def test_a_thousand_runs_are_more_than_one_statement_takes(store: Store) -> None:
    ids = [f"{number:012x}" for number in range(1001)]
    store.register(experiment("big"), [entry(run_id) for run_id in ids])

    assert len(store.states(ids)) == len(store.runs(ids)) == len(store.memberships("big", ids)) == 1001
