"""Where runs stand, also when nobody works on them any more."""

from __future__ import annotations

import socket
import subprocess

from harness.schedule.run import register
from harness.spec.grid import points
from harness.spec.load import load_experiment
from harness.store.store import open_store

from .conftest import Project


def test_a_run_whose_worker_died_is_said_to_be_abandoned_and_ends_the_watch(project: Project) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    experiment = load_experiment(project.folder / "line.yaml")
    found = points(experiment)
    with open_store(f"sqlite:///{project.folder}/results.db") as store:
        register(store, experiment, found)
        store.claim(found[1].run.run_id, f"{socket.gethostname()}:{dead.pid}:1", "cpu")

    rows = {row["label"]: row for row in project.json("status", "--json")["runs"]}
    assert (rows["lora"]["status"], rows["lora"]["alive"], rows["lora"]["seed"]) == ("running", False, 0)
    assert (rows["none"]["status"], rows["none"]["alive"], rows["none"]["seed"]) == ("pending", None, None)
    printed = project.harness("status", "--watch").stdout
    assert "running (its worker is gone)  line: lora (seed 0)" in printed
