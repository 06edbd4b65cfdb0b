from __future__ import annotations

import csv
import io
import json

import pytest

from harness.errors import NotFoundError
from harness.report.leaderboard import leaderboards
from harness.report.render import render
from harness.store.store import Store

from .database import TASKS, Database, asked, scores


@pytest.fixture
def filled(database: Database, store: Store) -> Store:
    """Two ranked rows, one without all tasks, one failed run, one that waits; and a board of another limit."""
    ranked = asked("lora"), asked("denselora", label="Dense | LoRA", departures=("epochs 4 (recipe: 2)",))
    part, failed, waiting, limited = asked("dora"), asked("vera"), asked("adalora"), asked("lora", limit=50)
    database.register(limited, *ranked, part, failed, waiting)
    database.complete(limited, scores(0.1, 0.1))
    database.complete(ranked[0], scores(0.6, 0.5))
    database.complete(ranked[1], scores(0.7, 0.6))
    database.complete(part, {TASKS[0]: (0.9, None)})
    database.fail(failed)
    return store


def test_a_table_shows_every_board_with_its_foot(filled: Store) -> None:
    text = render(leaderboards(filled), "table")
    assert "Two-way" in text
    assert "60.00 ± 2.00" in text
    assert "55.00 ± 1.80" in text
    assert "1.93M" in text
    assert "1 min 40 s" in text
    assert "1.00 GiB" in text
    assert "50 items a task" in text
    assert "all items" in text
    assert f"Failed runs: 1: vera {asked('vera').spec.run_id} (oom)" in text
    assert "Unfinished runs: 1" in text
    assert "Dense | LoRA †" in text
    assert "† Dense | LoRA: epochs 4 (recipe: 2)" in text
    assert text.endswith("\n")
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_a_missing_number_is_a_dash(filled: Store) -> None:
    (line,) = [line for line in render(leaderboards(filled), "table").splitlines() if " dora " in line]
    assert line.split()[:8] == ["–", "dora", "1.93M", "0.0241", "1", "90.00", "–", "–"]


@pytest.mark.parametrize(("width", "kept"), [(97, "0.0241"), (72, "1.93M")])
def test_a_narrow_terminal_leaves_out_what_matters_least(filled: Store, width: int, kept: str) -> None:
    text = render(leaderboards(filled), "table", width=width)
    assert "60.00 ± 2.00" not in text
    assert "65.00 ± 1.80" in text
    assert kept in text
    assert "Left out, since the terminal is narrow: standard errors of tasks" in text
    assert all(len(line) <= width for line in text.splitlines() if "1.93M" in line)


def test_the_narrowest_terminal_wraps_labels_but_cuts_no_number(database: Database, store: Store) -> None:
    run = asked(label="DenseLoRA on the up and down projections")
    database.register(run)
    database.complete(run, scores(0.7, 0.6))
    text = render(leaderboards(store), "table", width=20)
    assert all(number in text for number in ("1.93M", "70.00", "60.00", "65.00 ± 1.80", "DenseLoRA on the"))
    assert "…" not in text


def test_a_board_where_every_run_failed_says_so(database: Database, store: Store) -> None:
    database.register(asked())
    database.fail(asked())
    for format in ("table", "markdown"):
        assert f"Failed runs: 1: lora {asked().spec.run_id} (oom)" in render(leaderboards(store), format)
    assert len(render(leaderboards(store), "csv").splitlines()) == 1


def test_markdown_is_a_table_that_a_label_cannot_break(filled: Store) -> None:
    lines = render(leaderboards(filled), "markdown").splitlines()
    assert lines[0] == "### micro (generated, embedded) · tiny"
    assert lines[2].startswith("| # | Method | Trainable | % | Seeds | Two-way choice | Four-way choice | Average |")
    assert lines[3].startswith("| ---: | --- | ---: |")
    assert lines[4].startswith("| 1 | Dense \\| LoRA † | 1.93M | 0.0241 | 1 | 70.00 ± 2.00 |")
    assert sum(line.startswith("### ") for line in lines) == 2
    assert "- Failed runs: 1" in "\n".join(lines)


def test_csv_has_one_line_a_row_and_leaves_missing_numbers_empty(filled: Store) -> None:
    lines = list(csv.DictReader(io.StringIO(render(leaderboards(filled), "csv"))))
    assert [line["label"] for line in lines] == ["Dense | LoRA", "lora", "dora"]
    assert float(lines[1][TASKS[0]]) == pytest.approx(60)
    assert (lines[1][f"{TASKS[0]}_n"], lines[1]["trainable_params"]) == ("200", "1933312")
    assert (lines[2]["rank"], lines[2][TASKS[1]], lines[2][f"{TASKS[0]}_stderr"], lines[2]["average"]) == ("",) * 4


def test_json_is_the_latest_board_and_names_the_others(filled: Store) -> None:
    found = json.loads(render(leaderboards(filled), "json"))
    assert (found["limit"], found["failed"], found["unfinished"]) == (None, 1, 1)
    assert [(other["benchmark"], other["limit"]) for other in found["others"]] == [("micro", 50)]
    assert found["rows"][2]["average"] is None


def test_a_table_of_one_board_names_the_others(filled: Store) -> None:
    text = render(leaderboards(filled)[:1], "table")
    assert "Another board: micro · tiny · micro · 50 items a task" in text


def test_models_of_one_name_behind_two_servers_are_told_apart(database: Database, store: Store) -> None:
    ours, theirs = (asked("none", server=host) for host in ("ours.example", "theirs.example:8000"))
    database.register(ours, theirs)
    database.complete(ours, scores(0.6, 0.5))
    database.complete(theirs, scores(0.7, 0.6))
    text = render(leaderboards(store)[:1], "table")
    assert "tiny (at theirs.example:8000); nothing trained" in text
    assert "Another board: micro · tiny at ours.example · nothing trained · all items" in text


def test_rows_with_other_seeds_are_marked(database: Database, store: Store) -> None:
    runs = asked("lora", seed=0), asked("lora", seed=1), asked("dora", seed=0), asked("none")
    database.register(*runs)
    for run in runs:
        database.complete(run, scores(0.6, 0.5))
    text = render(leaderboards(store), "table")
    assert [line.split()[4] for line in text.splitlines() if "±" in line][:3] == ["1*", "2", "1"]
    assert "Rows marked * lack seeds that others have: compared on common seeds." in text


def test_an_unknown_format_and_an_empty_report_say_what_to_do() -> None:
    with pytest.raises(NotFoundError, match="unknown format 'markdwon', did you mean 'markdown'"):
        render((), "markdwon")
    with pytest.raises(NotFoundError, match="harness run"):
        render((), "table")
