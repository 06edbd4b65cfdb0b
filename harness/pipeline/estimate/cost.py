"""What runs will cost: each distinct point is estimated once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.catalog.models import ModelEntry, model_entry
from harness.errors import NotFoundError
from harness.pipeline.check import Counted
from harness.pipeline.estimate.adapted import adapted
from harness.pipeline.estimate.calibration import Calibration
from harness.pipeline.estimate.decoder import Decoder, decoder_of
from harness.pipeline.estimate.items import task_items
from harness.pipeline.estimate.lengths import Tokenised, examples_of, expected_steps, rows_of
from harness.pipeline.estimate.memory import Batch, peak
from harness.pipeline.estimate.records import Records
from harness.pipeline.estimate.room import Room, fits
from harness.pipeline.estimate.work import Task, flops
from harness.pipeline.plan import PlannedRun
from harness.spec.run import ModelRef, RunSpec
from harness.spec.tuning import VALIDATION
from harness.train.steps import micro_batch


@dataclass(frozen=True)
class Estimate:
    """What a run will cost; None is what can't be known here.

    examples: trained on, each once; tokens: trained on, without padding; tokens_at_most: were every example as long
    as it may be; padded_tokens: what is computed; peak_memory_bytes: of tensors while it is trained; seconds: of the
    optimizer steps, without loading, validation and saving; basis: where they come from; scoring_items and
    scoring_seconds: of the tasks that are to be scored; fits: whether the tensors fit the memory that is free here.
    """

    steps: int | None = None
    examples: int | None = None
    tokens: int | None = None
    tokens_at_most: int | None = None
    padded_tokens: int | None = None
    flops: float | None = None
    peak_memory_bytes: int | None = None
    seconds: float | None = None
    basis: str | None = None
    scoring_items: int | None = None
    scoring_seconds: float | None = None
    fits: bool | None = None


class Estimator:
    """Estimates for one machine. threads: those that a run on a model computes with."""

    def __init__(self, room: Room, threads: Callable[[ModelRef], int], records: Records = Records()) -> None:
        self.room = room
        self._threads, self._records = threads, records
        self._lengths, self._calibration = Tokenised(), Calibration()
        self._known: dict[Any, Any] = {}

    def of(self, planned: PlannedRun, counted: Counted) -> Estimate | None:
        """The cost of what is still to be done of a run; None where that is nothing, or not ours to know."""
        wanted = planned.action in ("train", "score") or planned.blocked_by == "prerequisite"
        if not wanted or counted.problem or planned.run.model.api is not None:
            return None
        run = planned.run
        key = (*map(id, (run.model, run.adapter, run.data, run.train, run.prompt, run.score)), planned.action)
        return self._once((*key, planned.tasks), lambda: self._estimate(planned, counted))

    def save(self) -> None:
        """Keeps what was measured on the way for later processes."""
        self._lengths.save()
        self._calibration.save()

    def _once(self, key: Any, find: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]

    def _estimate(self, planned: PlannedRun, counted: Counted) -> Estimate:
        run, scoring = planned.run, self._scoring(planned)
        if run.train is None or run.data is None or planned.action == "score":
            return Estimate(**scoring)
        decoder = self._once(("decoder", id(run.model)), lambda: _decoder(run.model))
        count = self._once(("examples", id(run.data)), lambda: examples_of(run.data) if run.data else None)
        steps = expected_steps(run, count)
        lengths = self._lengths.lengths(run, decoder.context if decoder else None)
        most = min(run.train.max_length, (decoder and decoder.context) or run.train.max_length)
        rows = rows_of(run, steps, count) if steps else None
        size = micro_batch(run.train)
        length = lengths.longest(size) if lengths else None
        longest = lengths.longest(rows) if lengths and rows else most
        work = _work(run, decoder, counted)
        operations = flops(work, rows * length, length, rows / size) if work and rows and length else None
        held = self._memory(run, decoder, work, counted, size * longest)
        seconds, basis = self._seconds(run, decoder, work, operations, rows / size if rows else 0)
        return Estimate(
            steps=steps,
            examples=rows,
            tokens=round(rows * lengths.mean) if lengths and rows else None,
            tokens_at_most=rows * most if rows else None,
            padded_tokens=round(rows * length) if length and rows else None,
            flops=operations,
            peak_memory_bytes=held,
            seconds=seconds,
            basis=basis,
            fits=fits(held, self.room),
            **scoring,
        )

    def _memory(
        self, run: RunSpec, decoder: Decoder | None, work: Task | None, counted: Counted, tokens: float
    ) -> int | None:
        if decoder is None or work is None or counted.base_params is None or run.train is None:
            return None
        batch = Batch(tokens, self.room.cuda)
        return peak(
            work, counted.base_params, self._dtype(run.model), run.model.quantization, run.train.optimizer, batch
        )

    def _seconds(
        self, run: RunSpec, decoder: Decoder | None, work: Task | None, operations: float | None, passes: float
    ) -> tuple[float | None, str | None]:
        if operations is None or decoder is None or work is None:
            return None, None
        found = self._once(("speed", id(run.model), id(run.adapter)), lambda: self._speed(run, decoder))
        if found is not None:
            speed, basis = found
            return operations / speed, basis
        if self.room.device != "cpu":
            return None, None
        dtype, threads = self._dtype(run.model), self._threads_of(run.model)
        timed = self._calibration.seconds(decoder, dtype, threads, operations, passes)
        return timed, None if timed is None else "a product of matrices, timed here"

    def _threads_of(self, model: ModelRef) -> int:
        return self._once(("threads", id(model)), lambda: self._threads(model))

    def _dtype(self, model: ModelRef) -> str:
        return self._once(("dtype", id(model)), lambda: _dtype(model, _entry(model)))

    def _speed(self, run: RunSpec, decoder: Decoder) -> tuple[float, str] | None:
        """Operations a second of earlier trainings: of the same adapter, else of any on the model."""
        threads = self._threads_of(run.model)
        alike = [
            each
            for each in self._records.trained
            if (each.run.model.content, each.run.model.dtype, each.run.model.quantization)
            == (run.model.content, run.model.dtype, run.model.quantization)
            and (self.room.cuda or each.result.provenance.get("threads") == threads)
        ]
        same = [each for each in alike if _adapter(each.run) == _adapter(run)]
        for chosen, basis in ((same, "trainings of this adapter"), (alike, "trainings on this model")):
            speeds = [speed for each in chosen if (speed := self._measured(each.run, each.result, decoder))]
            if speeds:
                return median(speeds), f"{len(speeds)} recorded {basis}"
        return None

    def _measured(self, run: RunSpec, result: Any, decoder: Decoder) -> float | None:
        if run.train is None or not result.seconds or not result.tokens:
            return None
        counted = Counted(result.trainable_params, result.base_params, result.trainable_percent)
        lengths, size = self._lengths.lengths(run, decoder.context), micro_batch(run.train)
        length = lengths.longest(size) if lengths else result.tokens / (result.steps * run.train.batch_size)
        padding = length / lengths.mean if lengths else 1.0
        work = _work(run, decoder, counted)
        passes = result.steps * run.train.batch_size / size
        return flops(work, result.tokens * padding, length, passes) / result.seconds if work else None

    def _scoring(self, planned: PlannedRun) -> dict[str, Any]:
        """The items that are to be asked and how long that took per item before, where all of that is known."""
        run, limit = planned.run, planned.run.score.limit
        paces = [self._records.pace.get((run.model.content, task)) for task in planned.tasks]
        sizes = [self._items(run, task) for task in planned.tasks]
        items = [size if limit is None or size is None else min(limit, size) for size in sizes]
        known = None not in items
        timed = known and None not in paces
        return {
            "scoring_items": sum(items) if known else None,
            "scoring_seconds": sum(n * pace for n, pace in zip(items, paces, strict=True)) if timed else None,
        }

    def _items(self, run: RunSpec, task: str) -> int | None:
        """A task's items; those of a run that tunes are the examples that its training leaves out."""
        if task == VALIDATION and run.data:
            return run.data.validation
        path = run.score.tasks_path
        return self._once(("items", task, path), lambda: task_items(task, path))


