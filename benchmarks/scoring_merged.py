"""Compares scoring an adapter merged into its base, merging and restoring included, with scoring it as it is.

python benchmarks/scoring_merged.py                                      LoRA and DoRA on micro-llama
python benchmarks/scoring_merged.py --models smollm2-135m --items 16
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
from typing import Any

import torch
from measure import CLOCKS, Timing, alternate
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.table import Table
from scoring_work import RULES, Work, choices, load, questions
from torch import nn

from harness.score.language_model import ScoredModel
from harness.score.merging import Merge

METHODS = {"lora": {}, "dora": {"use_dora": True}}


@dataclass(frozen=True)
class Result:
    """One adapter and work: seconds as it is and merged, and their ratio round by round."""

    model: str
    method: str
    work: str
    unmerged_seconds: float
    merged_seconds: float
    ratio: float
    interval: tuple[float, float]


def main() -> None:
    """Measures, and prints a table or one JSON document; progress goes to stderr."""
    options = _options()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    results = [
        result for name in options.models for method in options.methods for result in measure(name, method, options)
    ]
    if options.json:
        print(json.dumps({"settings": vars(options), "results": [asdict(result) for result in results]}, indent=2))
    else:
        _print(results)


def measure(name: str, method: str, options: argparse.Namespace) -> Iterator[Result]:
    """Both ways of scoring one adapter.

    Raises:
        RuntimeError: the adapter does not merge, or the answers differ.
    """
    base, tokenizer = load(name, 0)
    model = _adapted(base, method)
    for work in (questions(tokenizer, options.items), choices("hellaswag", base.config.vocab_size, options.items)):
        print(f"{name}: {method}, {work.name}", file=sys.stderr)

        def unmerged(work: Work = work) -> list[Any]:
            return work.done_by(ScoredModel(model, tokenizer, options.batch_size, lambda event: None, RULES))

        def merged(work: Work = work) -> list[Any]:
            merge = Merge(model)
            if not merge.begin():
                raise RuntimeError(f"{method} does not merge")
            try:
                return unmerged(work)
            finally:
                merge.end()

        if not work.agrees(merged(), unmerged()):
            raise RuntimeError(f"{name}, {method}, {work.name}: other answers merged than unmerged")
        timing = Timing(options.rounds, 0, 0, "cpu", options.clock)
        times = alternate({"unmerged": unmerged, "merged": merged}, timing)
        ratio, _, interval = times.ratio("merged", "unmerged")
        yield Result(name, method, work.name, times.median("unmerged"), times.median("merged"), ratio, interval)


def _adapted(base: nn.Module, method: str) -> nn.Module:
    """The base with an adapter whose B is small and not zero, as after some training."""
    torch.manual_seed(0)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM", **METHODS[method])
    model = get_peft_model(base, config).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:
                parameter.normal_(std=1e-3)
    return model


def _print(results: list[Result]) -> None:
    table = Table(title="Scoring merged, in float32: seconds, and the ratio to unmerged", title_justify="left")
    for number, name in enumerate(["model", "method", "work", "unmerged", "merged", "ratio", "95 %"]):
        table.add_column(name, justify="left" if number < 3 else "right", no_wrap=True)
    for each in results:
        table.add_row(
            each.model, each.method, each.work, f"{each.unmerged_seconds:.2f}", f"{each.merged_seconds:.2f}",
            f"{each.ratio:.2f}", "–".join(f"{bound:.2f}" for bound in each.interval),
        )  # fmt: skip
    Console(width=max(Console().width, 100)).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {"type": lambda text: text.split(","), "metavar": "A,B"}
    parser.add_argument("--models", default=["micro-llama"], help="catalogued ones; default: micro-llama", **names)
    parser.add_argument("--methods", default=list(METHODS), help="default: lora,dora", **names)
    parser.add_argument("--items", type=int, default=32, help="of each kind of work; default: 32")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--batch-size", type=int, default=16, help="default: 16")
    parser.add_argument("--clock", choices=list(CLOCKS), default="cpu", help="cpu is steadier on a busy machine")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
