"""Injects NoRA into a model."""

from __future__ import annotations

from ..lowrank import LowRankModel
from .layer import NoraLayer


class NoraModel(LowRankModel):
    """A model with NoRA adapters. Trainable parameters of a layer: 2 · r · q, frozen ones: q · (in + out)."""

    # PEFT takes parameters with the prefix for trained ones.
    prefix: str = "nora_inner_"
    tuner_layer_cls = NoraLayer
