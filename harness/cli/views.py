"""What `harness report` can print: each view reads the database and yields texts, which an empty line parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import NotFoundError

if TYPE_CHECKING:
    from harness.report.board import Leaderboard
    from harness.report.increments.found import Found
    from harness.report.sheet import Sheet
    from harness.store.store import Store

FIRST_ALONE = ("csv", "json")
"""Formats that show the first board and read no other one."""
AS_MADE = ("table", "markdown")
"""Formats in which a leaderboard follows the other."""
PUBLISHED = ("json", "html")
"""Formats in which a leaderboard holds published numbers."""


@dataclass(frozen=True)
class Query:
    """What a report is asked: which boards, which rows of them, in which form and width (None: the terminal's)."""

    experiment: str | None
    benchmark: str | None
    model: str | None
    max_params: int | None
    cost: str
    form: str
    width: int | None

    @property
    def filters(self) -> dict[str, str | None]:
        """Which boards."""
        return {"experiment": self.experiment, "benchmark": self.benchmark, "model": self.model}


def boards(store: Store, query: Query) -> Sequence[Leaderboard]:
    """The boards that match, or that are shown of them, the one with the latest result first.

    Raises NotFoundError where there is none.
    """
    from harness.report.leaderboard import leaderboard, leaderboards

    shown = query.form in PUBLISHED
    if query.form in FIRST_ALONE and query.max_params is None:
        return [leaderboard(store, **query.filters, published=shown)]
    found = leaderboards(store, **query.filters, max_params=query.max_params, published=shown)
    return found or [leaderboard(store, **query.filters)]


def leaderboard_view(store: Store, query: Query) -> Iterator[str]:
    """The boards, ranked; those of a table or of markdown one by one, since each may take a second."""
    from harness.report.leaderboard import each_leaderboard
    from harness.report.render import render

    if query.form in AS_MADE and query.max_params is None:
        for board in each_leaderboard(store, **query.filters):
            yield render([board], query.form, width=query.width)
    else:
        yield render(boards(store, query), query.form, width=query.width)


def pareto_view(store: Store, query: Query) -> Iterator[str]:
    """Each board's rows by cost, with their standing to the front."""
    from harness.report.front_sheet import front_sheet

    return _printed([front_sheet(board, query.cost) for board in boards(store, query)], query.form)


def forgetting_view(store: Store, query: Query) -> Iterator[str]:
    """Each board's rows against the bare base. Raises NotFoundError where no board has the bare base."""
    from harness.report.budget import within
    from harness.report.forgetting import changes
    from harness.report.forgetting_sheet import forgetting_sheet
    from harness.report.leaderboard import matching
    from harness.report.ranking import board

    found = matching(store, **query.filters)
    if query.max_params is not None:
        found = [within(store, selection, query.max_params).selection for selection in found]
    sheets = [
        forgetting_sheet(board(selection, store), change)
        for selection in found
        if (change := changes(store, selection)) is not None
    ]
    if not sheets:
        boards(store, query)
        raise NotFoundError("no board has the bare base; add {method: none} to the adapters, harness run scores it")
    return _printed(sheets, query.form)


def published_view(store: Store, query: Query) -> Iterator[str]:
    """What papers and repositories print, beside ours."""
    from harness.report.published.comparison import comparison
    from harness.report.published.render import FORMATS

    yield FORMATS[query.form](comparison(store, **query.filters, max_params=query.max_params))


def tuning_view(store: Store, query: Query) -> Iterator[str]:
    """What tuning tried and chose, an experiment after the other."""
    from harness.report.tuning import tuned_experiments
    from harness.report.tuning_sheet import tuning_sheet

    return _printed([tuning_sheet(found) for found in tuned_experiments(store, **query.filters)], query.form)


def increments_view(store: Store, query: Query) -> Iterator[str]:
    """What training changed in each kind of matrix. Raises NotFoundError where no training was measured."""
    from harness.report.increments.sheets import increment_sheets
    from harness.report.ranking import board

    sheets = [
        sheet
        for found in increments(store, query)
        for sheet in increment_sheets(board(found.selection, store), found.kinds, found.unmeasured)
    ]
    return _printed(sheets, query.form)


def increments(store: Store, query: Query) -> Sequence[Found]:
    """The boards whose trainings were measured. Raises NotFoundError where there is none."""
    from harness.report.budget import within
    from harness.report.increments.found import measured
    from harness.report.leaderboard import matching

    selections = matching(store, **query.filters)
    if query.max_params is not None:
        selections = [within(store, selection, query.max_params).selection for selection in selections]
    found = list(measured(store, selections))
    if not found:
        raise NotFoundError("no increments are recorded; harness measure does it for adapters that are kept")
    return found


def _printed(sheets: Sequence[Sheet], form: str) -> Iterator[str]:
    from harness.report.sheet import FORMATS

    yield FORMATS[form](sheets)


VIEWS: dict[str, Callable[[Store, Query], Iterator[str]]] = {
    "leaderboard": leaderboard_view,
    "pareto": pareto_view,
    "forgetting": forgetting_view,
    "published": published_view,
    "tuning": tuning_view,
    "increments": increments_view,
}
"""By the option that asks for them."""
