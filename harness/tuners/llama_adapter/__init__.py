"""LLaMA-Adapter: PEFT's adaption prompts, for any number of layers and under any trainer."""

from ..registration import register_tuner
from .config import LlamaAdapterConfig
from .model import LlamaAdapterModel

__all__ = ["LlamaAdapterConfig", "LlamaAdapterModel"]

register_tuner("llama_adapter", LlamaAdapterConfig, LlamaAdapterModel)
