"""Examples as token ids and labels.

Where training and scoring share a template, an example is `prompt ids + output ids + end of text`, tokenised
apart, so that the ids of the scoring prompt are exactly its prefix. Where a published recipe's templates
differ, the joined text is tokenised as its authors did, and the prompts that are no prefix are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from harness.catalog.prompts import render
from harness.errors import RunError
from harness.spec.run import PromptRef, TrainSettings
from harness.train.examples import Example

IGNORED = -100
"""The label of a token on which no loss is taken."""

CHUNK = 2000
"""Examples tokenised at a time."""


@dataclass(frozen=True)
class Tokenised:
    """rows: `input_ids` and `labels`, one list each a row, unpadded, ready for the trainer.

    counts: `truncated` rows, `dropped` ones (no label left after truncation), and `prefix_mismatch`, the rows
    whose scoring prompt is not the exact prefix of what is trained; lengths: every example's tokens before it is cut.
    """

    rows: Dataset
    counts: dict[str, int] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Text:
    """prompt and answer of an example; scored: its scoring prompt where that is another text."""

    prompt: str
    answer: str
    scored: str | None = None
    ends: bool = True


@dataclass(frozen=True)
class Encoded:
    """An example's token ids, of which the first `prompt` are the prompt's."""

    ids: list[int]
    prompt: int
    mismatch: bool = False


def tokenise(
    examples: list[Example], tokenizer: PreTrainedTokenizerBase, prompt: PromptRef, settings: TrainSettings
) -> Tokenised:
    """The examples as the trainer takes them, at most `settings.max_length` tokens each.

    Raises RunError("data") where no example keeps a label, RunError("config") for a prompt that needs a chat
    template which the tokenizer lacks.
    """
    counts = {"truncated": 0, "dropped": 0, "prefix_mismatch": 0}
    ids, labels, lengths = [], [], []
    for row in encoded(examples, tokenizer, prompt):
        lengths.append(len(row.ids))
        counts["prefix_mismatch"] += row.mismatch
        counts["truncated"] += len(row.ids) > settings.max_length
        kept, wanted = with_labels(row, settings)
        if (wanted[1:] == IGNORED).all():
            counts["dropped"] += 1
            continue
        ids.append(kept)
        labels.append(wanted)
    if examples and not ids:
        raise _no_answers(settings)
    return Tokenised(Dataset.from_dict({"input_ids": ids, "labels": labels}), counts, tuple(lengths))


def with_labels(row: Encoded, settings: TrainSettings) -> tuple[np.ndarray, np.ndarray]:
    """The ids of a row that are trained on, and their labels: (tokens,) each."""
    kept = np.asarray(row.ids[: settings.max_length], dtype=np.int32)
    labels = kept.copy()
    if settings.loss_on == "completion":
        labels[: row.prompt] = IGNORED
    return kept, labels


def check_answers(rows: Iterable[Encoded], settings: TrainSettings) -> None:
    """Raises RunError("data") where no row keeps a label; takes no more rows than it must."""
    first = settings.loss_on == "all"
    if not any(min(len(row.ids), settings.max_length) > max(1, 0 if first else row.prompt) for row in rows):
        raise _no_answers(settings)


def _no_answers(settings: TrainSettings) -> RunError:
    return RunError("data", f"no example has an answer within max_length {settings.max_length}; raise it")


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> list[list[int]]:
    """Prompts as lm-eval tokenises them: no second begin-of-text before a text that opens with one."""

    def opened(text: str) -> bool:
        return bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)

    groups = groupby(prompts, key=opened)
    return [ids for has, texts in groups for ids in tokenizer(list(texts), add_special_tokens=not has)["input_ids"]]


def encoded(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, prompt: PromptRef) -> Iterator[Encoded]:
    """Each example's token ids, not cut yet. Raises RunError as `tokenise` does."""
    for start in range(0, len(examples), CHUNK):
        texts = [_text(example, tokenizer, prompt) for example in examples[start : start + CHUNK]]
        for _, alike in groupby(texts, key=lambda text: text.scored is None):
            yield from _encode(list(alike), tokenizer)


def _encode(texts: list[_Text], tokenizer: PreTrainedTokenizerBase) -> Iterator[Encoded]:
    prompts = prompt_ids(tokenizer, [text.prompt for text in texts])
    ends = [[tokenizer.eos_token_id] if text.ends else [] for text in texts]
    if texts[0].scored is None:
        answers = tokenizer([text.answer for text in texts], add_special_tokens=False)["input_ids"]
        for first, answer, end in zip(prompts, answers, ends, strict=True):
            yield Encoded(first + answer + end, len(first))
        return
    joined = prompt_ids(tokenizer, [text.prompt + text.answer for text in texts])
    scored = prompt_ids(tokenizer, [text.scored or "" for text in texts])
    for first, whole, asked, end in zip(prompts, joined, scored, ends, strict=True):
        yield Encoded(whole + end, len(first), whole[: len(asked)] != asked)


def _text(example: Example, tokenizer: PreTrainedTokenizerBase, prompt: PromptRef) -> _Text:
    if example.format == "text":
        opening = tokenizer.bos_token if tokenizer.bos_token and example.text.startswith(tokenizer.bos_token) else ""
        return _Text(opening, example.text.removeprefix(opening))
    if example.format == "messages":
        return _last_turn(example, tokenizer)
    if example.format == "prompt_completion":
        return _Text(example.instruction, example.output)
    try:
        train = render(prompt.train, example.instruction, example.input, tokenizer)
        same = prompt.train == prompt.score
        scored = None if same else render(prompt.score, example.instruction, example.input, tokenizer)
    except ValueError as error:
        raise RunError("config", str(error)) from error
    return _Text(train, example.output, scored)


def _last_turn(example: Example, tokenizer: PreTrainedTokenizerBase) -> _Text:
    """A conversation in the tokenizer's chat template: all up to the last answer, and that answer with its end."""
    if not tokenizer.chat_template:
        raise RunError("config", "data of the format messages needs a tokenizer with a chat template")
    messages = list(example.messages)
    before = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    if not whole.startswith(before):
        raise RunError("data", "the tokenizer's chat template rewrites earlier turns; use another format")
    return _Text(before, whole.removeprefix(before), ends=False)
