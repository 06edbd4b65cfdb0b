"""The configuration of BitFit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..placement import PlacementConfig


@dataclass
class BitFitConfig(PlacementConfig):
    """Configuration of a [`BitFitModel`]: `y = f(x) + change`, on a module f that has a bias.

    change: the shape of the bias, zero at the start; what is trained is the bias, of which the change is kept. Ben
    Zaken et al., ACL 2022 ("BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
    Language-models", arXiv 2106.10199), section 3. Without `target_modules` it takes every bias of the model's linear
    layers and layer norms, as the paper does, but those of the output layer.
    """

    method: ClassVar[str] = "bitfit"
