"""Training/test overlap in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.catalog.tasks import task_title

WAYS = {"exact": "exact", "normalised": "normalised", "ngram": "13 words in a row"}
"""The counts of a measurement, the strictest first, as they are called."""


def overlap_line(overlap: Mapping[str, Mapping[str, Any]], tasks: Sequence[str]) -> str:
    """How much of each task's test set stands in the training data, and for which tasks that is not known."""
    known = {task: overlap[task] for task in tasks if "items" in overlap.get(task, {})}
    some = {task: counts for task, counts in known.items() if any(counts[way] for way in WAYS)}
    parts = [f"{task_title(task)} {_counts(counts)}" for task, counts in some.items()]
    groups = {"none in": [task for task in known if task not in some]}
    groups["not measured for"] = [task for task in tasks if task not in known]
    parts += [f"{words} {', '.join(map(task_title, named))}" for words, named in groups.items() if named]
    return f"Training/test overlap: {'; '.join(parts)}."


def _counts(counts: Mapping[str, int]) -> str:
    """`1055 of 1319 items (exact), 1060 (13 words in a row)`; a wider way that finds no more is left out."""
    told: list[str] = []
    most = 0
    for way, name in WAYS.items():
        if counts[way] > most:
            of = "" if told else f" of {counts['items']} items"
            told.append(f"{counts[way]}{of} ({name})")
            most = counts[way]
    return ", ".join(told)
