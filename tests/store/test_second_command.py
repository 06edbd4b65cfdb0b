"""A command that asks for other runs of an experiment while another command is at it."""

from __future__ import annotations

import dataclasses

from harness.pipeline import workers
from harness.store import lease
from harness.store.database import engine_for, for_writing
from harness.store.store import Store

from .records import RUN, entry, experiment, result, taken

WAITING, OTHER = "ba9876543210", "cccccccccccc"


def asked(store: Store) -> dict[str, tuple[str, ...]]:
    """The tasks of each place of the experiment."""
    return {place.run_id: place.tasks for place in store.memberships("first")}


def begun(store: Store) -> None:
    """A command that is at the first of its two runs."""
    store.register(experiment(), [entry(), entry(WAITING)])
    taken(store)


def silent(store: Store) -> None:
    """Its worker was last heard of long ago."""
    engine = engine_for(store.url)
    with for_writing(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET heartbeat_at = '2020-01-01 00:00:00' WHERE status = 'running'")
    engine.dispose()


def test_runs_that_wait_for_another_command_stay(store: Store) -> None:
    begun(store)
    store.register(experiment(), [entry(OTHER)])

    assert set(asked(store)) == {RUN, WAITING, OTHER}
    assert taken(store, WAITING).run_id == WAITING


def test_another_command_still_scores_the_tasks_that_it_asked_for(store: Store) -> None:
    begun(store)
    store.register(experiment(), [entry(tasks=("piqa", "siqa")), entry(WAITING, tasks=("siqa",))])

    assert asked(store) == {RUN: ("boolq", "piqa", "siqa"), WAITING: ("boolq", "piqa", "siqa")}


def test_runs_that_tuned_before_and_are_done_for_themselves_now_have_their_own_tasks(store: Store) -> None:
    tries = dataclasses.replace(entry(WAITING, tasks=("data.validation",)), role="tuning", tuning={"groups": []})
    store.register(experiment(), [entry(), tries])
    taken(store)
    store.register(experiment(), [entry(), entry(WAITING, tasks=("boolq",))])

    assert asked(store)[WAITING] == ("boolq",)


def test_what_stayed_goes_the_next_time_once_nobody_is_at_the_experiment(store: Store) -> None:
    store.register(experiment(), [entry(), entry(WAITING)])
    claim = taken(store)
    again = [entry(tasks=("boolq",))]
    store.register(experiment(), again)
    store.record_task(claim, result("boolq"))
    store.finish(claim, {})
    store.register(experiment(), again)

    assert asked(store) == {RUN: ("boolq",)}
    assert store.states([WAITING]) == {}


def test_a_worker_that_was_not_heard_of_for_long_holds_nothing_up(store: Store) -> None:
    begun(store)
    silent(store)
    store.register(experiment(), [entry(tasks=("boolq",))])

    assert asked(store) == {RUN: ("boolq",)}


def test_a_worker_at_another_experiment_holds_nothing_up(store: Store) -> None:
    store.register(experiment("second"), [entry(OTHER)])
    taken(store, OTHER)
    store.register(experiment(), [entry(WAITING)])

    assert set(asked(store)) == {WAITING}


def test_the_lease_is_that_after_which_a_run_is_taken_over() -> None:
    assert lease.LEASE_SECONDS == workers.LEASE_SECONDS
