"""Training examples: read from their sources, then drawn for a run."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from harness.catalog.files import locate, sha256_of
from harness.errors import RunError
from harness.spec.run import DataRef, SourceRef
from harness.train.wording import reword

BUILDERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}
REQUIRED = {
    "instruction": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
    "messages": ("messages",),
    "text": ("text",),
}


@dataclass(frozen=True)
class Example:
    """One training example.

    instruction: what the prompt template is filled with, or under `prompt_completion` the prompt as it
    stands; output: what the model is to answer; text: the whole text of the format `text`; messages: a
    conversation of `{role, content}` under the format `messages`.
    """

    format: str
    instruction: str = ""
    input: str = ""
    output: str = ""
    text: str = ""
    messages: tuple[dict[str, str], ...] = ()


def read(data: DataRef) -> list[Example]:
    """Every example of the sources, in their order.

    Raises RunError("data") naming the file, the row and the columns there; PrerequisiteError for a missing file.
    """
    examples = [
        _example(row, source, number) for source in data.sources for number, row in enumerate(_rows(source), start=1)
    ]
    if not examples:
        raise RunError("data", f"{data.name} holds no examples")
    return examples


def fingerprints(data: DataRef) -> dict[str, str]:
    """What was read, by source: a file's SHA-256, a hub data set's revision, or an address."""
    found = {}
    for source in data.sources:
        local = source.kind in ("catalog", "path")
        found[source.name] = sha256_of(locate(source.location)) if local else source.revision or source.location
    return found


def draw(examples: list[Example], data: DataRef, seed: int) -> tuple[list[Example], list[Example]]:
    """The training and validation examples of a run: the same for every method, another choice for each seed.

    One permutation, made with the run's seed, serves all: its head is the validation set, and the training
    set is the first `fraction` of what follows, at most `limit`. So 10 % lies within 20 % for a seed, and the
    validation set is the same for every fraction.
    """
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)  # noqa: S311
    held_out, rest = order[: data.validation], order[data.validation :]
    count = round(data.fraction * len(rest))
    used = rest[: count if data.limit is None else min(count, data.limit)]
    if not used:
        raise RunError(
            "data",
            f"{data.name}: fraction {data.fraction:g} of {len(examples)} examples, {data.validation} of them for "
            "validation, leaves none to train on",
        )
    return [examples[i] for i in used], [examples[i] for i in held_out]


def _rows(source: SourceRef) -> Iterable[Any]:
    if source.kind in ("catalog", "path"):
        return _file_rows(_unchanged(source))
    from datasets import load_dataset

    if source.kind == "hub":
        return load_dataset(source.location, revision=source.revision, split="train")
    builder = _builder(urlparse(source.location).path)
    return load_dataset(builder, data_files=source.location, split="train")


def _unchanged(source: SourceRef) -> Path:
    """The source's file, if it still is what the run was planned with."""
    path = locate(source.location)
    if source.content.startswith("sha256:") and source.content != f"sha256:{sha256_of(path)}":
        raise RunError("data", f"{path} has changed since the run was planned; run the command again")
    return path


def _builder(path: str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in BUILDERS:
        raise RunError("data", f"{path}: unknown kind of file; use {', '.join(BUILDERS)}")
    return BUILDERS[suffix]


def _file_rows(path: Path) -> Iterable[Any]:
    builder = _builder(str(path))
    if builder == "parquet":
        from pyarrow.parquet import read_table

        return read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8-sig")
    if builder == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return _json_rows(text, path)


def _json_rows(text: str, path: Path) -> list[Any]:
    """A JSON array, or one JSON value a line; the content decides, for both are called .json."""
    try:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError as error:
        raise RunError("data", f"{path} is neither a JSON array nor JSON lines: {error}") from error


def _example(row: Any, source: SourceRef, number: int) -> Example:
    where = f"{source.location} row {number}"
    if not isinstance(row, dict):
        raise RunError("data", f"{where}: must be a mapping of columns, got {type(row).__name__}")
    if source.wording is not None:
        row = reword(row, source.wording, number)
    missing = [column for column in REQUIRED[source.format] if row.get(column) is None]
    if missing:
        columns = ", ".join(str(column) for column in row) or "none"
        raise RunError("data", f"{where}: no {', '.join(missing)} (format {source.format}); the columns are {columns}")
    if source.format == "messages":
        return Example("messages", messages=_conversation(row["messages"], where))
    texts = dict(_texts(row, source.format, where))
    if source.format == "prompt_completion":
        return Example(source.format, instruction=texts["prompt"], output=texts["completion"])
    return Example(source.format, **texts)


def _texts(row: dict[str, Any], format: str, where: str) -> Iterator[tuple[str, str]]:
    """The columns that the format uses; `input` may be absent or null."""
    for column in (*REQUIRED[format], "input") if format == "instruction" else REQUIRED[format]:
        value = "" if row.get(column) is None else row[column]
        if not isinstance(value, str):
            raise RunError("data", f"{where}: {column} must be text, got {type(value).__name__}")
        yield column, value


def _conversation(messages: Any, where: str) -> tuple[dict[str, str], ...]:
    shaped = isinstance(messages, (list, tuple)) and all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in messages
    )
    if not shaped or not messages or messages[-1]["role"] != "assistant":
        raise RunError("data", f"{where}: messages must be a list of {{role, content}} that ends with the assistant's")
    return tuple({"role": message["role"], "content": message["content"]} for message in messages)
