"""Every method that can be named, and where it was found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from harness.adapters.method import Method, load_method
from harness.errors import NotFoundError, Problem, SpecError, nearest
from harness.located import read_yaml
from harness.paths import builtin_dir

GROUP = "harness.adapters"


@dataclass
class Catalogue:
    """Methods by name and the problems of files that can't be read, by the name that each would have.

    The first file found for a name wins, also where it is broken.
    """

    methods: dict[str, Method] = field(default_factory=dict)
    broken: dict[str, tuple[Problem, ...]] = field(default_factory=dict)

    def method(self, name: str) -> Method:
        """The method of this name.

        Raises SpecError with the problems of its file where that is broken, else NotFoundError with the
        nearest name.
        """
        if name in self.methods:
            return self.methods[name]
        if name in self.broken:
            raise SpecError(self.broken[name])
        raise NotFoundError(f"unknown method {name!r}, {nearest(name, {*self.methods, *self.broken})}")


def find_methods(extra: Path | None = None) -> Catalogue:
    """Searches `extra` (`--adapters`), ./adapters, the `harness.adapters` entry points, the built-in ones."""
    catalogue = Catalogue()
    for folder in _folders(extra, catalogue):
        for path in sorted(folder.glob("*.yaml")):
            _add(catalogue, path)
    return catalogue


def _folders(extra: Path | None, catalogue: Catalogue) -> Iterator[Path]:
    if extra is not None:
        if not extra.is_dir():
            raise NotFoundError(f"--adapters: {extra} is no directory")
        yield extra
    if (local := Path("adapters")).is_dir():
        yield local
    for entry in entry_points(group=GROUP):
        try:
            yield Path(str(files(entry.value)))
        except (ImportError, TypeError) as error:
            problem = Problem(f"entry point {GROUP}:{entry.name}", 0, "", f"{entry.value} can't be read: {error}")
            catalogue.broken.setdefault(entry.name, (problem,))
    yield builtin_dir("adapters")


def _add(catalogue: Catalogue, path: Path) -> None:
    shown = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    try:
        method = load_method(path, shown)
    except SpecError as error:
        name = _name_of(path)
        if name not in catalogue.methods:
            catalogue.broken.setdefault(name, error.problems)
        return
    if method.method not in catalogue.broken:
        catalogue.methods.setdefault(method.method, method)


def _name_of(path: Path) -> str:
    """The method that a broken file means: the one that it names where that can be read, else the file's name."""
    try:
        name = read_yaml(path).data.get("method")
    except SpecError:
        name = None
    return name if isinstance(name, str) else path.stem
