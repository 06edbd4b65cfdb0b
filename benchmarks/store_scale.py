"""Times commands on a results database of 100,000 runs with 12 scores and 100 samples each.

python benchmarks/store_scale.py FOLDER                    builds FOLDER/store_scale_100.db (once), then measures
python benchmarks/store_scale.py FOLDER --experiments 5    5,000 runs: each experiment has 1,000
python benchmarks/store_scale.py FOLDER --json             one JSON document

A command is a whole process, the interpreter's start included; the median of several is given. CPU time, user and
system, hardly depends on what else the machine does. A claim is timed inside a process, on a run that is
added for it. What takes longer than the time-out is stopped and has no figure: all boards, one by one, do.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from store_scale_data import PER_EXPERIMENT, build, name_of, run_id_of

from harness.store.records import Entry
from harness.store.store import open_store


@dataclass(frozen=True)
class Timing:
    """Median seconds of one thing done; None where it was stopped. target: of wall time, None where there is none."""

    what: str
    wall: float | None
    cpu: float | None
    target: float | None


def main() -> None:
    """Builds what is missing, measures, and prints a table or one JSON document; progress goes to stderr."""
    options = _options()
    path = options.folder / f"store_scale_{options.experiments}.db"
    if not path.exists():
        print(f"building {path}", file=sys.stderr)
        unfinished = path.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        build(unfinished, options.experiments)
        unfinished.rename(path)
    found = [_command(path, command, target, options) for command, target in _commands()]
    found.append(_first_line(path, options))
    found.append(_claim(path, options.rounds))
    if options.json:
        runs = options.experiments * PER_EXPERIMENT
        print(json.dumps({"runs": runs, "bytes": path.stat().st_size, "timings": [asdict(each) for each in found]}))
    else:
        _print(path, found)


def _commands() -> list[tuple[list[str], float | None]]:
    board = ["report", "--leaderboard"]
    return [
        (["--version"], None),
        (["status"], 0.5),
        (["show", run_id_of(1)], None),
        ([*board, "--experiment", name_of(0)], 1.0),
        ([*board, "--format", "json"], 3.0),
        (board, None),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the database is kept from one call to the next")
    parser.add_argument("--experiments", type=int, default=100, help="of 1,000 runs each; default: 100")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one command; default: 60")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if options.experiments < 1 or options.rounds < 1:
        parser.error("--experiments and --rounds must be at least 1")
    if not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")
    return options


def _command(path: Path, command: list[str], target: float | None, options: argparse.Namespace) -> Timing:
    words = " ".join(command)
    print(words, file=sys.stderr)
    whole = [sys.executable, "-m", "harness", "--db", f"sqlite:///{path.resolve()}", *command]

    def once() -> None:
        subprocess.run(whole, stdout=subprocess.DEVNULL, timeout=options.timeout, check=True)

    try:
        wall, cpu = _median(once, options.rounds)
    except subprocess.TimeoutExpired:
        return Timing(words, None, None, target)
    return Timing(words, wall, cpu, target)


def _first_line(path: Path, options: argparse.Namespace) -> Timing:
    """Until the first of all boards is printed; the others, of which there are a hundred, are not waited for."""
    whole = [sys.executable, "-m", "harness", "--db", f"sqlite:///{path.resolve()}", "report", "--leaderboard"]

    def once() -> None:
        with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None and process.stdout.readline()
            process.kill()

    print("the first board of all", file=sys.stderr)
    return Timing("report --leaderboard, its first board", *_median(once, options.rounds), 3.0)


def _median(once: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Wall and CPU seconds of this process and its children."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), _cpu()
        once()
        walls.append(time.perf_counter() - wall)
        cpus.append(_cpu() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _claim(path: Path, rounds: int) -> Timing:
    """Claims and releases a run that waits, in an experiment of its own."""
    run_id = "claimed00000"
    fields = {"name": "claims", "profile": "paper", "path": "", "question": "", "benchmark": "claims", "spec": {}}
    with open_store(f"sqlite:///{path}") as store:
        (known,) = store.runs([run_id_of(1)])
        store.register(fields, [Entry(run_id, run_id, "model", "method", 0, known.spec, "claimed", ())])

        def once() -> None:
            claim = store.claim(run_id, "node:1:1", "cpu")
            assert claim is not None
            store.release(claim, {})

        wall, cpu = _median(once, max(rounds, 20))
    return Timing("claim and release", wall, cpu, None)


def _print(path: Path, found: list[Timing]) -> None:
    table = Table(title=f"{path.name}: {path.stat().st_size / 1e6:,.0f} MB", title_justify="left")
    table.add_column("")
    for head in ("wall s", "CPU s", "target s"):
        table.add_column(head, justify="right")
    for each in found:
        table.add_row(
            each.what, *("–" if value is None else f"{value:.3f}" for value in (each.wall, each.cpu, each.target))
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
