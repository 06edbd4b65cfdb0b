"""Bottleneck adapters, in series with a linear layer (Houlsby et al.) or parallel to it (He et al.)."""

from ..registration import register_tuner
from .config import BottleneckConfig
from .layer import BottleneckLayer, Linear
from .model import BottleneckModel

__all__ = ["BottleneckConfig", "BottleneckLayer", "BottleneckModel", "Linear"]

register_tuner("bottleneck", BottleneckConfig, BottleneckModel)
