"""Tuners for PEFT. Importing this package registers the types DENSELORA and MIXED with PEFT.

It builds on torch, transformers and peft only: each tuner could be offered to PEFT as it stands.
"""

from .denselora import DenseLoraConfig, DenseLoraModel
from .mixed import MixedConfig, MixedModel

__all__ = ["DenseLoraConfig", "DenseLoraModel", "MixedConfig", "MixedModel"]
