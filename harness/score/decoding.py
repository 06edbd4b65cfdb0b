"""How answers are generated: a run's decoding put into a task, in place of the task's own."""

from __future__ import annotations

from typing import Any

from lm_eval.api.task import Task

from harness.catalog.tasks import beams_fault
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
    if settings.decoding.beams > 1 and own.get("until") and settings.batch_size > 1:
        stops = [own["until"]] if isinstance(own["until"], str) else own["until"]
        raise RunError("config", beams_fault(task.task_name, stops))
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
