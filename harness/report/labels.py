"""Telling rows apart that experiments call the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from harness.report.selection import Candidate

PREFIX = 6
"""Digits of a run_id that tell two rows apart where nothing that is shown does."""


def labelled_rows(runs: Iterable[Candidate]) -> list[tuple[str, list[Candidate]]]:
    """The rows that these runs make: each row's label and its runs, which differ in their seeds alone."""
    by_key: dict[str, list[Candidate]] = defaultdict(list)
    for run in runs:
        by_key[run.design.row_key].append(run)
    return list(zip(row_labels([members[0] for members in by_key.values()]), by_key.values(), strict=True))


def row_labels(firsts: Sequence[Candidate]) -> list[str]:
    """A label for each row, given its first run: the experiment's, and what differs where two are the same."""
    namesakes = defaultdict(list)
    for candidate in firsts:
        namesakes[candidate.place.label].append(candidate)
    detailed = [_with_differences(candidate, namesakes[candidate.place.label]) for candidate in firsts]
    count = Counter(detailed)
    return [
        label if count[label] == 1 else f"{label} ({candidate.run.run_id[:PREFIX]})"
        for label, candidate in zip(detailed, firsts, strict=True)
    ]


def _with_differences(candidate: Candidate, namesakes: Sequence[Candidate]) -> str:
    own, facts = _facts(candidate), [_facts(namesake) for namesake in namesakes]
    differing = [key for key, value in own.items() if any(other.get(key) != value for other in facts)]
    return " ".join([candidate.place.label, *(f"{key}={own[key]}" for key in differing)])


def _facts(candidate: Candidate) -> dict[str, str]:
    """The adapter's parameters, the hyper-parameters and the prompt."""
    adapter = candidate.spec.adapter
    facts: dict[str, Any] = {}
    for part in adapter.parts or (adapter,):
        prefix = f"{part.method}." if adapter.parts else ""
        facts |= {f"{prefix}{key}": value for key, value in part.params.items()}
    if candidate.spec.train is not None:
        facts |= {**candidate.design.identity["train"], "prompt": candidate.spec.prompt.name}
    return {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in facts.items()}
