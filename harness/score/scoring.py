"""Scoring one run: its tasks one after the other, each result handed out as soon as it is there."""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import torch
from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate

from harness.catalog.apis import no_likelihoods
from harness.catalog.prompts import render
from harness.catalog.tasks import GENERATIVE
from harness.errors import RunError, is_out_of_memory
from harness.score.decided import deciding_rules
from harness.score.decoding import apply_decoding
from harness.score.language_model import Emit, ScoredModel, evaluation_mode, own_randomness, same_padding
from harness.score.prompting import scoring_prompt
from harness.score.results import Answerer, task_result
from harness.score.soft_prompt import text_behind_prompt
from harness.score.statement import look_only_after
from harness.score.task_index import LoadedTask, load_tasks
from harness.spec.run import ApiRef, RunSpec
from harness.store.records import TaskResult

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BOOTSTRAP_ITERATIONS = 1000
Make = Callable[[Emit, Task, int], Answerer]
Shrunk = Callable[[int], None]
Undisturbed = Callable[[], AbstractContextManager[None]]


def score(
    run: RunSpec,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[str],
    *,
    emit: Emit,
    shrunk: Shrunk = lambda size: None,
) -> Iterator[TaskResult]:
    """Score a model in memory on tasks; each result is yielded before the next task begins.

    Names, data, prompt and decoding of all tasks are checked at the call, before anything is generated.
    emit gets {event: task, task, index, of} as each task starts (index from 1) and {event: items, done, total}
    as its requests are answered. A task whose batches don't fit into memory is asked again in batches of half the
    size, and so are those after it: shrunk is told of the size, and a result's provenance says in which it was.
    Model, tokenizer and random state are left as they were; lm-eval's prints go to stderr.
    Raises RunError for what the run itself makes impossible ("oom" for batches of one), PrerequisiteError where test
    data is missing.
    """
    _check_prompt(run, tokenizer)
    undisturbed = partial(_undisturbed, run, model, tokenizer)
    loaded = _loaded(run, tasks, undisturbed)

    def make(report: Emit, task: Task, batch_size: int) -> ScoredModel:
        return ScoredModel(model, tokenizer, batch_size, report, deciding_rules(task))

    return _score_all(run, make, loaded, undisturbed, emit, shrunk)


def score_api(run: RunSpec, api: ApiRef, tasks: Sequence[str], *, emit: Emit) -> Iterator[TaskResult]:
    """Score a model that a server answers for: as `score`, with `score.batch_size` requests at a time.

    Raises RunError also for tasks that compare likelihoods, before any request, and for a request that gets no answer.
    """
    from harness.score.api_model import PROTOCOLS

    undisturbed = partial(_apart, run)
    loaded = _loaded(run, tasks, undisturbed)
    check_answerable(loaded, api)

    def make(report: Emit, task: Task, batch_size: int) -> Answerer:
        return PROTOCOLS[api.protocol](run.model.name, api, batch_size, run.seed or 0, report)

    return _score_all(run, make, loaded, undisturbed, emit, lambda size: None)


def check_answerable(loaded: Sequence[LoadedTask], api: ApiRef) -> None:
    """Raises RunError for a task that a server can't answer: one that compares likelihoods."""
    for each in loaded:
        if each.task.OUTPUT_TYPE != GENERATIVE:
            raise RunError("config", no_likelihoods(each.name, api.protocol))


def _loaded(run: RunSpec, tasks: Sequence[str], undisturbed: Undisturbed) -> list[LoadedTask]:
    """The tasks, which answer in the run's way."""
    with undisturbed():
        loaded = load_tasks(tasks, run.score.tasks_path)
    for each in loaded:
        apply_decoding(each.task, run.score, run.prompt.max_tokens)
        if run.prompt.answer_after is not None:
            look_only_after(each.task, run.prompt.answer_after)
    return loaded


def _score_all(
    run: RunSpec,
    make: Make,
    loaded: Sequence[LoadedTask],
    undisturbed: Undisturbed,
    emit: Emit,
    shrunk: Shrunk,
) -> Iterator[TaskResult]:
    report, size = _printing_to(sys.stdout, emit), run.score.batch_size
    for index, each in enumerate(loaded, start=1):
        emit({"event": "task", "task": each.name, "index": index, "of": len(loaded)})
        started = time.perf_counter()
        while (answered := _answered(run, make, each, undisturbed, report, size)) is None:
            size //= 2
            _give_back_memory()
            shrunk(size)
            (each,) = _loaded(run, [each.name], undisturbed)  # lm-eval has changed the one that it used
        lm, found = answered
        yield task_result(each, found, lm, run.score.store_outputs, time.perf_counter() - started)


def _answered(
    run: RunSpec, make: Make, loaded: LoadedTask, undisturbed: Undisturbed, report: Emit, size: int
) -> tuple[Answerer, dict[str, Any]] | None:
    """Who answered a task, and what; None where batches of `size` don't fit into memory but smaller ones might."""
    try:
        with undisturbed():
            lm = make(report, loaded.task, size)
            return lm, _evaluate(lm, loaded, run)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if size == 1:
            raise RunError("oom", f"{loaded.name}: not even single prompts fit into memory: {error}") from error
        return None


def _give_back_memory() -> None:
    """Frees what an error's frames held until now."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _printing_to(stdout: TextIO, emit: Emit) -> Emit:
    def report(event: dict[str, Any]) -> None:
        with redirect_stdout(stdout):
            emit(event)

    return report


@contextmanager
def _undisturbed(run: RunSpec, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    with (
        evaluation_mode(model),
        text_behind_prompt(model),
        same_padding(tokenizer),
        own_randomness(run.seed or 0, model.device),
        scoring_prompt(run.prompt.score, tokenizer),
        redirect_stdout(sys.stderr),
    ):
        yield


@contextmanager
def _apart(run: RunSpec) -> Iterator[None]:
    """As `_undisturbed`, where the model is elsewhere."""
    with (
        own_randomness(run.seed or 0, torch.device("cpu")),
        scoring_prompt(run.prompt.score, None),
        redirect_stdout(sys.stderr),
    ):
        yield


def _evaluate(lm: Answerer, loaded: LoadedTask, run: RunSpec) -> dict[str, Any]:
    # evaluate, not simple_evaluate: the latter reseeds python, numpy and torch. Neither of lm-eval's caches is
    # ever on: their keys hold no model, so one run would get another's answers.
    return evaluate(
        lm,
        {"tasks": {loaded.name: loaded.task}},
        samples=chosen_items(loaded.name, loaded.task, run.score.limit),
        bootstrap_iters=BOOTSTRAP_ITERATIONS,
        apply_chat_template=run.model.api is not None and run.model.api.protocol == "openai-chat",
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
