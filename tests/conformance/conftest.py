"""PEFT's tests are downloaded, and run once for each tuner, when a test first asks for their results."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from .expected import TUNERS
from .results import Result
from .sdist import SdistUnavailable, peft_tests
from .suite import run_suite, summary

LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", params=TUNERS)
def tuner(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def results(tuner: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    lines = pytestconfig.stash.setdefault(LINES, [])
    try:
        root = peft_tests(version("peft"), pytestconfig.cache.mkdir("peft-sdist"))
    except SdistUnavailable as error:
        lines.append(f"{tuner}: not run, {error}")
        pytest.skip(str(error))
    found = run_suite(tuner, root, tmp_path_factory.mktemp(tuner))
    lines += summary(tuner, found)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section(f"PEFT {version('peft')}'s own tests")
        terminalreporter.write("\n".join(lines) + "\n")
