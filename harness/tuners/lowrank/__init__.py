"""What low-rank tuners have in common: adapters that add a product of narrow matrices to a linear layer."""

from .config import LowRankConfig
from .layer import LowRankLayer
from .model import LowRankModel

__all__ = ["LowRankConfig", "LowRankLayer", "LowRankModel"]
