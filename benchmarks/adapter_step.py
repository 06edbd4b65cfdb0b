"""Compares what adapters cost: a training step's time, what it keeps for the backward pass, generation's time.

python benchmarks/adapter_step.py                               the reference setting and a larger one, on a CPU
python benchmarks/adapter_step.py --sizes small --only memory   one part of it
python benchmarks/adapter_step.py --device cuda --sizes smollm2-135m,llama3-8b --dtypes bf16
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import peft
import torch
import transformers
from agreement import check_agreement
from contenders import Adapter
from inference import MERGED, measure_generation
from measure import Timing
from options import parse
from rows import BASELINES, Row, Setting
from shapes import make_base
from tables import markdown, print_tables, title
from torch import nn
from training import measure_saved, measure_steps


def main() -> None:
    """Measures, and prints tables or one JSON document; progress goes to stderr."""
    options = parse(__doc__)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    agreement: list[dict[str, Any]] = []
    for size in options.sizes:
        for dtype in options.dtypes:
            base = make_base(size, dtype, options.device, options.seed)
            ids = _tokens(base, options.batch, options.length, options)
            if "ours" in options.contenders:
                errors = check_agreement(base, _adapter(options, 0.0), dtype, ids, options.seed)
                agreement.append({"size": size, "dtype": dtype, **errors})
                print(f"agrees with the literal formula: {size}, {dtype}, {errors}", file=sys.stderr)
            rows += measure(base, size, dtype, ids, options)
    if options.json:
        settings = {key: value for key, value in vars(options).items() if key not in ("json", "markdown")}
        document = {"environment": environment(options), "settings": settings, "agreement": agreement}
        print(json.dumps({**document, "rows": [row.document() for row in rows]}, indent=2))
    elif options.markdown:
        print(markdown(rows))
    else:
        print_tables(rows)


def measure(base: nn.Module, size: str, dtype: str, ids: torch.Tensor, options: argparse.Namespace) -> Iterator[Row]:
    """Makes all measurements of one base model that the options ask for."""
    timing = Timing(options.rounds, options.warmup, options.seed, options.device, options.clock)
    contenders = list(dict.fromkeys([BASELINES["step"], *options.contenders]))
    for dropout in options.dropouts:
        adapter = _adapter(options, dropout)
        if options.only in (None, "step"):
            setting = _announced(Setting("step", size, dtype, dropout))
            yield from measure_steps(setting, base, adapter, contenders, ids, timing, options.optimizer)
        if options.only in (None, "memory"):
            setting = _announced(Setting("memory", size, dtype, dropout))
            yield from measure_saved(setting, base, adapter, contenders, ids, timing)
    if options.only in (None, "inference"):
        prompt = _tokens(base, 1, 8, options)
        for name, members in (("generation", contenders), ("merged", MERGED)):
            setting = _announced(Setting(name, size, dtype, None))
            adapter = _adapter(options, 0.0)
            yield from measure_generation(setting, base, adapter, members, prompt, timing, options.new_tokens)


def environment(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what the figures depend on beside the settings."""
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    device = torch.cuda.get_device_name() if options.device == "cuda" else cpu
    versions = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
    return {"device": device, "python": platform.python_version(), "cpu_count": os.cpu_count(), **versions}


def _adapter(options: argparse.Namespace, dropout: float) -> Adapter:
    return Adapter(options.targets, options.rank, 2.0 * options.rank, dropout)


def _tokens(base: nn.Module, batch: int, length: int, options: argparse.Namespace) -> torch.Tensor:
    generator = torch.Generator().manual_seed(options.seed)
    return torch.randint(base.config.vocab_size, (batch, length), generator=generator).to(options.device)


def _announced(setting: Setting) -> Setting:
    print(title(setting), file=sys.stderr)
    return setting


if __name__ == "__main__":
    main()
