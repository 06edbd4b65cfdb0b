"""Times the leaderboard of 60 methods, 5 seeds, 8 tasks of 2,000 items, with all 1,770 paired comparisons.

python benchmarks/report.py FOLDER               builds FOLDER/report_60.db (once, a minute or two), then measures
python benchmarks/report.py FOLDER --methods 20
python benchmarks/report.py FOLDER --json        one JSON document

Three times, each the median of several whole processes and in CPU seconds too: `harness --version` (the interpreter
and the command line alone), `harness report --leaderboard` of this database, and of the repository's results.db.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
from rich.console import Console
from rich.table import Table

from harness.spec.identity import identified
from harness.spec.run import AdapterRef, DataRef, ModelRef, PromptRef, RunSpec, SourceRef, TrainSettings
from harness.store.records import Entry, Sample, Score, TaskResult, TrainResult
from harness.store.store import open_store

TASKS = tuple(f"task_{letter}" for letter in "abcdefgh")
ITEMS, SEEDS = 2_000, 5
RESULTS = Path(__file__).resolve().parents[1] / "results.db"
TRAINING = TrainResult(60.0, 100, 100_000, 2**30, 1_000_000, 100_000_000, 1.0)


@dataclass(frozen=True)
class Timing:
    """Median seconds of one command; target: of wall time, None where there is none."""

    what: str
    wall: float
    cpu: float
    target: float | None


def main() -> None:
    """Builds what is missing, measures, and prints a table or one JSON document; progress goes to stderr."""
    options = _options()
    path = options.folder / f"report_{options.methods}.db"
    if not path.exists():
        print(f"building {path}", file=sys.stderr)
        unfinished = path.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        build(f"sqlite:///{unfinished}", options.methods)
        unfinished.rename(path)
    report = ["report", "--leaderboard"]
    found = [
        _command("harness --version", path, ["--version"], 0.25, options.rounds),
        _command(f"report of {options.methods} methods", path, report, 3.0, options.rounds),
        _command("report of results.db", RESULTS, report, 0.6, options.rounds),
    ]
    if options.json:
        print(json.dumps({"methods": options.methods, "timings": [asdict(each) for each in found]}))
    else:
        _print(found)


def build(url: str, methods: int) -> None:
    """Registers, trains and scores every run; outcomes are coins whose chance grows with the method's number."""
    draws = numpy.random.default_rng(0)
    entries = [_entry(method, seed) for method in range(methods) for seed in range(SEEDS)]
    about = {
        "name": "report",
        "profile": "paper",
        "path": "report.yaml",
        "question": "",
        "benchmark": "eight",
        "spec": {},
    }
    with open_store(url) as store:
        store.register(about, entries)
        for number, entry in enumerate(entries):
            claim = store.claim(entry.run_id, "node:1:1", "cpu")
            assert claim is not None, "nobody else works on this database"
            store.record_training(claim, entry.train_id, TRAINING)
            chance = 0.4 + 0.2 * (number // SEEDS) / methods
            for task in TASKS:
                right = draws.random(ITEMS) < chance
                samples = tuple(Sample(item, f"{task}{item}", float(hit)) for item, hit in enumerate(right))
                score = Score("accuracy", float(right.mean()), float(right.std()) / ITEMS**0.5, ITEMS)
                store.record_task(claim, TaskResult(task, "1.0", "f", (score,), samples, 1.0))
            store.finish(claim, {})


def _entry(method: int, seed: int) -> Entry:
    name = f"method_{method:02}"
    source = SourceRef(kind="catalog", location="data", name="data", content="sha256:data")
    spec = identified(
        RunSpec(
            model=ModelRef(name="model", content="sha256:model", dtype="float32"),
            adapter=AdapterRef(method=name, config_class=name),
            data=DataRef(name="data", sources=(source,)),
            train=TrainSettings(epochs=1.0),
            prompt=PromptRef(name="plain", train="{question} {answer}", score="{question}"),
            seed=seed,
            tasks=TASKS,
        )
    )
    return Entry(spec.run_id, spec.train_id, "model", name, seed, spec.model_dump(mode="json"), name, TASKS)


def _command(what: str, path: Path, arguments: list[str], target: float, rounds: int) -> Timing:
    command = [sys.executable, "-m", "harness", "--db", f"sqlite:///{path}", *arguments]
    walls, cpus = [], []
    for _ in range(rounds):
        before, started = _cpu(), time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        walls.append(time.perf_counter() - started)
        cpus.append(_cpu() - before)
    return Timing(what, statistics.median(walls), statistics.median(cpus), target)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the database is kept from one call to the next")
    parser.add_argument("--methods", type=int, default=60, help="default: 60")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no directory")
    return options


def _print(found: list[Timing]) -> None:
    table = Table("What", "Wall, s", "CPU, s", "Target, s")
    for each in found:
        table.add_row(each.what, f"{each.wall:.2f}", f"{each.cpu:.2f}", f"{each.target:g}")
    Console().print(table)


if __name__ == "__main__":
    main()
