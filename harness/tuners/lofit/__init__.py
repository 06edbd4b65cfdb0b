"""LoFiT: selects the attention heads that matter for a task, and adds a learned offset to what they give out."""

from ..registration import register_tuner
from .config import LofitConfig
from .layer import Linear, LofitLayer
from .model import LofitModel
from .select import SelectHeads

__all__ = ["Linear", "LofitConfig", "LofitLayer", "LofitModel", "SelectHeads"]

register_tuner("lofit", LofitConfig, LofitModel)
