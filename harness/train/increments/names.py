"""Where in a model a parameter belongs, by its name."""

from __future__ import annotations

import re

ADAPTER = "default"
"""PEFT's name for the one adapter that a run has."""
SHARED = re.compile(r"(.+)_\d+x\d+")
"""A group of layers that share a matrix: their name and sizes."""


def part_of_model(name: str) -> tuple[int | None, str | None, str]:
    """The layer (None where layers share it or there is none), the module, and which matrix of the adapter it is.

    `base_model.model.model.layers.3.self_attn.q_proj.lora_A.default.weight` is (3, q_proj, lora_A); of
    `base_model.denselora_encoder.q_proj_128x128.default` the module is the group, q_proj.
    """
    parts = name.split(".")
    if ADAPTER not in parts:
        return _layer(parts), parts[-2] if len(parts) > 1 else None, parts[-1]
    place = parts.index(ADAPTER)
    own, rest = parts[:place], [part for part in parts[place + 1 :] if part != "weight" and not part.isdigit()]
    group = SHARED.fullmatch(own[-1])
    if group and len(own) > 1:
        return _layer(own), group[1], ".".join([own[-2], *rest])
    return _layer(own), own[-2] if len(own) > 1 else None, ".".join([own[-1], *rest])


def _layer(parts: list[str]) -> int | None:
    return next((int(part) for part in parts if part.isdigit()), None)
