"""Proofs as a table of ticks and crosses, and the reasons below it."""

from __future__ import annotations

import io
import shutil
import textwrap
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from harness.cli.options import UNBOUNDED, dash
from harness.pipeline.proof.prove import CHECKS
from harness.pipeline.proof.verdict import Check, Proof

SIGNS = {"passed": "✓", "failed": "✗", "declared": "○", "not_applicable": "–"}
LEGEND = "✓ holds   ✗ fails   ○ declared in the method's file   – does not apply"
WIDEST = 120
LONGEST = 240
"""What is told of a cross that was expected."""


def drawn(proofs: Sequence[Proof], width: int | None = None) -> str:
    """The table, what its signs mean, the reason of each cross, and how many methods pass.

    width: by default the terminal's, at most 120.
    """
    width = min(width or shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    lines = [_table(proofs, width), LEGEND, *_reasons(proofs, width)]
    passed = sum(proof.passed for proof in proofs)
    return "\n".join([*lines, f"{passed} of {len(proofs)} {'method passes' if len(proofs) == 1 else 'methods pass'}"])


def _table(proofs: Sequence[Proof], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False, emoji=False)
    table = _grid(proofs, figures=True)
    if Measurement.get(console, console.options.update(max_width=UNBOUNDED), table).maximum > width:
        table = _grid(proofs, figures=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _grid(proofs: Sequence[Proof], figures: bool) -> Table:
    """The ticks, with figures beside them where there is room."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=0)
    table.add_column("method", overflow="fold")
    for name in CHECKS:
        words = name.replace("_", " ")
        table.add_column(words, justify="center", width=max(map(len, words.split())))
    for name in ("parameters", "bytes", "seconds") if figures else ():
        table.add_column(name, justify="right", no_wrap=True)
    for proof in proofs:
        row = [proof.method, *(SIGNS[one.result] for one in proof.checks)]
        if figures:
            row += [dash(proof.trainable_params, ","), dash(proof.adapter_bytes, ","), f"{proof.seconds:.1f}"]
        table.add_row(*row)
    return table


def _reasons(proofs: Sequence[Proof], width: int) -> Iterator[str]:
    """Failures first, then what is declared, then what else a reader should know."""
    for sign in ("failed", "declared", "passed"):
        for proof in proofs:
            for one in proof.checks:
                if one.result == sign and _told(one):
                    detail = (
                        one.detail if sign == "failed" else textwrap.shorten(one.detail, LONGEST, placeholder=" …")
                    )
                    words = f"{SIGNS[sign]} {proof.method} {one.name}: {detail}"
                    yield textwrap.fill(words, width, subsequent_indent="  ", break_on_hyphens=False)


def _told(check: Check) -> bool:
    return check.result in ("failed", "declared") or check.noted
