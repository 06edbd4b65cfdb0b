"""Tuners for PEFT. Importing this package registers their types with PEFT.

It builds on torch, transformers and peft only: each tuner could be offered to PEFT as it stands.
"""

from .bottleneck import BottleneckConfig, BottleneckModel
from .compacter import CompacterConfig, CompacterModel
from .denselora import DenseLoraConfig, DenseLoraModel
from .melora import MeLoraConfig, MeLoraModel
from .mixed import MixedConfig, MixedModel
from .moslora import MosLoraConfig, MosLoraModel
from .nora import NoraConfig, NoraModel
from .red import RedConfig, RedModel
from .roselora import RoseLoraConfig, RoseLoraModel

__all__ = [
    "BottleneckConfig",
    "BottleneckModel",
    "CompacterConfig",
    "CompacterModel",
    "DenseLoraConfig",
    "DenseLoraModel",
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
    "RoseLoraConfig",
    "RoseLoraModel",
]
