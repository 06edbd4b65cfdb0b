"""LoReFT: edits the hidden representations of a prompt's first and last tokens in a low-rank subspace."""

from ..registration import register_tuner
from .config import LoReftConfig
from .layer import LoReftLayer
from .model import LoReftModel

__all__ = ["LoReftConfig", "LoReftLayer", "LoReftModel"]

register_tuner("loreft", LoReftConfig, LoReftModel)
