"""Compacter: bottleneck adapters whose projections are sums of Kronecker products with factors that layers share."""

from ..registration import register_tuner
from .config import CompacterConfig
from .layer import CompacterLayer, Linear
from .model import CompacterModel

__all__ = ["CompacterConfig", "CompacterLayer", "CompacterModel", "Linear"]

register_tuner("compacter", CompacterConfig, CompacterModel)
