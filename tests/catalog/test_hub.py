"""Whether a hub model's weights can be had is told before any is fetched; here the hub is a server of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from harness.catalog.hub import weights_cached, weights_fault

NAME = "meta-llama/Meta-Llama-3-8B"
INSIDER = "hf_insider"


class Hub(BaseHTTPRequestHandler):
    """Knows one model, which is gated, and one token that it is open to."""

    def do_GET(self) -> None:
        insider = self.headers["Authorization"] == f"Bearer {INSIDER}"
        if not self.path.startswith(f"/api/models/{NAME}"):
            self.answer(404, {"error": "Repository not found"}, "RepoNotFound")
        elif self.path.endswith("/revision/v9"):
            self.answer(404, {"error": "Invalid rev id"}, "RevisionNotFound")
        elif self.path.endswith("/auth-check") and not insider:
            self.answer(403, {"error": "Access to model is restricted"}, "GatedRepo")
        else:
            self.answer(200, {"id": NAME, "gated": "manual", "siblings": [], "private": False, "tags": []})

    def answer(self, status: int, document: object, error: str | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The hub's address; the user has an empty cache and no token."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        yield address
        server.shutdown()


def cached(folder: Path, files: dict[str, str]) -> None:
    """Puts files of the model where the hub's client keeps them."""
    home = folder / "hub" / f"models--{NAME.replace('/', '--')}"
    for path, text in {
        "refs/main": "c0ffee",
        **{f"snapshots/c0ffee/{name}": text for name, text in files.items()},
    }.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text, encoding="utf-8")


def test_a_gated_model_needs_a_token(hub: str) -> None:
    assert weights_fault(NAME, "main") == (
        f"is gated, and there is no token: accept its terms at {hub}/{NAME}, then set $HF_TOKEN or run hf auth login"
    )


def test_a_token_may_not_be_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    assert "is gated, and there is a token that it is not open to: accept its terms" in str(
        weights_fault(NAME, "main")
    )


def test_with_access_nothing_stands_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", INSIDER)
    assert weights_fault(NAME, "main") is None
    assert not (tmp_path / "hub").exists()  # nothing was fetched


def test_a_name_that_the_hub_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_fault("nobody/nothing", None) == "is not on the hub, or is none that one without a token may see"
    monkeypatch.setenv("HF_TOKEN", INSIDER)
    assert weights_fault("nobody/nothing", None) == "is not on the hub, or is none that this token may see"


def test_a_revision_that_the_model_has_not() -> None:
    assert weights_fault(NAME, "v9") == "has no revision 'v9' on the hub"


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert str(weights_fault(NAME, "main")).startswith(
        "is not in the hub's cache here, and the hub can't be reached ("
    )


def test_the_network_may_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights_fault(NAME, "main") == "is not in the hub's cache here, and $HF_HUB_OFFLINE forbids to fetch it"


def test_what_is_in_the_cache_needs_neither_network_nor_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached(tmp_path, {"model.safetensors": "weights"})
    assert weights_fault(NAME, "main") is None


def test_half_of_the_weights_is_not_in_the_cache(tmp_path: Path) -> None:
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    cached(tmp_path, {"model.safetensors.index.json": json.dumps({"weight_map": shards}), shards["a"]: "weights"})
    assert not weights_cached(NAME, "main")
    cached(tmp_path, {shards["b"]: "weights"})
    assert weights_cached(NAME, "main")
