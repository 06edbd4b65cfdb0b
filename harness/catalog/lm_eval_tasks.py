"""lm-eval's own tasks, read off its files without importing it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from harness.catalog.tasks import LM_EVAL, Task, task_of
from harness.errors import SpecError

NAMED = re.compile(r"""^["']?(task|group|tag)["']?:[ \t]*["']?([^\s"'#{\[&!|>-][^\s"'#]*)""", re.MULTILINE)
TAGS = re.compile(r"""^["']?tag["']?:[ \t]*\n((?:[ \t]*-[ \t]*\S+[ \t]*\n)+)""", re.MULTILINE)


@dataclass(frozen=True)
class Named:
    """What a name means: `task`, `group` or `tag`, and the file that says so."""

    kind: str
    path: Path


@lru_cache
def lm_eval_index() -> dict[str, Named]:
    """What lm-eval's names mean. A name that a task has too is the task's; nothing where lm-eval is absent."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return {}
    files = (Path(spec.origin).parent / "tasks").rglob("*.yaml")
    texts = [(file, file.read_text(encoding="utf-8", errors="ignore")) for file in files]
    found = [(name, Named(kind, file)) for file, text in texts for name, kind in _names(text)]
    return dict(found) | {name: named for name, named in found if named.kind == "task"}


def _names(text: str) -> Iterator[tuple[str, str]]:
    """The names that a task file gives, each with its kind. Parsed as YAML, 14,000 files would take a minute."""
    yield from ((name, kind) for kind, name in NAMED.findall(text))
    for listed in TAGS.findall(text):
        yield from ((line.strip().lstrip("- \t").strip("\"'"), "tag") for line in listed.splitlines())


def lm_eval_task(name: str) -> Task | None:
    """The task that lm-eval calls by this name; None where it has none, or one that its file doesn't describe."""
    named = lm_eval_index().get(name)
    if named is None or named.kind != "task":
        return None
    try:
        task = task_of(named.path)
    except SpecError:
        return None
    return replace(task, suite=LM_EVAL, file=None) if task is not None and task.name == name else None
