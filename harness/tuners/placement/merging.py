"""Adding adapters to a layer's weight, and taking them out again."""

from __future__ import annotations

import warnings

import torch
from peft.tuners.tuners_utils import check_adapters_to_merge


class MergesIntoWeight:
    """Beside PEFT's `BaseTunerLayer`: merging for adapters that equal a change of the base weight.

    A layer says which adapters it has (`r`), what each adds (`get_delta_weight`), and why one can't be
    (`check_mergeable`).
    """

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the adapters (default: the active ones) to the base weights.

        Raises:
            NotImplementedError: an adapter can't be merged (see `check_mergeable`).
            ValueError: `safe_merge` is set and the result is not finite.
        """
        names = check_adapters_to_merge(self, adapter_names)
        self.check_mergeable(names)
        for name in names:
            if name in self.r:
                self._add_to_base_weight(name, sign=1, check_finite=safe_merge)
                self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Takes all merged adapters out of the base weights."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        while self.merged_adapters:
            self._add_to_base_weight(self.merged_adapters.pop(), sign=-1)

    @torch.no_grad()
    def _add_to_base_weight(self, adapter: str, sign: int, check_finite: bool = False) -> None:
        weight = self.get_base_layer().weight
        # The sum is taken in the adapter's precision and rounded once.
        changed = (weight + sign * self.get_delta_weight(adapter).to(weight.device)).to(weight.dtype)
        if check_finite and not torch.isfinite(changed).all():
            raise ValueError(
                f"NaNs detected in the merged weights. The adapter {adapter} seems to be broken: its weights, or "
                "their sum with the base weights, are not finite."
            )
        weight.data = changed
