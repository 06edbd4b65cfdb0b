"""The site in a browser: it sorts, filters, tells more, leads to runs, runs nobody's script, asks no network."""

from __future__ import annotations

import pytest

from .conftest import Reader
from .results import HOSTILE, OUTPUT

LABELS = "table.leaderboard tbody th"


def test_a_head_sorts_and_says_so(reader: Reader) -> None:
    page = reader.open("board")
    ranked = reader.text(LABELS)
    assert ranked[0] == "denselora"
    assert ranked[-1] == "base model"

    average = page.get_by_role("button", name="Average")
    average.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")

    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Average")
    assert page.locator("th[aria-sort=descending]").count() == 0
    assert reader.text(LABELS) == ranked[::-1]
    page.get_by_role("button", name="Training").click()
    assert reader.text(LABELS)[0] != "base model"


def test_the_filter_keeps_matching_methods_and_counts_them(reader: Reader) -> None:
    page = reader.open("board")
    page.get_by_label("Filter methods").fill("LORA")
    assert reader.text(LABELS) == ["denselora", "lora"]
    assert page.get_by_role("status").inner_text() == "2 of 5 rows"
    page.get_by_label("Filter methods").fill("")
    assert len(reader.text(LABELS)) == 5


def test_pointing_at_a_mark_names_its_method(reader: Reader) -> None:
    page = reader.open("board")
    reader.charts()
    page.locator("figure[data-key=tasks] svg path[aria-roledescription=point]").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "denselora" in tip.inner_text()


def test_a_chart_shows_the_task_that_is_chosen(reader: Reader) -> None:
    page = reader.open("board")
    reader.charts()
    marks = page.locator("figure[data-key=tasks] svg path[aria-roledescription=point]")
    before = [mark.get_attribute("transform") for mark in marks.all()]
    page.locator("figure[data-key=tasks] select").select_option(index=1)
    page.wait_for_timeout(300)
    after = [mark.get_attribute("transform") for mark in marks.all()]
    assert len(after) == len(before) == 5
    assert after != before


def test_a_chart_gives_its_numbers_as_a_table(reader: Reader) -> None:
    page = reader.open("board")
    numbers = page.locator("figure[data-key=pareto] details")
    numbers.locator("summary").click()
    rows = numbers.locator("tbody tr")
    rows.first.wait_for()  # the browser tells of an opened element a moment after the click
    assert rows.count() == 4
    assert HOSTILE in numbers.inner_text()


def test_the_matrix_tells_of_a_pair_to_the_pointer_and_to_the_keyboard(reader: Reader) -> None:
    page = reader.open("pairs")
    tip = page.get_by_role("tooltip")
    page.locator(".matrix tbody tr").nth(0).locator("td").nth(4).hover()
    assert "denselora − base model" in tip.inner_text()
    for word in ("wins", "losses", "p = ", "95 %"):
        assert word in tip.inner_text()

    page.locator("h1").hover()
    page.locator(".matrix td[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    focused = page.locator(".matrix td:focus")
    assert focused.get_attribute("aria-describedby") == tip.get_attribute("id")
    assert tip.locator("strong").inner_text().startswith("dora − ")
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_a_seed_leads_to_its_run_with_samples_and_provenance(reader: Reader) -> None:
    page = reader.open("board")
    page.get_by_role("link", name="denselora, seed 1").click()
    assert page.locator("h1").inner_text() == "denselora seed 1"
    page.locator("details.samples summary").first.click()
    assert OUTPUT in page.locator("details.samples pre").first.inner_text()
    page.get_by_text("Packages, commit and hardware").click()
    assert "peft: 0.21.2" in page.locator("main").inner_text()
    page.get_by_label("Breadcrumb").get_by_role("link").nth(1).click()
    page.locator("table.leaderboard").wait_for()


def test_a_failed_run_says_why(reader: Reader) -> None:
    page = reader.open("board")
    page.locator("section", has_text="Failed runs").get_by_role("link", name="broken").click()
    assert HOSTILE in page.locator(".error").inner_text()


def test_the_dark_theme_follows_the_system_and_the_reader(at_night: Reader) -> None:
    page = at_night.open("board")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    assert dark == "rgb(20, 23, 27)"
    at_night.charts()
    page.get_by_role("button", name="Theme: automatic").click()
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    at_night.open("run")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark


@pytest.mark.parametrize("kind", ["board", "run"])
def test_names_and_answers_run_no_script_and_add_no_element(reader: Reader, kind: str) -> None:
    page = reader.open(kind)
    reader.charts()
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0
    assert page.locator("script:not([src]):not([type='application/json'])").count() == 0
