"""EVA: LoRA whose A starts as the main directions of each layer's inputs on the training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from peft import initialize_lora_eva_weights
from trl import SFTTrainer

from harness.errors import RunError

FEWEST_ROWS = 4
"""Of a batch that the directions are estimated from, as in the authors' example."""
MOST_ROWS = 1024
"""No more of the training rows are looked at; far fewer are enough for the directions to settle."""


class EvaTrainer(SFTTrainer):
    """Sets A to the right singular vectors of the layers' inputs before training (Paischer et al., arXiv 2410.07170).

    B is zero, so that training starts from the base. Where a training is resumed, the checkpoint's weights take
    their place. Raises RunError("config") where the training rows have too few tokens for the rank.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rank = self.model.active_peft_config.r
        rows = self.train_dataset.shuffle(seed=self.args.data_seed)
        batches = [self.data_collator(batch) for batch in _batches(rows, tokens=2 * rank)]
        if not batches:
            raise RunError("config", f"r: the training rows have fewer than {2 * rank} tokens that count: lower it")
        initialize_lora_eva_weights(self.model, batches, show_progress_bar=False)


def _batches(rows: Dataset, tokens: int) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups of at least `tokens` labels: of fewer than the rank PEFT takes no directions, and never ends."""
    batch: list[dict[str, Any]] = []
    for row in rows.select(range(min(MOST_ROWS, len(rows)))):
        batch.append(row)
        counted = sum(int((torch.tensor(one["labels"]) != -100).sum()) for one in batch)
        if len(batch) >= FEWEST_ROWS and counted >= tokens:
            yield batch
            batch = []
