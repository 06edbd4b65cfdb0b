"""`matrix` and `select.over`, as JSON Schema: lists of values of fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness.adapters.method import Method
from harness.spec.editor.shapes import Schema, closed
from harness.spec.matrix import AXES, FACTS, MOST_RULES, params_of
from harness.spec.select import TUNABLE


def matrix_schema(methods: Sequence[Method], definitions: dict[str, Any]) -> Schema:
    """`matrix`: axes, `zip` and `exclude`. definitions: pydantic's, in which the sections' fields are found."""
    axes = _axes(AXES, methods, definitions)
    rules: dict[str, Schema] = {name: {} for name in (*axes, *FACTS)}
    exclude = {"type": "array", "maxItems": MOST_RULES, "items": closed(rules) | {"minProperties": 1}}
    return closed({**axes, "zip": _zip(axes), "exclude": exclude})


def over_schema(methods: Sequence[Method], definitions: dict[str, Any]) -> Schema:
    """`select.over`: what is tuned."""
    axes = _axes(TUNABLE, methods, definitions)
    return closed({**axes, "zip": _zip(axes)}) | {"minProperties": 1}


def _axes(fields: Iterable[str], methods: Sequence[Method], definitions: dict[str, Any]) -> dict[str, Schema]:
    names = [*sorted(fields), *sorted(params_of(methods))]
    return {name: {"type": "array", "minItems": 1, "items": _value(name, definitions)} for name in names}


def _value(name: str, definitions: dict[str, Any]) -> Schema:
    section, _, field = name.partition(".")
    found = definitions.get(f"{section.capitalize()}Spec", {}).get("properties", {}).get(field, {})
    return {key: value for key, value in found.items() if key != "default"}


def _zip(axes: dict[str, Schema]) -> Schema:
    return {"type": "array", "items": closed(axes) | {"minProperties": 1}, "description": "lists that go together"}
