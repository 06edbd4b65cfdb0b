"""Whether a server answers for an experiment's base model."""

from __future__ import annotations


def is_served(block: object) -> bool:
    """Whether a file or profile, as it is written, names a model behind an API, with a name of the server's."""
    base = block.get("base") if isinstance(block, dict) else None
    return isinstance(base, dict) and base.get("api") is not None
