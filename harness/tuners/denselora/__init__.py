"""DenseLoRA: an encoder and a decoder per kind of module, shared by all layers, and a small dense matrix per layer."""

from ..registration import register_tuner
from .config import DenseLoraConfig
from .layer import DenseLoraLayer, Linear
from .model import DenseLoraModel

__all__ = ["DenseLoraConfig", "DenseLoraLayer", "DenseLoraModel", "Linear"]

register_tuner("denselora", DenseLoraConfig, DenseLoraModel)
