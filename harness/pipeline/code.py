"""The code that an experiment runs beside the harness's own and PEFT's: what it names, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.spec.run import AdapterRef, RunSpec

FUNCTION = re.compile(r"!function\s+([\w.]+)")
OURS = ("peft:", "harness.")


def named_code(runs: Iterable[RunSpec]) -> list[str]:
    """The classes of methods and the `!function`s in `tasks_path`, each once, in the order of the runs."""
    found: dict[str, None] = {}
    for run in runs:
        for name in classes_of(run.adapter):
            if not name.startswith(OURS):
                found.setdefault(f"{name} ({run.adapter.method})")
        if run.score.tasks_path:
            found.update(dict.fromkeys(_functions(Path(run.score.tasks_path))))
    return list(found)


def classes_of(adapter: AdapterRef) -> Iterator[str]:
    """The classes and factories that an adapter, or a part of it, names."""
    callbacks = (entry["class"] for entry in adapter.callbacks)
    yield from filter(None, (adapter.config_class, adapter.trainer, adapter.optimizer, *callbacks))
    for part in adapter.parts:
        yield from classes_of(part)


def _functions(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.yaml")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            yield from (f"{path}:{number} {name}" for name in FUNCTION.findall(line))
