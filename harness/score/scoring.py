"""Scoring one run: its tasks one after the other, each result handed out as soon as it is there."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate

from harness.catalog.prompts import render
from harness.errors import RunError
from harness.score.decoding import apply_decoding
from harness.score.language_model import Emit, ScoredModel, evaluation_mode, own_randomness, same_padding
from harness.score.prompting import scoring_prompt
from harness.score.results import task_result
from harness.score.task_index import LoadedTask, load_tasks
from harness.spec.run import RunSpec
from harness.store.records import TaskResult

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BOOTSTRAP_ITERATIONS = 1000


def score(
    run: RunSpec, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: Sequence[str], *, emit: Emit
) -> Iterator[TaskResult]:
    """Score a model in memory on tasks; each result is yielded before the next task begins.

    Names, data, prompt and decoding of all tasks are checked at the call, before anything is generated.
    emit gets {event: task, task, index, of} as each task starts (index from 1) and {event: items, done, total}
    as its requests are answered. Model, tokenizer and random state are left as they were; lm-eval's prints go to
    stderr.
    Raises RunError for what the run itself makes impossible, PrerequisiteError where test data is missing.
    """
    _check_prompt(run, tokenizer)
    with _undisturbed(run, model, tokenizer):
        loaded = load_tasks(tasks, run.score.tasks_path)
    for each in loaded:
        apply_decoding(each.task, run.score)
    return _score_all(run, model, tokenizer, loaded, emit)


def _score_all(
    run: RunSpec,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    loaded: Sequence[LoadedTask],
    emit: Emit,
) -> Iterator[TaskResult]:
    report = _printing_to(sys.stdout, emit)
    for index, each in enumerate(loaded, start=1):
        emit({"event": "task", "task": each.name, "index": index, "of": len(loaded)})
        started = time.perf_counter()
        with _undisturbed(run, model, tokenizer):
            lm = ScoredModel(model, tokenizer, run.score.batch_size, report)
            found = _evaluate(lm, each, run.score.limit)
        yield task_result(each, found, lm, run.score.store_outputs, time.perf_counter() - started)


def _printing_to(stdout: TextIO, emit: Emit) -> Emit:
    def report(event: dict[str, Any]) -> None:
        with redirect_stdout(stdout):
            emit(event)

    return report


@contextmanager
def _undisturbed(run: RunSpec, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    with (
        evaluation_mode(model),
        same_padding(tokenizer),
        own_randomness(run.seed or 0, model.device),
        scoring_prompt(run.prompt.score, tokenizer),
        redirect_stdout(sys.stderr),
    ):
        yield


def _evaluate(lm: ScoredModel, loaded: LoadedTask, limit: int | None) -> dict[str, Any]:
    # evaluate, not simple_evaluate: the latter reseeds python, numpy and torch. Neither of lm-eval's caches is
    # ever on: their keys hold no model, so one run would get another's answers.
    return evaluate(
        lm,
        {"tasks": {loaded.name: loaded.task}},
        samples=chosen_items(loaded.name, loaded.task, limit),
        bootstrap_iters=BOOTSTRAP_ITERATIONS,
    )


def chosen_items(name: str, task: Task, limit: int | None) -> dict[str, list[int]] | None:
    """lm-eval `samples`: the items that a limit leaves, the same for every run; a smaller limit takes some of them."""
    total = len(task.eval_docs)
    if limit is None or limit >= total:
        return None
    by_chance = sorted(range(total), key=lambda item: hashlib.sha256(f"{name}:{item}".encode()).digest())
    return {name: sorted(by_chance[:limit])}


def _check_prompt(run: RunSpec, tokenizer: PreTrainedTokenizerBase) -> None:
    try:
        render(run.prompt.score, "?", "", tokenizer)
    except ValueError as error:
        raise RunError("config", str(error)) from error
