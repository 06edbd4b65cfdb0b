"""What a worker keeps from run to run: a base model with its tokenizer, and tokenised data."""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from harness.errors import is_out_of_memory
from harness.spec.run import ModelRef

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness.train.kept_rows import KeptRows


class Workbench:
    """Holds one base model on one device; a base that came back changed is loaded anew.

    fingerprint: of the base's weights as they were loaded; broken: whether the device has failed, after which nothing
    can be done on it in this process.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._held: ModelRef | None = None
        self._base: PreTrainedModel | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self.fingerprint: str | None = None
        self.broken = False

    @cached_property
    def rows(self) -> KeptRows:
        """The rows of earlier trainings."""
        from harness.train.kept_rows import KeptRows

        return KeptRows()

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
        self.spare()

    def spare(self) -> None:
        """Gives back the memory of what is held no more."""
        gc.collect()
        if self.device.type == "cuda":
            import torch

            with suppress(RuntimeError):  # after a device error there is nothing that could be given back
                torch.cuda.empty_cache()

    def blame(self, error: BaseException | None) -> None:
        """Takes the device for broken where it is what failed."""
        while error is not None and not self.broken:
            self.broken = is_device_error(error)
            error = error.__cause__ or error.__context__


DEVICE_ERRORS = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "device-side assert")


def is_device_error(error: BaseException) -> bool:
    """Whether an error leaves the accelerator unusable for this process. Short memory does not."""
    import torch

    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.AcceleratorError) or any(words in str(error) for words in DEVICE_ERRORS)


def best_device() -> torch.device:
    """cuda, else mps, else cpu."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
