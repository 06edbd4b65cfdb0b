"""Doing the runs of one plan after another, with the same workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.pipeline.execute import Result
from harness.pipeline.plan import Plan
from harness.schedule.cluster.executor import Cluster
from harness.schedule.cluster.job import Dispatcher
from harness.schedule.executor import Executor
from harness.schedule.handed import Asker
from harness.schedule.in_process import InProcess
from harness.schedule.local import Local
from harness.schedule.loop import Listener, Loop
from harness.schedule.options import Options
from harness.schedule.points import entry
from harness.schedule.refusals import refuse_unsound
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.run import RunSpec
from harness.store.store import Store


class Rounds:
    """Executes what is due of plans. executor: closed by whoever made this; results: of all runs that were begun.

    runs: those that are or may be done, by run_id; grows; cluster: to which they are given, if they are.
    """

    def __init__(
        self,
        experiment: ExperimentSpec,
        store: Store,
        options: Options,
        listen: Listener,
        runs: dict[str, RunSpec],
        cluster: Dispatcher | None = None,
    ) -> None:
        self._experiment, self._store, self._options, self._listen = experiment, store, options, listen
        self._runs = runs
        self.executor: Executor = self._made(cluster)
        self.results: list[Result] = []

    @property
    def over(self) -> bool:
        """Whether no more runs are to be begun: someone asked for an end, or a result demands one."""
        failed = self._options.fail_fast and any(result.outcome == "failed" for result in self.results)
        return self.executor.stopping or failed or any(result.halts for result in self.results)

    def work(self, chosen: Sequence[Point], found: Plan, restore: Callable[[], object]) -> None:
        """Does what is due of the plan of these points. restore: see `Loop`.

        Raises PrerequisiteError, before it begins a run, where the executor finds one that can't be done.
        """
        todo = {planned.run.run_id: planned.run for planned in found.of("train", "score")}
        self._runs |= todo
        self._store.specify([entry(point) for point in chosen if point.run.run_id in todo])
        places = {point.run.run_id: point.place for point in chosen}
        refuse_unsound(self._experiment, self.executor.check(list(todo)), places)
        fail_fast, timeout = self._options.fail_fast, self._options.timeout
        loop = Loop(self.executor, list(todo.values()), self._listen, fail_fast, timeout, restore=restore)
        self.results += loop.work()

    def _made(self, cluster: Dispatcher | None) -> Executor:
        asker, options = Asker(self._experiment.name, self._experiment.profile), self._options
        if options.executor == "in-process":
            return InProcess(self._store, asker, self._tell, options.timeout)
        if cluster is not None:
            return Cluster(self._store, asker, self._tell, cluster, options.timeout)
        workers, runs = options.workers, options.runs_per_device or 1
        return Local(self._store, asker, self._tell, workers, runs, options.timeout)

    def _tell(self, run_id: str, event: dict[str, Any]) -> None:
        self._listen(self._runs[run_id], event)
