"""The site's files without a browser: what they hold, where they lead, and what stops their making."""

from __future__ import annotations

import json
import re
import shutil
import sys
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import HarnessError
from harness.report.leaderboard import leaderboard
from harness.report.site.charts.pareto import pareto
from harness.report.site.curves import curve
from harness.store.store import Store

from ..database import Database, asked, scores
from .conftest import Site, built
from .results import CHANCES, HOSTILE, fill


def test_every_link_leads_to_a_file_and_nothing_comes_from_elsewhere(site: Site) -> None:
    for page in site.folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r'(?:href|src|data-vega)="([^"#]+)', re.sub(r"<script type=.*?</script>", "", text)):
            if link != "data:,":
                assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_rows_of_one_seed_are_compared_as_trained_weights(database: Database, tmp_path: Path) -> None:
    fill(database, seeds=1, items=60)
    site = built(database, tmp_path / "site")
    pairs = unescape(site.page("pairs").read_text(encoding="utf-8"))
    assert pairs.count('role="columnheader"') == 1 + len(CHANCES) + 1
    assert "the row's trained weights less the column's" in " ".join(pairs.split())
    assert "Each row has one seed: what is told apart are these trained weights." in pairs
    assert "ties; one seed each" in pairs
    board = " ".join(site.page("board").read_text(encoding="utf-8").split())
    assert "With one seed nothing is said of a method." in board


def test_hostile_names_stand_escaped_in_every_page(site: Site) -> None:
    pages = [page.read_text(encoding="utf-8") for page in site.folder.rglob("*.html")]
    assert not any("<script>window" in text or "<img" in text for text in pages)
    assert sum(HOSTILE in unescape(text) for text in pages) > 3


def test_every_seed_has_a_page_and_the_failed_run_too(site: Site) -> None:
    assert len(list((site.folder / "runs").glob("*.html"))) == 3 * len(CHANCES) + 2


def test_charts_hold_the_board_s_numbers(database: Database, store: Store) -> None:
    fill(database, items=40)
    board = leaderboard(store)
    chart = pareto(board)
    assert chart is not None
    for point, row in zip(chart.points, board.rows, strict=True):
        assert row.average is not None
        assert (point["label"], point["params"]) == (row.label, row.trainable_params)
        assert (point["value"], point["low"]) == pytest.approx((row.average.value, row.average.ci_low), abs=1e-4)
    json.dumps(chart.spec, allow_nan=False)


def test_the_front_holds_what_nothing_smaller_beats(database: Database, store: Store) -> None:
    fill(database, {"small": 0.6, "worse": 0.5, "larger and better": 0.8}, items=60)
    chart = pareto(leaderboard(store))
    assert chart is not None
    front = {point["label"]: point["front"] for point in chart.points}
    assert front == {
        "small": "best at its size",
        "worse": "dominated",
        "larger and better": "best at its size",
        "base model": "–",
    }


def test_a_curve_is_thinned_to_the_means_of_windows_and_leaves_out_what_is_no_number() -> None:
    log = [{"step": step, "loss": float(step)} for step in range(1, 9)] + [{"step": 9, "loss": float("nan")}]
    log.append({"step": 8, "eval_loss": 2.0})
    assert curve(log, points=4) == [
        {"step": 2, "loss": 1.5, "kind": "training"},
        {"step": 4, "loss": 3.5, "kind": "training"},
        {"step": 6, "loss": 5.5, "kind": "training"},
        {"step": 8, "loss": 7.5, "kind": "training"},
        {"step": 8, "loss": 2.0, "kind": "validation"},
    ]


def report(database: Database, *arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(cli, ["--db", database.url, "report", "--format", "html", *arguments])
    return (2, str(found.exception)) if isinstance(found.exception, HarnessError) else (found.exit_code, found.output)


@pytest.fixture
def scored(database: Database) -> Database:
    run = asked("lora")
    database.register(run)
    database.complete(run, scores(0.5, 0.6))
    return database


def test_the_command_says_what_to_open_and_keeps_a_library_that_lies_there(
    scored: Database, site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "a" / "site"
    shutil.copytree(site.folder / "assets", folder / "assets")
    library = next((folder / "assets").glob("vega-*.js"))
    library.write_text("// kept", encoding="utf-8")
    assert report(scored, "--output", str(folder)) == (0, f"open {folder / 'index.html'}\n")
    assert (folder / "index.html").is_file()
    assert library.read_text(encoding="utf-8") == "// kept"


def test_a_site_without_a_folder_is_refused(scored: Database) -> None:
    code, told = report(scored)
    assert code == 2
    assert "--output DIR" in told


def test_a_file_in_the_folder_s_place_is_named(scored: Database, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    code, told = report(scored, "--output", str(tmp_path / "taken"))
    assert code == 2
    assert f"--output {tmp_path / 'taken'}" in told


def test_a_missing_plotting_library_is_named_with_its_command(
    scored: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    code, told = report(scored, "--output", str(tmp_path / "site"))
    assert code == 2
    assert "pip install 'peft-harness[html]'" in told
    assert not (tmp_path / "site").exists()
