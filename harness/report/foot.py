"""What stands above and below a leaderboard for people."""

from __future__ import annotations

from harness.catalog.benchmarks import benchmarks
from harness.catalog.models import model_title
from harness.report.board import Leaderboard
from harness.report.in_words import data_in_words, decoding_in_words, in_words, items_in_words
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
        lines += [f"Another board: {in_words(other)}" for other in board.others]
    return lines


def protocol(board: Leaderboard) -> str:
    """What the board's numbers are of: model, training data, prompt, decoding, items."""
    weights = board.dtype if board.quantization == "none" else f"{board.dtype}, {board.quantization}"
    if board.server:
        weights = f"at {board.server}"
    data = "nothing trained" if board.data is None else f"trained on {data_in_words(board.data)}"
    scoring = f"prompt {board.prompt}, {decoding_in_words(board.decoding)}, {items_in_words(board.limit)}"
    known = model_title(board.model)
    title = "" if known is None or known == board.model else f"{known}, "
    return f"{board.model} ({title}{weights}); {data}; {scoring}."
