"""MELoRA: several mini LoRAs, each on its own block of a layer's input and output."""

from ..registration import register_tuner
from .config import MeLoraConfig
from .layer import MeLoraLayer
from .model import MeLoraModel

__all__ = ["MeLoraConfig", "MeLoraLayer", "MeLoraModel"]

register_tuner("melora", MeLoraConfig, MeLoraModel)
