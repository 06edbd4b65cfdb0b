"""Training data sets known by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from harness.catalog.content import Content
from harness.catalog.files import locate, sha256_of
from harness.catalog.origins import Origin, origins
from harness.errors import NotFoundError, PrerequisiteError, nearest
from harness.paths import PACKAGE

REQUIRED = {
    "instruction": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
    "messages": ("messages",),
    "text": ("text",),
}
"""What a row of each format must have; a row of `instruction` may have `input` too."""
FORMATS = tuple(REQUIRED)
KINDS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}
"""The kinds of data files, by extension."""


def fields_of(format: str) -> tuple[str, ...]:
    """Everything that a row of this format may have."""
    return (*REQUIRED[format], "input") if format == "instruction" else REQUIRED[format]


@dataclass(frozen=True)
class Wording:
    """How a choice between two answers is asked: a template of `question`, `first`, `second`; the answers' name."""

    instruction: str
    answer: str


@dataclass(frozen=True)
class DataFile:
    """One file of a data set: its location (see `catalog.files.locate`) and, where known, its SHA-256.

    wording: the words in which its multiple-choice questions are asked instead of in their own;
    columns: what the file calls the fields of its format, where it has other names; replace: patterns and what
    takes their place in the answer.
    """

    file: str
    sha256: str | None = None
    wording: Wording | None = None
    columns: tuple[tuple[str, str], ...] = ()
    replace: tuple[tuple[str, str], ...] = ()

    @property
    def origin(self) -> Origin | None:
        """Where it can be fetched from."""
        return origins().get(self.file)

    @property
    def expected(self) -> Content:
        """What it must hold, as far as the catalog knows it."""
        return Content(self.sha256, self.origin.git if self.origin else None)

    def content(self) -> str | None:
        """The SHA-256 that fixes the content: the catalog's, else that of the copy at hand, else None."""
        if self.sha256:
            return self.sha256
        try:
            return sha256_of(locate(self.file))
        except PrerequisiteError:
            return None

    def check(self, name: str | None = None) -> None:
        """Raises PrerequisiteError where the file is absent or is not what the catalog says.

        name: of the data set or task that needs it.
        """
        path = locate(self.file, name)
        if fault := self.expected.fault(path):
            raise PrerequisiteError(
                f"{path} is not the file that the catalog means by {self.file} ({fault}); put the original "
                "there, or name your own file with data.train: {path: ...}, or a task of your own (tasks_path)"
            )


@dataclass(frozen=True)
class DataSet:
    """A training data set: one or more files of one format."""

    name: str
    title: str
    format: str
    files: tuple[DataFile, ...]


@lru_cache
def data_sets() -> dict[str, DataSet]:
    """Every known data set by name."""
    return {
        name: DataSet(name, fields["title"], fields["format"], tuple(_data_file(**file) for file in fields["files"]))
        for name, fields in _catalog("data.yaml").items()
    }


@lru_cache
def wordings() -> dict[str, Wording]:
    """Every known wording by the name of the data set whose words it has."""
    return {name: Wording(**fields) for name, fields in _catalog("wordings.yaml").items()}


def _data_file(
    file: str,
    sha256: str | None = None,
    wording: str | None = None,
    columns: dict[str, str] | None = None,
    replace: list[list[str]] | None = None,
) -> DataFile:
    return DataFile(
        file,
        sha256,
        wordings()[wording] if wording else None,
        tuple((columns or {}).items()),
        tuple((pattern, text) for pattern, text in replace or ()),
    )


def _catalog(file: str) -> dict[str, Any]:
    return yaml.safe_load((PACKAGE / "catalog" / file).read_text(encoding="utf-8"))


def data_set(name: str) -> DataSet:
    """The data set of this name. Raises NotFoundError with the nearest one."""
    try:
        return data_sets()[name]
    except KeyError:
        raise NotFoundError(f"unknown data set {name!r}, {nearest(name, data_sets())}") from None
