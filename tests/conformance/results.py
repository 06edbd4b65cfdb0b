"""What became of each of PEFT's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest


class Result(NamedTuple):
    """passed, failed, skipped or xfailed, why (an error's traceback, the reason of a skip), and how long it took."""

    outcome: str
    reason: str
    seconds: float


class Recorder:
    """The pytest plugin that writes the result of each test to a file when the run is over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Result] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid.removeprefix("tests/")
        before = self.results.get(test, Result("passed", "", 0))
        outcome, reason = before.outcome, before.reason
        if hasattr(report, "wasxfail") or not report.passed:
            outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            skip = isinstance(report.longrepr, tuple)
            reason = report.longrepr[2].removeprefix("Skipped: ") if skip else report.longreprtext
        self.results[test] = Result(outcome, reason, before.seconds + report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.results[report.nodeid.removeprefix("tests/")] = Result("failed", report.longreprtext, 0)

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.results))


def read_results(path: Path) -> dict[str, Result]:
    return {test: Result(*values) for test, values in json.loads(path.read_text()).items()}
