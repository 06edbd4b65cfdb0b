"""The matrix of all pairs of a board's methods."""

from __future__ import annotations

from typing import Any

from harness.report.board import Leaderboard
from harness.report.estimates import falls
from harness.report.groups import ALPHA, Matrix
from harness.report.site.pages import decimals
from harness.report.weights import MOST

EXPLAINED = (
    "Colour marks pairs that the evidence tells apart: Holm's p-value over all comparisons shown is at most "
    f"{100 * ALPHA:g} %."
)
OF_WEIGHTS = (
    "Each row has one seed: what is told apart are these trained weights. Trained again, with another seed, the same "
    "two methods might come out the other way round."
)


def pairs_page(board: Leaderboard) -> dict[str, Any] | None:
    """What the page of the board's pairs shows: of methods, or where each has one seed, of their trained weights.

    None where no two rows were compared.
    """
    matrix = board.matrix or board.weights_matrix()
    if matrix is None:
        return None
    count = min(len(matrix.rows), MOST)
    sign = -1 if falls(set(board.metrics.values())) else 1
    pairs = [[_pair(matrix, a, b) for b in range(count)] for a in range(count)]
    return {
        "of_methods": board.matrix is not None,
        "labels": [row.label for row in matrix.rows[:count]],
        "cells": [[pair and _cell(pair, sign) for pair in row] for row in pairs],
        "told": [[pair and _told(pair, board.matrix is not None) for pair in row] for row in pairs],
        "explained": EXPLAINED,
        "notes": _notes(board, matrix, count),
    }


def _pair(matrix: Matrix, first: int, second: int) -> dict[str, Any] | None:
    return None if first == second else matrix.pair(first, second) | {"seeds": int(matrix.seeds[first, second])}


def _cell(pair: dict[str, Any], sign: int) -> dict[str, str]:
    difference = pair["difference"]
    if difference is None:
        return {"kind": "open", "shown": "–"}
    separated = pair["adjusted"] is not None and pair["adjusted"] <= ALPHA
    kind = "open" if not separated else "above" if sign * difference > 0 else "below"
    return {"kind": kind, "shown": _signed(difference, 1)}


def _told(pair: dict[str, Any], of_methods: bool) -> list[str]:
    """The lines of a cell's tooltip."""
    if pair["difference"] is None:
        return [
            f"not compared: {'they have fewer than two seeds in common' if of_methods else 'all answers are alike'}"
        ]
    seeds = f"{pair['seeds']} seeds" if of_methods else "one seed each"
    interval = f"{_signed(pair['ci_low'], 2)} to {_signed(pair['ci_high'], 2)}"
    return [
        f"{_signed(pair['difference'], 2)} (95 % {interval})",
        f"p {_p(pair['p_value'])}; Holm's p {_p(pair['adjusted'])}",
        f"{pair['wins']:,} wins, {pair['losses']:,} losses, {pair['ties']:,} ties; {seeds}",
    ]


def _signed(number: float, digits: int) -> str:
    text = decimals(number, digits)
    return f"+{text}" if number > 0 else text


def _p(number: float | None) -> str:
    if number is None or number != number:
        return "–"
    return "< 0.0001" if number < 1e-4 else f"= {number:.2g}"


def _notes(board: Leaderboard, matrix: Matrix, count: int) -> list[str]:
    notes = [] if board.matrix is not None else [OF_WEIGHTS]
    notes += ["Intervals are of the single comparison. Wins and losses count items, over the seeds that both have."]
    if board.detectable is not None:
        notes.append(f"One comparison finds a true difference of {board.detectable:.2f} in four of five cases.")
    rows = len(matrix.rows) if board.matrix is not None else sum(row.average is not None for row in board.rows)
    if count < rows:
        notes.append(f"The best {count} of {rows}.")
    return notes
