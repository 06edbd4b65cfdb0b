"""What all the schemas are made of."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
"""The version that YAML's language server knows best."""


def closed(properties: dict[str, Schema]) -> Schema:
    """A mapping that has no other fields than these."""
    return {"type": "object", "properties": properties, "additionalProperties": False}
