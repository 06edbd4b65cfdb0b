"""The whole examination, topic by topic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.adapters.catalogue import find_methods
from harness.errors import HarnessError
from harness.paths import builtin_dir
from harness.pipeline.doctor.finding import Finding
from harness.pipeline.doctor.hub import hub
from harness.pipeline.doctor.machine import machine
from harness.pipeline.doctor.packages import packages
from harness.pipeline.doctor.places import places

VARIABLES = ("HARNESS_DB", "HARNESS_HOME", "HARNESS_DATA", "HARNESS_CACHE", "HARNESS_PROFILE")


def examine(url: str, adapters: Path | None) -> Iterator[Finding]:
    """All findings, each as soon as it is there. url: the results database; adapters: as for `find_methods`."""
    yield from packages()
    yield from machine()
    yield from places(url)
    yield from methods(adapters)
    yield from hub()
    named = [f"${name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)]
    yield Finding("environment", "ok", ", ".join(named) or "no variable of the harness is set")


def methods(adapters: Path | None) -> Iterator[Finding]:
    """The methods that can be named, and the files that can't be read."""
    try:
        found = find_methods(adapters)
    except HarnessError as error:
        yield Finding("methods", "wrong", str(error))
        return
    for name, problems in found.broken.items():
        yield Finding("methods", "wrong", f"{name}: {'; '.join(map(str, problems))}", "harness adapters check FILE")
    builtin = str(builtin_dir("adapters"))
    own = [name for name, method in found.methods.items() if not str(Path(method.file).absolute()).startswith(builtin)]
    yield Finding("methods", "ok", f"{len(found.methods)}, {len(own)} of them your own")
