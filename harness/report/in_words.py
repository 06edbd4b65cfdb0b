"""The setting of a leaderboard in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_words(setting: Mapping[str, Any]) -> str:
    """What tells a board from others, in a line. setting: see `Leaderboard.setting`."""
    data = "nothing trained" if setting["data"] is None else data_in_words(setting["data"])
    model = setting["model"] + (f" at {setting['server']}" if setting["server"] else "")
    return f"{setting['benchmark']} · {model} · {data} · {items_in_words(setting['limit'])}"


def data_in_words(data: Mapping[str, Any]) -> str:
    """What was trained on."""
    parts = [data["train"]]
    if data["fraction"] != 1:
        parts.append(f"{100 * data['fraction']:g} %")
    if data["limit"] is not None:
        parts.append(f"at most {data['limit']} examples")
    if data["validation"]:
        parts.append(f"{data['validation']} for validation")
    return ", ".join(parts)


def decoding_in_words(decoding: Mapping[str, Any]) -> str:
    """How answers were generated."""
    if decoding["sample"] is not None:
        return "sampled (" + ", ".join(f"{key} {value:g}" for key, value in decoding["sample"].items()) + ")"
    return "greedy" if decoding["beams"] == 1 else f"{decoding['beams']} beams"


def items_in_words(limit: int | None) -> str:
    """How many of a task's items were asked."""
    return "all items" if limit is None else f"{limit} items a task"
