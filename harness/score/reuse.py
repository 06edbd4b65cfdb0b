"""For which models what was read once may stand for every text that begins with it.

A model qualifies by how it is built, never by a method's name: what is not known to be right takes lm-eval's own way.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner
from torch import nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from harness.score.cached_rows import Rows

ARGUMENTS = {"attention_mask", "position_ids", "past_key_values", "logits_to_keep"}
ATTENTION = {"sdpa", "eager"}
ROPE = {"default", "linear", "llama3", "yarn"}
"""Those whose angles depend on a token's position alone, not on the longest row of the batch."""
HARMLESS_HOOKS = ("transformers.", "peft.peft_model")
"""Where hooks come from that record values or ask for gradients and change nothing."""
GENERATION = {
    *("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config"),
    *("max_length", "max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "use_cache"),
    *("output_attentions", "output_hidden_states"),
}
"""What a model's generation config may say beside its defaults: nothing that touches greedy decoding."""
TOLERANCE = defaultdict(lambda: 0.03, {torch.float32: 1e-4, torch.float64: 1e-8})
"""By how much logits may differ, as a share of the largest: more is no rounding of the dtype's."""


def reuses_cache(model: nn.Module) -> bool:
    """Whether all that a model remembers of a text is an ordinary key-value cache.

    Not so for learned prompts, for edits of the prompt (LoReFT), for tuners with a `generate` or hooks of their own,
    for sliding, recurrent or other special caches; and not where it shows that a token's reading depends on which
    others are read with it (Lily mixes by the mean of a batch).
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if not isinstance(base, PreTrainedModel) or (base is not model and not _tuner_is_plain(model)):
        return False
    plain = _reads_on(base) and _is_ordinary(base) and not any(_hooks(model))
    return plain and _reads_in_parts(model, base.config.get_text_config().vocab_size)


def decodes_plainly(model: nn.Module, arguments: Mapping[str, Any]) -> bool:
    """Whether greedy decoding is the most likely token, time after time, for lm-eval's generation arguments."""
    rest = {key: value for key, value in arguments.items() if key != "max_gen_toks"}
    plain = rest == {"until": [], "do_sample": False, "num_beams": 1}
    return plain and "max_gen_toks" in arguments and not set(model.generation_config.to_diff_dict()) - GENERATION


def _tuner_is_plain(model: PeftModel) -> bool:
    tuner = model.base_model
    return (
        isinstance(tuner, BaseTuner)
        and type(tuner).forward is BaseTuner.forward
        and not hasattr(type(tuner), "generate")
        and not hasattr(tuner, "prompt_lengths")
        and not any(_minds_the_prompt(config) for config in model.peft_config.values())
    )


def _minds_the_prompt(config: Any) -> bool:
    return config.is_prompt_learning or getattr(config, "alora_invocation_tokens", None) is not None


def _reads_on(base: PreTrainedModel) -> bool:
    own = type(base)
    return (
        own.generate is GenerationMixin.generate
        and own.prepare_inputs_for_generation is GenerationMixin.prepare_inputs_for_generation
        and set(inspect.signature(own.forward).parameters) >= ARGUMENTS
    )


def _is_ordinary(base: PreTrainedModel) -> bool:
    config = base.config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        not config.is_encoder_decoder
        and not getattr(config, "alibi", False)
        and config._attn_implementation in ATTENTION
        and rope.get("rope_type", "default") in ROPE
        and not any(isinstance(value, Mapping) for value in rope.values())
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)
    )


@torch.no_grad()
def _reads_in_parts(model: nn.Module, vocabulary: int) -> bool:
    """Whether a text that is read in three parts, beside another one, is read as it is alone and whole."""
    text = [(7 * place + 3) % vocabulary for place in range(12)]
    other = [(5 * place + 2) % vocabulary for place in range(4)]
    whole = model(input_ids=torch.tensor([text], device=model.device)).logits[0].float()
    rows = Rows.begun(model, text[:4]).picked([0, 0])
    first = rows.read([text[4:-1], other])[0, -1].float()
    second = rows.read([text[-1:], other[:1]])[0, -1].float()
    error = torch.stack([first - whole[-2], second - whole[-1]]).abs().max()
    return bool(error <= TOLERANCE[model.dtype] * whole.abs().max())


def _hooks(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
            if not getattr(hook, "__module__", "").startswith(HARMLESS_HOOKS):
                yield hook
