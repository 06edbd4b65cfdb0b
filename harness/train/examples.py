"""Training examples: read from their sources, then drawn for a run."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.catalog.data import REQUIRED, fields_of
from harness.catalog.files import locate, sha256_of
from harness.catalog.holdings import fetch_url, url_path
from harness.errors import RunError
from harness.spec.run import DataRef, SourceRef
from harness.train.mixture import shares
from harness.train.row_file import read_rows
from harness.train.wording import reword


@dataclass(frozen=True)
class Example:
    """One training example.

    instruction: what the prompt template is filled with, or under `prompt_completion` the prompt as it
    stands; output: what the model is to answer; text: the whole text of the format `text`; messages: a
    conversation of `{role, content}` under the format `messages`; part: of a mixture, the place of its part.
    """

    format: str
    instruction: str = ""
    input: str = ""
    output: str = ""
    text: str = ""
    messages: tuple[dict[str, str], ...] = ()
    part: int = 0


def read(data: DataRef) -> list[Example]:
    """Every example of the sources, in their order.

    Raises RunError("data") naming the file, the row and the columns there; PrerequisiteError for a missing file.
    """
    examples = [
        replace(example, part=part) if part else example
        for source, part in zip(data.sources, data.owners, strict=True)
        for example in read_source(source)
    ]
    if not examples:
        raise RunError("data", f"{data.name} holds no examples")
    return examples


def read_source(source: SourceRef) -> list[Example]:
    """Every example of one source. Raises what `read` does."""
    return [_example(row, source, number) for number, row in enumerate(_rows(source), start=1)]


def data_fingerprints(data: DataRef) -> dict[str, str]:
    """What was read, by source: a file's SHA-256, or a hub data set's revision."""
    return {source.name: source.revision or sha256_of(_file(source)) for source in data.sources}


def _file(source: SourceRef) -> Path:
    return url_path(source.location) if source.kind == "url" else locate(source.location)


def draw(examples: list[Example], data: DataRef, seed: int) -> tuple[list[Example], list[Example]]:
    """The training and validation examples of a run: the same for every method, another choice for each seed.

    One permutation, made with the run's seed, serves all: its head is the validation set, and the training
    set is the first `fraction` of what follows, at most `limit`. So 10 % lies within 20 % for a seed, and the
    validation set is the same for every fraction. A mixture's permutation takes from its parts in proportion to
    their weights, and ends with the first part that is used up: see `mixture.shares`.
    """
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)  # noqa: S311
    if data.mix:
        weights = [part.weight for part in data.mix]
        order = shares(order, [examples[index].part for index in order], weights)
    held_out, rest = order[: data.validation], order[data.validation :]
    used = rest[: drawn_count(data, len(order))]
    return [examples[i] for i in used], [examples[i] for i in held_out]


def drawn_count(data: DataRef, total: int) -> int:
    """How many of `total` examples are drawn to train on. Raises RunError("data") where none are left."""
    count = round(data.fraction * max(0, total - data.validation))
    count = count if data.limit is None else min(count, data.limit)
    if not count:
        raise RunError(
            "data",
            f"{data.name}: fraction {data.fraction:g} of {total} examples, {data.validation} of them for "
            "validation, leaves none to train on",
        )
    return count


def _rows(source: SourceRef) -> Iterable[Any]:
    return _hub_rows(source) if source.kind == "hub" else read_rows(_unchanged(source))


def _hub_rows(source: SourceRef) -> Iterable[Any]:
    from datasets import load_dataset

    try:
        split = source.split or "train"
        return load_dataset(source.location, source.config, revision=source.revision, split=split)
    except Exception as error:  # whatever a hub, its cache or a damaged file brings
        told = str(error).splitlines() or [type(error).__name__]
        where = f"{source.location}@{source.revision}"
        raise RunError("data", f"the hub's data set {where} can't be loaded: {told[0]}") from error


def _unchanged(source: SourceRef) -> Path:
    """The source's file, if it still is what the run was planned with."""
    if source.kind == "url":
        return fetch_url(source.location, source.sha256)
    path = locate(source.location)
    if source.sha256 and source.sha256 != sha256_of(path):
        raise RunError("data", f"{path} has changed since the run was planned; run the command again")
    return path


def _example(row: Any, source: SourceRef, number: int) -> Example:
    where = f"{source.location} row {number}"
    if not isinstance(row, dict):
        raise RunError("data", f"{where}: must be a mapping of columns, got {type(row).__name__}")
    if source.wording is not None:
        row = reword(row, source.wording, number)
    names = {field: source.columns.get(field, field) for field in fields_of(source.format)}
    missing = [names[field] for field in REQUIRED[source.format] if row.get(names[field]) is None]
    if missing:
        raise RunError("data", f"{where}: no {', '.join(missing)} (format {source.format}); {_found(row)}")
    row = {field: row.get(column) for field, column in names.items()}
    if source.format == "messages":
        return Example("messages", messages=_conversation(row["messages"], where))
    texts = dict(_texts(row, source.format, where))
    if source.format == "prompt_completion":
        return Example(source.format, instruction=texts["prompt"], output=_replaced(texts["completion"], source))
    if source.format == "instruction":
        texts["output"] = _replaced(texts["output"], source)
    return Example(source.format, **texts)


def _found(row: dict[str, Any]) -> str:
    """The columns of a row that has not what its format needs, and the formats that it would fit."""
    columns = ", ".join(str(column) for column in row) or "none"
    fitting = [format for format, needed in REQUIRED.items() if all(row.get(column) is not None for column in needed)]
    return f"the columns are {columns}" + (f", which fit format {' or '.join(fitting)}" if fitting else "")


def _replaced(answer: str, source: SourceRef) -> str:
    for pattern, text in source.replace:
        answer = re.sub(pattern, text, answer)
    return answer


def _texts(row: dict[str, Any], format: str, where: str) -> Iterator[tuple[str, str]]:
    """The columns that the format uses; `input` may be absent or null."""
    for column in (*REQUIRED[format], "input") if format == "instruction" else REQUIRED[format]:
        value = "" if row.get(column) is None else row[column]
        if not isinstance(value, str):
            raise RunError("data", f"{where}: {column} must be text, got {type(value).__name__}")
        yield column, value


def _conversation(messages: Any, where: str) -> tuple[dict[str, str], ...]:
    shaped = isinstance(messages, (list, tuple)) and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
        for message in messages
    )
    if not shaped or not messages or messages[-1]["role"] != "assistant":
        raise RunError(
            "data",
            f"{where}: messages must be a list of {{role, content}}, texts both, that ends with the assistant's",
        )
    return tuple({"role": message["role"], "content": message["content"]} for message in messages)
