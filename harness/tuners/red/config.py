"""The configuration of RED."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..placement import PlacementConfig


@dataclass
class RedConfig(PlacementConfig):
    """Configuration of a [`RedModel`]: `y = l_scaling * h + l_bias`, elementwise, on a layer's output h.

    h: (batch, seq, out), l_scaling and l_bias: (out,), which start at one and zero. Wu et al., ACL 2024 ("Advancing
    Parameter Efficiency in Fine-tuning via Representation Editing", arXiv 2402.15179), section 3. It has no
    hyper-parameters but its place: the paper edits what each MLP gives out.
    """

    method: ClassVar[str] = "red"
