"""RED: representation editing, a vector that scales and one that shifts what a layer gives out."""

from ..registration import register_tuner
from .config import RedConfig
from .layer import Linear, RedLayer
from .model import RedModel

__all__ = ["Linear", "RedConfig", "RedLayer", "RedModel"]

register_tuner("red", RedConfig, RedModel)
