"""`harness doctor`: what keeps the harness from working is found, told with its cure, and nothing else is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from harness.cli.main import cli
from harness.pipeline.doctor import packages as module
from harness.pipeline.doctor.finding import Finding
from harness.pipeline.doctor.hub import hub
from harness.pipeline.doctor.machine import machine
from harness.pipeline.doctor.packages import packages
from harness.pipeline.doctor.places import places
from harness.store.store import open_store

NVIDIA_SMI = """#!/bin/sh
if [ "$1" = "-L" ]; then echo "GPU 0: NVIDIA H100 (UUID: GPU-aa11)"; exit; fi
echo "0, GPU-aa11, NVIDIA H100, 81920, 70000"
"""
SECRET = "hf_abcdefgh"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with no variable of the harness set and a hub that is not asked."""
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_DB", "HARNESS_HOME", "HARNESS_DATA", "HARNESS_PROFILE", "CUDA_VISIBLE_DEVICES", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def about(findings: Iterator[Finding], topic: str) -> list[tuple[str, str]]:
    """State and words of what was found of a topic."""
    return [(found.state, found.told) for found in findings if found.topic == topic]


def test_a_sound_installation(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"], standalone_mode=False) == 0
    told = capsys.readouterr().out
    assert "ok    imports: torch " in told
    assert "note  database: sqlite:///results.db holds nothing yet (harness run fills it)" in told
    assert "note  hub: $HF_HUB_OFFLINE is set: nothing is fetched" in told
    assert "\nwrong" not in told
    assert not list(place.iterdir()), "it changes nothing"


def test_what_is_wrong_makes_exit_code_1_and_names_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "adapters").mkdir()
    (place / "adapters" / "mine.yaml").write_text("method: mine\nconfg_class: peft:LoraConfig\n")
    assert cli.main(["--quiet", "doctor"], standalone_mode=False) == 1
    told = capsys.readouterr().out
    assert "wrong methods: mine: adapters/mine.yaml:" in told and "2 confg_class: unknown field" in told
    assert "\nok" not in told

    assert cli.main(["doctor", "--json"], standalone_mode=False) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["topic"] for one in found if one["state"] == "wrong"] == ["methods"]
    assert {one["topic"] for one in found} >= {"Python", "packages", "machine", "memory", "database", "home", "data"}


def test_a_package_that_is_missing_too_old_or_broken(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    (place / "broken_module.py").write_text("raise OSError('libnothing.so: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(place)
    needed = ["click>=8.1", "click<1; extra == 'api'", "no-such-thing>=2", "numpy<1", "absent; sys_platform == 'none'"]
    monkeypatch.setattr(module, "requires", lambda name: needed)
    monkeypatch.setattr(module, "IMPORTED", ("click", "broken_module"))
    found = list(packages())

    said = about(iter(found), "packages")
    assert said[0] == ("wrong", "no-such-thing is not installed")
    assert said[1][1].endswith("is not the version that is needed (<1)") and len(said) == 2
    assert [one.advice for one in found if one.topic == "packages"] == [
        "pip install 'no-such-thing>=2'",
        "pip install 'numpy<1'",
    ]
    broken = "broken_module can't be imported: OSError: libnothing.so: cannot open shared object file"
    assert about(iter(found), "imports") == [("wrong", broken)]
    ((state, told),) = about(iter(found), "extra api")
    assert state == "note" and told.startswith("models behind an API: click ")


def test_a_torch_that_does_not_see_the_gpu(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place / "nvidia-smi"
    path.write_text(NVIDIA_SMI)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert about(machine(), "GPU") == [("ok", "0: NVIDIA H100, 68.4 GiB of 80.0 GiB are free")]
    ((state, told),) = about(machine(), "torch")
    assert state == "wrong" and told.startswith("sees 0 of 1 GPUs; it was built for ")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert about(machine(), "GPU") == [("wrong", "the driver knows no GPU '3'")]


def test_folders_that_can_not_be_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("HARNESS_HOME", str(place / "file" / "home"))
    monkeypatch.setenv("HARNESS_DATA", str(place / "gone"))
    found = list(places("sqlite:///results.db"))
    assert about(iter(found), "home") == [("wrong", f"{place}/file/home can't be written")]
    assert about(iter(found), "data")[0] == ("wrong", f"{place}/gone of $HARNESS_DATA is no folder")


def test_the_database(place: Path) -> None:
    open_store("sqlite:///results.db").close()
    assert about(places("sqlite:///results.db"), "database") == [("ok", "sqlite:///results.db: runs 0")]
    (place / "results.db").write_text("something else")
    ((state, told),) = about(places("sqlite:///results.db"), "database")
    assert state == "wrong" and "results.db" in told


class Hub(BaseHTTPRequestHandler):
    """Knows one token."""

    def do_GET(self) -> None:
        known = self.headers.get("authorization") in (None, f"Bearer {SECRET}")
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b'{"name": "me"}')

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


@pytest.mark.parametrize(
    ("token", "state", "said"),
    [
        (None, "note", "can be reached; no token, which gated models need"),
        (SECRET, "ok", "knows the token of me"),
        ("hf_other", "wrong", "does not know the token"),
    ],
)
def test_the_hub_and_whose_token_it_is(
    monkeypatch: pytest.MonkeyPatch, token: str | None, state: str, said: str
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    found = list(hub())
    server.shutdown()
    server.server_close()
    assert about(iter(found), "hub") == [(state, f"{constants.ENDPOINT} {said}")]
    assert not token or token not in str(found)

    assert about(hub(), "hub")[0][1].endswith("can't be reached (ConnectionError)")
