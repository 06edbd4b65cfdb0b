"""How answers are generated: a run's decoding put into a task, in place of the task's own."""

from __future__ import annotations

from typing import Any

from lm_eval.api.task import Task

from harness.errors import RunError
from harness.spec.run import Decoding, ScoreSettings

DECODING_KEYS = ("do_sample", "num_beams", "temperature", "top_p", "top_k")

LENGTH_KEYS = ("max_gen_toks", "max_tokens", "max_new_tokens", "max_completion_tokens", "max_length")


def apply_decoding(task: Task, settings: ScoreSettings, max_tokens: int | None = None) -> None:
    """Give a generative task the run's decoding; its own stop strings stay, and its length where none is given.

    Raises RunError for beams with stop strings in batches.
    """
    if task.get_config("output_type") != "generate_until":
        return
    own = task.get_config("generation_kwargs") or {}
    # lm-eval tracks stop strings by rows of the batch, of which beam search has several for each item:
    # one item's stop string would cut the others' answers.
    if settings.decoding.beams > 1 and own.get("until") and settings.batch_size > 1:
        raise RunError(
            "config",
            f"{task.task_name}: beams and the task's stop strings {own['until']} only go together one item at a time; "
            f"set score.batch_size: 1 or decoding: greedy",
        )
    kept = {key: value for key, value in own.items() if key not in DECODING_KEYS}
    if max_tokens is not None:
        kept = {key: value for key, value in kept.items() if key not in LENGTH_KEYS} | {"max_gen_toks": max_tokens}
    task.set_config("generation_kwargs", kept | generation_arguments(settings.decoding))


def generation_arguments(decoding: Decoding) -> dict[str, Any]:
    """`generate`'s arguments for a decoding, explicit where a model's own generation config might differ."""
    if decoding.sample is None:
        return {"do_sample": False, "num_beams": decoding.beams}
    sample = decoding.sample
    return {
        "do_sample": True,
        "num_beams": decoding.beams,
        "temperature": sample.temperature,
        "top_p": sample.top_p,
        "top_k": sample.top_k,
    }
