"""The entries of `adapters`, as JSON Schema: each method with its own parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.adapters.method import Method
from harness.spec.editor.params import param_schema
from harness.spec.editor.shapes import Schema, closed
from harness.spec.mixtures import can_be_mixed

LABEL = {"type": "string", "description": "what the row is called"}


def entry_schema(methods: Sequence[Method], train: Schema) -> Schema:
    """An entry: a method with its parameters, or a mixture. train: the schema of hyper-parameters."""
    own: Schema = {"label": LABEL, "train": train}
    parts = {"anyOf": [_method(method, {}) for method in methods if can_be_mixed(method)]}
    mixture = closed({"mixed": {"type": "array", "minItems": 2, "items": parts}, **own}) | {
        "description": "several adapters on different modules of one model",
        "required": ["mixed"],
    }
    return {"anyOf": [*(_method(method, own) for method in methods), mixture]}


def _method(method: Method, own: Schema) -> Schema:
    named: dict[str, Any] = {"const": method.method, "description": method.summary or method.title}
    params = {name: param_schema(param) for name, param in method.params.items()}
    return closed({"method": named, **params, **own}) | {"title": method.title, "required": ["method"]}
