"""Models with a learned prompt or prefix are scored as they answer alone, in whatever batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from peft import (
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.score.language_model import ScoredModel
from harness.score.soft_prompt import text_behind_prompt
from harness.spec.run import RunSpec
from harness.store.records import TaskResult
from harness.train.live import prove_live
from harness.tuners import LlamaAdapterConfig, ResidualPromptConfig

SOFT: dict[str, Any] = {"num_virtual_tokens": 5, "task_type": "CAUSAL_LM"}
CONFIGS: dict[str, Callable[[], PeftConfig]] = {
    "prompt_tuning": lambda: PromptTuningConfig(**SOFT),
    "prefix_tuning": lambda: PrefixTuningConfig(**SOFT),
    "projected_prefix": lambda: PrefixTuningConfig(prefix_projection=True, encoder_hidden_size=8, **SOFT),
    "p_tuning": lambda: PromptEncoderConfig(encoder_hidden_size=8, **SOFT),
    "residual_prompt": lambda: ResidualPromptConfig(bottleneck_size=8, dropout=0.5, **SOFT),
    "llama_adapter": lambda: LlamaAdapterConfig(adapter_len=5, adapter_layers=2, task_type="CAUSAL_LM"),
}
PROMPTS = ["one two three", "the correct answer is", "a", "why is the sky so very blue, and the sea not green at all?"]
NEW = 6


@pytest.fixture(params=CONFIGS)
def adapted(request: pytest.FixtureRequest, model: LlamaForCausalLM) -> PeftModel:
    """A model whose prompt changes what it answers."""
    torch.manual_seed(0)
    return shaken(get_peft_model(model, CONFIGS[request.param]()))


def shaken(model: PeftModel) -> PeftModel:
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.7)
    return model.eval()


@torch.no_grad()
def greedy(model: PeftModel, tokenizer: PreTrainedTokenizerFast, text: str) -> str:
    """The most likely continuation, by whole forward passes of one text: no padding, no cache, no `generate`."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    new = ids[:, :0]
    for _ in range(NEW):
        logits = model(input_ids=torch.cat([ids, new], dim=1)).logits
        new = torch.cat([new, logits[:, -1:].argmax(dim=-1)], dim=1)
    return tokenizer.decode(new[0]).partition("<eos>")[0]


def generated(lm: ScoredModel, texts: list[str], **arguments: Any) -> list[str]:
    asked = {"until": [], "max_gen_toks": NEW, "do_sample": False, **arguments}
    requests = [Instance("generate_until", {}, (text, asked), index) for index, text in enumerate(texts)]
    with text_behind_prompt(lm.model):
        return lm.generate_until(requests)


def silent(event: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize("batch_size", [1, 4])
def test_generation_continues_each_text_as_if_it_were_alone(
    batch_size: int, adapted: PeftModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    lm = ScoredModel(adapted, tokenizer, batch_size, silent)
    expected = [greedy(adapted, tokenizer, text) for text in PROMPTS]
    assert generated(lm, PROMPTS) == expected
    with adapted.disable_adapter():
        assert [greedy(adapted, tokenizer, text) for text in PROMPTS] != expected


def test_beams_do_not_depend_on_the_batch(adapted: PeftModel, tokenizer: PreTrainedTokenizerFast) -> None:
    alone, together = (ScoredModel(adapted, tokenizer, size, silent) for size in (1, 4))
    assert generated(alone, PROMPTS, num_beams=3) == generated(together, PROMPTS, num_beams=3)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_likelihoods_are_those_of_each_text_alone(
    batch_size: int, adapted: PeftModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    lm = ScoredModel(adapted, tokenizer, batch_size, silent)
    pairs = [(text, ending) for text in PROMPTS for ending in (" solution1", " the correct answer")]
    found = lm.loglikelihood([Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)])
    for (text, ending), (likelihood, _) in zip(pairs, found, strict=True):
        context, whole = tokenizer(text)["input_ids"], tokenizer(text + ending)["input_ids"]
        assert whole[: len(context)] == context
        with torch.no_grad():
            logits = adapted(input_ids=torch.tensor([whole])).logits[0, -len(whole) :]
        steps = logits.log_softmax(dim=-1)[range(len(whole) - 1), whole[1:]]
        assert likelihood == pytest.approx(steps[len(context) - 1 :].sum().item(), rel=1e-4)


def test_a_task_has_the_same_outputs_in_every_batch_and_the_model_is_left_as_it_was(
    adapted: PeftModel, tokenizer: PreTrainedTokenizerFast, make_run: Callable[..., RunSpec],
    scored: Callable[..., tuple[TaskResult, ...]],
) -> None:  # fmt: skip
    prepare = adapted.prepare_inputs_for_generation
    alone, together = (
        scored(make_run(batch_size=size, store_outputs="all", limit=5), adapted, "mine", "mine_likelihood")
        for size in (1, 4)
    )
    for one, many in zip(alone, together, strict=True):
        assert [sample.output for sample in one.samples] == [sample.output for sample in many.samples]
        assert [sample.outcome for sample in one.samples] == [sample.outcome for sample in many.samples]
    assert adapted.prepare_inputs_for_generation == prepare
    prove_live(adapted, tokenizer)


def test_a_prompt_takes_room_from_the_text(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=32))
    assert ScoredModel(base, tokenizer, 1, silent).max_length == 32
    for config in (PromptTuningConfig(**SOFT), PrefixTuningConfig(**SOFT)):
        model = shaken(get_peft_model(base, config))
        lm = ScoredModel(model, tokenizer, 2, silent)
        assert lm.max_length == 27
        long = PROMPTS[3] * 3
        assert generated(lm, [long, PROMPTS[0]])[0]
        assert lm.truncated == 1
        assert lm.loglikelihood([Instance("loglikelihood", {}, (long, " solution1"), 0)])[0][0] < 0
