"""Merging an adapter into the base's weights while it is scored, and giving the base back bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from harness.errors import is_out_of_memory

TOLERANCE = 1e-4
"""By how much merged logits may differ, as a share of the largest: more is no rounding of float32's."""
REFUSALS = (NotImplementedError, ValueError, TypeError)
"""What tuners raise where they don't merge."""


class Merge:
    """An adapter in its base's weights for a while. Not for several at a time on one model.

    The layers' own weights lie aside meanwhile, in the memory in which they always were: a merge works on copies,
    and to restore is to put the originals back. Nothing is subtracted, so nothing is rounded. The copies take as
    much memory, on the model's device, as the layers that are adapted.
    """

    def __init__(self, model: PeftModel) -> None:
        self._model = model
        self._layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
        self._bases = [layer.get_base_layer() for layer in self._layers]
        weights = {id(weight): weight for base in self._bases for weight in base.parameters()}
        self._own = [(weight, weight.data) for weight in weights.values()]

    def begin(self) -> bool:
        """Merges. False, with the model as it was, where that can't be done for a while.

        The method refuses, or puts its own layers in the place of the base's; memory is short; or answers differ.
        """
        before = _logits(self._model)
        try:
            for weight, own in self._own:
                weight.data = own.clone()
            self._model.merge_adapter()
        except Exception as error:
            self.end()
            if isinstance(error, REFUSALS) or is_out_of_memory(error):
                return False
            raise
        if any(layer.get_base_layer() is not base for layer, base in zip(self._layers, self._bases, strict=True)):
            self._model.unmerge_adapter()  # LayerNorm tuning's: the trained layer stands where the base's stood
        elif all(layer.merged for layer in self._layers) and _agree(_logits(self._model), before):
            return True
        self.end()
        return False

    def end(self) -> None:
        """Puts the base's own weights back. May be called at any time, and again."""
        _put(self._own)
        for layer in self._layers:
            layer.merged_adapters.clear()

    @contextmanager
    def without(self) -> Iterator[None]:
        """Within: the model is the bare base. Afterwards it is merged as before, to the bit."""
        merged = [(weight, weight.data) for weight, _ in self._own]
        _put(self._own)
        try:
            yield
        finally:
            _put(merged)


def may_merge(model: nn.Module) -> bool:
    """Whether merging changes nothing but layers' weights, and rounds as the model itself does.

    Only in float32: in half precision the sum would lose most of a small update. Not where an adapter also trains
    copies of modules or of tokens, and not for learned prompts.
    """
    return (
        isinstance(model, PeftModel)
        and isinstance(model.base_model, BaseTuner)
        and all(weight.dtype == torch.float32 and weight.device.type != "meta" for weight in model.parameters())
        and not any(isinstance(module, AuxiliaryTrainingWrapper) for module in model.modules())
    )


@torch.no_grad()
def _logits(model: PeftModel) -> torch.Tensor:
    vocabulary = model.get_base_model().config.get_text_config().vocab_size
    ids = torch.tensor([[(7 * place + 3) % vocabulary for place in range(12)]], device=model.device)
    return model(input_ids=ids).logits


def _agree(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())


def _put(weights: Iterable[tuple[nn.Parameter, torch.Tensor]]) -> None:
    for weight, values in weights:
        weight.data = values
