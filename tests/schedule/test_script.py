"""`harness.run` in a user's own script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.schedule.conftest import EXPERIMENT

ROOT = Path(__file__).parents[2]
SCRIPT = """\
import harness

print("begun")
print("exit code", harness.run(harness.load_experiment("few.yaml")).exit_code)
"""


def test_a_script_without_a_guard_runs_its_experiment_once(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text(EXPERIMENT % "{method: none}", encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["begun", "exit code 0"], done.stderr
