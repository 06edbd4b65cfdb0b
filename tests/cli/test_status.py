"""Where runs stand, also when nobody works on them any more."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest
from click.testing import CliRunner

from harness.cli import status
from harness.cli.main import cli
from harness.schedule.points import register
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


def test_of_many_runs_some_are_listed_and_all_are_counted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "LISTED", 2)
    url = f"sqlite:///{project.folder}/results.db"
    experiment = load_experiment(project.folder / "line.yaml")
    found = points(experiment)
    with open_store(url) as store:
        register(store, experiment, found)
        store.claim(found[2].run.run_id, f"{socket.gethostname()}:1:1", "cpu")

    def told(*arguments: str) -> str:
        return CliRunner().invoke(cli, ["--db", url, "status", *arguments], catch_exceptions=False).output

    counted, *listed, more = told().splitlines()
    assert counted == "2 pending, 1 running"
    assert [line.split()[0] for line in listed] == [found[1].run.run_id, found[2].run.run_id]
    assert more == "1 more: harness status EXPERIMENT.yaml, or --json for all"
    assert len(json.loads(told("--json"))["runs"]) == 3
