"""Adding adapters to a layer's weights, and taking them out again."""

from __future__ import annotations

import warnings

import torch
from peft.tuners.tuners_utils import check_adapters_to_merge


class Merges:
    """Beside PEFT's `BaseTunerLayer`: merging, whatever an adapter changes of the base layer.

    A layer says which adapters it has (`has_adapter`), how one is added or taken out (`change_base`), and why one
    can't be (`check_mergeable`).
    """

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the adapters (default: the active ones) to the base layer, in their order.

        Raises:
            NotImplementedError: an adapter can't be merged (see `check_mergeable`).
            ValueError: `safe_merge` is set and the result is not finite.
        """
        names = check_adapters_to_merge(self, adapter_names)
        self.check_mergeable(names)
        for name in names:
            if self.has_adapter(name):
                self.change_base(name, sign=1, check_finite=safe_merge)
                self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Takes all merged adapters out of the base layer, the last one first."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        while self.merged_adapters:
            self.change_base(self.merged_adapters.pop(), sign=-1)


class MergesIntoWeight(Merges):
    """For adapters that equal a change of the base weight: a layer has `r` and `get_delta_weight`."""

    def has_adapter(self, name: str) -> bool:
        """Whether the layer has this adapter."""
        return name in self.r

    @torch.no_grad()
    def change_base(self, adapter: str, sign: int, check_finite: bool = False) -> None:
        """Adds the adapter to the weight (sign 1), or takes it out (-1). Raises ValueError for what is not finite."""
        weight = self.get_base_layer().weight
        # The sum is taken in the adapter's precision and rounded once.
        changed = (weight + sign * self.get_delta_weight(adapter).to(weight.device)).to(weight.dtype)
        if check_finite and not torch.isfinite(changed).all():
            raise ValueError(
                f"NaNs detected in the merged weights. The adapter {adapter} seems to be broken: its weights, or "
                "their sum with the base weights, are not finite."
            )
        weight.data = changed
