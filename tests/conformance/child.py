"""Runs PEFT's own tests on one tuner, in an empty folder: `python -m conformance.child TUNER PEFT_TESTS RESULTS`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .expected import FILES
from .models import write_models
from .results import Recorder
from .rules import stub_diffusers
from .substitution import Substitution


def main(tuner: str, root: str, results: str) -> int:
    write_models(Path.cwd())
    stub_diffusers()
    own = ["-c", f"{root}/pytest.ini", "--rootdir", root, "-p", "no:cacheprovider"]
    files = [f"{root}/tests/{file}" for file in FILES]
    quiet = ["-q", "--tb=short", "-W", "ignore"]
    plugins = [Substitution(tuner), Recorder(Path(results))]
    return pytest.main([*own, *quiet, *files], plugins=plugins)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
