"""Reading experiment files: what they extend, their profiles, their relative paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.errors import Problem, SpecError, nearest
from harness.located import Located, read_yaml
from harness.paths import builtin_dir
from harness.spec.merge import merge

PAPER = "paper"
"""The profile that a file is as it stands."""


def find_experiment(path: Path) -> Path:
    """The file itself, else the built-in experiment of that name: `experiments/smoke.yaml` works anywhere.

    Raises SpecError where there is none, with the nearest name.
    """
    builtin = builtin_dir("experiments")
    for candidate in (path, builtin / path.name, builtin / f"{path.name}.yaml"):
        if candidate.is_file() and (candidate == path or path.parent in (Path(), Path("experiments"))):
            return candidate
    names = [found.name for folder in (path.parent, builtin) for found in folder.glob("*.yaml")]
    raise SpecError([Problem(str(path), 0, "", f"no such experiment, {nearest(path.name, names)}")])


def read_extended(path: Path, chain: tuple[Path, ...] = ()) -> Located:
    """A file laid over all that it extends. Raises SpecError for a cycle or a file that can't be read."""
    located = read_yaml(path, shown(path))
    _make_absolute(located.data, path.parent)
    for block in (located.data.get("profiles") or {}).values():
        if isinstance(block, dict):
            _make_absolute(block, path.parent)
    parents = _parents(located, located.data.pop("extends", None), ("extends",), path, chain)
    _read_profile_parents(located, path, chain)
    return merge(*parents, located)


def _read_profile_parents(located: Located, path: Path, chain: tuple[Path, ...]) -> None:
    """Lays each profile over what it extends, while the file that names it is at hand."""
    profiles = located.data.get("profiles")
    for name, block in profiles.items() if isinstance(profiles, dict) else ():
        if not isinstance(block, dict) or "extends" not in block:
            continue
        place = ("profiles", name)
        parents = _parents(located, block.pop("extends"), (*place, "extends"), path, chain)
        own = Located(block, {mark[2:]: at for mark, at in located.marks.items() if mark[:2] == place})
        merged = merge(*parents, own)
        profiles[name] = merged.data
        located.marks.update({(*place, *mark): at for mark, at in merged.marks.items() if mark})


def _parents(
    located: Located, names: Any, place: tuple[str, ...], path: Path, chain: tuple[Path, ...]
) -> list[Located]:
    if names is None:
        return []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SpecError([located.problem(place, f"must be a list of files, got {names!r}")])
    return [_parent(located, name, (*place, index), path, chain) for index, name in enumerate(names)]


def _parent(located: Located, name: str, place: tuple[str | int, ...], path: Path, chain: tuple[Path, ...]) -> Located:
    target = (path.parent / name).resolve()
    if not target.is_file() and (builtin_dir("experiments") / name).is_file():
        target = (builtin_dir("experiments") / name).resolve()
    if not target.is_file():
        near = nearest(name, [found.name for found in path.parent.glob("*.yaml")])
        raise SpecError([located.problem(place, f"no such file {name!r}, {near}")])
    if target in (*chain, path.resolve()):
        raise SpecError([located.problem(place, f"{name} extends this file in turn: a cycle")])
    return read_extended(target, (*chain, path.resolve()))


def shown(path: Path) -> str:
    """The path as messages show it: relative to the current directory where it lies below."""
    absolute = path.absolute()
    return os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(path)


def _make_absolute(block: dict[str, Any], folder: Path) -> None:
    """Paths are relative to the file that names them."""
    holders = [(block, "tasks_path"), (block.get("base"), "model")]
    data = block.get("data")
    holders.append((data.get("train") if isinstance(data, dict) else None, "path"))
    for holder, key in holders:
        value = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(value, str) and (key != "model" or value.startswith(("./", "../", "~"))):
            holder[key] = str((folder / Path(value).expanduser()).resolve())


def with_profile(located: Located, name: str, path: Path) -> Located:
    """The document with the profile of this name laid over it."""
    profiles = located.data.pop("profiles", None) or {}
    if not isinstance(profiles, dict):
        raise SpecError([located.problem(("profiles",), f"must be a mapping of profiles, got {profiles!r}")])
    if name not in profiles:
        if name == PAPER:
            return located
        known = {PAPER, *profiles}
        raise SpecError([Problem(shown(path), 0, "profiles", f"unknown profile {name!r}, {nearest(name, known)}")])
    place = ("profiles", name)
    marks = {mark[2:]: at for mark, at in located.marks.items() if mark[:2] == place}
    return merge(located, Located(profiles[name] or {}, marks))


def profiles_of(path: Path) -> list[str]:
    """The profiles that a file has, `paper` first."""
    declared = read_extended(find_experiment(path)).data.get("profiles")
    return list(dict.fromkeys([PAPER, *(declared if isinstance(declared, dict) else ())]))


def question_of(path: Path) -> str:
    """The question that the first comment line of the file asks."""
    first = path.read_text(encoding="utf-8").lstrip().splitlines()[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""
