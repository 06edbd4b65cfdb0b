"""One run from its claim to its end: trained, proved live, scored, recorded."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.catalog.apis import host_of
from harness.errors import HarnessError, PrerequisiteError, RunError, StoreError, is_out_of_memory
from harness.paths import RunPaths, home
from harness.pipeline.deadline import Deadline
from harness.pipeline.due import due
from harness.pipeline.memory import within_memory
from harness.pipeline.merging import as_scored
from harness.pipeline.outage import outage
from harness.pipeline.overlap import noted, overlaps
from harness.pipeline.provenance import provenance
from harness.pipeline.ready import make_ready
from harness.pipeline.workbench import Workbench
from harness.pipeline.workers import worker_name
from harness.spec.run import ApiRef, RunSpec
from harness.spec.tuning import VALIDATION
from harness.store.claims import ClaimLost
from harness.store.records import Claim, TaskResult, TrainResult
from harness.store.store import Store

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness.train.live import Guard

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Result:
    """How a run ended: `complete`, `failed` (with its kind and message), `stopped`, or `lost` to another worker.

    Or it is `blocked`: it waits until what the message says is mended; halts: no other run can go on here before that.
    unasked: it is lost because the experiment, as it is recorded now, does not ask for it.
    """

    run_id: str
    outcome: str
    kind: str | None = None
    message: str | None = None
    halts: bool = False
    unasked: bool = False


@dataclass(frozen=True)
class Work:
    """A claimed run and what is needed to do it. made_with: its provenance, as far as it is known yet."""

    run: RunSpec
    claim: Claim
    store: Store
    bench: Workbench
    emit: Emit
    should_stop: Callable[[], bool]
    made_with: dict[str, Any] = field(default_factory=dict)
    deadline: Deadline = field(default_factory=Deadline)

    def ends(self) -> bool:
        """Whether to end softly: asked to, or out of time."""
        return self.should_stop() or self.deadline.passed

    def hold(self) -> None:
        """Raises ClaimLost where the run is another worker's: from now on its files are, too."""
        if not self.store.beat(self.claim):
            raise ClaimLost(self.claim)

    def note(self, setting: str, value: Any) -> None:
        """Notes on the attempt, and tells, with what the run goes on instead of what was planned."""
        self.store.note(self.claim, {setting: value})
        self.emit({"event": "changed", "setting": setting, "value": value})

    def record_training(self, result: TrainResult) -> None:
        """Writes down a finished training; that of a claim that is lost is kept apart. Raises ClaimLost for it."""
        with self._late(None, replace(result, increments=())):
            self.store.record_training(self.claim, self.run.train_id, result)

    def record_task(self, result: TaskResult) -> None:
        """Writes down a scored task, in the same way."""
        with self._late(result.task, result):
            self.store.record_task(self.claim, result)

    @contextmanager
    def _late(self, task: str | None, result: TrainResult | TaskResult) -> Iterator[None]:
        try:
            yield
        except ClaimLost:
            self.store.record_late(self.claim, worker_name(), task, asdict(result))
            raise

    @property
    def paths(self) -> RunPaths:
        return RunPaths(home(), self.run.train_id, self.run.run_id)


class _StopScoring(Exception):
    """Asked to stop, or out of time, while a task is answered or after it."""


def execute(work: Work) -> Result:
    """Does all that the run still lacks and records each part as soon as it is there.

    A failure is recorded with its kind and never raised; an interruption is, once the run is released.
    """
    work.made_with.update(provenance())  # now: hours later another commit may be checked out
    try:
        return _ended(work)
    except ClaimLost as error:
        work.bench.clear()
        return Result(work.run.run_id, "lost", message=str(error))
    except (KeyboardInterrupt, SystemExit):
        work.bench.clear()
        with suppress(StoreError):
            work.store.release(work.claim, work.made_with)
        raise


def _ended(work: Work) -> Result:
    from harness.train.training import Stopped

    try:
        within_memory(work, _train_and_score)
        work.store.finish(work.claim, work.made_with)
        return Result(work.run.run_id, "complete")
    except (Stopped, _StopScoring):
        work.bench.verify()
        if work.deadline.passed and not work.should_stop():
            return _failed(work, work.deadline.error("a checkpoint was written where the method can resume from one"))
        work.store.release(work.claim, work.made_with)
        return Result(work.run.run_id, "stopped")
    except ClaimLost:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises ends this run only
        work.bench.clear()
        broken = outage(error)
        if broken or isinstance(error, PrerequisiteError):  # gone since the run was planned
            return _blocked(work, broken or str(error), halts=broken is not None)
        return _failed(work, error)


