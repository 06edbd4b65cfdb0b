"""Which of the files that the catalog knows are here, and getting those that are not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlparse

from harness.catalog.benchmarks import benchmarks
from harness.catalog.content import Content
from harness.catalog.data import DataFile, data_sets
from harness.catalog.download import download, ignore
from harness.catalog.files import EMBEDDED, locate
from harness.catalog.tasks import tasks
from harness.catalog.transfer import Listener
from harness.errors import NotFoundError, PrerequisiteError, nearest
from harness.paths import downloads

State = Literal["ok", "differs", "unverified", "embedded", "missing"]


@dataclass(frozen=True)
class Collection:
    """The files that go by one name: a training set's, or a task's test file."""

    name: str
    title: str
    kind: Literal["train", "test"]
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class Holding:
    """One file: where it lies, if it does, and whether it is what the catalog says.

    state: `ok`, `differs`, `unverified` (the catalog can't tell what it should hold), `embedded` (it comes with
    the package) or `missing`; fault: how it differs.
    """

    file: DataFile
    path: Path | None
    size: int | None
    state: State
    fault: str | None = None


def collections() -> dict[str, Collection]:
    """Every training set and every task with a test file, by name."""
    found = {name: Collection(name, data.title, "train", _unique(data.files)) for name, data in data_sets().items()}
    for name, task in tasks().items():
        if task.file is not None:
            found.setdefault(name, Collection(name, task.title, "test", (task.file,)))
    return found


def named(name: str) -> tuple[Collection, ...]:
    """What a name means: a training set, a task, a benchmark's tasks, or one file. Raises NotFoundError."""
    known = collections()
    if name in known:
        return (known[name],)
    if name in benchmarks():
        return tuple(known[task] for task in benchmarks()[name].tasks if task in known)
    for collection in known.values():
        if files := tuple(file for file in collection.files if file.file == name):
            return (Collection(name, collection.title, collection.kind, files),)
    raise NotFoundError(
        f"unknown data set, task or benchmark {name!r}, {nearest(name, known.keys() | benchmarks().keys())}"
    )


def holding(file: DataFile) -> Holding:
    """What is here of a file. Reads it, so that its content is known."""
    try:
        path = locate(file.file)
    except PrerequisiteError:
        return Holding(file, None, None, "missing")
    fault = file.expected.fault(path)
    state: State = "differs" if fault else "ok" if file.expected.known else "unverified"
    if file.file.startswith(EMBEDDED):
        state = "embedded"
    return Holding(file, path, path.stat().st_size, state, fault)


def fetch(file: DataFile, listen: Listener = ignore) -> Path:
    """Where a file lies, once it has been downloaded if it must be.

    Raises PrerequisiteError where it can't be had, or where another file has its place.
    """
    here = holding(file)
    if here.state == "differs":
        raise PrerequisiteError(
            f"{here.path} is not the file that the catalog means by {file.file} ({here.fault}); move it away first"
        )
    if here.path is not None:
        return here.path
    if file.origin is None:
        raise PrerequisiteError(f"{file.file} has no public address that the catalog knows; put it into {downloads()}")
    target = downloads() / file.file
    download(file.origin.url, target, file.expected, listen)
    return target


def url_path(url: str) -> Path:
    """Where the file of an address is kept once it has been fetched."""
    name = PurePosixPath(unquote(urlparse(url).path)).name
    return downloads() / "url" / hashlib.sha256(url.encode()).hexdigest()[:12] / name


def fetch_url(url: str, sha256: str | None = None) -> Path:
    """Where the file of an address lies, once it has been downloaded if it must be.

    Raises PrerequisiteError where it can't be had, or is not what its SHA-256 says.
    """
    target, content = url_path(url), Content(sha256)
    if not target.is_file():
        download(url, target, content, ignore)
    if fault := content.fault(target):
        raise PrerequisiteError(f"{target} is not what {url} should give ({fault}); remove it to fetch it again")
    return target


def _unique(files: tuple[DataFile, ...]) -> tuple[DataFile, ...]:
    """A set may ask one file twice, in different words."""
    return tuple({file.file: file for file in files}.values())
