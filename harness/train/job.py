"""A training that is set up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase, Trainer

from harness.paths import RunPaths
from harness.spec.run import DataRef, RunSpec, TrainSettings
from harness.train.adapter import ParameterCount
from harness.train.rows import Rows


@dataclass(frozen=True)
class Job:
    """Everything about a training that doesn't change while it runs."""

    run: RunSpec
    paths: RunPaths
    data: DataRef
    settings: TrainSettings
    seed: int
    tokenizer: PreTrainedTokenizerBase
    rows: Rows
    steps: int
    count: ParameterCount
    trainer: type[Trainer]
    model: PreTrainedModel | PeftModel

    @property
    def resumable(self) -> bool:
        """Whether the training can go on from a checkpoint: not where its trainer says `resumable = False`."""
        return getattr(self.trainer, "resumable", True)

    @property
    def keeps_best(self) -> bool:
        return self.settings.checkpoint == "best" and len(self.rows.validation) > 0 and self.resumable

    @property
    def gradient_checkpointing(self) -> bool:
        """What was asked, but never with a prompt that is a cache: a recomputed block would add to it once more."""
        return self.settings.gradient_checkpointing and not self._prompt_is_cache

    @property
    def _prompt_is_cache(self) -> bool:
        if not isinstance(self.model, PeftModel) or not self.model.active_peft_config.is_prompt_learning:
            return False
        with torch.no_grad():
            return isinstance(self.model.get_prompt(batch_size=1), Cache)