def _blocked(work: Work, message: str, halts: bool) -> Result:
    """The run waits again. Where not even that can be recorded, it is taken over once this process has ended."""
    try:
        work.store.release(work.claim, work.made_with, message)
    except ClaimLost:
        raise
    except StoreError as unrecorded:
        message = message if str(unrecorded) in message else f"{message}; {unrecorded}"
        halts = True
    return Result(work.run.run_id, "blocked", message=message, halts=halts)


def _failed(work: Work, error: Exception) -> Result:
    work.bench.blame(error)
    kind = _kind(error)
    message = str(error) if isinstance(error, (RunError, HarnessError)) else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    try:
        work.store.fail(work.claim, kind, message, trace, work.made_with)
    except ClaimLost:
        raise
    except StoreError as unrecorded:
        message = f"{message} (not recorded: {unrecorded})"
    return Result(work.run.run_id, "failed", kind, message)


def _kind(error: Exception) -> str:
    if isinstance(error, RunError):
        return error.kind
    if isinstance(error, HarnessError):
        return "config"
    return "oom" if is_out_of_memory(error) else "internal"


def _train_and_score(work: Work) -> None:
    if not _missing(work):  # the worker before died between its last score and its end
        return
    if work.run.model.api is not None:
        _score_api(work, work.run.model.api)
        return
    base, tokenizer = work.bench.base(work.run.model)
    tuning = work.run.tasks == (VALIDATION,)
    overlap = {} if tuning else _overlap(work, base, tokenizer)
    model, guard = make_ready(work, base, tokenizer)
    try:
        if tuning:
            _validate(work, model, tokenizer, guard)
            return
        with as_scored(work.run, model, guard):
            _score(work, model, tokenizer, guard, overlap)
    finally:
        work.bench.give_back(model)


def _overlap(work: Work, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, Any]]:
    """What of each test set stands in the training data; that the tasks can be asked is seen before training."""
    from harness.score.items import examine
    from harness.train.lengths import context_of

    items = examine(work.run, _missing(work), tokenizer, context_of(base.config))
    return overlaps(work.run.data, items)


def _score(
    work: Work,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    guard: Guard,
    overlap: Mapping[str, dict[str, Any]],
) -> None:
    from harness.score.scoring import score

    missing = _begin_scoring(work)

    def emit(event: dict[str, Any]) -> None:
        work.emit(event)
        if event["event"] == "items" and event["done"] < event["total"] and work.ends():
            raise _StopScoring

    shrunk = partial(work.note, "scoring_batch_size")
    results = score(work.run, model, tokenizer, missing, emit=emit, shrunk=shrunk)
    _record(work, missing, noted(results, overlap), guard)


def _validate(
    work: Work, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, guard: Guard
) -> None:
    """Scores a run that tunes: on the examples that were kept from its training, and on no test item."""
    from harness.train.validation import validate

    _begin_scoring(work)
    work.emit({"event": "task", "task": VALIDATION, "index": 1, "of": 1})
    result = validate(work.run, model, tokenizer)
    guard.hold()
    work.record_task(result)


def _score_api(work: Work, api: ApiRef) -> None:
    """Scores a model whose weights are elsewhere: nothing is loaded, and there is no adapter to prove live."""
    from harness.score.scoring import score_api

    work.made_with["api"] = {"protocol": api.protocol, "host": host_of(api.url), "models": []}
    missing = _begin_scoring(work)
    _record(work, missing, score_api(work.run, api, missing, emit=work.emit))


def _begin_scoring(work: Work) -> list[str]:
    work.store.beat(work.claim, "score")
    work.emit({"event": "stage", "stage": "score"})
    return _missing(work)


def _missing(work: Work) -> list[str]:
    """The tasks that lack a score."""
    return list(due(work.run, work.store.states([work.run.run_id])[work.run.run_id]))


def _record(work: Work, missing: Sequence[str], results: Iterable[TaskResult], guard: Guard | None = None) -> None:
    """Records each task as it is scored, once the guard has found the model to be the one that was trained."""
    for result in results:
        if guard is not None:
            guard.hold()
        work.record_task(result)
        if "api" in work.made_with:
            named = {*work.made_with["api"]["models"], *result.provenance["api"]["models"]}
            work.made_with["api"]["models"] = sorted(named)
        if work.ends() and result.task != missing[-1]:
            raise _StopScoring
