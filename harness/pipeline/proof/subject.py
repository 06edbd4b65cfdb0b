"""A method under proof, and what is known of it so far."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.adapters.method import Method
from harness.paths import RunPaths
from harness.pipeline.proof.probe import Probe
from harness.pipeline.proof.process import FreshProcess
from harness.spec.run import RunSpec
from harness.store.records import TrainResult

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness.train.adapter import ParameterCount


class NotReached(Exception):
    """A check needs what an earlier one failed to bring about."""


def never() -> bool:
    """Does not ask a training to stop."""
    return False


def _ignore(event: object) -> None:
    """Nobody listens to the training."""


@dataclass(frozen=True)
class Base:
    """The embedded model, which nothing is ever attached to; the probe and what the bare model answers to it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    probe: Probe
    logits: torch.Tensor

    def copy(self) -> PreTrainedModel:
        """One to attach an adapter to."""
        return copy.deepcopy(self.model)


@dataclass(frozen=True)
class Built:
    """The method attached, untrained. count: its parameters as they are."""

    model: PreTrainedModel | PeftModel
    count: ParameterCount


@dataclass(frozen=True)
class Trained:
    """A training's end. run: with the learning rate that it was trained at."""

    run: RunSpec
    paths: RunPaths
    result: TrainResult
    model: PreTrainedModel | PeftModel


@dataclass
class Subject:
    """One method; its checks fill in, one after the other, what later ones need."""

    method: Method
    folder: Path
    fresh: FreshProcess
    base: Callable[[RunSpec], Base]
    run: RunSpec | None = None
    built: Built | None = None
    trained: Trained | None = None
    places: int = 0

    def needs_built(self) -> tuple[RunSpec, Built]:
        """Raises NotReached where it could not be built."""
        if self.run is None or self.built is None:
            raise NotReached("it could not be built")
        return self.run, self.built

    def needs_trained(self) -> Trained:
        """Raises NotReached where it was not trained."""
        self.needs_built()
        if self.trained is None:
            raise NotReached("nothing is trained" if self.method.trains == "nothing" else "it could not be trained")
        return self.trained

    def new_paths(self, run: RunSpec) -> RunPaths:
        """File names that no training of this subject has used yet."""
        self.places += 1
        return RunPaths(self.folder / str(self.places), run.train_id, run.run_id)

    def train(self, run: RunSpec, paths: RunPaths, should_stop: Callable[[], bool] = never) -> Trained:
        """Trains as a run is trained. Raises Stopped, and what training raises."""
        from harness.train.training import train

        base = self.base(run)
        result, model = train(run, paths, base.copy(), base.tokenizer, emit=_ignore, should_stop=should_stop)
        return Trained(run, paths, result, model)
