"""The site read by keyboard, on a phone, by a screen reader, and when it is large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..database import Database
from .conftest import Reader, built, reading
from .results import fill

pytestmark = pytest.mark.slow
KINDS = ("index", "board", "pairs", "run", "failed")
LABELS = "table.leaderboard tbody th"


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(reader: Reader, kind: str) -> None:
    assert violations(reader, kind) == []


@pytest.mark.parametrize("kind", ["board", "pairs", "run"])
def test_axe_finds_nothing_at_night(at_night: Reader, kind: str) -> None:
    assert violations(at_night, kind) == []


def violations(reader: Reader, kind: str) -> list[str]:
    """What axe-core has against a page with everything on it unfolded."""
    from axe_playwright_python.sync_playwright import Axe

    page = reader.open(kind)
    reader.charts()
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_is_wider_than_a_phone(on_a_phone: Reader, kind: str) -> None:
    page = on_a_phone.open(kind)
    on_a_phone.charts()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_method_stays_in_sight_when_the_table_is_scrolled(on_a_phone: Reader) -> None:
    page = on_a_phone.open("board")
    page.locator(".scroll").first.evaluate("node => node.scrollTo(500, 0)")
    box = page.locator(LABELS).first.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < 40


def test_the_keyboard_can_skip_to_the_content(reader: Reader) -> None:
    page = reader.open("board")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_ring_leads_to_its_run(reader: Reader) -> None:
    page = reader.open("board")
    reader.charts()
    page.locator("figure[data-key=seeds] svg path[aria-roledescription=point]").first.click()
    page.wait_for_url("**/runs/*.html")
    assert page.locator("h1").inner_text().startswith("denselora seed")


def test_five_hundred_runs_are_painted_within_a_second(
    database: Database, browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(database, {f"method {number}": 0.5 for number in range(100)}, seeds=5, items=20)
    site = built(database, tmp_path / "site")
    for reader in reading(site, browser):
        page = reader.open("board")
        assert page.locator("table.leaderboard tbody tr").count() == 101
        page.wait_for_timeout(500)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.get_by_role("button", name="Average").click()
        with capsys.disabled():
            print(f"\n500 runs: first contentful paint after {paint:.0f} ms")
        reader.charts()
