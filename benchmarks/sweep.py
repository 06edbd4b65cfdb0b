"""Times a sweep of ten runs against a loop over the commands `trl sft` and `lm_eval`, on one core.

python benchmarks/sweep.py                    ten runs: LoRA at five ranks and two learning rates on micro-llama
python benchmarks/sweep.py --runs 2 --json    the first two, as one JSON document
python benchmarks/sweep.py --looped 3         only three of them in the loop, whose time is scaled to all

Both sides have the same data in the same order, the same hyper-parameters, the same task file. CPU time is that of
the commands and their children, user and system: it hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweep_work import GRID, Cost, Sweep

TARGET = 10.0


def main() -> None:
    """Measures, and prints a table or one JSON document; progress goes to stderr. Exits with 1 where scores differ."""
    options = _options()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="sweep") as folder:
        found = measure(Sweep(Path(folder), GRID[: options.runs], options.steps, options.items), options.looped)
    print(json.dumps(found, indent=2) if options.json else _table(found))
    sys.exit(0 if all(run["theirs"] in (None, run["ours"]) for run in found["runs"]) else 1)


def measure(sweep: Sweep, looped: int) -> dict[str, Any]:
    """Both sides, ours first. looped: how many runs the loop does; its time is scaled to all."""
    ours, loop = sweep.ours(), {"trl sft": Cost(0, 0), "lm_eval": Cost(0, 0)}
    print(f"harness run: {ours.cpu:.1f} s of CPU time", file=sys.stderr)
    for r, rate in sweep.grid[:looped]:
        costs = sweep.theirs(r, rate)
        print(f"trl sft, lm_eval: {costs[0].cpu:.1f} and {costs[1].cpu:.1f} s of CPU time", file=sys.stderr)
        loop = {name: loop[name] + cost for name, cost in zip(loop, costs, strict=True)}
    loop = {name: cost * (len(sweep.grid) / looped) for name, cost in loop.items()}
    theirs = loop["trl sft"] + loop["lm_eval"]
    return {
        "ours": asdict(ours),
        "theirs": asdict(theirs) | {name: asdict(cost) for name, cost in loop.items()},
        "looped": looped,
        "ratio": {"wall": theirs.wall / ours.wall, "cpu": theirs.cpu / ours.cpu},
        "target": TARGET,
        "runs": [_compared(sweep, r, rate, number < looped) for number, (r, rate) in enumerate(sweep.grid)],
    }


def _compared(sweep: Sweep, r: int, rate: float, looped: bool) -> dict[str, Any]:
    """A run's scores on both sides, and how far apart its trained weights are: 0 where they are equal bit for bit."""
    from safetensors.numpy import load_file

    score, folder = sweep.our_results()[(r, rate)]
    found = {"r": r, "learning_rate": rate, "ours": score, "theirs": None, "weights_apart": None}
    if looped:
        ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (folder, sweep.adapter(r, rate)))
        apart = max(float(abs(weight - theirs[name]).max()) for name, weight in ours.items())
        found |= {"theirs": sweep.their_score(r, rate), "weights_apart": apart}
    return found


def _table(found: dict[str, Any]) -> str:
    rows = [("r", "rate", "harness", "lm_eval", "weights apart")]
    rows += [
        tuple("–" if value is None else f"{value:g}" for value in run.values())  # the fields of `_compared`
        for run in found["runs"]
    ]
    told = ["  ".join(cell.rjust(13) for cell in row) for row in rows]
    for name, cost in [("harness run", found["ours"]), ("the loop", found["theirs"])]:
        told.append(f"{name}: {cost['cpu']:.1f} s of CPU time, {cost['wall']:.1f} s of wall time")
    if found["looped"] < len(found["runs"]):
        told.append(f"The loop did {found['looped']} of {len(found['runs'])} runs; its time is scaled to all.")
    ratio, met = found["ratio"], "met" if found["ratio"]["cpu"] >= TARGET else "missed"
    told.append(f"ratio: {ratio['cpu']:.1f} of CPU time ({met}: ≥ {TARGET:g}), {ratio['wall']:.1f} of wall time")
    return "\n".join(told)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=len(GRID), help=f"at most {len(GRID)}, the default")
    parser.add_argument("--looped", type=int, help="so many of them in the loop, whose time is scaled; default: all")
    parser.add_argument("--steps", type=int, default=20, help="of each training; default: 20")
    parser.add_argument("--items", type=int, default=50, help="of the test set; default: 50")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if not 1 <= options.runs <= len(GRID):
        parser.error(f"--runs must be between 1 and {len(GRID)}")
    options.looped = options.runs if options.looped is None else options.looped
    if not 1 <= options.looped <= options.runs:
        parser.error("--looped must be between 1 and --runs")
    return options


if __name__ == "__main__":
    main()
