"""The families of methods, in the order in which they are shown."""

from __future__ import annotations

FAMILIES: dict[str, str] = {
    "low-rank": "A product of two thin matrices beside each weight: LoRA, and what varies it.",
    "shared": "Most of the update is shared by the layers or drawn at random; each layer trains little of its own.",
    "structured": "The update has another structure than low rank: Kronecker, Hadamard, circulant, blocks.",
    "sparse": "Few entries of the update are trained, in the weight itself or in a spectrum of it.",
    "orthogonal": "The weight is rotated or reflected instead of added to.",
    "bottleneck": "Small networks with a non-linearity are put into the layers.",
    "representation": "Hidden representations are edited, not weights.",
    "prompt": "The model stays as it is; trained vectors stand before its input or its keys and values.",
    "selective": "A few of the model's own parameters are trained.",
    "full": "The model's weights themselves are trained.",
    "none": "Nothing is trained.",
}
"""Each family with what its methods have in common."""
