"""peft-harness: find out, honestly, which parameter-efficient fine-tuning method to use.

experiment = load_experiment("experiments/smoke.yaml")
runs = expand(experiment)
run(experiment)
leaderboard(open_store("sqlite:///results.db"), "micro")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "load_experiment": "harness.spec.load",
    "expand": "harness.spec.grid",
    "plan": "harness.pipeline.plan",
    "run": "harness.schedule.run",
    "leaderboard": "harness.report.leaderboard",
    "open_store": "harness.store.store",
}
__all__ = ["expand", "leaderboard", "load_experiment", "open_store", "plan", "run"]


def __getattr__(name: str) -> Any:
    """Finds a public name where it lives, so that importing harness imports nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
