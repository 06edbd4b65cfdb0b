"""Where things are kept: the results, adapters and checkpoints, data, what was converted; and the hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.catalog.files import locate
from harness.catalog.holdings import collections
from harness.errors import PrerequisiteError, StoreError
from harness.paths import cache_dir, data_roots, home
from harness.pipeline.doctor.finding import Finding
from harness.store.database import shown
from harness.store.network import network_warning
from harness.store.store import exists, open_store

ROOM = 5 * 2**30
"""Bytes; a disk with less is full after a few checkpoints of a large model."""


def places(url: str) -> Iterator[Finding]:
    """Everything about the folders and the database `url`."""
    yield from _database(url)
    for topic, folder, variable in (("home", home(), "$HARNESS_HOME"), ("cache", cache_dir(), "$HARNESS_CACHE")):
        yield _folder(topic, folder, variable)
    yield from _data()


def _database(url: str) -> Iterator[Finding]:
    try:
        if not exists(url):
            yield Finding("database", "note", f"{shown(url)} holds nothing yet", "harness run fills it")
        else:
            with open_store(url, read_only=True) as store:
                counts = ", ".join(f"{count} {status}" for status, count in store.counts().items() if count)
                yield Finding("database", "ok", f"{shown(url)}: runs {counts or '0'}")
        if warning := network_warning(url):
            yield Finding("database", "wrong", warning)
    except StoreError as error:
        yield Finding("database", "wrong", str(error))


def _folder(topic: str, folder: Path, variable: str) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(topic, "wrong", f"{folder} can't be written", f"point {variable} elsewhere")
    free = shutil.disk_usage(there).free
    told = f"{folder}, {free / 2**30:.1f} GiB free"
    return (
        Finding(topic, "ok", told) if free >= ROOM else Finding(topic, "note", told, f"{variable} names another disk")
    )


def _data() -> Iterator[Finding]:
    for root in data_roots()[:-1]:
        if not root.is_dir():
            yield Finding("data", "wrong", f"{root} of $HARNESS_DATA is no folder", "correct $HARNESS_DATA")
    known = collections().values()
    here = sum(all(_is_here(file.file) for file in collection.files) for collection in known)
    told = f"{here} of {len(known)} data sets are here, looked for in {', '.join(map(str, data_roots()))}"
    lacking = here < len(known)
    yield Finding(
        "data", "note" if lacking else "ok", told, "harness data list, harness data fetch" if lacking else ""
    )


def _is_here(file: str) -> bool:
    try:
        locate(file)
    except PrerequisiteError:
        return False
    return True
