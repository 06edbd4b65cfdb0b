"""Python and the packages: there, of a version that is asked for, and importable."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from harness.pipeline.classes import hushed, told
from harness.pipeline.doctor.finding import Finding

OURS = "peft-harness"
IMPORTED = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "lm_eval")
"""What trains and scores."""
EXTRAS = {
    "smollm2": "the base model smollm2-135m",
    "api": "models behind an API",
    "html": "charts of report --format html",
    "figures": "report --figure",
    "postgres": "results on a PostgreSQL server",
    "quantization": "quantised bases and 8-bit optimizers",
    "slurm": "run --executor slurm",
    "ray": "run --executor ray",
}


def packages() -> Iterator[Finding]:
    """Everything about Python and its packages. Imports the large ones, which takes seconds."""
    yield Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")
    try:
        needed = [Requirement(line) for line in requires(OURS) or ()]
    except PackageNotFoundError:
        yield Finding("packages", "wrong", f"{OURS} itself is not installed, only found", "pip install .")
        needed = []
    faults = [found for need in needed if _applies(need, "") and (found := _fault(need))]
    for fault, need in faults:
        yield Finding("packages", "wrong", fault, f"pip install '{need}'")
    if needed and not faults:
        count = len({need.name for need in needed if _applies(need, "")})
        yield Finding("packages", "ok", f"{OURS} {version(OURS)} and the {count} packages that it needs")
    yield from _imports()
    for extra, gives in EXTRAS.items():
        yield _extra(extra, gives, [need for need in needed if _applies(need, extra) and not _applies(need, "")])


def _applies(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def _fault(need: Requirement) -> tuple[str, Requirement] | None:
    """What is wrong with an installed package, and the requirement that says so; None where nothing is."""
    plain = Requirement(f"{need.name}{need.specifier}")
    try:
        found = version(need.name)
    except PackageNotFoundError:
        return f"{need.name} is not installed", plain
    if need.specifier.contains(found, prereleases=True):
        return None
    return f"{need.name} {found} is not the version that is needed ({need.specifier})", plain


def _imports() -> Iterator[Finding]:
    begun = time.monotonic()
    broken = False
    for name in IMPORTED:
        try:
            with hushed():
                import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken package may raise anything
            broken = True
            yield Finding("imports", "wrong", f"{name} can't be imported: {told(error)}", f"reinstall {name}")
    if not broken:
        found = ", ".join(f"{name.replace('_', '-')} {version(name.replace('_', '-'))}" for name in IMPORTED)
        yield Finding("imports", "ok", f"{found} in {time.monotonic() - begun:.1f} s")


def _extra(extra: str, gives: str, needed: list[Requirement]) -> Finding:
    lacking = [fault for need in needed if (fault := _fault(need))]
    if not lacking:
        return Finding(f"extra {extra}", "ok", gives)
    said = "; ".join(fault for fault, _ in lacking)
    return Finding(f"extra {extra}", "note", f"{gives}: {said}", f"pip install '{OURS}[{extra}]'")
