"""What the disk does to the database: it fails, it fills up, it is copied while it is written to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.records import Entry, Score, TaskResult
from harness.store.store import Store, open_store

WRITER = Path(__file__).parent / "writer.py"
RUN = "0" * 12
ABOUT = {"name": "disk", "profile": "paper", "path": "", "question": "", "benchmark": "micro", "spec": {}}
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What $FAIL_CALL does fails with $FAIL_ERRNO on the database's files while the file $FAIL exists. */
static int fails(const char *call, int fd) {
    char link[64], path[4096];
    const char *named = getenv("FAIL_CALL"), *flag = getenv("FAIL"), *number = getenv("FAIL_ERRNO");
    if (!named || !flag || !number || strcmp(named, call) || access(flag, F_OK)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, "results.db") || strstr(path, "-shm")) return 0;
    errno = atoi(number);
    return 1;
}
ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    return fails("write", fd) ? -1 : real(fd, from, count, at);
}
ssize_t pwrite(int fd, const void *from, size_t count, off_t at) { return pwrite64(fd, from, count, at); }
int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", fd) ? -1 : real(fd);
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    return fails("fsync", fd) ? -1 : real(fd);
}
"""


def scored(task: str) -> TaskResult:
    return TaskResult(task, "1", "f", (Score("accuracy", 0.5, None, 1),), (), 1.0)


def tasks_in(path: Path) -> list[str]:
    with open_store(f"sqlite:///{path}", read_only=True) as store:
        return sorted(store.states([RUN])[RUN].scored)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database with a run that waits."""
    path = tmp_path / "results.db"
    with open_store(f"sqlite:///{path}") as store:
        store.register(ABOUT, [Entry(RUN, "t" * 12, "m", "lora", 0, {}, "L", ("t",))])
    return path


def test_a_copy_of_the_database_and_its_log_opens_while_a_worker_writes(db: Path, tmp_path: Path) -> None:
    store: Store = open_store(f"sqlite:///{db}")
    claim = store.claim(RUN, "here:1:1", "cpu")
    assert claim is not None
    store.record_task(claim, scored("first"))
    with store._writing():  # in the middle of a transaction
        assert db.with_name("results.db-wal").stat().st_size > 0
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("results.db", "results.db-wal"):
            shutil.copy(tmp_path / name, copy / name)
    store.close()

    with sqlite3.connect(copy / "results.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert tasks_in(copy / "results.db") == ["first"]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes the disk fail for a process that it is preloaded into."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("needs Linux and gcc to make a disk fail")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    command = ["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", str(folder / "shim.so"), str(folder / "shim.c"), "-ldl"]
    subprocess.run(command, check=True)
    return folder / "shim.so"


@pytest.mark.parametrize(
    ("call", "number", "told"),
    [
        ("write", 5, "disk I/O error"),
        ("write", 28, "database or disk is full"),
        ("fsync", 5, "disk I/O error"),
    ],
    ids=["write-error", "full", "sync-error"],
)
def test_a_disk_that_fails_under_the_database_is_told_and_loses_nothing_that_was_recorded(
    db: Path, shim: Path, tmp_path: Path, call: str, number: int, told: str
) -> None:
    fail = {"FAIL": str(tmp_path / "fail"), "FAIL_CALL": call, "FAIL_ERRNO": str(number)}
    done = subprocess.run(
        [sys.executable, str(WRITER), f"sqlite:///{db}", RUN, str(tmp_path / "fail")],
        env=os.environ | fail | {"LD_PRELOAD": str(shim)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"failing: {told}", f"a checkpoint: {told}", "mended"]
    with sqlite3.connect(db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert set(tasks_in(db)) == {"before", "after"}, "what was refused is not there, and nothing else is missing"