def _work(run: RunSpec, decoder: Decoder | None, counted: Counted) -> Task | None:
    if decoder is None or counted.trainable_params is None or run.train is None:
        return None
    full = run.adapter.trains == "all"
    parts = () if full else tuple(adapted(run.adapter, decoder))
    return Task(decoder, parts, counted.trainable_params, full, run.train.gradient_checkpointing)


def _adapter(run: RunSpec) -> tuple[Any, ...]:
    """What makes two adapters cost the same."""
    return run.adapter.config_class, run.adapter.config, run.adapter.parts, run.adapter.trains


def _decoder(model: ModelRef) -> Decoder | None:
    entry = _entry(model)
    return decoder_of(entry.config) if entry else None


def _entry(model: ModelRef) -> ModelEntry | None:
    try:
        return model_entry(model.name, model.revision)
    except NotFoundError:
        return None


def _dtype(model: ModelRef, entry: ModelEntry | None) -> str:
    """The type in which the weights are held; `auto` where only the weights' file says it."""
    named = (model.dtype, entry.dtype if entry else "auto")
    config = (entry.config if entry else None) or {}
    own = config.get("dtype") or config.get("torch_dtype")
    return next((dtype for dtype in (*named, own) if isinstance(dtype, str) and dtype != "auto"), "auto")
