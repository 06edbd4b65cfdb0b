"""Loss logs, thinned so that a page stays light."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

KINDS = {"loss": "training", "eval_loss": "validation"}


def curve(logs: Iterable[Mapping[str, Any]], points: int) -> list[dict[str, Any]]:
    """At most `points` points a kind: each the mean over a window of steps, of all logs, at the window's last step."""
    found: dict[str, dict[int, list[float]]] = {kind: defaultdict(list) for kind in KINDS.values()}
    for line in logs:
        for key, kind in KINDS.items():
            value = line.get(key)
            if "step" in line and isinstance(value, (int, float)) and math.isfinite(value):
                found[kind][int(line["step"])].append(float(value))
    return [point | {"kind": kind} for kind, by_step in found.items() for point in _windows(by_step, points)]


def _windows(by_step: Mapping[int, list[float]], points: int) -> list[dict[str, Any]]:
    steps = sorted(by_step)
    width = max(1, math.ceil(len(steps) / points))
    windows = [steps[start : start + width] for start in range(0, len(steps), width)]
    return [
        {"step": window[-1], "loss": round(statistics.fmean(v for step in window for v in by_step[step]), 4)}
        for window in windows
    ]
