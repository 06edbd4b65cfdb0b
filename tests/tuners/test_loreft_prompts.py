"""Which tokens LoReFT edits: in batches with padding, in training, in generation, and where a prompt's end is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from peft import PeftModel, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.tuners import LoReftConfig
from harness.tuners.loreft import LoReftLayer

Make = Callable[[], LlamaForCausalLM]
FIRST, LAST = 3, 2


def config(**arguments: Any) -> LoReftConfig:
    return LoReftConfig(**{"r": 3, "positions": f"f{FIRST}+l{LAST}", "task_type": "CAUSAL_LM", **arguments})


def adapted(make_llama: Make, **arguments: Any) -> PeftModel:
    torch.manual_seed(1)
    return get_peft_model(make_llama().double(), config(**arguments)).eval()


def ends(length: int) -> list[int]:
    """The edited tokens of a prompt, by the paper: fewer than asked for where the two ends would overlap."""
    first, last = FIRST, LAST
    if length < first + last:
        first, last = min(first, length // 2), min(last, -(-length // 2))
    return sorted({*range(first), *range(length - last, length)})


def logits_of(make_llama: Make, model: PeftModel, row: list[int], edited: list[int]) -> torch.Tensor:
    """One row's logits, unpadded, from a bare model whose layers are followed by the edit of the given tokens."""
    base = make_llama().double()
    for layer, own in zip(base.model.layers, edits(model), strict=True):
        raw, weight, bias = (
            dictionary["default"][0] for dictionary in (own.loreft_rotation, own.loreft_weight, own.loreft_bias)
        )
        q, upper = torch.linalg.qr(raw.T)
        rotation = (q * upper.diagonal().sign()).T

        def hook(
            module: Any, args: Any, h: torch.Tensor, R: Any = rotation, W: Any = weight, b: Any = bias
        ) -> torch.Tensor:
            h = h.clone()
            for t in edited:
                h[0, t] = h[0, t] + R.T @ (W @ h[0, t] + b - R @ h[0, t])
            return h

        layer.register_forward_hook(hook)
    return base(torch.tensor([row])).logits[0]


def edits(model: PeftModel) -> list[LoReftLayer]:
    return [module for module in model.modules() if isinstance(module, LoReftLayer)]


def rows(*lengths: int) -> list[list[int]]:
    return [[(11 * n + 7 * t) % 61 + 2 for t in range(length)] for n, length in enumerate(lengths)]


def padded(ragged: list[list[int]], side: str, fill: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows filled up on one side, and their attention mask."""
    width = max(map(len, ragged))
    ids, mask = [], []
    for row in ragged:
        more = [fill] * (width - len(row))
        ids.append(row + more if side == "right" else more + row)
        real, none = [1] * len(row), [0] * len(more)
        mask.append(real + none if side == "right" else none + real)
    return torch.tensor(ids), torch.tensor(mask)


@pytest.mark.parametrize(
    ("length", "edited"),
    [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4]), (6, [0, 1, 2, 4, 5])],
)
def test_no_token_of_a_short_prompt_is_edited_twice(make_llama, length, edited):
    assert ends(length) == edited
    model = adapted(make_llama)
    (row,) = rows(length)
    expected = logits_of(make_llama, model, row, edited)
    torch.testing.assert_close(model(torch.tensor([row])).logits[0], expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompts_of_a_padded_batch_are_edited_as_each_alone(make_llama, side):
    model, ragged = adapted(make_llama), rows(9, 4, 6, 1)
    ids, mask = padded(ragged, side)
    logits = model(input_ids=ids, attention_mask=mask).logits
    for row, got, real in zip(ragged, logits, mask.bool(), strict=True):
        torch.testing.assert_close(got[real], logits_of(make_llama, model, row, ends(len(row))))


def test_in_training_the_prompt_ends_at_the_first_label_that_counts(make_llama):
    model, ragged, prompts = adapted(make_llama), rows(12, 7, 9, 6), [8, 5, 1, 3]
    ids, mask = padded(ragged, "right")
    labels = ids.masked_fill(mask == 0, -100)
    for row, prompt in zip(labels, prompts, strict=True):
        row[:prompt] = -100
    output = model(input_ids=ids, attention_mask=mask, labels=labels)
    losses = []
    for row, prompt, got in zip(ragged, prompts, output.logits, strict=True):
        expected = logits_of(make_llama, model, row, ends(prompt))
        torch.testing.assert_close(got[: len(row)], expected)
        chosen = expected.log_softmax(-1)[torch.arange(prompt - 1, len(row) - 1), torch.tensor(row[prompt:])]
        losses.append(-chosen)
    torch.testing.assert_close(output.loss.double(), torch.cat(losses).mean(), rtol=1e-6, atol=0)


def test_a_loss_on_all_tokens_leaves_no_prompt_to_edit_and_is_refused(make_llama, tokens):
    model = adapted(make_llama)
    with pytest.raises(ValueError, match=r"labels count from its first token on\. Train on the completion only"):
        model(tokens, labels=tokens)
    with model.disable_adapter():
        model(tokens, labels=tokens)
    # The refusal leaves nothing behind.
    assert torch.isfinite(model(tokens).logits).all()


def test_all_positions_are_every_token_and_need_no_boundary(make_llama):
    model, (row,) = adapted(make_llama, positions="all"), rows(9)
    ids = torch.tensor([row])
    expected = logits_of(make_llama, model, row, list(range(9)))
    torch.testing.assert_close(model(ids, labels=ids).logits[0], expected)
    first = model(ids[:, :6], use_cache=True)
    rest = model(ids[:, 6:], past_key_values=first.past_key_values).logits[0]
    torch.testing.assert_close(rest, expected[6:])


@pytest.mark.parametrize("positions", ["f3", "l2"])
def test_one_end_alone_can_be_edited(make_llama, positions):
    model, (row,) = adapted(make_llama, positions=positions), rows(9)
    edited = [0, 1, 2] if positions == "f3" else [7, 8]
    torch.testing.assert_close(model(torch.tensor([row])).logits[0], logits_of(make_llama, model, row, edited))


def continued(make_llama: Make, model: PeftModel, prompt: list[int], new: int) -> list[int]:
    """Greedy decoding of one row without a cache, the prompt's ends edited at each step and nothing else."""
    row = list(prompt)
    for _ in range(new):
        row.append(int(logits_of(make_llama, model, row, ends(len(prompt)))[-1].argmax()))
    return row[len(prompt) :]


@pytest.mark.parametrize("arguments", [{}, {"use_cache": False}, {"prefill_chunk_size": 3}])
def test_generation_edits_the_prompts_of_a_left_padded_batch_and_no_new_token(make_llama, arguments):
    model, ragged = adapted(make_llama), rows(9, 4, 6, 1)
    ids, mask = padded(ragged, "left")
    settings = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, **arguments}
    texts = model.generate(input_ids=ids, attention_mask=mask, **settings)[:, 9:].tolist()
    assert texts == [continued(make_llama, model, row, 8) for row in ragged]
    plain = make_llama().double().generate(input_ids=ids, attention_mask=mask, **settings)[:, 9:].tolist()
    assert texts != plain


