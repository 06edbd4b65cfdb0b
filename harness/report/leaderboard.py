"""The leaderboards that a results database holds, from the database alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.errors import NotFoundError, nearest
from harness.report.board import Leaderboard
from harness.report.budget import within
from harness.report.outline import Outline, outlines
from harness.report.ranking import board as ranked
from harness.report.selection import Selection
from harness.store.store import Store

__all__ = ["Leaderboard", "leaderboard", "leaderboards"]


def leaderboards(
    store: Store,
    *,
    experiment: str | None = None,
    benchmark: str | None = None,
    model: str | None = None,
    run_ids: Collection[str] | None = None,
    max_params: int | None = None,
    published: bool = True,
) -> tuple[Leaderboard, ...]:
    """Every board that matches, the one with the latest result first; empty where nothing is scored yet.

    Each names the other ones in `others`. With `run_ids` boards hold these runs alone; with `max_params` at most one
    row a method, of so many trainable parameters (see budget.py). published: also look for what papers print of the
    rows. Raises NotFoundError for an experiment, benchmark or model that the database doesn't know, and where no row
    is so small.
    """
    found = matching(store, experiment=experiment, benchmark=benchmark, model=model, run_ids=run_ids)
    if max_params is None:
        return _complete(store, [ranked(selection, store) for selection in found], published)
    budgets = [within(store, selection, max_params) for selection in found]
    boards = [replace(ranked(budget.selection, store), budget=budget.notes) for budget in budgets if budget.rows]
    if found and not boards:
        raise NotFoundError(f"no scored row has at most {max_params:,} trainable parameters")
    return _complete(store, boards, published)


def each_leaderboard(
    store: Store, *, experiment: str | None = None, benchmark: str | None = None, model: str | None = None
) -> Iterator[Leaderboard]:
    """As `leaderboards`, each board as soon as it is made, without published numbers and without `others`.

    Raises NotFoundError where nothing matches, saying what there is.
    """
    found = _outlines(store, experiment=experiment, benchmark=benchmark, model=model, run_ids=None)
    if not found:
        raise _nothing(store, {"experiment": experiment, "benchmark": benchmark, "model": model})
    for outline in found:
        yield ranked(outline.selection(store), store)


def matching(
    store: Store,
    *,
    experiment: str | None = None,
    benchmark: str | None = None,
    model: str | None = None,
    run_ids: Collection[str] | None = None,
) -> list[Selection]:
    """The runs of every board that matches, as for `leaderboards`."""
    found = _outlines(store, experiment=experiment, benchmark=benchmark, model=model, run_ids=run_ids)
    return [outline.selection(store) for outline in found]


def _outlines(
    store: Store,
    *,
    experiment: str | None,
    benchmark: str | None,
    model: str | None,
    run_ids: Collection[str] | None,
) -> list[Outline]:
    """What boards match. Raises NotFoundError for a name that the database doesn't know."""
    known = store.benchmarks()
    if known:
        _check_name("experiment", experiment, {name for name, _ in known})
        _check_name("benchmark", benchmark, {name for _, name in known})
    found = outlines(store, experiment=experiment, benchmark=benchmark, model=model, run_ids=run_ids)
    if model is not None and known and not found:
        _check_name("model", model, store.models())
    return found


def leaderboard(
    store: Store,
    benchmark: str | None = None,
    *,
    experiment: str | None = None,
    model: str | None = None,
    run_ids: Collection[str] | None = None,
    published: bool = True,
) -> Leaderboard:
    """The matching board with the latest result; `others` names the rest. published: as for `leaderboards`.

    Raises NotFoundError where nothing matches, saying what there is.
    """
    found = _outlines(store, experiment=experiment, benchmark=benchmark, model=model, run_ids=run_ids)
    if found:
        others = tuple(outline.setting() for outline in found[1:])
        board = replace(ranked(found[0].selection(store), store), others=others)
        return _with_published(store, [board])[0] if published else board
    raise _nothing(store, {"experiment": experiment, "benchmark": benchmark, "model": model}, run_ids)


def _nothing(store: Store, asked: Mapping[str, str | None], run_ids: Collection[str] | None = None) -> NotFoundError:
    """That nothing matches what was asked, and what there is."""
    wanted = ", ".join(f"{kind} {name!r}" for kind, name in asked.items() if name is not None)
    about = f"for {wanted}" if wanted else "for these runs" if run_ids is not None else "in this database"
    settings = [outline.setting() for outline in outlines(store)]
    there = dict.fromkeys(f"{other['benchmark']} ({other['model']})" for other in settings)
    instead = f"there is {', '.join(there)}" if there else "harness run EXPERIMENT makes some"
    return NotFoundError(f"no results {about} yet; {instead}")


def _check_name(kind: str, name: str | None, known: Collection[str]) -> None:
    if name is not None and name not in known:
        raise NotFoundError(f"unknown {kind} {name!r}, {nearest(name, known)}")


def _complete(store: Store, boards: Sequence[Leaderboard], published: bool) -> tuple[Leaderboard, ...]:
    """The boards, each with the settings of the others, and with what is published of its rows where that is asked."""
    settings = [found.setting() for found in boards]
    complete = tuple(
        replace(found, others=tuple(settings[:index] + settings[index + 1 :])) for index, found in enumerate(boards)
    )
    return _with_published(store, complete) if published else complete


def _with_published(store: Store, boards: Sequence[Leaderboard]) -> tuple[Leaderboard, ...]:
    from harness.report.published.beside import with_published

    return with_published(store, boards)
