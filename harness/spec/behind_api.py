"""What can't be asked of a model that a server answers for."""

from __future__ import annotations

from harness.catalog.prompts import CHAT, prompt
from harness.spec.schema import BaseSpec, ScoreSpec


def api_faults(base: BaseSpec, score: ScoreSpec, prompt_name: str) -> dict[str, str]:
    """The settings that its protocol can't carry: messages by field. Nothing where the weights are here."""
    if base.api is None:
        return {}
    faults = {}
    decoding = score.decoding
    if decoding.beams is not None and decoding.beams > 1:
        faults["score.decoding"] = f"{base.api} knows no beams: greedy, or {{sample: {{temperature, top_p}}}}"
    if decoding.sample and "top_k" in decoding.sample.model_fields_set:
        faults["score.decoding"] = f"{base.api} knows no top_k: {{sample: {{temperature, top_p}}}}"
    if CHAT in prompt(prompt_name).score:
        faults["prompt"] = (
            f"needs the model's own tokenizer; {base.api} applies the model's chat template itself: use prompt: none"
            if base.api == "openai-chat"
            else f"needs the model's own tokenizer, which {base.api} does not give: use api: openai-chat"
        )
    return faults


def untrainable(base: BaseSpec) -> str:
    """Why a method that trains, or loads an adapter, can't have this base."""
    return f"its base can't be trained behind {base.api}, which only answers: use method: none"
