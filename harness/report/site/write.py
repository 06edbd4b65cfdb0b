"""Writing the whole site."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from harness.errors import PrerequisiteError
from harness.report.board import Leaderboard
from harness.report.site.board_page import BoardPage, board_page
from harness.report.site.pages import copy_static, write_page
from harness.report.site.run_page import run_page
from harness.report.site.runs import Runs, gather
from harness.report.site.vega import put_vega
from harness.store.store import Store

INDEX = "index.html"


def write_site(store: Store, boards: Sequence[Leaderboard], folder: Path) -> Path:
    """Writes the pages of these boards and of their runs into a folder; returns the page to open.

    Files of the same names are replaced, others are left alone. Raises PrerequisiteError where the plotting library is
    missing or the folder can't be written.
    """
    try:
        return _write(store, boards, folder)
    except OSError as error:
        raise PrerequisiteError(f"--output {folder}: {error.strerror}") from None


def _write(store: Store, boards: Sequence[Leaderboard], folder: Path) -> Path:
    common = {"vega": put_vega(folder / "assets"), "version": version("peft-harness")}  # or it ends, before any file
    copy_static(folder / "assets")
    runs = gather(store, _run_ids(boards))
    pages = [board_page(board, runs) for board in boards]
    for page in pages:
        write_page(folder, page.name, "board.html", **page.values, **common)
        for name, values in page.pairs.items():
            write_page(folder, name, "pairs.html", **values, **common)
    write_page(folder, INDEX, "index.html", boards=[page.summary for page in pages], **common)
    _write_runs(store, folder, pages, runs, common)
    return folder / INDEX


def _write_runs(store: Store, folder: Path, pages: Sequence[BoardPage], runs: Runs, common: dict[str, str]) -> None:
    for run_id in runs.records:
        of = [page for page in pages if run_id in page.run_ids]
        values = run_page(store, runs, run_id, [page.summary for page in of])
        write_page(folder, f"runs/{run_id}.html", "run.html", **values, **common)


def _run_ids(boards: Sequence[Leaderboard]) -> list[str]:
    shown = (run_id for board in boards for row in board.rows for run_id in row.run_ids)
    failed = (failure["run_id"] for board in boards for failure in board.failures)
    return list(dict.fromkeys([*shown, *failed]))
