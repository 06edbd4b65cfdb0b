"""From the runs of one board to its ranked rows, its foot and what has to be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.catalog.tasks import task_title
from harness.report.board import Leaderboard
from harness.report.claims import evidence_notes
from harness.report.estimates import averageable, falls, scale
from harness.report.evidence import Evidence, evidence
from harness.report.groups import groups
from harness.report.labels import labelled_rows
from harness.report.rows import Row, make_rows
from harness.report.selection import Candidate, Selection
from harness.report.setting import setting_of
from harness.report.versions import TaskVersions, task_versions
from harness.report.weights import weights_matrix
from harness.store.store import Store

UNFINISHED = ("pending", "running")


def board(selection: Selection, store: Store) -> Leaderboard:
    """The leaderboard of these runs, whose outcomes are in the store; it does not know of others yet."""
    runs = selection.candidates
    latest = max(runs, key=lambda candidate: (candidate.spec.data is not None, candidate.moment))
    tasks, versions = latest.place.tasks, task_versions(runs)
    scored = {run.run.run_id: versions.main(run) for run in runs}
    metrics = {score.task: score.metric for main in scored.values() for score in main.values()}
    known = evidence(store, scored, versions, tasks)
    rows = _ranked(_rows(runs, tasks, versions, known), falls(set(metrics.values())))
    weights = [latest.place.weights.get(task, 1.0) for task in tasks]
    compared = (rows, tasks, weights, known, scale(next(iter(metrics.values()), "")))
    found = groups(*compared)
    rows = tuple(replace(row, group=found.letters.get(row.run_ids)) for row in rows)
    failures = tuple(_failure(run) for run in runs if run.run.status == "failed")
    return Leaderboard(
        benchmark=latest.place.benchmark,
        weights=latest.place.weights,
        **setting_of(latest.spec).to_json(),
        title=latest.place.title,
        tasks=tasks,
        metrics={task: metrics[task] for task in tasks if task in metrics},
        rows=rows,
        failed=len(failures),
        failures=failures,
        unfinished=sum(run.run.status in UNFINISHED for run in runs),
        notes=(*_notes(rows, latest, metrics, versions.outdated(runs)), *evidence_notes(rows, found)),
        overlap=_overlap(runs, tasks),
        detectable=found.detectable,
        open_pair=found.open_pair,
        matrix=found.matrix,
        weights_matrix=partial(weights_matrix, *compared),
    )


def _rows(runs: Sequence[Candidate], tasks: Sequence[str], versions: TaskVersions, known: Evidence) -> list[Row]:
    scored = (run for run in runs if versions.main(run))
    return make_rows(labelled_rows(scored), tasks, versions, known)


def _ranked(rows: Sequence[Row], ascending: bool) -> tuple[Row, ...]:
    """The best average first, equals on one rank; rows without an average last and unranked."""
    sign = 1 if ascending else -1
    merits = [None if row.average is None else round(sign * row.average.value, 9) for row in rows]
    order = sorted(
        range(len(rows)),
        key=lambda i: (merits[i] is None, merits[i] or 0.0, -len(rows[i].scores), rows[i].label),
    )
    ranks = [None if own is None else 1 + sum(m is not None and m < own for m in merits) for own in merits]
    return tuple(replace(rows[i], rank=ranks[i]) for i in order)


def _failure(run: Candidate) -> dict[str, Any]:
    return {
        "run_id": run.run.run_id,
        "label": run.place.label,
        "seed": run.run.seed,
        "kind": run.run.kind,
        "error": run.run.error,
    }


def _overlap(runs: Sequence[Candidate], tasks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The latest measurement of each task: the board's rows share the training data."""
    known = {task: found for run in sorted(runs, key=lambda run: run.moment) for task, found in run.overlap.items()}
    return {task: known[task] for task in tasks if task in known}


def _notes(rows: Sequence[Row], latest: Candidate, metrics: dict[str, str], outdated: dict[str, int]) -> list[str]:
    """What a reader must know to read the rows rightly."""
    tasks, weights = latest.place.tasks, latest.place.weights
    notes = [_seed_note(rows)] if rows else []
    if weights:
        listed = ", ".join(f"{task_title(task)} {weights[task]:g}" for task in tasks)
        notes.append(f"The average is weighted: {listed}.")
    if len(latest.suites) > 1:
        notes.append(f"No average: numbers of different suites ({', '.join(latest.suites)}) do not compare.")
    elif not averageable(metrics.values()):
        notes.append("No average: the tasks are measured in different metrics.")
    elif any(row.average is None for row in rows):
        notes.append("A row that lacks a task has no average and no rank.")
    if any(score.seeds < row.seeds for row in rows for score in row.scores.values()):
        notes.append("Where seeds lack tasks, a task counts the seeds that have it, the average those that have all.")
    notes += [
        f"{task_title(task)}: {outdated[task]} run(s) scored another version of the task, shown as missing."
        for task in tasks
        if task in outdated
    ]
    return notes


def _seed_note(rows: Sequence[Row]) -> str:
    trained = [row for row in rows if not row.is_bare]
    if any(row.seeds > 1 for row in trained):
        spread = "Ranked by average; ± joins the noise of the items and of the seeds."
        alike = len({row.seed_values for row in trained}) == 1
        return spread if alike else f"{spread} Rows marked * lack seeds that others have: compared on common seeds."
    if trained:
        return "Ranked by average; with one seed a row speaks of these trained weights, not of its method."
    return "Ranked by average."
