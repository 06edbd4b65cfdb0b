"""Names of the catalog in an experiment: the base model, the training data, the prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.catalog.data import data_set
from harness.catalog.models import model_entry
from harness.catalog.prompts import prompt
from harness.errors import NotFoundError, Problem
from harness.located import Located
from harness.spec.served import is_served

NAMES: dict[str, Callable[[str], Any]] = {"base.model": model_entry, "data.train": data_set, "prompt": prompt}
"""The fields that hold such names, and what finds what they name."""


def name_problems(located: Located) -> list[Problem]:
    """Names that don't exist."""
    problems = []
    for field in NAMES:
        if field == "base.model" and is_served(located.data):
            continue
        place, value = tuple(field.split(".")), located.data
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and value:
            problems += [located.problem(place, message) for message in unknown_name(field, value)]
    return problems + _mixed_problems(located)


def _mixed_problems(located: Located) -> list[Problem]:
    """Data sets that a mixture names and that don't exist."""
    data = located.data.get("data")
    source = data.get("train") if isinstance(data, dict) else None
    parts = source.get("mix") if isinstance(source, dict) else None
    names = {
        index: part["train"]
        for index, part in enumerate(parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and isinstance(part.get("train"), str)
    }
    return [
        located.problem(("data", "train", "mix", index, "train"), message)
        for index, name in names.items()
        for message in unknown_name("data.train", name)
    ]


def unknown_name(field: str, value: str) -> list[str]:
    """What is wrong with a name in this field: nothing, or that it doesn't exist."""
    try:
        NAMES[field](value)
    except NotFoundError as error:
        return [str(error)]
    return []
