"""What `harness plan` says of the rows that tuning gives a point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.spec.experiment import ExperimentSpec
from harness.spec.tuning import Candidate, Tried, Tuning, tuned


def tuning_json(tunings: Sequence[Tuning], done: Mapping[str, Tried]) -> list[dict[str, Any]]:
    """Each row with its points, as plain JSON values.

    `chosen` is None before all were tried, and where none can be: then `problem` says why; `after_tuning` is how many
    runs the point that is still to be chosen will have.
    """
    return [
        {
            "label": row.label,
            "by": row.by,
            "seeds": list(row.seeds),
            "points": [_point(row, candidate, done) for candidate in row.candidates],
            "failed": len(row.failed(done)),
            "chosen": None if (chosen := row.chosen(done)) is None else dict(chosen.values),
            "problem": row.problem(done),
            "after_tuning": 0 if row.settled(done) else len(row.candidates[0].runs),
        }
        for row in tunings
    ]


def _point(row: Tuning, candidate: Candidate, done: Mapping[str, Tried]) -> dict[str, Any]:
    ids = [point.run.run_id for point in candidate.tuning]
    return {"values": dict(candidate.values), "run_ids": ids, "value": row.value(candidate, done)}


def tuning_lines(experiment: ExperimentSpec, tunings: Sequence[Tuning], done: Mapping[str, Tried]) -> Iterator[str]:
    """A line for each row: what was chosen, what stands in the way, or what is yet to be tried."""
    for row in tunings:
        if points := row.tuned(done):
            yield f"chosen: {row.label}: {tuned(points[0].tuning or {})}"
        elif problem := row.problem(done):
            place = row.candidates[0].runs[0].place
            yield f"blocked: {experiment.located.problem(place, f'{row.label}: {problem}')}"
        else:
            runs = row.candidates[0].runs
            seeds = ", ".join(str(point.run.seed) for point in runs)
            tried = sum(all(point.run.run_id in done for point in each.tuning) for each in row.candidates)
            of = f"one of {len(row.candidates)} points by {row.by}, {tried} of them tried"
            yield f"chosen after tuning: {row.label}, seed {seeds} ({len(runs)} to run): {of}"
