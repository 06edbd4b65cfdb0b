"""What tuners of linear layers have in common: where they go, what is checked first, how they are kept and merged."""

from .config import PlacementConfig
from .files import check_fits
from .merging import Merges, MergesIntoWeight
from .model import PlacedModel
from .targets import check_is_linear, linear_modules, uninjected_modules
from .weights import can_be_added_to, kaiming

__all__ = [
    "Merges",
    "MergesIntoWeight",
    "PlacedModel",
    "PlacementConfig",
    "can_be_added_to",
    "check_fits",
    "check_is_linear",
    "kaiming",
    "linear_modules",
    "uninjected_modules",
]
