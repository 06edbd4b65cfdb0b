"""What a method's YAML names as `module:name`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from harness.errors import RunError


def resolve(reference: str) -> Any:
    """The object that `module:name` names. Raises RunError("config") where there is none."""
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RunError("config", f"{reference} can't be imported: {error}") from error
