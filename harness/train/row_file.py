"""Reading the rows of a data file: JSON, JSON lines, CSV or Parquet, by its extension."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from harness.catalog.data import KINDS
from harness.errors import RunError

SIGNS = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"version https://git-lfs": "a Git LFS pointer, which stands for the file",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
"""How files begin that are taken for another kind."""


def kind_of(path: str) -> str:
    """`json`, `csv` or `parquet`. Raises RunError("data") for another extension."""
    suffix = Path(path).suffix.lower()
    if suffix not in KINDS:
        raise RunError("data", f"{path}: unknown kind of file; use {', '.join(KINDS)}")
    return KINDS[suffix]


def read_rows(path: Path) -> list[Any]:
    """Every row of a file as it stands there.

    Raises RunError("data") for an empty, broken or other file, with the row where that begins.
    """
    kind = kind_of(str(path))
    if not path.stat().st_size:
        raise RunError("data", f"{path} is empty")
    if kind == "parquet":
        rows = _parquet_rows(path)
    else:
        text = _text(path)
        rows = _csv_rows(text, path) if kind == "csv" else _json_rows(text, path)
    if not rows:
        raise RunError("data", f"{path} holds no rows")
    return rows


def _text(path: Path) -> str:
    content = path.read_bytes()
    if other := _other_kind(content):
        raise RunError("data", f"{path} is {other}, in spite of its name")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RunError("data", f"{path} line {line} is not UTF-8 (byte {content[error.start]:#04x})") from None


def _other_kind(content: bytes) -> str | None:
    start = content[:64].lstrip()
    return next((kind for sign, kind in SIGNS.items() if start.lower().startswith(sign.lower())), None)


def _parquet_rows(path: Path) -> list[Any]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        return read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        with path.open("rb") as file:
            other = _other_kind(file.read(64))
        found = "it is cut off or damaged" if other in (None, "a Parquet file") else f"it is {other}"
        raise RunError("data", f"{path} can't be read as Parquet: {found} ({str(error).splitlines()[0]})") from None


def _csv_rows(text: str, path: Path) -> list[Any]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Any] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                cells = sum(value is not None for value in row.values()) - (None in row) + len(row.get(None) or ())
                columns = len(reader.fieldnames or ())
                raise RunError("data", f"{path} row {len(rows) + 1}: has {cells} cells, its header {columns}")
            rows.append(row)
    except csv.Error as error:
        raise RunError("data", f"{path} row {len(rows) + 1}: no valid CSV: {error}; is the file cut off?") from None
    return rows


def _json_rows(text: str, path: Path) -> list[Any]:
    """A JSON array, or one JSON value a line; the content decides, for both are called .json."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            row = _whole_rows(text) + 1
            cut = "" if text.rstrip().endswith("]") else "; is the file cut off?"
            raise RunError("data", f"{path} row {row}: no valid JSON: {error}{cut}") from None
    rows: list[Any] = []
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    for number, line in lines:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if not rows:
                raise RunError("data", _no_rows(text, path, error)) from None
            cut = "; is the file cut off?" if number == lines[-1][0] else ""
            message = f"{path} row {len(rows) + 1} (line {number}): no valid JSON: {error.msg}{cut}"
            raise RunError("data", message) from None
    return rows


def _no_rows(text: str, path: Path, error: json.JSONDecodeError) -> str:
    """What a file is that is named .json and begins neither as an array nor as JSON lines."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return f"{path} is neither a JSON array nor JSON lines: {error}"
    keys = f" with the keys {', '.join(map(str, whole))}" if isinstance(whole, dict) else ""
    return f"{path} is one JSON {type(whole).__name__}{keys}, neither a JSON array nor JSON lines"


def _whole_rows(text: str) -> int:
    """How many values of a broken JSON array are whole."""
    decoder, count = json.JSONDecoder(), 0
    at = text.index("[") + 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            _, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return count
        count += 1
