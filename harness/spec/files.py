"""Reading experiment files: what they extend, their profiles, their relative paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import Problem, SpecError, nearest
from harness.located import Located, read_yaml
from harness.paths import builtin_dir
from harness.spec.merge import merge
from harness.spec.relative import make_absolute

PAPER = "paper"
"""The profile that a file is as it stands."""
MOST_FILES = 100
"""A file that extends more, one of another, is refused."""
MOST_PROFILES = 50
"""Scales at which a question can be asked."""


def find_experiment(path: Path) -> Path:
    """The file itself, else the built-in experiment of that name: `experiments/smoke.yaml` works anywhere.

    Raises SpecError where there is none, with the nearest name.
    """
    builtin = builtin_dir("experiments")
    for candidate in (path, builtin / path.name, builtin / f"{path.name}.yaml"):
        if os.path.isfile(candidate) and (candidate == path or path.parent in (Path(), Path("experiments"))):
            return candidate
    if os.path.lexists(path):
        raise SpecError([Problem(str(path), 0, "", "is no regular file")])
    names = [found.name for folder in (path.parent, builtin) for found in folder.glob("*.yaml")]
    raise SpecError([Problem(str(path), 0, "", f"no such experiment, {nearest(path.name, names)}")])


@dataclass(frozen=True)
class _Reading:
    """A file being read. chain: the files that extend it, one the other; read: every file that was read so far."""

    path: Path
    chain: tuple[Path, ...] = ()
    read: list[Path] = field(default_factory=list)


def read_extended(path: Path, problems: list[Problem]) -> Located:
    """A file laid over all that it extends; cycles and files that can't be read are added to `problems`.

    Raises SpecError where the file itself can't be read.
    """
    return _read(_Reading(path), problems)


def _read(reading: _Reading, problems: list[Problem]) -> Located:
    path = reading.path
    located = read_yaml(path, shown(path))
    make_absolute(located.data, path.parent)
    _check_profiles(located, problems)
    for block in (located.data.get("profiles") or {}).values():
        make_absolute(block, path.parent)
    parents = _parents(located, located.data.pop("extends", None), ("extends",), reading, problems)
    _read_profile_parents(located, reading, problems)
    return merge(*parents, located)


def _check_profiles(located: Located, problems: list[Problem]) -> None:
    """Takes out what is no profile, so that the rest of the file can be checked."""
    profiles = located.data.get("profiles")
    if not isinstance(profiles, (dict, type(None))):
        problems.append(located.problem(("profiles",), f"must be a mapping of profiles, got {profiles!r}"))
        located.data["profiles"] = {}
        return
    if len(profiles or {}) > MOST_PROFILES:
        message = f"must be at most {MOST_PROFILES} profiles, got {len(profiles)}"
        problems.append(located.problem(("profiles",), message))
        located.data["profiles"] = {}
        return
    for name, block in (profiles or {}).items():
        if not isinstance(block, (dict, type(None))):
            problems.append(located.problem(("profiles", name), f"must be a mapping of fields, got {block!r}"))
        if not isinstance(block, dict):
            profiles[name] = {}


def _read_profile_parents(located: Located, reading: _Reading, problems: list[Problem]) -> None:
    """Lays each profile over what it extends, while the file that names it is at hand."""
    profiles = located.data.get("profiles") or {}
    for name, block in profiles.items():
        if "extends" not in block:
            continue
        place = ("profiles", name)
        parents = _parents(located, block.pop("extends"), (*place, "extends"), reading, problems)
        own = Located(block, {mark[2:]: at for mark, at in located.marks.items() if mark[:2] == place})
        merged = merge(*parents, own)
        profiles[name] = merged.data
        located.marks.update({(*place, *mark): at for mark, at in merged.marks.items() if mark})


def _parents(
    located: Located, names: Any, place: tuple[str, ...], reading: _Reading, problems: list[Problem]
) -> list[Located]:
    if names is None:
        return []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problems.append(located.problem(place, f"must be a list of files, got {names!r}"))
        return []
    found, path, chain = [], reading.path, (*reading.chain, _real(reading.path))
    for index, name in enumerate(names):
        target = _target(name, path)
        if message := _parent_problem(name, target, path, chain, reading.read):
            problems.append(located.problem((*place, index), message))
            if len(reading.read) >= MOST_FILES:
                break
            continue
        reading.read.append(target)
        try:
            found.append(_read(_Reading(target, chain, reading.read), problems))
        except SpecError as error:
            problems += error.problems
    return found


def _target(name: str, path: Path) -> Path:
    """The file that `path` means by `name`: beside it, else the built-in fragment of that name."""
    target = _real(path.parent / name)
    if not os.path.isfile(target) and os.path.isfile(builtin_dir("experiments") / name):
        target = _real(builtin_dir("experiments") / name)
    return target


def _real(path: Path) -> Path:
    """The path without links; one that leads to itself stays (`resolve` raises before Python 3.13)."""
    return Path(os.path.realpath(path))


def _parent_problem(name: str, target: Path, path: Path, chain: tuple[Path, ...], read: Sequence[Path]) -> str | None:
    if not os.path.isfile(target):
        if os.path.lexists(target):
            return f"{name!r} is no regular file"
        return f"no such file {name!r}, {nearest(name, [found.name for found in path.parent.glob('*.yaml')])}"
    if target in chain:
        return f"{name} extends this file in turn: a cycle"
    return f"more than {MOST_FILES} files are extended in all" if len(read) >= MOST_FILES else None


def shown(path: Path) -> str:
    """The path as messages show it: relative to the current directory where it lies below."""
    absolute = path.absolute()
    return os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(path)


def with_profile(located: Located, name: str, path: Path, problems: list[Problem]) -> Located:
    """The document with the profile of this name laid over it; that there is none is added to `problems`."""
    profiles = located.data.pop("profiles", None) or {}
    if name not in profiles:
        if name != PAPER:
            line = located.mark(("profiles",)).line if profiles else 1
            message = f"unknown profile {name!r}, {nearest(name, {PAPER, *profiles})}"
            problems.append(Problem(shown(path), line, "profiles", message))
        return located
    place = ("profiles", name)
    marks = {mark[2:]: at for mark, at in located.marks.items() if mark[:2] == place and len(mark) > 2}
    return merge(located, Located(profiles[name], marks))


def profiles_of(path: Path) -> list[str]:
    """The profiles that a file has, `paper` first."""
    declared = read_extended(find_experiment(path), []).data.get("profiles") or {}
    return list(dict.fromkeys([PAPER, *declared]))


def question_of(path: Path) -> str:
    """The question that the first comment line of the file asks."""
    first = path.read_text(encoding="utf-8-sig").lstrip().splitlines()[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""
