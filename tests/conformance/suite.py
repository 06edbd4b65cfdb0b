"""Runs PEFT's own tests on one of our tuners in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from .expected import FILES
from .results import Result, read_results


def run_suite(tuner: str, root: Path, folder: Path) -> dict[str, Result]:
    """Returns the result of each of PEFT's tests below `root`, run in the empty `folder`, offline and on the CPU.

    Raises:
        RuntimeError: the process ended before the tests did.
    """
    results = folder / "results.json"
    place = folder / "models"
    place.mkdir()
    # Options that were meant for this run of pytest would choose among PEFT's tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # Tiny models gain nothing from threads, and lose much where these wait for a busy core.
    environment |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    paths = [str(Path(__file__).resolve().parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, "-m", "conformance.child", tuner, str(root), str(results)]
    child = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if not results.exists():
        raise RuntimeError(f"PEFT's tests on {tuner} did not end: {(child.stdout + child.stderr)[-3000:]}")
    return read_results(results)


def file_of(test: str) -> str:
    return test.partition("::")[0]


def function_of(test: str) -> str:
    return test.partition("[")[0]


def passes(results: dict[str, Result]) -> Counter[str]:
    """Returns how many tests passed, by file."""
    return Counter(file_of(test) for test, result in results.items() if result.outcome == "passed")


def summary(tuner: str, results: dict[str, Result]) -> list[str]:
    """Returns a line for each file, and one for all of them."""
    lines = []
    for file in (*FILES, "all files"):
        chosen = [result for test, result in results.items() if file in (file_of(test), "all files")]
        counts = Counter(result.outcome for result in chosen)
        outcomes = ", ".join(f"{counts[name]} {name}" for name in ("passed", "skipped", "xfailed", "failed"))
        lines.append(f"{tuner} {file}: {outcomes} in {sum(result.seconds for result in chosen):.0f} s")
    return lines
