"""`harness report --max-params`: one row a method under a cap, chosen by validation, never by a test score."""

from __future__ import annotations

import dataclasses

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import NotFoundError
from harness.report.leaderboard import leaderboards
from harness.store.store import Store

from .database import TRAINING, Asked, Database, asked, scores


def sized(database: Database, run: Asked, size: int, accuracy: float, *losses: float) -> None:
    lines = tuple({"step": 10 * number, "eval_loss": loss} for number, loss in enumerate(losses))
    training = dataclasses.replace(TRAINING, trainable_params=size, loss=lines)
    database.complete(run, scores(accuracy, accuracy), training=training)


def labels(store: Store, cap: int) -> list[str]:
    return [row.label for row in leaderboards(store, max_params=cap)[0].rows]


def filled(database: Database) -> None:
    """LoRA in three sizes: the one in the middle validates best and tests worst."""
    runs = [asked(label=f"lora r={r}", r=r) for r in (4, 8, 16)]
    dora, base = asked("dora"), asked("none")
    database.register(*runs, dora, base)
    for run, size, accuracy, losses in zip(
        runs, (4_000, 8_000, 16_000), (0.7, 0.5, 0.9), ((1.3, 1.2), (1.4, 1.1), (1.2, 1.0)), strict=True
    ):
        sized(database, run, size, accuracy, *losses)
    sized(database, dora, 9_000, 0.6)
    sized(database, base, 0, 0.2)


def test_of_each_method_the_row_with_the_best_validation_loss_stands_for_it(database: Database, store: Store) -> None:
    filled(database)
    board = leaderboards(store, max_params=10_000)[0]

    assert [(row.rank, row.label) for row in board.rows] == [(1, "dora"), (2, "lora r=8"), (3, "none")]
    assert board.budget[0] == "At most 10K trainable parameters, one row a method; left out: lora r=16."
    assert board.budget[1] == "lora r=8 was chosen of 2 rows of its method by validation loss, 1.1."
    assert list(board.budget) == board.to_json()["notes"][:2]


def test_where_no_validation_is_recorded_the_largest_stands_for_its_method(database: Database, store: Store) -> None:
    runs = [asked(label=f"lora r={r}", r=r) for r in (4, 8)]
    database.register(*runs)
    sized(database, runs[0], 4_000, 0.9, 0.5)
    sized(database, runs[1], 8_000, 0.2)

    assert labels(store, 10_000) == ["lora r=8"]
    assert (
        "as the largest: validation losses are not recorded of all"
        in leaderboards(store, max_params=10_000)[0].budget[1]
    )


def test_the_loss_is_that_of_the_checkpoint_that_was_kept(database: Database, store: Store) -> None:
    """`last` is kept here: an early dip does not count."""
    runs = [asked(label=f"lora r={r}", r=r) for r in (4, 8)]
    database.register(*runs)
    sized(database, runs[0], 4_000, 0.2, 0.1, 2.0)
    sized(database, runs[1], 8_000, 0.2, 1.9, 1.0)

    assert labels(store, 10_000) == ["lora r=8"]


def test_a_cap_that_nothing_meets_is_told(database: Database, store: Store) -> None:
    run = asked()
    database.register(run)
    sized(database, run, 4_000, 0.5)
    with pytest.raises(NotFoundError, match="no scored row has at most 1,000 trainable parameters"):
        leaderboards(store, max_params=1_000)


@pytest.mark.parametrize(("written", "shown"), [("10000", "10K"), ("10K", "10K"), ("0.01m", "10K"), ("8,000", "8K")])
def test_a_cap_is_written_as_people_write_numbers(database: Database, written: str, shown: str) -> None:
    filled(database)
    command = ["--db", database.url, "report", "--leaderboard", "--max-params", written]
    assert f"At most {shown} trainable parameters" in CliRunner().invoke(cli, command).stdout
