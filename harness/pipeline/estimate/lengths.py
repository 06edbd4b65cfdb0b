"""How many examples a training has, and how long they are in a model's tokens."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.catalog.models import ModelEntry, model_entry
from harness.errors import HarnessError, NotFoundError, RunError
from harness.paths import PACKAGE, cache_dir
from harness.pipeline.classes import hushed
from harness.pipeline.estimate.kept import Kept
from harness.pipeline.training_data import drawn, example_counts
from harness.spec.run import DataRef, ModelRef, PromptRef, RunSpec

SAMPLE = 1000
"""Examples that are tokenised to know how long they are; a choice that is always the same."""


@dataclass(frozen=True)
class Lengths:
    """A sample of the examples' lengths in tokens, in rising order, as they are cut."""

    tokens: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Of an example."""
        return sum(self.tokens) / len(self.tokens)

    @cache  # noqa: B019 - as long as its sample is kept
    def longest(self, rows: int) -> float:
        """The expected length of the longest of `rows` examples: to which a micro-batch is padded."""
        count = len(self.tokens)
        below = [(number / count) ** rows for number in range(count + 1)]
        return sum(length * (below[n + 1] - below[n]) for n, length in enumerate(self.tokens))


def examples_of(data: DataRef) -> int | None:
    """How many examples a run is trained on; None where the data isn't here, or can't be read."""
    try:
        counts = example_counts(data)
        return None if counts is None else drawn(data, counts)
    except (HarnessError, RunError):
        return None


class Tokenised:
    """The lengths of training data, measured once and remembered."""

    def __init__(self) -> None:
        self._kept = Kept("lengths")
        self._known: dict[str, Lengths | None] = {}

    def lengths(self, run: RunSpec, context: int | None) -> Lengths | None:
        """None where the data or the model's tokenizer isn't here."""
        if run.data is None or run.train is None:
            return None
        most = min(run.train.max_length, context or run.train.max_length)
        key = run.model.content, run.data.sources, run.prompt.train, run.prompt.score
        text = f"{most} {key}"
        if text not in self._known:
            found = self._measured(key, run)
            self._known[text] = Lengths(tuple(min(length, most) for length in found)) if found else None
        return self._known[text]

    def save(self) -> None:
        """Keeps what was measured for later processes."""
        self._kept.save()

    def _measured(self, key: Any, run: RunSpec) -> tuple[int, ...] | None:
        assert run.data is not None
        if any(not source.content.startswith(("sha256:", "hub:")) for source in run.data.sources):
            return None
        model, sources, *prompt = key
        key = [model, [source.model_dump(mode="json") for source in sources], *prompt]
        if (found := self._kept.get(key)) is None:
            try:
                found = _tokenise(run.model, run.data, run.prompt)
            except Exception:  # noqa: BLE001 - a tokenizer's or a template's own code; training tells what is wrong
                return None
            if found is not None:
                self._kept.put(key, found)
        return tuple(found) if found else None


def _tokenise(model: ModelRef, data: DataRef, prompt: PromptRef) -> Sequence[int] | None:
    if model.api is not None or any(source.kind == "hub" for source in data.sources) or not _has_tokenizer(model):
        return None
    from harness.train.base_model import load_tokenizer
    from harness.train.examples import read
    from harness.train.tokens import encoded

    examples = read(data)
    sample = random.Random(0).sample(examples, min(SAMPLE, len(examples)))  # noqa: S311
    with hushed():
        return sorted(len(row.ids) for row in encoded(sample, load_tokenizer(model.name, model.revision), prompt))


def _has_tokenizer(model: ModelRef) -> bool:
    """Whether a model's tokenizer is here: nothing is fetched or converted for an estimate."""
    try:
        entry = model_entry(model.name, model.revision)
    except NotFoundError:
        return False
    return any(map(Path.is_file, _tokenizer_files(entry)))


def _tokenizer_files(entry: ModelEntry) -> list[Path]:
    if entry.source == "hub":
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(entry.location, "tokenizer_config.json", revision=entry.revision)
        return [Path(found)] if isinstance(found, str) else []
    places = {
        "embedded": PACKAGE / "catalog" / entry.location,
        "package": cache_dir() / "models" / f"{entry.name}-{(entry.sha256 or '')[:12]}",
        "local": Path(entry.location),
    }
    return [places[entry.source] / "tokenizer_config.json"] if entry.source in places else []


def expected_steps(run: RunSpec, examples: int | None) -> int | None:
    """The optimizer steps of a run; None where they depend on data that isn't here."""
    from harness.train.steps import total_steps

    if run.train is None or (run.train.steps is None and examples is None):
        return None
    return total_steps(run.train, examples or 0)


def rows_of(run: RunSpec, steps: int, examples: int | None) -> int:
    """The examples that are trained on, each as often as it is seen."""
    assert run.train is not None
    if run.train.steps is not None or examples is None:
        return steps * run.train.batch_size
    epochs = run.train.epochs or 1
    return min(steps * run.train.batch_size, math.ceil(epochs * examples))
