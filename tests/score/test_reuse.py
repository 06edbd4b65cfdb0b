"""Which models may have a common beginning read once; all others are scored in lm-eval's own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LilyConfig, LoraConfig, PeftConfig, PrefixTuningConfig, PromptTuningConfig, VeraConfig, get_peft_model
from torch import nn
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from harness.score.reuse import decodes_plainly, reuses_cache
from harness.tuners import DenseLoraConfig, LlamaAdapterConfig, LoReftConfig

LAYERS: dict[str, Any] = {"target_modules": ["q_proj", "up_proj"], "task_type": "CAUSAL_LM"}
SOFT: dict[str, Any] = {"num_virtual_tokens": 5, "task_type": "CAUSAL_LM"}
SHAPE: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2,
}  # fmt: skip
GREEDY = {"until": [], "max_gen_toks": 8, "do_sample": False, "num_beams": 1}


def adapted(base: PreTrainedModel, config: PeftConfig) -> nn.Module:
    """With weights as after training: strong ones."""
    torch.manual_seed(0)
    model = get_peft_model(base, config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


@pytest.mark.parametrize(
    "config",
    [
        lambda: LoraConfig(**LAYERS),
        lambda: LoraConfig(use_dora=True, **LAYERS),
        lambda: VeraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"),
        lambda: DenseLoraConfig(r=4, **LAYERS),
    ],
)
def test_adapters_of_single_layers_qualify(config: Callable[[], PeftConfig], model: LlamaForCausalLM) -> None:
    assert reuses_cache(model.eval())
    assert reuses_cache(adapted(model, config()))


@pytest.mark.parametrize(
    "config",
    [
        lambda: PromptTuningConfig(**SOFT),
        lambda: PrefixTuningConfig(**SOFT),
        lambda: LlamaAdapterConfig(adapter_len=5, adapter_layers=2, task_type="CAUSAL_LM"),
        lambda: LoReftConfig(r=2, positions="l2", task_type="CAUSAL_LM"),
        lambda: LoraConfig(alora_invocation_tokens=[3, 4], **LAYERS),
        lambda: LilyConfig(r=4, stride_A=1, num_B=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    ],
    ids=["prompt", "prefix", "llama-adapter", "loreft", "alora", "lily"],
)
def test_what_minds_the_prompt_or_the_batch_does_not(
    config: Callable[[], PeftConfig], model: LlamaForCausalLM
) -> None:
    assert not reuses_cache(adapted(model, config()))


ROPE = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
MODELS: dict[str, tuple[Callable[[], PreTrainedModel], bool]] = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)), True),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2)), True),
    "a sliding window": (lambda: MistralForCausalLM(MistralConfig(sliding_window=8, **SHAPE)), False),
    "positions by distance": (lambda: BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_head=2)), False),
    "angles by the longest row": (lambda: LlamaForCausalLM(LlamaConfig(rope_parameters=ROPE, **SHAPE)), False),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_with_an_ordinary_cache_qualify(name: str) -> None:
    make, expected = MODELS[name]
    torch.manual_seed(0)
    assert reuses_cache(make().eval()) is expected


def test_a_hook_that_may_change_something_disqualifies(model: LlamaForCausalLM) -> None:
    model.eval().enable_input_require_grads()
    assert reuses_cache(model)
    model.model.layers[1].register_forward_hook(lambda module, given, output: output)
    assert not reuses_cache(model)


@pytest.mark.parametrize(
    "other",
    [{"num_beams": 4}, {"do_sample": True}, {"until": ["\n"]}, {"temperature": 0.5}, {"repetition_penalty": 2.0}],
)
def test_only_greedy_decoding_without_stop_strings_is_done_here(
    other: dict[str, Any], model: LlamaForCausalLM
) -> None:
    assert decodes_plainly(model, GREEDY)
    assert not decodes_plainly(model, {**GREEDY, **other})


def test_a_model_whose_own_settings_touch_decoding_is_left_to_generate(model: LlamaForCausalLM) -> None:
    model.generation_config.repetition_penalty = 1.3
    assert not decodes_plainly(model, GREEDY)
