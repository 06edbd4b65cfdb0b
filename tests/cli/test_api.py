"""A model that a server answers for, from its YAML to its row on the leaderboard."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

import harness
from harness import load_experiment
from harness.report.leaderboard import leaderboard
from harness.schedule.options import Options
from harness.schedule.run import run
from harness.store.store import open_store

from ..scripted_server import Server
from .conftest import Project

SECRET = "sk-test-9d02c1e7aa"
TASKS = ("micro_true_false", "micro_add_subtract")
EXPERIMENT = """\
# What does the model answer without being trained?
name: %s
base: %s
data: {train: micro}
prompt: llm_adapters
score: {limit: 6, batch_size: 2, store_outputs: all}
adapters: [{method: none}]
tasks: [micro_true_false, micro_add_subtract]
"""
MODEL = Path(harness.__file__).parent / "catalog" / "micro" / "model"


@pytest.fixture(scope="module")
def micro_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model in a directory, with a chat template that adds nothing to the user's message."""
    folder = tmp_path_factory.mktemp("served") / "micro"
    shutil.copytree(MODEL, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{{ messages[0]['content'] }}"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def served(micro_model: Path) -> Iterator[str]:
    """The address of `transformers serve` with this model."""
    pytest.importorskip("fastapi")
    pytest.importorskip("openai")
    from transformers.cli.serve import Serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Serve(force_model=str(micro_model), host="127.0.0.1", port=port, device="cpu", non_blocking=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/health", timeout=1)
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/v1"
    running.kill_server()


def run_here(project: Project, monkeypatch: pytest.MonkeyPatch, name: str, **options: Any) -> Any:
    """Runs an experiment in this process, which has loaded the libraries already; its row on the leaderboard."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("HARNESS_HOME", str(project.folder / ".harness"))
    experiment = load_experiment(f"{name}.yaml")
    assert run(experiment, "results.db", Options(executor="in-process", **options)).exit_code == 0
    with open_store("sqlite:///results.db", read_only=True) as store:
        (row,) = leaderboard(store, experiment=name).to_json()["rows"]
    return row


def outputs(row: dict[str, Any]) -> dict[tuple[str, int], str | None]:
    with open_store("sqlite:///results.db", read_only=True) as store:
        found = {task: store.samples(row["run_ids"][0], task) for task in TASKS}
    return {(task, sample.doc_id): sample.output for task, samples in found.items() for sample in samples}


@pytest.mark.slow
def test_a_served_model_says_and_scores_what_it_does_when_it_is_loaded(
    project: Project, served: str, micro_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    chat = f"{{api: openai-chat, model: {micro_model}, url: '{served}/chat/completions'}}"
    completion = f"{{api: openai-completions, model: {micro_model}, url: '{served}/completions'}}"
    project.write("asked.yaml", EXPERIMENT.replace("data: {train: micro}\n", "") % ("asked", chat))
    project.write("completed.yaml", EXPERIMENT % ("completed", completion))
    project.write("loaded.yaml", EXPERIMENT % ("loaded", f"{{model: {micro_model}}}"))

    asked, completed, loaded = (run_here(project, monkeypatch, name) for name in ("asked", "completed", "loaded"))

    assert (asked["method"], asked["trainable_params"], asked["trainable_percent"]) == ("none", 0, 0)
    assert asked["scores"] == completed["scores"] == loaded["scores"]
    assert asked["average"] == completed["average"] == loaded["average"]
    assert len(outputs(loaded)) == 12
    assert outputs(asked) == outputs(completed) == outputs(loaded)
    with open_store("sqlite:///results.db", read_only=True) as store:
        (attempt,) = store.attempts(asked["run_ids"][0])
    reported = {"protocol": "openai-chat", "host": served.split("/")[2], "models": [f"{micro_model}@main"]}
    assert attempt.provenance["api"] == reported


def test_a_refusal_keeps_the_finished_task_and_no_trace_of_the_key_and_the_rest_is_done_later(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with Server() as server:
        refusal = (401, {}, {"error": {"message": f"Incorrect API key provided: {SECRET}"}})
        server.script = [None] * 6 + [(503, {"Retry-After": "0"}, SECRET)] + [refusal] * 6
        base = f"{{api: openai-chat, model: tiny, url: '{server.url}'}}"
        project.write("asked.yaml", EXPERIMENT % ("asked", base))

        done = project.harness("run", "asked.yaml", exits=1)
        (status,) = project.json("status", "asked.yaml", "--json")["runs"]
        shown = project.json("show", status["run_id"], "--json")
        refused = "refuses the request: 401 Unauthorized: Incorrect API key provided: [the key]"
        assert status["status"] == "failed" and refused in status["error"]
        assert shown["attempts"][0]["kind"] == "config" and refused in shown["attempts"][0]["traceback"]
        assert {score["task"] for score in shown["scores"]} == {TASKS[0]}
        files = [file for file in project.folder.rglob("*") if file.is_file()]
        assert {".db", ".log"} <= {file.suffix for file in files}
        assert [file for file in files if SECRET.encode() in file.read_bytes()] == []
        assert SECRET not in done.stdout + done.stderr + json.dumps(shown)

        server.script, server.asked = [], []
        row = run_here(project, monkeypatch, "asked", retry_failed=True)
        assert set(row["scores"]) == set(TASKS) and len(server.asked) == 6


def test_without_a_key_nothing_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    project.write("asked.yaml", EXPERIMENT % ("asked", "{api: openai-chat, model: gpt-4o-mini}"))
    message = "asked.yaml:3 base.api: api.openai.com asks for a key: set $OPENAI_API_KEY"
    assert message in project.harness("plan", "asked.yaml").stdout
    assert message in project.harness("run", "asked.yaml", exits=2).stderr
    (planned,) = project.json("plan", "asked.yaml", "--json")["runs"]
    assert (planned["action"], planned["trainable_params"], planned["base_params"]) == ("blocked", 0, None)
