"""Many texts are written at once, and each is the one that the model writes alone."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from harness.score.greedy import Endings, greedy_texts

PROMPT, LENGTH = 10, 12


@pytest.fixture(scope="module")
def no_longer() -> GPT2LMHeadModel:
    """A model whose learned positions end at the last token that the longest text reads."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=500, n_positions=PROMPT + LENGTH - 1, n_embd=32, n_layer=2, n_head=2, initializer_range=1.0
    )
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("places", [1, 3, 8, 24])
def test_texts_of_all_lengths_are_what_the_model_writes_alone(no_longer: GPT2LMHeadModel, places: int) -> None:
    generator = random.Random(0)
    prompts = [[7, *(generator.randrange(500) for _ in range(PROMPT - 1))] for _ in range(40)]
    firsts = {_alone(no_longer, prompt, 1)[0] for prompt in prompts}
    assert len(firsts) > 10
    lengths = {first: min(LENGTH, 3 + 5 * place % 17) for place, first in enumerate(sorted(firsts))}
    endings = Endings(LENGTH, frozenset(), lambda written: len(written) >= lengths[written[0]])

    texts = list(greedy_texts(no_longer, prompts, endings, places))
    assert sorted(text.number for text in texts) == list(range(40))
    assert all(text.written == _alone(no_longer, prompts[text.number], len(text.written)) for text in texts)
    assert all(len(text.written) == lengths[text.written[0]] for text in texts)


@torch.no_grad()
def _alone(model: GPT2LMHeadModel, prompt: list[int], length: int) -> list[int]:
    ids = list(prompt)
    for _ in range(length):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]
