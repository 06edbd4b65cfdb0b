"""`harness report --figure`: figures for papers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli
from harness.errors import NotFoundError, PrerequisiteError

from .database import Database, asked, scores
from .test_front import trained

STARTS = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG"}


def drawn(database: Database, figure: str, path: Path, *arguments: str) -> Result:
    command = ["--db", database.url, "report", "--figure", figure, "--output", str(path), *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False)


def texts(path: Path) -> str:
    """What stands in an SVG figure."""
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text()))


@pytest.mark.parametrize(("figure", "form"), [("pareto", "pdf"), ("bars", "svg"), ("pareto", "png")])
def test_a_board_is_drawn_in_each_form_and_again_to_the_same_bytes(
    database: Database, tmp_path: Path, figure: str, form: str
) -> None:
    trained(database, range(2))
    first, second = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
    for path in (first, second):
        result = drawn(database, figure, path)
        assert (result.exit_code, result.stdout) == (0, f"{path}\n")

    assert first.read_bytes().startswith(STARTS[form])
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if form in path.name) == [first.name, second.name]


def test_every_row_stands_in_the_figure_by_its_name(database: Database, tmp_path: Path) -> None:
    trained(database, range(1))
    drawn(database, "pareto", tmp_path / "pareto.svg", "--cost", "time")
    drawn(database, "bars", tmp_path / "bars.svg")

    assert {"vera", "lora", "dora", "full"} <= set(texts(tmp_path / "pareto.svg").split())
    assert {"none", "vera", "lora", "dora", "full"} <= set(texts(tmp_path / "bars.svg").split())
    assert "Training time" in texts(tmp_path / "pareto.svg")


def test_shares_of_the_data_are_one_line_a_method(database: Database, tmp_path: Path) -> None:
    shares = (0.1, 0.4, 1.0)
    runs = [asked(method, fraction=share, r=8) for method in ("lora", "denselora") for share in shares]
    database.register(*runs, asked("dora", fraction=0.1, data="other"))
    for number, run in enumerate(runs):
        database.complete(run, scores(0.5 + number / 100, 0.6))
    path = tmp_path / "low.svg"

    assert drawn(database, "data", path).exit_code == 0
    assert {"lora", "denselora", "10", "40", "100"} <= set(texts(path).split())


def test_ranks_are_one_line_a_method(database: Database, tmp_path: Path) -> None:
    runs = [asked("denselora", label=f"denselora r={r}", r=r) for r in (8, 16, 64)]
    database.register(*runs)
    for number, run in enumerate(runs):
        database.complete(run, scores(0.5 + number / 100, 0.6))
    path = tmp_path / "rank.svg"

    assert drawn(database, "rank", path).exit_code == 0
    assert {"denselora", "8", "16", "64", "Rank"} <= set(texts(path).split())


@pytest.mark.parametrize("figure", ["data", "rank"])
def test_a_line_needs_two_points(database: Database, tmp_path: Path, figure: str) -> None:
    run = asked(r=8)
    database.register(run)
    database.complete(run, scores(0.5, 0.6))
    with pytest.raises(NotFoundError, match="nothing to draw: no method has averages at two values"):
        drawn(database, figure, tmp_path / "x.pdf")
    assert not (tmp_path / "x.pdf").exists()


def test_without_matplotlib_it_is_told_how_to_get_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(database, range(1))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'peft-harness\[figures\]'"):
        drawn(database, "bars", tmp_path / "x.pdf")
