"""The test items that a run will be asked, looked at before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, UndefinedError
from jinja2.nodes import Name, Output
from lm_eval.api.task import Task
from transformers import PreTrainedTokenizerBase

from harness.catalog.tasks import GENERATIVE, tasks_in
from harness.errors import RunError
from harness.score.decoding import LENGTH_KEYS, apply_decoding
from harness.score.fingerprint import task_fingerprint
from harness.score.language_model import own_randomness
from harness.score.prompting import prompt, scoring_prompt
from harness.score.scoring import chosen_items
from harness.score.task_index import LoadedTask, load_tasks
from harness.spec.run import RunSpec

MOST_TOO_LONG = 0.05
"""A larger share of prompts beyond the model's context means that the set-up is wrong."""
DEFAULT_LENGTH = 256
"""Tokens of an answer where a task says nothing (lm-eval's own number)."""


@dataclass(frozen=True)
class Items:
    """All items of a task, as texts without the prompt's template; fingerprint: that of the task's content."""

    fingerprint: str
    texts: tuple[str, ...]


def examine(
    run: RunSpec, tasks: Sequence[str], tokenizer: PreTrainedTokenizerBase | None, context: int | None
) -> dict[str, Items]:
    """The items of each task that the run is to answer. Without a tokenizer, no length is looked at.

    Raises RunError("data") for a task without items, an item that lacks a field of the task's template, and where
    over 5 % of the prompts don't fit the model's context; RunError("config") for a decoding that a task can't have.
    """
    with _apart(run, tokenizer):
        found = {}
        ours = tasks_in(Path(run.score.tasks_path)) if run.score.tasks_path else {}
        for each in load_tasks(tasks, run.score.tasks_path):
            apply_decoding(each.task, run.score, run.prompt.max_tokens)
            docs = list(each.task.eval_docs)
            _check_columns(each, docs, whole=each.name in ours)
            chosen = chosen_items(each.name, each.task, run.score.limit)
            asked = docs if chosen is None else [docs[place] for place in chosen[each.name]]
            _check_lengths(each, [_prompt(each, doc) for doc in asked], tokenizer, context)
            texts = tuple(_text(each.task, doc) for doc in docs)
            found[each.name] = Items(task_fingerprint(each.content), texts)
    return found


@contextmanager
def _apart(run: RunSpec, tokenizer: PreTrainedTokenizerBase | None) -> Iterator[None]:
    with (
        own_randomness(run.seed or 0, torch.device("cpu")),
        scoring_prompt(run.prompt.score, tokenizer),
        redirect_stdout(sys.stderr),
    ):
        yield


def _check_columns(loaded: LoadedTask, docs: Sequence[dict[str, Any]], whole: bool) -> None:
    """Raises RunError for an item without a column that its task names: lm-eval takes such a name for the text.

    whole: also for one that a template puts in as it is, which reads "None" then. That of lm-eval's own tasks stays as
    lm-eval defines it.
    """
    named = [loaded.task.get_config(field) for field in ("doc_to_text", "doc_to_target")]
    columns = [column for each in named for column in _columns(each, whole)]
    for place, doc in enumerate(docs):
        for column in columns:
            if doc.get(column) is None:
                there = ", ".join(str(name) for name, value in doc.items() if value is not None) or "nothing"
                raise RunError(
                    "data", f"{loaded.name} item {place}: no {column}, which the task needs; it has {there}"
                )


def _columns(named: Any, whole: bool) -> list[str]:
    """The columns that a task can't do without: the one that it names, or those that its template puts in anyway."""
    if named is prompt:
        return ["instruction"]
    if not isinstance(named, str):
        return []
    if named.isidentifier() or not whole:
        return [named] if named.isidentifier() else []
    parsed = Environment().parse(named)  # noqa: S701 - read, never rendered
    put_in = (node for part in parsed.body if isinstance(part, Output) for node in part.nodes)
    return [node.name for node in put_in if isinstance(node, Name)]


def _prompt(loaded: LoadedTask, doc: dict[str, Any]) -> str:
    """What the model is shown of an item; "" where each choice has a text of its own."""
    try:
        asked = loaded.task.doc_to_text(doc)
        loaded.task.doc_to_target(doc)
    except (KeyError, UndefinedError) as error:
        raise RunError("data", f"{loaded.name}: an item lacks what the task needs: {error}") from error
    return asked if isinstance(asked, str) else ""


def _check_lengths(
    loaded: LoadedTask, prompts: Sequence[str], tokenizer: PreTrainedTokenizerBase | None, context: int | None
) -> None:
    if context is None or tokenizer is None:
        return
    room = context - _answer_length(loaded.task)
    # A token is at least a byte, so that most prompts need no tokenising to be known to fit.
    doubtful = [text for text in prompts if len(text.encode()) > room - 1]
    longer = sum(len(tokenizer.encode(text)) > room for text in doubtful)
    if longer > MOST_TOO_LONG * len(prompts):
        raise RunError(
            "data",
            f"{loaded.name}: {longer} of {len(prompts)} prompts are longer than the {room} tokens that the model's "
            f"context of {context} leaves beside the answer; choose a model with a longer context, or other tasks",
        )


def _answer_length(task: Task) -> int:
    if task.OUTPUT_TYPE != GENERATIVE:
        return 0
    arguments = task.get_config("generation_kwargs") or {}
    return next((int(arguments[key]) for key in LENGTH_KEYS if arguments.get(key)), DEFAULT_LENGTH)


def _text(task: Task, doc: dict[str, Any]) -> str:
    """What an item says: its own words in LLM-Adapters' columns, else as the task puts it, else all its texts."""
    if isinstance(doc.get("instruction"), str):
        return "\n".join(filter(None, [doc["instruction"], doc.get("input")]))
    asked = task.doc_to_text(doc)
    if isinstance(asked, str):
        return asked
    return " ".join(value for value in doc.values() if isinstance(value, str))
