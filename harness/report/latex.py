"""Leaderboards as LaTeX tables (booktabs): methods by tasks, as the PEFT papers print them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.catalog.tasks import task_title
from harness.report.board import Leaderboard
from harness.report.figures import MISSING
from harness.report.foot import foot, title
from harness.report.rows import Row

ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "–": "--",
}


def latex(board: Leaderboard) -> str:
    """One table. Needs the package booktabs.

    Bold: averages of the compared rows that no other is proved to be better than. Letters stand as superscripts.
    """
    heads = ["Method", r"Params (\%)", *(_escaped(task_title(task)) for task in board.tasks), "Avg."]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(title(board))}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        _line(heads),
        r"\midrule",
        *(_line(_cells(board, row)) for row in board.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {' '.join(line.split())}" for line in foot(board, others=False)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cells(board: Leaderboard, row: Row) -> Sequence[str]:
    label = row.marked
    share = MISSING if row.trainable_percent is None else f"{row.trainable_percent:.2g}"
    scores = [f"{row.scores[task].value:.1f}" if task in row.scores else MISSING for task in board.tasks]
    return [*map(_escaped, (label, share, *scores)), _average(board, row)]


def _average(board: Leaderboard, row: Row) -> str:
    if row.average is None:
        return _escaped(MISSING)
    value = f"{row.average.value:.1f}"
    if row.group is None:
        return value
    shown = rf"\textbf{{{value}}}" if board.matrix is not None and board.matrix.is_unbeaten(row) else value
    return rf"{shown}\textsuperscript{{{row.group}}}"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in " ".join(text.split()))
