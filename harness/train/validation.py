"""What a trained model makes of the examples that were kept from training."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from harness.errors import RunError
from harness.spec.run import RunSpec, TrainSettings
from harness.spec.tuning import VALIDATION
from harness.store.records import Score, TaskResult
from harness.train.examples import draw, read
from harness.train.lengths import context_of, within_context
from harness.train.steps import micro_batch
from harness.train.tokens import IGNORED, Encoded, encoded, with_labels

VERSION = "1"


@dataclass(frozen=True)
class Row:
    """A validation example as it is asked.

    answer: where its answer's tokens begin; None where it is cut off, or the data have no answers.
    """

    ids: list[int]
    labels: list[int]
    answer: int | None


@dataclass
class Sums:
    """What adds up over the rows: the loss of `tokens` tokens, and how many of `answers` answers are right."""

    loss: float = 0.0
    tokens: int = 0
    right: int = 0
    answers: int = 0


def validate(run: RunSpec, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> TaskResult:
    """Scores the model, which is in evaluation mode, on the validation examples of its training, as VALIDATION.

    `loss`: the mean over their tokens of what training minimises (nats). `accuracy`: the share of examples of whose
    answer each token, the end of the text included, is the most likely one after those before it: exactly those that
    greedy decoding would answer to the letter, at the price of one forward pass. n counts the examples; those whose
    answer is cut by max_length are in no accuracy. Raises RunError("data") where no example keeps a label,
    RunError("diverged") for a loss that is not finite.
    """
    assert run.data is not None and run.train is not None and run.seed is not None
    begun = time.monotonic()
    settings = within_context(run.train, context_of(model.config))
    _, held_out = draw(read(run.data), run.data, run.seed)
    has_answers = all(example.format != "text" for example in held_out)
    rows = list(_rows(encoded(held_out, tokenizer, run.prompt), settings, has_answers))
    if not rows:
        raise RunError("data", f"no validation example has an answer within max_length {settings.max_length}")
    sums = measure(model, rows, micro_batch(settings), tokenizer.pad_token_id)
    loss = sums.loss / sums.tokens
    if not math.isfinite(loss):
        raise RunError("diverged", f"the loss on the validation examples is {loss}")
    scores = [Score("loss", loss, None, len(rows))]
    if sums.answers:
        scores.append(_share(sums.right, sums.answers))
    counts = {"tokens": sums.tokens, "loss_on": settings.loss_on, "max_length": settings.max_length}
    return TaskResult(
        VALIDATION, VERSION, _fingerprint(rows), tuple(scores), (), time.monotonic() - begun, {"validation": counts}
    )


def _rows(examples: Iterator[Encoded], settings: TrainSettings, has_answers: bool) -> Iterator[Row]:
    for example in examples:
        kept, labels = with_labels(example, settings)
        if (labels[1:] != IGNORED).any():
            whole = has_answers and len(kept) == len(example.ids) > example.prompt
            yield Row(kept.tolist(), labels.tolist(), max(1, example.prompt) if whole else None)


@torch.no_grad()
def measure(model: torch.nn.Module, rows: Sequence[Row], batch_size: int, pad: int) -> Sums:
    """Reads the rows in batches of the longest first, padded on the right. pad: the token that fills them."""
    collate, sums = DataCollatorForLanguageModeling(pad_token_id=pad), Sums()
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    device = next(model.parameters()).device
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        inputs = collate([{"input_ids": row.ids, "labels": row.labels} for row in batch])
        inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
        width = inputs["input_ids"].shape[1]
        logits = model(**inputs).logits[:, -width:][:, :-1].float()  # a learned prompt stands before the tokens
        _add(sums, logits, inputs, batch)
    return sums


def _add(sums: Sums, logits: torch.Tensor, inputs: dict[str, Any], batch: Sequence[Row]) -> None:
    """logits: (rows, tokens - 1, vocabulary), of which each predicts the token after it."""
    labels = inputs["labels"][:, 1:]
    sums.loss += float(cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="sum"))
    sums.tokens += int((labels != IGNORED).sum())
    likeliest = (logits.argmax(dim=-1) == inputs["input_ids"][:, 1:]).cpu()
    for hits, row in zip(likeliest, batch, strict=True):
        if row.answer is not None:
            sums.answers += 1
            sums.right += bool(hits[row.answer - 1 : len(row.ids) - 1].all())


def _share(right: int, n: int) -> Score:
    """A share of n, with the standard error of a mean of n outcomes, as lm-eval's."""
    value = right / n
    return Score("accuracy", value, math.sqrt(value * (1 - value) / (n - 1)) if n > 1 else None, n)


def _fingerprint(rows: Sequence[Row]) -> str:
    asked = json.dumps([[row.ids, row.labels] for row in rows], separators=(",", ":"))
    return hashlib.sha256(asked.encode()).hexdigest()
