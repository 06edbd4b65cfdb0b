"""Tokenised data that a worker keeps from run to run: the methods of a sweep train on the same rows."""

from __future__ import annotations

import copy
import hashlib
import json
import weakref
from collections import OrderedDict
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from harness.spec.run import DataRef, PromptRef, TrainSettings
from harness.train.examples import data_fingerprints
from harness.train.rows import Rows, prepare

MOST_BYTES = 512 * 2**20
"""Of all rows that are kept; the ones that were used longest ago go first."""


class KeptRows:
    """`rows.prepare`, whose results are kept under all that determines them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Rows] = OrderedDict()
        self._digests: weakref.WeakKeyDictionary[PreTrainedTokenizerBase, str] = weakref.WeakKeyDictionary()

    def prepare(
        self,
        data: DataRef,
        prompt: PromptRef,
        settings: TrainSettings,
        seed: int,
        tokenizer: PreTrainedTokenizerBase,
        context: int | None = None,
    ) -> Rows:
        """See `rows.prepare`, whose errors it raises. Files that have changed since are read again."""
        if not tokenizer.is_fast:  # whose content can't be told
            return prepare(data, prompt, settings, seed, tokenizer, context)
        key = json.dumps(
            [
                *(data.model_dump(mode="json"), data_fingerprints(data), prompt.model_dump(mode="json")),
                *(settings.max_length, settings.loss_on, seed, context, self._digest(tokenizer)),
            ],
            sort_keys=True,
        )
        rows = self._kept.pop(key, None) or prepare(data, prompt, settings, seed, tokenizer, context)
        self._kept[key] = rows
        while sum(map(_size, self._kept.values())) > self._most_bytes:
            self._kept.popitem(last=False)
        return _lent(rows)

    def clear(self) -> None:
        """Forgets all rows."""
        self._kept.clear()

    def _digest(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """What fixes how a tokenizer reads texts. Taken once: scoring sets its padding, of which rows have none."""
        if tokenizer not in self._digests:
            texts = [tokenizer.backend_tokenizer.to_str(), tokenizer.special_tokens_map, tokenizer.chat_template]
            self._digests[tokenizer] = hashlib.sha256(json.dumps(texts, default=str).encode()).hexdigest()
        return self._digests[tokenizer]


def _size(rows: Rows) -> int:
    return sum(each.data.nbytes for each in (rows.train, rows.validation))


def _lent(rows: Rows) -> Rows:
    """Rows whose borrower may set formats and change counts: the tokens themselves can't be changed."""
    train, validation = copy.copy(rows.train), copy.copy(rows.validation)
    return replace(
        rows, train=train, validation=validation, counts=dict(rows.counts), quality=copy.deepcopy(rows.quality)
    )
