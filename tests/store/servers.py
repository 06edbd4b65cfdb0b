"""A real PostgreSQL server for the tests, without a network: reached through a socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

START_SECONDS = 60


def programs() -> Path:
    """The folder of `initdb` and `postgres`: of the wheel pgserver, else of the system. Skips where there is none."""
    wheel = find_spec("pgserver")
    folders = [Path(str(wheel.origin)).parent / "pginstall" / "bin"] if wheel else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).parent for found in [shutil.which("initdb")] if found]
    for folder in folders:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    pytest.skip("no PostgreSQL server: neither the package pgserver nor initdb and postgres are installed")


class Server:
    """A running server; its databases are copies of one that has the harness's tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def do(self, statement: str) -> None:
        """One statement outside a transaction."""
        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)

    def new(self, template: str = "template1") -> str:
        """The URL of a new database."""
        self._made += 1
        self.do(f"CREATE DATABASE test{self._made} TEMPLATE {template}")
        return self.url(f"test{self._made}")


@contextmanager
def running() -> Iterator[Server]:
    """A new server, gone at the end with all its files. Skips, with the reason, where none can be had."""
    bin, folder = programs(), Path(tempfile.mkdtemp(prefix="pg"))
    as_user = _unprivileged(folder)
    try:
        make = [bin / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
        made = subprocess.run(
            [*make, "--locale=C"], capture_output=True, text=True, check=False, cwd=folder, **as_user
        )
        if made.returncode:
            pytest.skip(f"no PostgreSQL server: {made.stderr.strip()}")
        serve = [bin / "postgres", "-D", folder / "data", "-k", folder, "-h", "", "-F"]
        with open(folder / "log", "w") as log, subprocess.Popen(serve, stderr=log, cwd=folder, **as_user) as process:
            try:
                server = Server(folder)
                _await(server, process)
                yield server
            finally:
                process.send_signal(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: how to start it as somebody else, who gets the folder."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _await(server: Server, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_SECONDS
    while True:
        try:
            return server.do("SELECT 1")
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > limit:
                pytest.skip(f"no PostgreSQL server: {(server.folder / 'log').read_text().strip() or error}")
            time.sleep(0.05)
