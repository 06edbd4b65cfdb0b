"""RoseLoRA: LoRA whose matrices become sparse, row by row and column by column, while they are trained."""

from ..registration import register_tuner
from .config import RoseLoraConfig
from .layer import RoseLoraLayer
from .model import RoseLoraModel
from .sparsify import Sparsify

__all__ = ["RoseLoraConfig", "RoseLoraLayer", "RoseLoraModel", "Sparsify"]

register_tuner("roselora", RoseLoraConfig, RoseLoraModel)
