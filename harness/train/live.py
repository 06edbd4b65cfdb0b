"""Proof that an adapter acts, before anything is scored with it."""

from __future__ import annotations

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError

PROBE = "Which of these is the correct answer, and why?"


def prove_live(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises RunError("internal") where switching the adapter off changes no logit. No adapter, nothing to prove."""
    if not isinstance(model, PeftModel):
        return
    ids = torch.tensor([tokenizer(PROBE)["input_ids"]], device=model.device)
    with torch.no_grad():
        adapted = _logits(model, ids)
        with model.disable_adapter():
            bare = _logits(model, ids)
    if torch.equal(adapted, bare):
        raise RunError("internal", "the adapter changes nothing: the model answers as without it")


def _logits(model: PeftModel, ids: torch.Tensor) -> torch.Tensor:
    """The logits of the probe's own tokens: a prompt-tuning adapter puts others before them."""
    output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return output.logits[:, -ids.shape[1] :]
