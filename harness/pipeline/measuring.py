"""Measuring what recorded trainings changed, from the adapters that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError, RunError
from harness.paths import RunPaths, home
from harness.pipeline.classes import hushed
from harness.pipeline.workbench import Workbench, best_device
from harness.spec.run import RunSpec
from harness.store.increments.records import Increment
from harness.store.records import RunRecord
from harness.store.store import Store


@dataclass(frozen=True)
class Measured:
    """What came of it for one run: the number of matrices, or why there is none."""

    run_id: str
    matrices: int
    reason: str | None = None


def measure(store: Store, runs: Sequence[RunRecord]) -> Iterator[Measured]:
    """Measures the increments of each run's training and records them at once; runs of one training share them."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    bench = Workbench(best_device())
    done: dict[str, Measured] = {}
    for run in sorted(runs, key=lambda run: run.model):
        if run.train_id not in done:
            done[run.train_id] = _measured(store, run, bench)
        found = done[run.train_id]
        yield Measured(run.run_id, found.matrices, found.reason)


def _measured(store: Store, run: RunRecord, bench: Workbench) -> Measured:
    try:
        with hushed():
            found = _increments(store, run, bench)
    except (RunError, HarnessError) as error:
        return Measured(run.run_id, 0, str(error))
    store.record_increments(run.train_id, found)
    return Measured(run.run_id, len(found))


def _increments(store: Store, run: RunRecord, bench: Workbench) -> tuple[Increment, ...]:
    from harness.train.increments.afterwards import remeasure

    spec = RunSpec.model_validate(run.spec)
    training = store.trainings([run.train_id]).get(run.train_id)
    adapter = RunPaths(home(), run.train_id, run.run_id).adapter
    if training is None or spec.adapter.trains != "adapter" or spec.adapter.loads is not None:
        raise RunError("config", "no adapter was trained")
    if not adapter.is_dir():
        again = "train it in another database with measure: [increments], and harness db merge that one"
        raise RunError("config", f"its weights are not kept in {home() / 'adapters'}: {again}")
    base, _ = bench.base(spec.model)
    return remeasure(spec, training, adapter, base)
