"""Likelihoods of models that act on the prompt only: the continuation is no part of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from lm_eval.api.instance import Instance
from peft import PeftModel, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.score.language_model import ScoredModel
from harness.tuners import LoReftConfig

REQUESTS = [
    ("which animal barks", " the dog"),
    ("which animal barks", " the cat barks"),
    ("which animal barks the", " dog"),
    ("dog", " cat"),
    ("dog", " the"),
]


@pytest.fixture
def edited(make_model: Callable[[int], LlamaForCausalLM]) -> PeftModel:
    """A model whose hidden states are edited strongly at the prompt's last two tokens."""
    torch.manual_seed(0)
    config = LoReftConfig(r=2, positions="l2", task_type="CAUSAL_LM")
    model = get_peft_model(make_model(0), config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight))
    return model


def alone(model: PeftModel, tokenizer: PreTrainedTokenizerFast, prompt: str, continuation: str) -> float:
    """The continuation's log-likelihood, from one forward pass of one row without padding."""
    ids = tokenizer(prompt + continuation, return_tensors="pt")["input_ids"]
    length = len(tokenizer(prompt)["input_ids"])
    with torch.no_grad(), model.prompt_lengths([length]):
        chances = model(ids).logits.log_softmax(-1)[0, length - 1 : -1]
    return float(chances.gather(1, ids[0, length:, None]).sum())


@pytest.mark.parametrize("batch_size", [1, 3])
def test_likelihoods_in_batches_are_those_of_each_request_alone(
    edited: PeftModel, tokenizer: PreTrainedTokenizerFast, batch_size: int
) -> None:
    lm = ScoredModel(edited, tokenizer, batch_size, lambda event: None)
    asked = [Instance("loglikelihood", {}, request, index) for index, request in enumerate(REQUESTS)]
    found = [value for value, _ in lm.loglikelihood(asked)]
    expected = [alone(edited, tokenizer, *request) for request in REQUESTS]
    assert found == pytest.approx(expected, abs=1e-4)
    assert len({round(value, 3) for value in expected}) == len(expected)


def test_a_continuation_is_no_part_of_the_prompt(edited: PeftModel, tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("which animal barks the dog", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        with edited.prompt_lengths([3]):
            told = edited(ids).logits
        assert not torch.allclose(told, edited(ids).logits, atol=1e-2)
