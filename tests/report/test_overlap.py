"""Training/test overlap at the foot of a leaderboard."""

from __future__ import annotations

import json

from harness.report.leaderboard import leaderboard
from harness.report.overlap import overlap_line
from harness.report.render import render
from harness.store.store import open_store

from .database import TASKS, Database, asked, scores


def counts(exact: int, normalised: int, ngram: int, items: int = 1319) -> dict[str, int]:
    return {"items": items, "exact": exact, "normalised": normalised, "ngram": ngram, "long": items}


def foot(database: Database, form: str = "table") -> str:
    with open_store(database.url, read_only=True) as store:
        return render([leaderboard(store)], form)


def test_each_way_of_counting_is_told_where_it_finds_more() -> None:
    line = overlap_line({"a": counts(1055, 1055, 1060), "b": counts(0, 0, 3), "c": counts(5, 5, 2)}, ["a", "b", "c"])
    assert line == (
        "Training/test overlap: a 1055 of 1319 items (exact), 1060 (13 words in a row); "
        "b 3 of 1319 items (13 words in a row); c 5 of 1319 items (exact)."
    )


def test_tasks_without_overlap_and_those_not_measured_are_told_apart() -> None:
    line = overlap_line({"a": counts(0, 0, 0), "b": {"error": "gone"}}, ["a", "b", "c"])
    assert line == "Training/test overlap: none in a; not measured for b, c."


def test_the_foot_names_the_overlap_by_the_tasks_titles(database: Database) -> None:
    lora = asked()
    database.register(lora)
    overlap = {TASKS[0]: counts(3, 4, 4, items=200), TASKS[1]: counts(0, 0, 0, items=200)}
    database.complete(lora, scores(0.5, 0.5), overlap=overlap)
    told = "Training/test overlap: Two-way choice 3 of 200 items (exact), 4 (normalised); none in Four-way choice."
    assert told in foot(database)
    assert told in foot(database, "markdown")
    assert json.loads(foot(database, "json"))["overlap"] == overlap


def test_a_later_measurement_counts_and_a_run_without_one_takes_nothing_away(database: Database) -> None:
    runs = [asked(seed=seed) for seed in range(3)]
    database.register(*runs)
    for run, exact in zip(runs, (1, 2, None), strict=True):
        overlap = {} if exact is None else {TASKS[0]: counts(exact, exact, exact)}
        database.complete(run, scores(0.5, 0.5), overlap=overlap)
    assert "Two-way choice 2 of 1319 items (exact); not measured for Four-way choice." in foot(database)


def test_a_board_of_untrained_models_has_no_overlap(database: Database) -> None:
    bare = asked("none")
    database.register(bare)
    database.complete(bare, scores(0.5, 0.5))
    assert "overlap" not in foot(database)
