"""Compares scoring with stock lm-eval's on the same model, in one process, in alternation.

python benchmarks/scoring.py                                  micro-llama, bare and tuned
python benchmarks/scoring.py --models smollm2-135m --items 24 --rounds 3
python benchmarks/scoring.py --only generation --json
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from measure import CLOCKS, Timing, alternate
from rich.console import Console
from rich.table import Table
from scoring_floor import floor
from scoring_work import SHAPES, choices, contenders, load, questions

TARGETS = {"generation": 0.75, "piqa": 0.70, "hellaswag": 0.70, "prompt": 0.70, "last token": 1.0}


@dataclass(frozen=True)
class Result:
    """One model and work: the best batch size of either side, the ratio of their times round by round."""

    model: str
    tuned: bool
    work: str
    stock: str
    stock_seconds: float
    ours: str
    seconds: float
    ratio: float
    quartiles: tuple[float, float]
    interval: tuple[float, float]
    floor_seconds: float
    target: float

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        return f"{'met' if self.ratio <= self.target else 'missed'} (≤ {self.target:g})"


def main() -> None:
    """Measures, and prints a table or one JSON document; progress goes to stderr."""
    options = _options()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    results = [
        result
        for name in options.models
        for steps in ([0, options.tuning_steps] if options.tuning_steps else [0])
        for result in measure(name, steps, options)
    ]
    if options.json:
        print(json.dumps({"settings": vars(options), "results": [asdict(result) for result in results]}, indent=2))
    else:
        _print(results)


def measure(name: str, steps: int, options: argparse.Namespace) -> Iterator[Result]:
    """Both sides on one model.

    Raises:
        RuntimeError: they find different answers.
    """
    model, tokenizer = load(name, steps)
    vocabulary = model.config.vocab_size
    works = [questions(tokenizer, options.items)]
    works += [choices(shape, vocabulary, options.items) for shape in SHAPES] if not steps else []
    for work in works:
        if options.only not in (None, work.name):
            continue
        print(f"{name}{', tuned' if steps else ''}: {work.name}", file=sys.stderr)
        sides = contenders(model, tokenizer, options.batch_sizes)
        answers = {side: work.done_by(lm) for side, lm in sides.items()}
        for side in answers:
            if side.startswith("ours") and not work.agrees(answers[side], answers[side.replace("ours", "lm-eval")]):
                raise RuntimeError(f"{side}: other answers than lm-eval's")
        timing = Timing(options.rounds, 0, 0, "cpu", options.clock)
        times = alternate({side: partial(work.done_by, lm) for side, lm in sides.items()}, timing)
        stock, ours = (_best(times, [side for side in sides if side.startswith(who)]) for who in ("lm-eval", "ours"))
        yield Result(
            name, bool(steps), work.name, stock, times.median(stock), ours, times.median(ours),
            *times.ratio(ours, stock), floor(work, sides[ours], answers[ours]), TARGETS[work.name],
        )  # fmt: skip


def _best(times: Any, sides: list[str]) -> str:
    return min(sides, key=times.median)


def _print(results: list[Result]) -> None:
    table = Table(
        title="Scoring: seconds, and the ratio to stock lm-eval at its best batch size", title_justify="left"
    )
    for number, name in enumerate(["model", "work", "stock", "s", "ours", "s", "ratio", "95 %", "× floor", "target"]):
        table.add_column(name, justify="left" if number < 2 else "right", no_wrap=True)
    for each in results:
        table.add_row(
            f"{each.model}{', tuned' if each.tuned else ''}", each.work, each.stock, f"{each.stock_seconds:.2f}",
            each.ours, f"{each.seconds:.2f}", f"{each.ratio:.2f}", "–".join(f"{bound:.2f}" for bound in each.interval),
            f"{each.seconds / each.floor_seconds:.2f}", each.verdict,
        )  # fmt: skip
    Console(width=max(Console().width, 140)).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {"type": lambda text: text.split(","), "metavar": "A,B"}
    parser.add_argument("--models", default=["micro-llama"], help="catalogued ones; default: micro-llama", **names)
    parser.add_argument("--items", type=int, default=64, help="of each kind of work; default: 64")
    parser.add_argument("--tuning-steps", type=int, default=40, help="0: only the bare model; default: 40")
    parser.add_argument("--only", choices=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    sizes = {"type": lambda text: [int(part) for part in text.split(",")], "metavar": "N,M"}
    parser.add_argument("--batch-sizes", default=[1, 8, 32], help="of which each side takes its best", **sizes)
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu", help="cpu is steadier on a busy machine")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
