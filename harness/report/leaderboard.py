"""The leaderboards that a results database holds, from the database alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.errors import NotFoundError, nearest
from harness.report.board import Leaderboard
from harness.report.ranking import board
from harness.report.selection import Selection, candidates, selections
from harness.store.store import Store

__all__ = ["Leaderboard", "leaderboard", "leaderboards"]


def leaderboards(
    store: Store,
    *,
    experiment: str | None = None,
    benchmark: str | None = None,
    model: str | None = None,
    run_ids: Collection[str] | None = None,
) -> tuple[Leaderboard, ...]:
    """Every board that matches, the one with the latest result first; empty where nothing is scored yet.

    Each names the other ones in `others`. With `run_ids` boards hold these runs alone. Raises NotFoundError for an
    experiment, benchmark or model that the database doesn't know.
    """
    known = store.benchmarks()
    if known:
        _check_name("experiment", experiment, {name for name, _ in known})
        _check_name("benchmark", benchmark, {name for _, name in known})
    places = store.memberships(experiment, None if run_ids is None else list(run_ids))
    wanted = [place for place in places if benchmark in (None, place.benchmark)]
    found = [found for found in selections(candidates(store, wanted)) if model is None or model in _models(found)]
    if model is not None and known and not found:
        _check_name("model", model, {run.model for run in store.runs()})
    return _with_others([board(selection, store) for selection in found])


def leaderboard(
    store: Store,
    benchmark: str | None = None,
    *,
    experiment: str | None = None,
    model: str | None = None,
    run_ids: Collection[str] | None = None,
) -> Leaderboard:
    """The matching board with the latest result; `others` names the rest.

    Raises NotFoundError where nothing matches, saying what there is.
    """
    found = leaderboards(store, experiment=experiment, benchmark=benchmark, model=model, run_ids=run_ids)
    if found:
        return found[0]
    asked = {"experiment": experiment, "benchmark": benchmark, "model": model}
    wanted = ", ".join(f"{kind} {name!r}" for kind, name in asked.items() if name is not None)
    about = f"for {wanted}" if wanted else "for these runs" if run_ids is not None else "in this database"
    there = dict.fromkeys(f"{other.benchmark} ({other.model})" for other in leaderboards(store))
    instead = f"there is {', '.join(there)}" if there else "harness run EXPERIMENT makes some"
    raise NotFoundError(f"no results {about} yet; {instead}")


def _check_name(kind: str, name: str | None, known: set[str]) -> None:
    if name is not None and name not in known:
        raise NotFoundError(f"unknown {kind} {name!r}, {nearest(name, known)}")


def _models(selection: Selection) -> set[str]:
    return {candidate.spec.model.name for candidate in selection.candidates}


def _with_others(boards: Sequence[Leaderboard]) -> tuple[Leaderboard, ...]:
    settings = [found.setting() for found in boards]
    return tuple(
        replace(found, others=tuple(settings[:index] + settings[index + 1 :])) for index, found in enumerate(boards)
    )
