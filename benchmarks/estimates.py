"""Holds what `harness plan` estimates against trainings that were really made: tokens, memory, time.

python benchmarks/estimates.py                              micro-llama and SmolLM2-135M, four methods each
python benchmarks/estimates.py --models micro-llama --methods lora,full --steps 30
python benchmarks/estimates.py --markdown                   the table as docs/estimates.md has it
python benchmarks/estimates.py --recorded results.db        the trainings that a database has, none is made

Each training is a process of its own, in float32 on one CPU thread, through the harness's own training. Its memory is
the process's largest resident size, libraries and all. `--clock cpu` counts the process's CPU time, which is steadier
on a busy machine. Seconds are estimated twice: from a product of matrices timed on this machine, and from the measured
LoRA training on the same model, as if it were recorded. A recorded training's memory is the worker's largest resident
size at the end of a step; the machine on which it is estimated should be the one that trained.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

METHODS = ("lora", "dora", "denselora", "full")
STEPS = {"micro-llama": 30, "smollm2-135m": 2}
COLUMNS = ("tokens", "memory", "seconds", "by LoRA")
EXPERIMENT = """name: estimates
base: {{model: {model}, dtype: float32}}
data: {{train: {data}}}
train: {{steps: {steps}, batch_size: 8, micro_batch_size: {micro}, gradient_checkpointing: {checkpointing}}}
adapters: [{{method: {method}}}]
tasks: micro
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    names = {"type": lambda text: text.split(","), "metavar": "A,B"}
    parser.add_argument("--models", default=list(STEPS), **names)
    parser.add_argument("--methods", default=list(METHODS), **names)
    parser.add_argument("--steps", type=int, help="default: 30 of micro-llama, 2 of others")
    parser.add_argument("--micro", type=int, default=8, help="micro-batch of the 8 rows of a batch; default: 8")
    parser.add_argument("--data", default="micro", help="training data; default: micro")
    parser.add_argument("--checkpointing", action="store_true", help="with gradient checkpointing")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--recorded", metavar="FILE", type=Path, help="compare with the trainings of this database")
    parser.add_argument("--measure", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measured(file: str, clock: str) -> dict[str, float]:
    """Trains what an experiment's file says, in this process."""
    import time
    from types import SimpleNamespace

    import torch

    from harness.paths import RunPaths
    from harness.spec.grid import expand
    from harness.spec.load import load_experiment
    from harness.train import callbacks
    from harness.train.base_model import load_base
    from harness.train.training import train

    if clock == "cpu":
        callbacks.time = SimpleNamespace(perf_counter=time.process_time)
    (run,) = expand(load_experiment(file))
    torch.set_num_threads(1)
    base, tokenizer = load_base(run.model, torch.device("cpu"))
    paths = RunPaths(Path(file).parent, run.train_id, run.run_id)
    result, _ = train(run, paths, base, tokenizer, emit=lambda event: None, should_stop=lambda: False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"tokens": result.tokens, "memory": peak, "seconds": result.seconds}


def estimated(file: str, lora: dict[str, Any] | None) -> dict[str, Any]:
    """What is estimated of the same training; with a measured LoRA training, also by its speed."""
    from harness.pipeline.check import count
    from harness.pipeline.estimate.cost import Estimator
    from harness.pipeline.estimate.records import Records, Trained
    from harness.pipeline.estimate.room import Room
    from harness.pipeline.plan import plan
    from harness.spec.grid import expand
    from harness.spec.load import load_experiment

    (run,) = expand(load_experiment(file))
    counts = count([run])[run.run_id]
    (planned,) = plan([run], None).runs
    room = Room.here(())
    estimator = Estimator(room, lambda model: 1)
    found = estimator.of(planned, counts)
    estimator.save()
    assert found is not None
    figures = {"tokens": found.tokens, "memory": (found.peak_memory_bytes or 0) + room.ours, "seconds": found.seconds}
    if lora:
        records = Records([Trained(*trained(lora))])
        figures["by LoRA"] = Estimator(room, lambda model: 1, records).of(planned, counts).seconds
    return {**figures, "flops": found.flops}


def trained(lora: dict[str, Any]) -> tuple[Any, Any]:
    """The measured LoRA training as a record."""
    from harness.pipeline.check import count
    from harness.spec.grid import expand
    from harness.spec.load import load_experiment
    from harness.store.records import TrainResult

    (run,) = expand(load_experiment(lora["file"]))
    found = count([run])[run.run_id]
    about = {"device": "cpu", "threads": 1}
    sizes = (found.trainable_params, found.base_params, found.trainable_percent)
    result = TrainResult(lora["seconds"], run.train.steps, lora["tokens"], None, *sizes, provenance=about)
    return run, result


def rows(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each model and method."""
    found = []
    for model in options.models:
        lora = None
        for method in options.methods:
            print(f"{model}: {method}", file=sys.stderr, flush=True)
            file = folder / f"{model}-{method}.yaml"
            steps = options.steps or STEPS.get(model, 2)
            given = {"model": model, "method": method, "steps": steps, "micro": options.micro, "data": options.data}
            file.write_text(EXPERIMENT.format(**given, checkpointing=str(options.checkpointing).lower()))
            command = [sys.executable, __file__, "--measure", str(file), "--clock", options.clock]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            if told.returncode:
                raise SystemExit(told.stderr)
            real = json.loads(told.stdout.splitlines()[-1])
            guess = estimated(str(file), lora)
            if method == "lora":
                lora = {**real, "file": str(file)}
            found.append({"model": model, "method": method, "measured": real, "estimated": guess})
    return found


def recorded(file: Path) -> list[dict[str, Any]]:
    """A row for each training of a database, estimated without its speed."""
    from harness.pipeline.check import count
    from harness.pipeline.estimate.cost import Estimator
    from harness.pipeline.estimate.room import Room
    from harness.pipeline.plan import plan
    from harness.spec.run import RunSpec
    from harness.store.store import open_store

    with open_store(f"sqlite:///{file}", read_only=True) as store:
        known, labels = store.runs(), {run.run_id: run.label for run in store.listing()}
        results = store.trainings([run.train_id for run in known])
    room = Room.here(())
    found = []
    for record in known:
        if (result := results.pop(record.train_id, None)) is None or result.peak_memory_bytes is None:
            continue
        run = RunSpec.model_validate(record.spec)
        (planned,) = plan([run], None).runs
        guess = Estimator(room, lambda model: 1).of(planned, count([run])[run.run_id])
        assert guess is not None
        memory = None if guess.peak_memory_bytes is None else guess.peak_memory_bytes + room.ours
        estimate = {"tokens": guess.tokens, "memory": memory, "seconds": guess.seconds}
        real = {"tokens": result.tokens, "memory": result.peak_memory_bytes, "seconds": result.seconds}
        about = {"model": run.model.name, "method": labels[record.run_id]}
        found.append({**about, "measured": real, "estimated": estimate})
    return found


def cells(row: dict[str, Any]) -> list[str]:
    """Estimated / measured (error) of each column."""
    real = {**row["measured"], "by LoRA": row["measured"]["seconds"]}
    scale, digits = {"memory": 2**20}, {"tokens": 0, "memory": 0}
    texts = [row["model"], row["method"]]
    for name in COLUMNS:
        guess, unit, places = row["estimated"].get(name), scale.get(name, 1), digits.get(name, 1)
        figures = "" if guess is None else f"{guess / unit:,.{places}f} / {real[name] / unit:,.{places}f}"
        texts.append(figures and f"{figures} ({100 * (guess / real[name] - 1):+.0f} %)")
    return texts


def main() -> None:
    """Measures, estimates, and prints both."""
    options = parse()
    os.environ["OMP_NUM_THREADS"] = "1"
    if options.measure:
        print(json.dumps(measured(options.measure, options.clock)))
        return
    if options.recorded:
        found = recorded(options.recorded)
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HARNESS_HOME"] = folder
            found = rows(options, Path(folder))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    heads = ["model", "method", "tokens", "memory, MiB", "seconds", "seconds by LoRA's speed"]
    rule = [["---", "---", *["---:"] * len(COLUMNS)]] if options.markdown else []
    for line in [heads, *rule, *map(cells, found)]:
        print(
            "| " + " | ".join(line) + " |" if options.markdown else "".join(text.ljust(28) for text in line).rstrip()
        )


if __name__ == "__main__":
    main()
