"""Downloads from a real server on loopback: whole, resumed, retried, refused. Nothing broken is ever left."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from harness.catalog.content import Content
from harness.catalog.download import download
from harness.catalog.files import git_id_of
from harness.errors import PrerequisiteError

from ..file_server import FileServer

BODY = random.Random(0).randbytes(300_000)
SHA256 = Content(sha256=hashlib.sha256(BODY).hexdigest())


@pytest.fixture
def server():
    with FileServer() as found:
        found.files["x.json"] = BODY
        yield found


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "x.json"


def left(target):
    """Everything that lies in the target's folder."""
    return sorted(path.name for path in target.parent.iterdir())


def fetched(server, target, content=SHA256, **more):
    pauses = []
    download(server.url("x.json"), target, content, pause=pauses.append, **more)
    assert target.read_bytes() == BODY
    assert left(target) == ["x.json"]
    return pauses


def begins(server):
    """The first byte that each request asked for."""
    return [int((asked or "bytes=0-").removeprefix("bytes=").rstrip("-")) for asked in server.asked]


def test_a_file_comes_whole_and_its_progress_is_told(server, target):
    told = []
    assert fetched(server, target, listen=lambda *progress: told.append(progress)) == []
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert server.encodings == ["identity"]  # a compressed answer could not be continued


def test_a_broken_connection_is_continued_where_it_broke(server, target):
    server.script = [("cut", 100_000), ("cut", 50_000)]
    assert fetched(server, target) == [1, 1]
    first, second, third = begins(server)
    assert first == 0
    assert 80_000 <= second <= 100_000
    assert 110_000 <= third <= 150_000


def test_a_server_that_knows_no_ranges_is_asked_for_all_again(server, target):
    server.script, server.ranges = [("cut", 100_000)], False
    fetched(server, target)
    first, second = begins(server)
    assert first == 0
    assert 80_000 <= second <= 100_000


def test_a_file_that_changes_under_way_is_never_put_together_of_two_versions(server, target):
    def change(there, total):
        if there and server.etag == '"1"':
            server.etag = '"2"'
            server.files["x.json"] = BODY

    server.files["x.json"] = bytes(len(BODY))
    server.script = [("cut", 100_000)]
    fetched(server, target, Content(), listen=change)


def test_a_busy_server_is_asked_again_after_ever_longer_pauses(server, target):
    server.script = [503, 500, 429]
    assert fetched(server, target) == [1, 2, 4]


def test_a_server_that_stays_busy_is_given_up(server, target):
    server.script = [503] * 9
    with pytest.raises(PrerequisiteError, match=r"x\.json can't be had: the server says 503 .*, 5 times in a row"):
        fetched(server, target)
    assert len(server.asked) == 5
    assert left(target) == []


def test_a_missing_file_is_told_at_once_with_where_to_put_it(server, target):
    server.script = [404]
    with pytest.raises(PrerequisiteError, match=rf"404 Not Found. Get it by other means and put it there as {target}"):
        fetched(server, target)
    assert len(server.asked) == 1
    assert left(target) == []


def test_without_a_connection_the_place_for_the_file_is_named(target):
    with FileServer() as gone:
        url = gone.url("x.json")
    with pytest.raises(PrerequisiteError, match=rf"no connection .*refused.*put it there as {target}"):
        download(url, target, pause=lambda seconds: None)
    with pytest.raises(PrerequisiteError, match=r"nowhere\.invalid/x\.json can't be had: its host can't be found"):
        download("http://nowhere.invalid/x.json", target)
    assert left(target) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (Content(sha256="0" * 64), "SHA-256 .* expected 000000000000"),
        (Content(git="0" * 40), "git id .* expected 0000"),
    ],
)
def test_another_file_than_expected_is_not_kept(server, target, content, fault):
    with pytest.raises(PrerequisiteError, match=f"gave another file than expected .{fault}.*not kept"):
        fetched(server, target, content)
    assert left(target) == []


def test_the_git_id_is_that_of_git(server, target, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(BODY)
    said = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True)
    assert git_id_of(path) == said.stdout.strip()
    fetched(server, target, Content(git=said.stdout.strip()))


CODE = "import sys; from pathlib import Path; from harness.catalog.download import *; \
download(sys.argv[1], Path(sys.argv[2]), Content(sys.argv[3] or None), pause=lambda seconds: input())"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_leaves_no_file_and_is_continued_by_the_next(server, target, how):
    server.script = [("cut", 100_000)]
    command = [sys.executable, "-c", CODE, server.url("x.json"), str(target), SHA256.sha256]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert server.cut.wait(20)
        while not target.parent.exists() or sum(path.stat().st_size for path in target.parent.iterdir()) < 80_000:
            assert process.poll() is None
        process.send_signal(how)
        process.wait(20)
    assert not target.exists()

    fetched(server, target)
    first, second = begins(server)
    assert first == 0
    assert 80_000 <= second <= 100_000


@pytest.mark.parametrize(("content", "rest"), [(Content(), []), (SHA256, [".x.json.part"])])
def test_only_what_can_be_proved_is_kept_for_the_next(server, target, content, rest):
    def interrupt(there, total):
        if there:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetched(server, target, content, listen=interrupt)
    assert left(target) == rest


def test_what_can_not_be_proved_is_not_continued(server, target):
    target.parent.mkdir()
    (target.parent / ".x.json.part").write_bytes(b"of another version")
    fetched(server, target, Content())
    assert server.asked == [None]


@pytest.mark.parametrize("rest", [b"of another file", b"longer than the file" * 50_000])
def test_a_rest_of_another_file_is_thrown_away(server, target, rest):
    target.parent.mkdir()
    (target.parent / ".x.json.part").write_bytes(rest)
    fetched(server, target)


@contextmanager
def files_up_to(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_told_and_nothing_is_left(server, target):
    with files_up_to(150_000), pytest.raises(PrerequisiteError, match=r"x\.json.* can't be written: File too large"):
        fetched(server, target)
    assert left(target) == []


def test_a_file_larger_than_the_disk_is_refused_before_it_comes(server, target):
    server.announced = 10**18
    with pytest.raises(PrerequisiteError, match=r"bytes are free, 1,000,000,000,000,000,000 are needed"):
        fetched(server, target)
    assert left(target) == []


def test_a_folder_that_can_not_be_made_is_told(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PrerequisiteError, match=f"{tmp_path}/cache can't be written: File exists"):
        download(server.url("x.json"), tmp_path / "cache" / "x.json")


def test_two_at_once_download_it_once(server, target):
    both = [threading.Thread(target=download, args=(server.url("x.json"), target, SHA256)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert target.read_bytes() == BODY
    assert left(target) == ["x.json"]
    assert len(server.asked) == 1
    assert os.access(target, os.R_OK)
