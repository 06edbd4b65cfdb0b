"""Imports run one way, and what is heavy is imported only where tensors are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "harness"
LAYERS = (
    {"errors", "paths", "yaml_loaders"}, {"located"}, {"catalog"}, {"adapters"}, {"spec"}, {"store"},
    {"train", "score", "report"}, {"pipeline"}, {"schedule"}, {"cli"}, {"__main__"},
)  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = {"torch", "transformers", "peft", "trl", "datasets", "lm_eval"}
WITH_TENSORS = {"train", "score", "tuners"}
MODULES = sorted(
    path for path in HARNESS.rglob("*.py") if "_builtin" not in path.parts and "versions" not in path.parts
)


def part_of(path: Path) -> str:
    """The package of harness to which a module belongs: `spec`, or its own name."""
    return path.relative_to(HARNESS).parts[0].removesuffix(".py")


def imported(path: Path, everywhere: bool) -> Iterator[str]:
    """The modules that a module imports: all, or those that its own import brings in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else at_import(tree.body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(HARNESS.parent).parts[: -node.level] if node.level else ()
            base = ".".join((*package, *([node.module] if node.module else [])))
            yield from ([f"{base}.{alias.name}" for alias in node.names] if base == "harness" else [base])


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        for inner in ("body", "orelse", "finalbody"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from at_import(getattr(node, inner, []))


def named(path: Path) -> str:
    return str(path.relative_to(HARNESS))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_imports_only_what_lies_below_it(path):
    part = part_of(path)
    if part == "__init__":
        return
    for name in imported(path, everywhere=True):
        other = name.split(".")[1] if name.startswith("harness.") else None
        if part == "tuners":
            assert other in (None, "tuners"), f"tuners import nothing of harness, {name} least of all"
        elif other not in (None, part):
            assert other == "tuners" or RANK[other] < RANK[part], f"{part} lies below {other}"
            assert other != "tuners" or part in WITH_TENSORS, "tuners are loaded by their class path"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_training_scoring_and_tuners_load_tensors(path):
    if part_of(path) not in WITH_TENSORS:
        assert HEAVY.isdisjoint(name.split(".")[0] for name in imported(path, everywhere=False))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_report_or_specification_loads_tensors_even_later(path):
    if part_of(path) in {"report", "spec", "store", "adapters", "catalog"}:
        later = set(imported(path, everywhere=True)) - type_checking(path)
        assert HEAVY.isdisjoint(name.split(".")[0] for name in later)


def type_checking(path: Path) -> set[str]:
    """What a module imports for its annotations alone."""
    guarded = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    return {str(inner.module) for node in guarded for inner in node.body if isinstance(inner, ast.ImportFrom)}


@pytest.mark.parametrize(
    "name",
    ["harness", "harness.cli.main", "harness.report.render", "harness.report.leaderboard", "harness.spec.load",
     "harness.cli.report", "harness.cli.plan", "harness.cli.run"],
)  # fmt: skip
def test_importing_is_light(name):
    code = f"import sys, {name}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HARNESS.parent
    )
    assert found.stdout.strip() == ""


def test_the_public_names_are_few():
    import harness

    assert set(dir(harness)) == {"load_experiment", "expand", "plan", "run", "leaderboard", "open_store"}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = harness.nothing
