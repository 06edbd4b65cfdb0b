"""A text is the same document, and its mistake has the same words, with libyaml and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness import located
from harness.errors import SpecError
from harness.located import parse_yaml
from harness.paths import builtin_dir

from .nasty import TEXTS

SHIPPED = [path for kind in ("experiments", "adapters") for path in sorted(builtin_dir(kind).glob("*.yaml"))]
ODD = {name: text for name, text in TEXTS.items() if isinstance(text, str) and len(text) < 20_000}


def read(text: str) -> object:
    try:
        found = parse_yaml(text, "x.yaml")
    except SpecError as error:
        return str(error)
    return found.data, list(found.marks.items())


def both_ways(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, object]:
    fast = read(text)
    monkeypatch.setattr(located, "FastLoader", None)
    located._remembered.cache_clear()
    return fast, read(text)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_reads_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, plain = both_ways(path.read_text(encoding="utf-8"), monkeypatch)
    assert fast == plain
    assert isinstance(fast, tuple)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("name", ODD)
def test_what_no_one_should_write_reads_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, plain = both_ways(ODD[name], monkeypatch)
    assert fast == plain


def test_what_a_reader_changes_is_not_what_the_next_one_gets() -> None:
    first = parse_yaml("a: {b: [1]}", "x.yaml")
    first.data["a"]["b"].append(2)
    first.marks.clear()
    again = parse_yaml("a: {b: [1]}", "x.yaml")
    assert again.data == {"a": {"b": [1]}}
    assert again.mark(("a", "b")).line == 1
