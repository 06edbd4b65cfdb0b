"""What an experiment still needs: what to train, what to score, what to reuse, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.paths import RunPaths, home
from harness.pipeline.due import due, outdated
from harness.pipeline.prerequisites import Obstacle, obstacles
from harness.pipeline.task_now import TasksNow
from harness.pipeline.workers import is_gone
from harness.spec.run import RunSpec
from harness.store.records import RunState
from harness.store.store import Store

Action = Literal["train", "score", "reuse", "blocked"]
Cause = Literal["prerequisite", "failure", "worker", "method"]


@dataclass(frozen=True)
class PlannedRun:
    """What is to be done about one run, and why.

    action: `train` (and score), `score` a kept adapter or the bare base, `reuse` what is recorded, or
    `blocked`; blocked_by: `prerequisite` (the user's to mend), `failure` (an earlier attempt's; it is tried
    again on demand), `worker` (another worker is at it), `method` (it does not fit its model: see
    pipeline.check); obstacles: the prerequisites; tasks: those without a score.
    """

    run: RunSpec
    status: str
    action: Action
    reason: str
    tasks: tuple[str, ...]
    blocked_by: Cause | None = None
    state: RunState | None = None
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The runs of an experiment in order, each with what is to be done about it."""

    runs: tuple[PlannedRun, ...]

    def of(self, *actions: Action) -> tuple[PlannedRun, ...]:
        """The runs that have one of these actions."""
        return tuple(planned for planned in self.runs if planned.action in actions)

    def blocked_by(self, cause: Cause) -> tuple[PlannedRun, ...]:
        """The runs that are blocked by this cause."""
        return tuple(planned for planned in self.runs if planned.blocked_by == cause)

    def summary(self) -> str:
        """`3 reused, 2 to run`, and what is blocked."""
        counts = [(len(self.of("reuse")), "reused"), (len(self.of("train", "score")), "to run")]
        counts += [(len(self.of("blocked")), "blocked")] if self.of("blocked") else []
        return ", ".join(f"{count} {what}" for count, what in counts)


def plan(runs: Sequence[RunSpec], store: Store | None, retry_failed: bool = False) -> Plan:
    """Compares the runs with what is recorded. `store` None: nothing is recorded yet."""
    states = store.states([run.run_id for run in runs]) if store else {}
    trained = store.trainings([run.train_id for run in runs]) if store else {}
    checks = Checks()
    planned = [_planned(run, states.get(run.run_id), run.train_id in trained, retry_failed, checks) for run in runs]
    return Plan(tuple(_trained_once(planned)))


def _trained_once(planned: Sequence[PlannedRun]) -> Iterator[PlannedRun]:
    """Of runs that differ in scoring only, the first trains the adapter that the others score."""
    first: dict[str, str] = {}
    for each in planned:
        kept = each.run.adapter.trains == "adapter" or each.run.keep
        shared = each.action == "train" and kept
        owner = first.setdefault(each.run.train_id, each.run.run_id) if shared else each.run.run_id
        if owner == each.run.run_id:
            yield each
        else:
            yield replace(each, action="score", reason=f"shares adapter {each.run.train_id} with run {owner}")


class Checks:
    """What stands in the way of runs, and what their tasks are now; found once for runs that share it."""

    def __init__(self) -> None:
        self.tasks = TasksNow()
        self._known: dict[Any, list[Obstacle]] = {}

    def obstacles(self, run: RunSpec, missing: Sequence[str], training: bool) -> list[Obstacle]:
        """See `prerequisites.obstacles`. The run's parts must outlive this."""
        parts = tuple(map(id, (run.model, run.adapter, run.data, run.prompt, run.score)))
        key = parts, run.train and run.train.optimizer, tuple(missing), training
        if key not in self._known:
            self._known[key] = obstacles(run, missing, training)
        return self._known[key]


def _planned(run: RunSpec, state: RunState | None, trained: bool, retry_failed: bool, checks: Checks) -> PlannedRun:
    status = state.status if state else "pending"
    missing = due(run, state, checks.tasks)

    def planned(
        action: Action, reason: str, blocked_by: Cause | None = None, found: Sequence[Obstacle] = ()
    ) -> PlannedRun:
        return PlannedRun(run, status, action, reason, missing, blocked_by, state, tuple(found))

    if not missing and not (state and _unended(state)):
        return planned("reuse", "every task has its score")
    if state and state.status == "running" and not is_gone(state):
        return planned("blocked", f"{state.worker} is at it", "worker")
    if state and state.status == "failed" and not retry_failed:
        return planned("blocked", f"failed ({state.kind}): {state.error}; --retry-failed tries again", "failure")
    action, reason = _work(run, state, trained, missing, checks.tasks)
    if found := checks.obstacles(run, missing, training=action == "train"):
        return planned("blocked", "; ".join(obstacle.message for obstacle in found), "prerequisite", found)
    return planned(action, reason)


def _unended(state: RunState) -> bool:
    """Whether the run's last worker died, or was stopped, before it could say that the run is complete."""
    return (state.status == "pending" and state.attempts > 0) or (state.status == "running" and is_gone(state))


def _work(
    run: RunSpec, state: RunState | None, trained: bool, missing: tuple[str, ...], now: TasksNow
) -> tuple[Action, str]:
    changed = outdated(run, state, now)
    new = [task for task in missing if task not in changed]
    asked = "no score yet" if len(new) == len(run.tasks) else f"no score for {', '.join(new)}"
    if changed:
        asked = f"{asked}; " if new else ""
        asked += f"changed since they were scored: {', '.join(changed)}"
    if not missing:
        return "score", "every task has its score, but its end is not recorded"
    if run.adapter.trains == "nothing":
        return "score", asked
    if adapter_kept(run, trained):
        return "score", f"adapter {run.train_id} is kept; {asked}"
    if trained:
        return "train", f"{asked}, and the trained weights are not kept"
    if state and state.status == "failed":
        return "train", f"failed before ({state.kind})"
    return "train", "interrupted before" if state and state.attempts else "not trained yet"


def adapter_kept(run: RunSpec, trained: bool) -> bool:
    """Whether the run's weights, once trained, still lie in `home()`."""
    return trained and run.adapter.trains != "nothing" and RunPaths(home(), run.train_id, run.run_id).adapter.is_dir()
