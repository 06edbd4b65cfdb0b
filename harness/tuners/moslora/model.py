"""Injects MoSLoRA into a model."""

from __future__ import annotations

from ..lowrank import LowRankModel
from .layer import MosLoraLayer


class MosLoraModel(LowRankModel):
    """A model with MoSLoRA adapters. Trainable parameters of a layer: r · (in + out + r)."""

    prefix: str = "moslora_"
    tuner_layer_cls = MosLoraLayer
