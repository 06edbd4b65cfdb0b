"""Published numbers have tables of their own on a board's page, and nothing of ours stands in for them."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from harness.report.leaderboard import leaderboard
from harness.report.site.write import write_site
from harness.store.store import open_store

from ..database import Database
from ..paper import LLAMA, PRINTED, measured, paper_run

HOSTILE = "<img src=x onerror='window.pwned = 4'>"


@pytest.fixture
def page(database: Database, tmp_path: Path) -> str:
    """The page of a board with one row, of the paper's recipe but on a model of a hostile name."""
    run = paper_run()
    spec = run.spec.model_copy(update={"model": run.spec.model.model_copy(update={"name": HOSTILE})})
    measured(database, type(run)(spec, HOSTILE), off=-5)
    with open_store(database.url, read_only=True) as store:
        board = leaderboard(store)
        write_site(store, [board], tmp_path / "site")
    (found,) = (path for path in (tmp_path / "site").glob("*.html") if path.name != "index.html")
    return found.read_text(encoding="utf-8")


def cells(text: str) -> list[list[str]]:
    """The rows of a table as text."""
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    return [
        [unescape(re.sub("<[^>]+>", " ", cell)).split() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in rows
    ]


def table(page: str, name: str) -> list[list[str]]:
    (found,) = re.findall(
        rf"<caption class=\"hidden\">Published: [^<]*{re.escape(name)}</caption>(.*?)</table>", page, re.DOTALL
    )
    return [[" ".join(cell) for cell in row] for row in cells(found)]


def test_a_published_table_stands_apart_from_the_leaderboard(page: str) -> None:
    board, _, published = page.partition('id="published"')
    assert "DenseLoRA**" not in board
    assert "their numbers, not ours" in published
    assert published.count('<details class="published"') == published.count("Published: ")


def test_a_row_shows_the_published_number_ours_and_what_separates_them(page: str) -> None:
    head, *rows = table(page, f"Table 1, {LLAMA}")
    (row,) = (row for row in rows if row[0] == "DenseLoRA**")

    shown = dict(zip(head, row, strict=True))
    assert [shown[name] for name in ("Published", "Our tasks", "Ours", "Difference", "Inside")] == [
        "84.6", "84.6", "79.64", "−4.96", "no",
    ]  # fmt: skip
    assert shown["boolq"] == f"{PRINTED['boolq']} ours {PRINTED['boolq'] - 5}"
    assert shown["Ours differs in (published)"] == f"model {HOSTILE} ({LLAMA})"


def test_what_we_have_not_measured_is_a_dash_beside_its_doubts(page: str) -> None:
    head, *rows = table(page, f"Table 1, {LLAMA}")
    (row,) = (row for row in rows if row[0] == "VeRA")

    shown = dict(zip(head, row, strict=True))
    assert [shown[name] for name in ("Ours", "Difference", "Inside")] == ["–"] * 3
    assert "6.18 is probably a misprint" in shown["Doubts"]


def test_names_of_ours_are_escaped_there_too(page: str) -> None:
    assert "<img" not in page
