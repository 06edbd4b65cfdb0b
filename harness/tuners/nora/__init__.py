"""NoRA: a trained low-rank pair nested in a frozen one that is made of the base weight's singular vectors."""

from ..registration import register_tuner
from .config import NoraConfig
from .layer import NoraLayer
from .model import NoraModel

__all__ = ["NoraConfig", "NoraLayer", "NoraModel"]

register_tuner("nora", NoraConfig, NoraModel)
