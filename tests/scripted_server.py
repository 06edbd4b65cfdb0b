"""An OpenAI-compatible server on loopback that can be told to fail."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible server that first does what its script says, then answers.

    A step of the script is a status with its headers and body, "hang", "cut", or a body for status 200.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.reply: Callable[[str], str] = lambda prompt: "the correct answer is solution1"
        self.usage: dict[str, int] | None = USAGE
        self.pause, self.at_once, self.most = 0.0, 0, 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/chat/completions"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up on a hanging answer is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(asked)
            self.server.headers.append(self.headers)
            self.server.at_once += 1
            self.server.most = max(self.server.most, self.server.at_once)
            step = self.server.script.pop(0) if self.server.script else None
        time.sleep(self.server.pause)
        with self.server.lock:
            self.server.at_once -= 1
        if step == "hang":
            self.server.over.wait(5)
            self.close_connection = True
        elif step == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif isinstance(step, tuple):
            self._send(*step)
        else:
            self._send(200, {}, self._answer(asked) if step is None else step)

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        prompt = asked["messages"][0]["content"] if "messages" in asked else asked["prompt"]
        text = self.server.reply(prompt)
        said = {"message": {"role": "assistant", "content": text}} if "messages" in asked else {"text": text}
        answer = {"model": "tiny-2026-01-01", "choices": [{"index": 0, "finish_reason": "stop", **said}]}
        return answer | ({"usage": self.server.usage} if self.server.usage else {})

    def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
