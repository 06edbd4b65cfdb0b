"""How long training examples are, and whether the model can take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PretrainedConfig

from harness.errors import RunError
from harness.spec.run import TrainSettings

MOST_TOO_LONG = 0.05
"""A larger share of texts beyond the model's context means that the set-up is wrong."""


def length_report(lengths: Sequence[int], max_length: int) -> dict[str, float]:
    """Tokens an example before it is cut: mean, percentiles (each the length of some example), `max`.

    truncated_percent: the share of examples that are longer than max_length. Empty where there are no examples.
    """
    if not len(lengths):
        return {}
    counts = np.asarray(lengths)
    middle, high = np.percentile(counts, [50, 95], method="inverted_cdf")
    return {
        "mean": float(counts.mean()),
        "p50": int(middle),
        "p95": int(high),
        "max": int(counts.max()),
        "max_length": max_length,
        "truncated_percent": 100 * float((counts > max_length).mean()),
    }


def context_of(config: PretrainedConfig) -> int | None:
    """The tokens that a model takes at once, None where its configuration doesn't say."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def within_context(settings: TrainSettings, context: int | None) -> TrainSettings:
    """The settings, in which no example is longer than the model's context."""
    if context is None or settings.max_length <= context:
        return settings
    return settings.model_copy(update={"max_length": context})


def check_context(lengths: Sequence[int], asked: int, context: int | None) -> None:
    """Raises RunError("data") where max_length `asked` for more than the context, and over 5 % of examples use it."""
    if context is None or asked <= context:
        return
    longer = sum(length > context for length in lengths)
    if longer > MOST_TOO_LONG * len(lengths):
        raise RunError(
            "data",
            f"{longer} of {len(lengths)} training examples are longer than the model's context of {context} tokens; "
            f"leave them out, take a model with a longer context, or cut them (max_length {context}, not {asked})",
        )
