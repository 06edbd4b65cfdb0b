"""Doing runs in this process: what every executor's worker is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from harness.errors import RunError, StoreError
from harness.pipeline.deadline import Deadline
from harness.pipeline.due import due
from harness.pipeline.execute import Result, Work, execute
from harness.pipeline.prerequisites import Obstacle
from harness.pipeline.workers import is_gone, worker_name
from harness.schedule.handed import Asker, specification
from harness.schedule.heart import Heart
from harness.schedule.machine import Machine
from harness.spec.run import RunSpec
from harness.store.store import Store

Send = Callable[[tuple[str, Any]], None]
"""Takes `("claimed", Claim)` and `("event", {...})` while a run is done."""


class Stop(Protocol):
    """Says whether to end softly; a `threading.Event` is one."""

    def is_set(self) -> bool: ...


class Runner:
    """Claims runs and does them, one after the other, with a base model and tokenised data that it keeps.

    stop: once it is set, the run in hand ends softly; timeout: the seconds that a run may take.
    """

    def __init__(self, store: Store, asker: Asker, machine: Machine, stop: Stop, timeout: float | None = None) -> None:
        self.store, self.asker, self.machine, self.stop, self.timeout = store, asker, machine, stop, timeout
        self._orphaned = threading.Event()
        self._heart = Heart(store, self._orphaned)
        self._heart.start()
        self._bench: Any = None

    def close(self) -> None:
        """Stops the heart and lets go of the base model."""
        self._heart.done.set()
        if self._bench is not None:
            self._bench.clear()

    @property
    def sound(self) -> bool:
        """Whether another run may be done here: not once the device has failed."""
        return self._bench is None or not self._bench.broken

    def check(self, run_ids: Sequence[str]) -> dict[str, Obstacle]:
        """What keeps runs from being done although all they need is here, by run_id: see `Executor.check`."""
        from harness.pipeline.check import count
        from harness.pipeline.disk import shortages
        from harness.pipeline.unfit import unfit

        runs = [run for run_id in run_ids if (run := self._readable(run_id)) is not None]
        counts = count(runs)
        problems = {run_id: Obstacle("adapters", found.problem) for run_id, found in counts.items() if found.problem}
        return (
            problems
            | shortages(runs, counts)
            | unfit([run for run in runs if run.run_id not in problems], self.store.states(run_ids))
        )

    def _readable(self, run_id: str) -> RunSpec | None:
        """The run's specification; None where there is none to be read, of which the run itself will tell."""
        with suppress(RunError):
            return specification(self.store, run_id, self.asker)
        return None

    def run(self, run_id: str, send: Send) -> Result:
        """Claims and does one run. What goes wrong is in the result; only an interruption is raised."""
        try:
            run = specification(self.store, run_id, self.asker)
            if run is None:
                return _unasked(run_id)
            with self._computing(run) as bench:
                return self._claimed(run, bench, send)
        except RunError as error:
            return Result(run_id, "failed", error.kind, str(error))
        except StoreError as error:  # nothing can be recorded: the run stays as it is
            return Result(run_id, "blocked", message=str(error), halts=True)

    def _claimed(self, run: RunSpec, bench: Any, send: Send) -> Result:
        state = self.store.states([run.run_id]).get(run.run_id)
        if state is None:
            return _unasked(run.run_id)
        if state.status == "complete" and not due(run, state):
            return Result(run.run_id, "complete", message="another worker did it")
        taken = state.status == "running" and not is_gone(state)
        settings = self._settings(run)
        claim = None if taken else self.store.claim(run.run_id, worker_name(), str(bench.device), state, settings)
        if claim is None:
            return Result(run.run_id, "lost", message="another worker took it first")
        send(("claimed", claim))
        self._heart.hold(claim)
        try:
            return execute(
                Work(
                    run, claim, self.store, bench, lambda event: send(("event", event)), self._stopped,
                    deadline=Deadline(self.timeout),
                )
            )  # fmt: skip
        finally:
            self._heart.hold(None)

    def _settings(self, run: RunSpec) -> dict[str, int]:
        """What is no part of a run's identity and decides its last bits; recorded with the attempt."""
        settings = {"threads": self.machine.threads(run.model), "scoring_batch_size": run.score.batch_size}
        if run.train is None:
            return settings
        from harness.train.steps import micro_batch

        return settings | {"micro_batch_size": micro_batch(run.train)}

    def _stopped(self) -> bool:
        """Whether to end softly. Raises ClaimLost where the run is another's: it may not get a checkpoint from us."""
        self._heart.check()
        return self.stop.is_set() or self._orphaned.is_set()

    @contextmanager
    def _computing(self, run: RunSpec) -> Iterator[Any]:
        """The workbench, and within as many threads as the run has. Afterwards as many as before: a notebook cares."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.machine.threads(run.model))
        try:
            yield self._ready()
        finally:
            torch.set_num_threads(before)

    def _ready(self) -> Any:
        """The workbench; the first time, the heavy libraries are imported."""
        if self._bench is None:
            import transformers

            from harness.pipeline.workbench import Workbench, best_device

            transformers.utils.logging.disable_progress_bar()
            self._bench = Workbench(best_device())
        return self._bench


def _unasked(run_id: str) -> Result:
    return Result(run_id, "lost", message="its experiment does not ask for it any more", unasked=True)
