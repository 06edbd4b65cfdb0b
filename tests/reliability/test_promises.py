"""Each promise of docs/reliability.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "---" not in line]


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_a_test_that_the_page_names_exists(file: str, test: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))

    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_one() -> None:
    promises = [row for row in ROWS if row != "| promise | test |"]

    assert len(promises) > 10
    assert [row for row in promises if "::test_" not in row] == []


def test_every_test_here_proves_a_promise_of_the_page() -> None:
    here = {name for path in Path(__file__).parent.glob("test_*.py") for name in _tests(path)}

    assert here - {test for _, test in NAMED} - set(_tests(Path(__file__))) == set()


def _tests(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
