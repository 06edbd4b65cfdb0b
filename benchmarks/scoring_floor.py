"""The least that scoring can cost: what must be read, at reading's speed, and written, at that of a full batch."""

from __future__ import annotations

import time
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from scoring_work import Work

from harness.score.cached_rows import Rows, common_beginning

REPEATS = 3


def floor(work: Work, lm: HFLM, answers: list[Any]) -> float:
    """CPU seconds for the distinct tokens of all prompts and choices, and for the tokens that were written.

    Reading is timed at the length of a typical row, a batch at a time; writing at the batch size, without padding.
    """
    rows = _rows(work, lm)
    length = max(1, sum(map(len, rows)) // len(rows))
    beginning = common_beginning(rows)
    read = beginning + sum(len(row) - beginning for row in rows)
    if not work.generates:
        read -= _shared(work)
    batch = [rows[0][:1] * length] * lm.batch_size
    reading, writing = [], []
    for _ in range(REPEATS):
        begun = Rows.begun(lm.model, []).picked([0] * lm.batch_size)
        reading.append(_seconds(begun, batch) / (lm.batch_size * length))
        writing.append(_seconds(begun, [[5]] * lm.batch_size) / lm.batch_size)
    written = sum(len(ids) for ids in lm.tokenizer(answers)["input_ids"]) if work.generates else 0
    return read * min(reading) + written * min(writing)


def _rows(work: Work, lm: HFLM) -> list[list[int]]:
    if work.generates:
        return lm.tokenizer(list(work.requests))["input_ids"]
    return [(prompt + rest)[:-1] for _, prompt, rest in work.requests]


def _shared(work: Work) -> int:
    """The tokens of contexts beyond their first reading, and of choices that are equal but for the last token."""
    seen: set[tuple[int, ...]] = set()
    repeated = 0
    for _, prompt, rest in work.requests:
        whole = tuple(prompt + rest[:-1])
        if whole in seen:
            repeated += len(whole)
        elif tuple(prompt) in seen:
            repeated += len(prompt)
        seen |= {whole, tuple(prompt)}
    return repeated


@torch.no_grad()
def _seconds(rows: Rows, ids: list[list[int]]) -> float:
    start = time.process_time()
    rows.read(ids)
    return time.process_time() - start