def test_beams_are_the_same_with_and_without_cache(make_llama):
    model = adapted(make_llama)
    ids, mask = padded(rows(9, 4), "left")
    settings = {"max_new_tokens": 6, "num_beams": 3, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    given = {"input_ids": ids, "attention_mask": mask, **settings}
    assert torch.equal(model.generate(**given), model.generate(**given, use_cache=False))


def test_prompt_given_as_embeddings_or_by_position_is_edited_too(make_llama):
    model = adapted(make_llama)
    ids = torch.tensor(rows(9))
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "use_cache": False}
    new = model.generate(input_ids=ids, **settings)[:, 9:]
    assert torch.equal(model.generate(ids, **settings)[:, 9:], new)
    embedded = model.get_input_embeddings()(ids)
    assert torch.equal(model.generate(inputs_embeds=embedded, **settings), new)


def test_tokens_that_follow_cached_ones_are_not_edited_unless_told_to_be_the_prompts(make_llama):
    model, (row,) = adapted(make_llama), rows(10)
    ids = torch.tensor([row])
    first = model(ids[:, :6], use_cache=True)
    rest = model(ids[:, 6:], past_key_values=first.past_key_values).logits[0]
    torch.testing.assert_close(rest, logits_of(make_llama, model, row, ends(6))[6:])
    with model.prompt_lengths([8]):
        first = model(ids[:, :6], use_cache=True)
        rest = model(ids[:, 6:], past_key_values=first.past_key_values).logits[0]
    torch.testing.assert_close(rest, logits_of(make_llama, model, row, ends(8))[6:])


def test_told_lengths_end_the_prompts_of_rows_that_come_without_mask_or_labels(make_llama):
    model, ragged, prompts = adapted(make_llama), rows(10, 7, 8), [6, 3, 0]
    ids, _ = padded(ragged, "right")
    with model.prompt_lengths(prompts):
        logits = model(ids).logits
    for row, prompt, got in zip(ragged, prompts, logits, strict=True):
        torch.testing.assert_close(got[: len(row)], logits_of(make_llama, model, row, ends(prompt)))
    untold = model(ids[:1]).logits[0]
    torch.testing.assert_close(untold, logits_of(make_llama, model, ragged[0], ends(10)))
    with pytest.raises(ValueError, match="for 2 rows, the batch has 3"), model.prompt_lengths([1, 2]):
        model(ids)


def test_lm_eval_generates_as_each_prompt_alone(make_llama):
    words = Tokenizer(WordLevel({"<pad>": 0, "<eos>": 1, **{f"w{i}": i for i in range(2, 64)}}, unk_token="<pad>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    model, ragged = adapted(make_llama), rows(9, 4, 6)
    wanted = {"until": ["<none>"], "max_gen_toks": 5, "do_sample": False}
    requests = [
        Instance("generate_until", {}, (" ".join(f"w{token}" for token in row), wanted), index)
        for index, row in enumerate(ragged)
    ]
    scored = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=3)
    for row, text in zip(ragged, scored.generate_until(requests, disable_tqdm=True), strict=True):
        expected = continued(make_llama, model, row, 5)
        assert text.split() == tokenizer.decode(expected, skip_special_tokens=True).split()


def test_packed_rows_and_other_masks_are_refused(make_llama, tokens):
    model = adapted(make_llama)
    packed = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 3, 4]] * 2)
    with pytest.raises(ValueError, match="one prompt a row and can't be trained on packed rows"):
        model(tokens, position_ids=packed)
    with pytest.raises(
        ValueError, match=r"the attention mask of \(rows, tokens\), here \(2, 10\), got \(2, 1, 10, 10\)"
    ):
        model(input_ids=tokens, attention_mask=torch.zeros(2, 1, 10, 10, dtype=torch.float64))


def test_a_layer_run_outside_of_its_model_does_not_guess(make_llama, tokens):
    model = adapted(make_llama)
    with pytest.raises(RuntimeError, match="Call that model, not a part of it"):
        model.model.model(tokens)
