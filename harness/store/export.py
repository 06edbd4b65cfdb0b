"""The database as plain files, for whoever wants to compute with the results elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.store.store import Store

Record = Mapping[str, Any]


def export(store: Store, folder: Path) -> dict[str, int]:
    """Writes `runs`, `trainings`, `increments`, `places`, `scores`, `samples`, `attempts`, `late_results`: JSON Lines.

    One object a line, as docs/database.md describes; the folder is made, files of these names are replaced whole.
    Returns the number of lines of each. Raises OSError where a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = [run.run_id for run in store.runs()]
    kinds = {
        "runs": _runs(store),
        "trainings": _trainings(store),
        "increments": _increments(store),
        "places": (asdict(place) for place in store.memberships()),
        "scores": (asdict(score) for score in store.scores(ids)),
        "samples": _samples(store, ids),
        "attempts": ({"run_id": run_id, **asdict(each)} for run_id in ids for each in store.attempts(run_id)),
        "late_results": ({"run_id": run_id, **asdict(late)} for run_id in ids for late in store.late_results(run_id)),
    }
    return {kind: _write(folder / f"{kind}.jsonl", records) for kind, records in kinds.items()}


def _runs(store: Store) -> Iterator[Record]:
    for run in store.runs():
        record = asdict(run)
        del record["training"]
        yield record


def _trainings(store: Store) -> Iterator[Record]:
    """Each once, with its loss log: runs that only score an adapter differently share it."""
    seen: set[str] = set()
    for run in store.runs(loss=True):
        if run.training is not None and run.train_id not in seen:
            seen.add(run.train_id)
            record = {"train_id": run.train_id, **asdict(run.training)}
            del record["increments"]
            yield record


def _increments(store: Store) -> Iterator[Record]:
    for train_id in dict.fromkeys(run.train_id for run in store.runs()):
        for increment in store.increments([train_id]).get(train_id, ()):
            yield {"train_id": train_id, **asdict(increment)}


def _samples(store: Store, ids: list[str]) -> Iterator[Record]:
    """Those of each task as it was last scored."""
    for run_id in ids:
        for task in dict.fromkeys(score.task for score in store.scores([run_id])):
            for sample in store.samples(run_id, task):
                yield {"run_id": run_id, "task": task, **asdict(sample)}


def _write(path: Path, records: Iterator[Record]) -> int:
    count = 0
    draft = path.with_name(path.name + ".part")
    with open(draft, "w", encoding="utf-8", errors="backslashreplace") as file:  # as JSON writes half a character
        for count, record in enumerate(records, start=1):  # noqa: B007 - the last one is the number of lines
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    draft.replace(path)
    return count
