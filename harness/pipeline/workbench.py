"""The base model that a worker keeps from run to run."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from harness.spec.run import ModelRef

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Workbench:
    """Holds one base model on one device; a base that came back changed is loaded anew.

    fingerprint: of the base's weights as they were loaded.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._held: ModelRef | None = None
        self._base: PreTrainedModel | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self.fingerprint: str | None = None

    def base(self, ref: ModelRef) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base model and its tokenizer, from the last run where they are the same."""
        from harness.train.base_model import load_base
        from harness.train.fingerprint import weights_fingerprint

        if self._base is None or self._tokenizer is None or self._held != ref:
            self.clear()
            self._base, self._tokenizer = load_base(ref, self.device)
            self._held, self.fingerprint = ref, weights_fingerprint(self._base)
        return self._base, self._tokenizer

    def give_back(self, model: PreTrainedModel | PeftModel) -> None:
        """Takes a run's adapter off the base; drops a base whose weights are not what they were."""
        from harness.train.adapter import detach

        if self._base is None:
            return
        detach(self._base, model)
        self.verify()

    def verify(self) -> None:
        """Lets go of a base whose weights are not what they were when it was loaded."""
        from harness.train.fingerprint import weights_fingerprint

        if self._base is not None and weights_fingerprint(self._base) != self.fingerprint:
            self.clear()

    def clear(self) -> None:
        """Lets go of the base model and its memory."""
        self._held = self._base = self._tokenizer = None
        gc.collect()
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()


def best_device() -> torch.device:
    """cuda, else mps, else cpu."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
