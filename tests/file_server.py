"""A web server on loopback that serves files, whole or in ranges, and can be told to fail."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `files` by path; first does what its `script` says, a step a request.

    A step is a status to answer with, or the number of bytes after which the connection is cut, as `("cut", n)`.
    asked: the Range header of each request, or None.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: list[int | tuple[str, int]] = []
        self.asked: list[str | None] = []
        self.encodings: list[str | None] = []
        self.ranges = True
        self.etag = '"1"'
        self.announced: int | None = None
        self.cut = threading.Event()

    def __enter__(self) -> FileServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.shutdown()
        self.server_close()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.asked.append(self.headers["Range"])
        self.server.encodings.append(self.headers["Accept-Encoding"])
        step = self.server.script.pop(0) if self.server.script else None
        content = self.server.files.get(self.path.lstrip("/"))
        if isinstance(step, int) or content is None:
            self.send_error(step if isinstance(step, int) else 404)
            return
        start = self._start(content)
        if start is not None and start >= len(content):
            self.send_error(416)
            return
        self._send(content, start, step)

    def _start(self, content: bytes) -> int | None:
        same = self.headers["If-Range"] in (None, self.server.etag)
        asked = self.headers["Range"]
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and same and self.server.ranges else None

    def _send(self, content: bytes, start: int | None, step: tuple[str, int] | None) -> None:
        body = content[start or 0 :]
        self.send_response(200 if start is None else 206)
        self.send_header("Content-Length", str(self.server.announced or len(body)))
        self.send_header("ETag", self.server.etag)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(body[: step[1]] if step else body)
        self.wfile.flush()
        if step:
            self.server.cut.set()

    def log_message(self, *arguments: object) -> None:
        """Requests are no news."""
