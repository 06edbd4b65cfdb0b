"""Residual Prompt Tuning: a soft prompt that a shallow network with a skip connection makes."""

from ..prompt_learning import register_prompt_encoder
from .config import ResidualPromptConfig
from .model import ResidualPromptEncoder

__all__ = ["ResidualPromptConfig", "ResidualPromptEncoder"]

register_prompt_encoder("residual_prompt", ResidualPromptConfig, ResidualPromptEncoder)
