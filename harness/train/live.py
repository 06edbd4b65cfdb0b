"""Proof that it is the trained model that is scored: before the first score, and until the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from peft import PeftModel, get_peft_model_state_dict
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError
from harness.train.fingerprint import fingerprints, joined, weights_fingerprint

PROBE = "Which of these is the correct answer, and why?"


Bare = Callable[[], AbstractContextManager[None]]


class Merging(Protocol):
    """An adapter that can be merged into its base's weights for a while (`harness.score.merging.Merge`)."""

    def begin(self) -> bool:
        """Merges; whether it did."""

    def end(self) -> None:
        """Gives the base back as it was, whatever has happened since, or nothing."""

    def without(self) -> AbstractContextManager[None]:
        """Within: the model answers as its bare base."""


class Guard:
    """Holds that a model is live and that none of its weights changes until its last score.

    weights: the fingerprint that all its weights must have, adapter and base (default: what they have now).
    """

    def __init__(
        self, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, weights: str | None = None
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._weights = weights or weights_fingerprint(model)
        self._bare: Bare | None = None

    def prove(self) -> None:
        """Raises RunError("internal") where the model is not sound, not live, or not the one that was trained."""
        prove_sound(self._model)
        self.hold()

    def hold(self) -> None:
        """Raises RunError("internal") where a weight has changed, or the adapter is off."""
        prove_live(self._model, self._tokenizer, self._bare)
        # last: to ask a merged layer that is switched off unmerges it, by arithmetic
        if weights_fingerprint(self._model) != self._weights:
            raise RunError("internal", "weights changed after the training and before the last score: not recorded")

    @contextmanager
    def merged(self, merging: Merging) -> Iterator[bool]:
        """Within: the trained model, found unchanged and then merged, is held as it is now; False if it can't be.

        Afterwards, whatever happens, the base has its own weights again and the guard holds what it held before.
        """
        self.hold()
        trained = self._weights
        try:
            done = merging.begin()
            if done:
                self._weights, self._bare = weights_fingerprint(self._model), merging.without
                self.hold()
            yield done
        finally:
            merging.end()
            self._weights, self._bare = trained, None


def prove_live(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, bare: Bare | None = None
) -> None:
    """Raises RunError("internal") where switching the adapter off changes no logit. No adapter, nothing to prove.

    bare: how to switch it off, by default PEFT's way.
    """
    if not isinstance(model, PeftModel):
        return
    ids = torch.tensor([tokenizer(PROBE)["input_ids"]], device=model.device)
    with torch.no_grad():
        adapted = _logits(model, ids)
        with (bare or model.disable_adapter)():
            without = _logits(model, ids)
    if torch.equal(adapted, without):
        raise RunError("internal", "the adapter changes nothing: the model answers as without it")


def prove_sound(model: PreTrainedModel | PeftModel) -> None:
    """Raises RunError("internal") where a weight is no number, or an adapter holds nothing but zeros."""
    weights = adapter_weights(model) if isinstance(model, PeftModel) else dict(model.named_parameters())
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise RunError("internal", f"{name} holds values that are no numbers")
    if isinstance(model, PeftModel) and not any(tensor.any() for tensor in weights.values()):
        raise RunError("internal", "the adapter holds nothing but zeros")


def prove_same(model: PreTrainedModel | PeftModel, saved: str | None) -> None:
    """Raises RunError("internal") where a loaded model is not the one that was saved. None: that isn't known."""
    if saved is not None and saved_fingerprint(model) != saved:
        raise RunError("internal", "the weights that were loaded are not those that were trained and saved")


def saved_fingerprint(model: PreTrainedModel | PeftModel) -> str:
    """The fingerprint of what is saved of a model: the same before it is saved and after it is loaded."""
    if not isinstance(model, PeftModel):
        return weights_fingerprint(model)
    return joined(fingerprints(sorted(adapter_weights(model).items())))


@torch.no_grad()
def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """What PEFT saves of an adapter, each shared tensor once. Expects evaluation mode."""
    return get_peft_model_state_dict(model, save_embedding_layers=False)


def _logits(model: PeftModel, ids: torch.Tensor) -> torch.Tensor:
    """The logits of the probe's own tokens: a prompt-tuning adapter puts others before them."""
    output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return output.logits[:, -ids.shape[1] :]
