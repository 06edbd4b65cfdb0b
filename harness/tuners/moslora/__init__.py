"""MoSLoRA: a low-rank pair with a trained mixer between its two matrices."""

from ..registration import register_tuner
from .config import MosLoraConfig
from .layer import MosLoraLayer
from .model import MosLoraModel

__all__ = ["MosLoraConfig", "MosLoraLayer", "MosLoraModel"]

register_tuner("moslora", MosLoraConfig, MosLoraModel)
