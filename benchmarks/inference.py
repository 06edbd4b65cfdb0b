"""What an adapter costs when the model generates, beside the base's layers and merged into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from contenders import Adapter, make_contender, make_merged
from measure import Timing, alternate
from rows import BASELINES, Row, Setting
from torch import nn

MERGED = ("base", "lora-merged", "lora-unloaded", "only-matrix-merged", "only-matrix-unloaded")


def measure_generation(
    setting: Setting, base: nn.Module, adapter: Adapter, contenders: list[str], prompt: torch.Tensor, timing: Timing,
    new_tokens: int,
) -> Iterator[Row]:  # fmt: skip
    """Times greedy generation with a cache, the prompt's pass included, per new token. prompt: (batch, seq)."""
    make = make_merged if setting.measure == "merged" else make_contender
    models = {name: make(name, base, adapter, timing.seed).eval() for name in contenders}
    times = alternate({name: _generator(model, prompt, new_tokens) for name, model in models.items()}, timing)
    for name in contenders:
        seconds = times.median(name) / new_tokens
        yield Row(setting, name, seconds, *times.ratio(name, BASELINES[setting.measure]), len(prompt) / seconds)


def _generator(model: nn.Module, prompt: torch.Tensor, new_tokens: int) -> Callable[[], torch.Tensor]:
    return lambda: model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        min_new_tokens=new_tokens,
        max_new_tokens=new_tokens,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
    )
