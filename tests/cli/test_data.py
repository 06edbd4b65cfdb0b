"""`harness data`, and training data of one's own, as a user meets them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.catalog.data import data_sets
from harness.catalog.files import sha256_of
from harness.catalog.origins import Origin, origins
from harness.cli.main import cli
from harness.spec.resolve import resolve_data
from harness.spec.schema import DataSpec, SourceSpec
from harness.train.examples import data_fingerprints, read

from ..file_server import FileServer
from .conftest import EXPERIMENT, Project

ROWS = [{"instruction": f"What is {i} + {i}?", "input": "", "output": f"It is {2 * i}."} for i in range(40)]
BODY = json.dumps(ROWS).encode()
GIT = hashlib.sha1(b"blob %d\0" % len(BODY) + BODY, usedforsecurity=False).hexdigest()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """The origin of the training set math_10k, of which this machine has nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_DATA", "HARNESS_HOME"):
        monkeypatch.delenv(name, raising=False)
    with FileServer() as found:
        found.files["math_10k.json"] = BODY
        monkeypatch.setitem(origins(), "math_10k.json", Origin(found.url("math_10k.json"), GIT))
        yield found


def harness(*arguments: str) -> Result:
    done = CliRunner().invoke(cli, ["data", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def file_of(name: str) -> dict[str, Any]:
    """What `list` says of a set's only file."""
    (found,) = json.loads(harness("list", name, "--json").stdout)
    assert found["name"] == name
    return found["files"][0]


def test_list_says_where_each_file_is_and_whether_it_is_right(server: FileServer, tmp_path: Path) -> None:
    everything = json.loads(harness("list", "--json").stdout)
    assert {found["name"] for found in everything if found["kind"] == "train"} == data_sets().keys()
    assert {"llm_adapters_boolq", "micro_two_way"} <= {
        found["name"] for found in everything if found["kind"] == "test"
    }
    url = server.url("math_10k.json")
    unknown = {"file": "math_10k.json", "path": None, "size": None, "state": "missing", "sha256": None}
    assert file_of("math_10k") == {**unknown, "git": GIT, "url": url}
    printed = harness("list").stdout
    assert "harness data fetch math_10k" in printed

    path = tmp_path / ".harness" / "data" / "math_10k.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    found = file_of("math_10k")
    assert (found["path"], found["size"], found["state"]) == (str(path), len(BODY), "ok")


def test_fetch_brings_what_is_missing_once_and_says_where(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / ".harness" / "data" / "math_10k.json"
    assert harness("fetch", "math_10k", "micro").stderr.splitlines()[0] == f"math_10k.json: fetched: {path}"
    assert path.read_bytes() == BODY

    (again,) = json.loads(harness("fetch", "math_10k", "--json").stdout)["files"]
    assert (again["path"], again["fetched"], again["state"]) == (str(path), False, "ok")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("script", "body", "said"),
    [
        ([404], BODY, "the server says 404 Not Found. Get it by other means and put it there as"),
        ([], b"[]", "gave another file than expected (git id"),
    ],
)
def test_what_can_not_be_fetched_is_told_and_the_rest_is_fetched(
    server: FileServer, tmp_path: Path, script: list[int], body: bytes, said: str
) -> None:
    server.script, server.files["math_10k.json"] = list(script), body
    done = harness("fetch", "math_10k", "micro")
    assert done.exit_code == 2
    first, second = sorted(done.stderr.splitlines())
    assert first.startswith("embedded:micro/data/train.json: here already: ")
    assert second.startswith("math_10k.json: ")
    assert said in second
    assert list((tmp_path / ".harness" / "data").iterdir()) == []


def test_check_tells_a_file_that_is_another(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / ".harness" / "data" / "math_10k.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    done = harness("check", "math_10k", "commonsense_170k")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [f"ok: math_10k.json ({path})", "math_10k: 40 examples", "1 of 2 files are here, 0 of them wrong"],
    )

    path.write_bytes(BODY[:-1])
    done = harness("check", "math_10k", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["passed"] is False
    assert done.stderr.startswith(f"{path} is not the file that the catalog means by math_10k.json (git id ")


def test_another_file_under_a_known_name_stops_plan_and_run(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / ".harness" / "data" / "math_10k.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([*ROWS, ROWS[0]]))
    (tmp_path / "near.yaml").write_text(EXPERIMENT.replace("train: micro}", "train: math_10k}"))
    told = f"near.yaml:4 data.train: training data: {path} is not the file that the catalog means by math_10k.json"
    planned = CliRunner().invoke(cli, ["plan", "near.yaml"])
    assert (planned.exit_code, told in planned.stdout) == (0, True)
    ran = CliRunner().invoke(cli, ["run", "near.yaml"])
    assert ran.exit_code == 2
    assert ran.stderr.startswith(told)

    path.write_bytes(BODY)
    assert told not in CliRunner().invoke(cli, ["plan", "near.yaml"]).stdout


def test_check_counts_what_is_amiss_with_training_examples(project: Project) -> None:
    rows = [*ROWS, ROWS[3], ROWS[3], {"instruction": "Who?", "output": " "}]
    project.write("mine.json", json.dumps(rows))
    project.write("mine.yaml", EXPERIMENT.replace("train: micro}", "train: {path: mine.json}}"))
    line = "mine.yaml: mine.json: 43 examples; 2 repeat an earlier one; 1 without an answer"
    assert project.harness("data", "check", "mine.yaml").stdout.splitlines() == [line]
    (found,) = project.json("data", "check", "mine.yaml", "--json")["training"]
    assert (found["examples"], found["duplicates"], found["empty_outputs"], found["lengths"]) == (43, 2, 1, None)

    project.write("mine.json", json.dumps([*rows, {"question": "Who?"}]))
    (told,) = project.harness("data", "check", "mine.yaml", exits=2).stderr.splitlines()
    assert told.startswith("mine.yaml: mine.json: ") and "mine.json row 44: no instruction, output" in told


def test_check_counts_tokens_only_where_a_model_is_named(project: Project) -> None:
    code = (
        "import sys; from harness.cli.main import cli; cli(['data', 'check', 'micro'], standalone_mode=False); "
        "print(sorted({'torch', 'transformers', 'datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.folder, env=project.environment(), capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_tokens_are_those_of_the_experiments_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.catalog.prompts import prompt, render
    from harness.train.base_model import load_tokenizer

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text(json.dumps([*ROWS, {"instruction": "What? " * 60, "output": "It."}]))
    (tmp_path / "mine.yaml").write_text(EXPERIMENT.replace("train: micro}", "train: {path: mine.json}}"))
    (found,) = json.loads(harness("check", "mine.yaml", "--model", "micro-llama", "--json").stdout)["training"]

    tokenizer = load_tokenizer("micro-llama")
    examples = read(resolve_data(DataSpec(train=SourceSpec(path=str(tmp_path / "mine.json")))))
    texts = [render(prompt("llm_adapters").train, each.instruction, each.input) for each in examples]
    sizes = sorted(
        len(tokenizer.encode(text)) + len(tokenizer.encode(each.output, add_special_tokens=False)) + 1
        for text, each in zip(texts, examples, strict=True)
    )
    assert found["lengths"] == {
        "mean": pytest.approx(sum(sizes) / 41),
        "p50": sizes[20],
        "p95": sizes[38],
        "max": sizes[40],
        "max_length": 128,
        "truncated_percent": pytest.approx(100 / 41),
    }
    assert found["prefix"] == {"checked": 20, "mismatched": 0, "first": None}
    refused = harness("check", "micro", "--model", "micro-llama", "--prompt", "chat")
    assert (refused.exit_code, "micro: prompt: chat needs a tokenizer with" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "nope"), "'nope' is no catalog name, no directory here and no hub id"),
        (("--prompt", "alpaca"), "unknown prompt 'alpaca'"),
    ],
)
def test_check_says_what_it_can_not_count_tokens_with(project: Project, arguments: tuple[str, ...], told: str) -> None:
    assert told in project.harness("data", "check", "micro", *arguments, exits=2).stderr


def test_an_unknown_name_is_answered_with_the_nearest(project: Project) -> None:
    for command in ("list", "fetch", "check"):
        assert "did you mean 'math_10k'" in project.harness("data", command, "math_10", exits=2).stderr


def test_ctrl_c_ends_a_download_without_a_file(project: Project) -> None:
    """The catalog's own address can't be reached from a test, so the data set's proxy is a server that hangs."""
    with FileServer() as silent:
        silent.shutdown()  # it takes connections and never answers
        environment = project.environment() | {"https_proxy": silent.url(""), "no_proxy": ""}
        command = project.command("data", "fetch", "math_10k")
        with subprocess.Popen(
            command, cwd=project.folder, env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            part = project.folder / ".harness" / "data" / ".math_10k.json.part"
            while not part.exists():
                assert process.poll() is None
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(20) == 3
            assert process.stderr is not None
            told = process.stderr.read().splitlines()[-1]
            assert told == "interrupted; the same command goes on from here: harness data fetch math_10k"
    assert list((project.folder / ".harness" / "data").iterdir()) == []


def test_missing_data_is_named_with_the_command_that_fetches_it(project: Project) -> None:
    project.write("far.yaml", EXPERIMENT.replace("train: micro}", "train: commonsense_4}"))
    told = project.harness("run", "far.yaml", exits=2).stderr.splitlines()
    assert len(told) == 4
    assert told[0].startswith("far.yaml:4 data.train: training data: ")
    assert all("is in none of " in line and "`harness data fetch commonsense_4` gets it, or" in line for line in told)


def test_an_address_is_read_like_a_file_and_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "cache"))
    with FileServer() as server:
        server.files["x.json"] = BODY
        url = server.url("x.json")
        data = resolve_data(DataSpec(train=SourceSpec(url=url)))
        assert read(data) == read(data)
        assert [example.output for example in read(data)] == [row["output"] for row in ROWS]
        assert len(server.asked) == 1
        assert data_fingerprints(data) == {url: hashlib.sha256(BODY).hexdigest()}


@pytest.mark.slow
def test_training_data_from_an_address_is_fetched_and_trained_on(project: Project) -> None:
    with FileServer() as server:
        server.files["mine.json"] = BODY
        url = server.url("mine.json")
        text = EXPERIMENT.replace("train: micro}", f"train: {{url: '{url}'}}}}").replace(
            "  - {method: denselora, r: 4}\n", ""
        )
        project.write("far.yaml", text)
        assert {run["action"] for run in project.json("plan", "far.yaml", "--json")["runs"]} == {"train", "score"}
        assert server.asked == []
        project.harness("run", "far.yaml")
        assert len(server.asked) == 1
    (path,) = (project.folder / ".harness" / "data" / "url").rglob("mine.json")
    run = next(run for run in project.json("plan", "far.yaml", "--json")["runs"] if run["label"] == "lora")
    assert run["action"] == "reuse"
    shown = project.json("show", run["run_id"], "--json")
    assert sha256_of(path) in json.dumps(shown)


def test_data_from_an_address_that_can_not_be_read_blocks_the_run_before_training(project: Project) -> None:
    with FileServer() as server:
        server.files["mine.json"] = json.dumps([*ROWS[:3], {"question": "who?"}]).encode()
        project.write(
            "far.yaml", EXPERIMENT.replace("train: micro}", f"train: {{url: '{server.url('mine.json')}'}}}}")
        )
        (problem,) = project.harness("run", "far.yaml", exits=2).stderr.splitlines()
    assert problem.startswith("far.yaml:4 data.train: training data: ")
    assert "row 4: no instruction, output (format instruction); the columns are question" in problem


@pytest.mark.slow
def test_a_mixture_trains_and_its_faults_are_named_where_they_stand(project: Project) -> None:
    project.write("mine.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    mix = "train: {mix: [{train: micro, weight: 3}, {path: mine.jsonl}]}, validation: 4}"
    mixed = EXPERIMENT.replace("train: micro}", mix).replace("  - {method: denselora, r: 4}\n", "")
    project.write("mixed.yaml", mixed)
    project.harness("run", "mixed.yaml")
    runs = project.json("plan", "mixed.yaml", "--json")["runs"]
    assert {run["action"] for run in runs} == {"reuse"}
    other = project.json("plan", "mixed.yaml", "--json", "--set", "data.train.mix=[{train: micro},{path: mine.jsonl}]")
    assert other["runs"][1]["run_id"] != runs[1]["run_id"]

    project.write("mine.jsonl", json.dumps({"instruction": "a", "output": 1}))
    (problem,) = project.harness("run", "mixed.yaml", exits=2).stderr.splitlines()
    assert problem.startswith("mixed.yaml:4 data.train: training data: ")
    assert problem.endswith("mine.jsonl row 1: output must be text, got int")


def test_a_split_that_leaves_nothing_to_train_on_is_told_before_training(project: Project) -> None:
    project.write("mine.json", json.dumps(ROWS[:5]))
    project.write("few.yaml", EXPERIMENT.replace("train: micro}", "train: {path: mine.json}, validation: 5}"))
    (problem,) = project.harness("run", "few.yaml", exits=2).stderr.splitlines()
    assert problem.endswith("fraction 1 of 5 examples, 5 of them for validation, leaves none to train on")
