"""Tuners for PEFT. Importing this package registers their types with PEFT.

It builds on torch, transformers and peft only: each tuner could be offered to PEFT as it stands.
"""

from .bitfit import BitFitConfig, BitFitModel
from .bottleneck import BottleneckConfig, BottleneckModel
from .compacter import CompacterConfig, CompacterModel
from .denselora import DenseLoraConfig, DenseLoraModel
from .llama_adapter import LlamaAdapterConfig, LlamaAdapterModel
from .lofit import LofitConfig, LofitModel
from .loreft import LoReftConfig, LoReftModel
from .melora import MeLoraConfig, MeLoraModel
from .mixed import MixedConfig, MixedModel
from .moslora import MosLoraConfig, MosLoraModel
from .nora import NoraConfig, NoraModel
from .red import RedConfig, RedModel
from .residual_prompt import ResidualPromptConfig, ResidualPromptEncoder
from .roselora import RoseLoraConfig, RoseLoraModel

__all__ = [
    "BitFitConfig",
    "BitFitModel",
    "BottleneckConfig",
    "BottleneckModel",
    "CompacterConfig",
    "CompacterModel",
    "DenseLoraConfig",
    "DenseLoraModel",
    "LlamaAdapterConfig",
    "LlamaAdapterModel",
    "LoReftConfig",
    "LoReftModel",
    "LofitConfig",
    "LofitModel",
    "MeLoraConfig",
    "MeLoraModel",
    "MixedConfig",
    "MixedModel",
    "MosLoraConfig",
    "MosLoraModel",
    "NoraConfig",
    "NoraModel",
    "RedConfig",
    "RedModel",
    "ResidualPromptConfig",
    "ResidualPromptEncoder",
    "RoseLoraConfig",
    "RoseLoraModel",
]
