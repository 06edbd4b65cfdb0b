"""Several methods in one adapter: LoRA on some modules, DenseLoRA on others."""

from ..registration import register_tuner
from .config import MixedConfig
from .model import MixedModel

__all__ = ["MixedConfig", "MixedModel"]

register_tuner("mixed", MixedConfig, MixedModel)
