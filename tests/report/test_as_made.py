"""`harness report --leaderboard` of several boards prints each as soon as it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from harness.cli.main import cli
from harness.cli.views import Query, leaderboard_view
from harness.store.store import open_store

from .database import Asked, Database, asked, scores

TABLE = Query(experiment=None, benchmark=None, model=None, max_params=None, cost="parameters", form="table", width=200)


def filled(database: Database, models: int, *late: Asked) -> None:
    """A board for each model; late: runs that are not done yet."""
    runs = [asked(model=f"model{number}") for number in range(models)]
    database.register(*runs, *late)
    for run in runs:
        database.complete(run, scores(0.5, 0.5))


def test_the_first_board_is_there_before_the_next_one_is_read(database: Database) -> None:
    late = asked("dora", model="model0")
    filled(database, 2, late)
    with open_store(database.url, read_only=True) as store:
        shown = leaderboard_view(store, TABLE)
        assert "model1" in next(shown)
        database.complete(late, scores(0.6789, 0.6789))
        assert "67.89" in next(shown)
        assert list(shown) == []


def test_boards_are_parted_by_an_empty_line_on_the_screen_and_in_a_file(database: Database, tmp_path: Path) -> None:
    filled(database, 2)
    for form in ("table", "markdown"):
        command = ["--db", database.url, "report", "--leaderboard", "--format", form]
        printed = CliRunner().invoke(cli, command).stdout
        titles = [line for line in printed.splitlines() if "· model" in line]
        assert [title[-6:].strip("*") for title in titles] == ["model1", "model0"]
        assert f"\n\n{titles[1]}\n" in printed
        file = tmp_path / form
        assert CliRunner().invoke(cli, [*command, "--output", str(file)]).stdout == ""
        assert file.read_text(encoding="utf-8") == printed


def test_a_reader_that_has_seen_enough_gets_no_traceback(database: Database) -> None:
    filled(database, 40)
    command = [sys.executable, "-m", "harness", "--db", database.url, "report", "--leaderboard"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as report:
        assert report.stdout is not None
        assert "model39" in report.stdout.readline()
        report.stdout.close()
        assert report.stderr is not None
        assert report.stderr.read() == ""
