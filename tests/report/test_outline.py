"""Boards are found without their runs being read, and are the same boards."""

from __future__ import annotations

from harness.report.leaderboard import leaderboard, leaderboards
from harness.report.outline import outlines
from harness.store.store import Store, open_store

from .database import TASKS, Database, asked, scores


def filled(database: Database) -> None:
    """Boards of two models, of two data settings with the same bare base, and one that has only a failed run."""
    bare, lora, half = asked("none"), asked("lora"), asked("lora", fraction=0.5)
    other, failed = asked("dora", model="other"), asked("vera", model="third")
    database.register(bare, lora, half)
    database.register(other, failed, experiment="second")
    for run, value in ((bare, 0.3), (lora, 0.5), (half, 0.4), (other, 0.6)):
        database.complete(run, scores(value, value))
    with open_store(database.url) as store:
        claim = store.claim(failed.spec.run_id, "here:1:1", "cpu")
        assert claim is not None
        store.fail(claim, "oom", "no memory", "", {})


def test_the_first_board_alone_is_the_first_of_all(database: Database, store: Store) -> None:
    filled(database)
    boards = leaderboards(store)

    assert sorted(board.model for board in boards) == ["other", "third", "tiny", "tiny"]
    assert leaderboard(store).to_json() == boards[0].to_json()
    assert leaderboard(store, model="tiny").to_json() == leaderboards(store, model="tiny")[0].to_json()


def test_an_outline_tells_what_its_board_tells(database: Database, store: Store) -> None:
    filled(database)

    found = outlines(store)
    assert [outline.setting() for outline in found] == [board.setting() for board in leaderboards(store)]
    assert sorted(len(outline.selection(store).candidates) for outline in found) == [1, 1, 2, 2]


def test_a_run_that_was_scored_on_other_tasks_alone_makes_no_board(database: Database, store: Store) -> None:
    run = asked()
    database.register(run)
    database.complete(run, scores(0.5, 0.5))
    database.register(run, experiment="second", benchmark="mine", tasks=("mine_only",))

    assert [outline.setting()["benchmark"] for outline in outlines(store)] == ["micro"]
    assert [run.place.tasks for run in outlines(store)[0].selection(store).candidates] == [TASKS]


def test_runs_of_one_row_share_what_was_read_of_their_specification(database: Database, store: Store) -> None:
    runs = [asked(seed=seed) for seed in range(3)]
    database.register(*runs, asked("dora"))
    for run in runs:
        database.complete(run, scores(0.5, 0.5))

    found = outlines(store)[0].selection(store).candidates
    assert len({id(run.design) for run in found}) == 2
    assert [run.spec for run in found] == [each.spec for each in (*runs, asked("dora"))]
