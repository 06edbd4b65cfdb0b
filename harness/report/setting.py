"""What all rows of a leaderboard share but the benchmark: base model, training data, prompt and scoring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.catalog.apis import host_of
from harness.spec.identity import canonical
from harness.spec.run import DataRef, ModelRef, PromptRef, RunSpec, ScoreSettings

IDENTITY, SCORING = frozenset({"identity"}), frozenset({"scoring"})


@dataclass(frozen=True)
class Setting:
    """A specification's parts that make a board; data: None where nothing is trained."""

    model: ModelRef
    data: DataRef | None
    prompt: PromptRef
    score: ScoreSettings

    @cached_property
    def protocol(self) -> str:
        """Equal for settings of one base model and one scoring protocol.

        A model is its content; its name where that is unknown.
        """
        name = None if self.model.content else self.model.name
        scoring = [canonical(part, SCORING) for part in (self.prompt, self.score)]
        return same([name, canonical(self.model, IDENTITY), *scoring])

    @cached_property
    def trained_on(self) -> str | None:
        """Equal for settings of one training-data setting; None where nothing is trained."""
        return None if self.data is None else same(canonical(self.data, IDENTITY))

    def to_json(self) -> dict[str, Any]:
        """As a leaderboard tells it."""
        data = self.data
        return {
            "model": self.model.name,
            "server": host_of(self.model.api.url) if self.model.api else None,
            "revision": self.model.revision,
            "dtype": self.model.dtype,
            "quantization": self.model.quantization,
            "limit": self.score.limit,
            "prompt": self.prompt.name,
            "decoding": self.score.decoding.model_dump(mode="json"),
            "data": None
            if data is None
            else {"train": data.name, "fraction": data.fraction, "limit": data.limit, "validation": data.validation},
        }


def same(form: Any) -> str:
    """A text that equal canonical forms have in common, and no others."""
    return json.dumps(form, sort_keys=True)


def setting_of(spec: RunSpec) -> Setting:
    """The specification's setting."""
    return Setting(spec.model, spec.data, spec.prompt, spec.score)


def read_setting(parts: Mapping[str, Any]) -> Setting:
    """The setting that these parts of a recorded specification are."""
    data = parts.get("data")
    return Setting(
        model=ModelRef.model_validate(parts["model"]),
        data=None if data is None else DataRef.model_validate(data),
        prompt=PromptRef.model_validate(parts["prompt"]),
        score=ScoreSettings.model_validate(parts.get("score", {})),
    )
