"""What stands above and below a leaderboard for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.catalog.benchmarks import benchmarks
from harness.report.board import Leaderboard
from harness.report.overlap import overlap_line
from harness.spec.tuning import tuned


def title(board: Leaderboard) -> str:
    """The board's headline."""
    known = benchmarks().get(board.benchmark)
    return f"{known.title if known else board.title or board.benchmark} · {board.model}"


def foot(board: Leaderboard, others: bool) -> list[str]:
    """What stands below the table; with `others` also the boards that are not shown."""
    lines = [
        protocol(board),
        "± is one standard error; 95 % is the average's interval (docs/statistics.md).",
        *board.budget,
        *board.notes,
    ]
    lines += [f"† {row.label}: {'; '.join(row.departures)}" for row in board.rows if row.departures]
    lines += [f"‡ {row.label}: {tuned(row.tuned)}" for row in board.rows if row.tuned]
    if board.data is not None:
        lines.append(overlap_line(board.overlap, board.tasks))
    if board.failed:
        named = ", ".join(f"{failure['label']} {failure['run_id']} ({failure['kind']})" for failure in board.failures)
        lines.append(f"Failed runs: {board.failed}: {named}")
    if board.unfinished:
        lines.append(f"Unfinished runs: {board.unfinished}")
    if others:
        lines += [f"Another board: {_short(other)}" for other in board.others]
    return lines


def protocol(board: Leaderboard) -> str:
    """What the board's numbers are of: model, training data, prompt, decoding, items."""
    weights = board.dtype if board.quantization == "none" else f"{board.dtype}, {board.quantization}"
    if board.server:
        weights = f"at {board.server}"
    data = "nothing trained" if board.data is None else f"trained on {_data(board.data)}"
    scoring = f"prompt {board.prompt}, {_decoding(board.decoding)}, {_items(board.limit)}"
    return f"{board.model} ({weights}); {data}; {scoring}."


def _data(data: Mapping[str, Any]) -> str:
    parts = [data["train"]]
    if data["fraction"] != 1:
        parts.append(f"{100 * data['fraction']:g} %")
    if data["limit"] is not None:
        parts.append(f"at most {data['limit']} examples")
    if data["validation"]:
        parts.append(f"{data['validation']} for validation")
    return ", ".join(parts)


def _decoding(decoding: Mapping[str, Any]) -> str:
    if decoding["sample"] is not None:
        return "sampled (" + ", ".join(f"{key} {value:g}" for key, value in decoding["sample"].items()) + ")"
    return "greedy" if decoding["beams"] == 1 else f"{decoding['beams']} beams"


def _items(limit: int | None) -> str:
    return "all items" if limit is None else f"{limit} items a task"


def _short(setting: Mapping[str, Any]) -> str:
    data = "nothing trained" if setting["data"] is None else _data(setting["data"])
    model = setting["model"] + (f" at {setting['server']}" if setting["server"] else "")
    return f"{setting['benchmark']} · {model} · {data} · {_items(setting['limit'])}"
