"""BitFit: the biases of a model are trained and nothing else."""

from ..registration import register_tuner
from .config import BitFitConfig
from .layer import Biased, BitFitLayer
from .model import BitFitModel

__all__ = ["Biased", "BitFitConfig", "BitFitLayer", "BitFitModel"]

register_tuner("bitfit", BitFitConfig, BitFitModel)
