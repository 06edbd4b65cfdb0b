"""What a chart is, and what several are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.estimates import Average, TaskValue

AVERAGE = "Average"
Spec = dict[str, Any]
Points = list[dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """A chart: `options` are the values of its parameter `task`; `columns` heads the same numbers as a table."""

    key: str
    title: str
    note: str
    spec: Spec
    columns: tuple[tuple[str, str], ...]
    points: Points
    options: tuple[str, ...] = ()


def value(label: str, found: TaskValue | Average) -> dict[str, Any]:
    """A point with its interval; where that is not known, it ends at the value."""
    low, high = found.ci_low, found.ci_high
    known = low is not None and high is not None
    return {
        "label": label,
        "value": round(found.value, 4),
        "low": round(low if known else found.value, 4),
        "high": round(high if known else found.value, 4),
        "shown": f"{found.value:.2f} ({low:.2f} to {high:.2f})" if known else f"{found.value:.2f}",
    }


def layered(points: Points, encoding: Spec, layers: Sequence[Spec], description: str) -> Spec:
    """A chart of several marks, as wide as its place."""
    return {
        "data": {"values": points},
        "description": description,
        "width": "container",
        "encoding": encoding,
        "layer": list(layers),
    }


def tips(*fields: tuple[str, str]) -> list[Spec]:
    """What is told of a mark that is pointed at: fields and their titles."""
    return [{"field": field, "type": "nominal", "title": title} for field, title in fields]
