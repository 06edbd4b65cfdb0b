"""What `harness plan` says of costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.pipeline.check import Counted
    from harness.pipeline.estimate.cost import Estimate
    from harness.pipeline.estimate.room import Room
    from harness.pipeline.plan import Plan
    from harness.store.store import Store


class Costs:
    """The cost of each run of a plan on this machine, and their sums."""

    def __init__(self, plans: Plan, store: Store | None) -> None:
        """Reads what is recorded; `estimate` needs the store no more."""
        from harness.pipeline.estimate.records import recorded
        from harness.pipeline.estimate.room import Room
        from harness.schedule.machine import Machine

        self._machine = Machine.here()
        self.room: Room = Room.here(self._machine.gpus)
        todo = [planned.run for planned in plans.of("train", "score", "blocked")]
        self._records = recorded(store, todo, self.room.device)

    def estimate(self, plans: Plan, counts: Mapping[str, Counted]) -> list[Estimate | None]:
        """An estimate for each run; None where nothing is to be done of it."""
        from harness.pipeline.estimate.cost import Estimator

        estimator = Estimator(self.room, self._machine.threads, self._records)
        found = [estimator.of(planned, counts[planned.run.run_id]) for planned in plans.runs]
        estimator.save()
        return found


def as_json(found: Estimate | None) -> dict[str, Any] | None:
    """An estimate as `plan --json` has it."""
    return None if found is None else dict(vars(found))


def cost_lines(found: Sequence[Estimate | None], room: Room) -> Iterator[str]:
    """The sums over all runs that are to be done, and warnings of what doesn't fit."""
    training = _trained(found)
    if training or any(estimate and estimate.scoring_items for estimate in found):
        yield f"estimated for what is to be done: {', '.join(_sums(found))}"
    for basis, count in Counter(estimate.basis for estimate in training if estimate.basis).items():
        yield f"  time of {count} trainings by {basis}; loading, validation and saving not counted"
    shortages = Counter(room.shortage(estimate.peak_memory_bytes) for estimate in training)
    for shortage, count in shortages.items():
        if shortage:
            yield f"warning: {count} of {len(training)} trainings may not fit: each {shortage}"


def _sums(found: Sequence[Estimate | None]) -> Iterator[str]:
    from harness.report.figures import count, duration, memory

    known = [estimate for estimate in found if estimate]
    trained = _trained(found)
    peaks = [estimate.peak_memory_bytes for estimate in known if estimate.peak_memory_bytes]
    if trained:
        tokens, most = _sum(trained, "tokens"), _sum(trained, "tokens_at_most")
        yield f"{len(trained)} trainings"
        yield f"{count(tokens)} tokens" if tokens is not None else f"at most {_or_dash(most, count)} tokens"
        yield f"{_or_dash(_sum(trained, 'flops'), lambda value: f'{value:.2g}')} FLOPs"
        yield f"{duration(_sum(trained, 'seconds'))} of training"
    if peaks:
        yield f"up to {memory(max(peaks))} of memory"
    if known:
        yield f"{_or_dash(_sum(known, 'scoring_items'), lambda value: f'{value:,}')} items to score"
        yield f"{duration(_sum(known, 'scoring_seconds'))} of scoring"


def _trained(found: Sequence[Estimate | None]) -> list[Estimate]:
    """Those of runs that are to be trained, as far as anything is known of it."""
    return [estimate for estimate in found if estimate and (estimate.steps or estimate.peak_memory_bytes)]


def _sum(found: Sequence[Estimate], name: str) -> Any:
    """The sum; None where it isn't known of one."""
    values = [getattr(estimate, name) for estimate in found]
    return None if None in values else sum(values)


def _or_dash(value: Any, form: Any) -> str:
    return "–" if value is None else form(value)
