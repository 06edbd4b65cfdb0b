"""Running an experiment: register, plan, do what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from harness.errors import PrerequisiteError, Problem
from harness.located import Path_
from harness.paths import database_url, home
from harness.pipeline.execute import Result
from harness.pipeline.plan import Plan, plan
from harness.pipeline.prerequisites import Obstacle, fetch_adapters, fetch_configs
from harness.pipeline.training_data import fetch_addresses
from harness.schedule.executor import Executor, Tell
from harness.schedule.handed import Asker
from harness.schedule.in_process import InProcess
from harness.schedule.local import Local
from harness.schedule.loop import Listener, Loop
from harness.schedule.stopping import soft_stop
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.foreign import foreign_base
from harness.spec.grid import expand, points
from harness.store.records import Entry
from harness.store.store import Store, open_store

EXECUTORS = ("local", "in-process")


@dataclass(frozen=True)
class Options:
    """How an experiment is run.

    only: a pattern (`*`, `?`) over labels and run ids; retry_failed: also what failed before; fail_fast: no
    new run after a failure; timeout: seconds that a run may take (see `loop.Loop`);
    workers: processes of the local executor, in all; runs_per_device: of them for each GPU,
    or in all where there is none. By default there is one per GPU, or one.
    """

    executor: Literal["local", "in-process"] = "local"
    workers: int | None = None
    runs_per_device: int | None = None
    only: str | None = None
    retry_failed: bool = False
    fail_fast: bool = False
    timeout: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a command did: the plan it began with, and how each run that it began ended."""

    plan: Plan
    results: tuple[Result, ...]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 done, 1 some run failed, 3 interrupted or incomplete."""
        failed = any(result.outcome == "failed" for result in self.results) or self.plan.blocked_by("failure")
        begun = {result.run_id for result in self.results if result.outcome == "complete"}
        missing = [planned for planned in self.plan.of("train", "score") if planned.run.run_id not in begun]
        if self.interrupted:
            return 3
        return 1 if failed else 3 if missing or self.plan.blocked_by("worker") else 0


def ignore(run: object, event: object) -> None:
    """A listener that doesn't care."""


def with_configs(experiment: ExperimentSpec) -> None:
    """Fetches the configurations of hub adapters and of hub models, without which target letters can't be resolved."""
    runs = [run for run in expand(experiment) if run.model.api is None]
    fetch_configs([(run.model.name, run.model.revision) for run in runs])
    fetch_adapters(run.adapter.loads for run in runs if run.adapter.loads is not None)


def selected(experiment: ExperimentSpec, only: str | None) -> tuple[Point, ...]:
    """The experiment's points, or those whose label or run id matches `only`."""
    return tuple(
        point
        for point in points(experiment)
        if only is None or fnmatch(point.label, only) or fnmatch(point.run.run_id, only)
    )


def register(store: Store, experiment: ExperimentSpec, chosen: Sequence[Point]) -> None:
    """Writes the experiment and its runs into the store."""
    about = {
        "name": experiment.name,
        "profile": experiment.profile,
        "path": experiment.path,
        "question": experiment.question,
        "benchmark": experiment.benchmark,
        "spec": {**experiment.located.data, "benchmark": experiment.asked.to_json()},
    }
    store.register(about, [_entry(point) for point in chosen])


def _entry(point: Point) -> Entry:
    run = point.run
    return Entry(
        run_id=run.run_id,
        train_id=run.train_id,
        model=run.model.name,
        method=run.adapter.method,
        seed=run.seed,
        spec=run.model_dump(mode="json"),
        label=point.label,
        tasks=run.tasks,
        departures=point.departures,
    )


def run(
    experiment: ExperimentSpec,
    db: str | None = None,
    options: Options = Options(),
    listen: Listener = ignore,
    begin: Callable[[Plan], object] = lambda plan: None,
) -> Outcome:
    """Does what is missing of an experiment and records it.

    begin: told of the plan before anything is done. Raises PrerequisiteError, before any weight is loaded, with
    everything that blocks a run.
    """
    with_configs(experiment)
    with open_store(database_url(db)) as store:
        register(store, experiment, points(experiment))
        chosen = selected(experiment, options.only)
        found = plan([point.run for point in chosen], store, options.retry_failed)
        _refuse(obstacle_problems(experiment, found))
        if fetch_addresses(planned.run for planned in found.of("train")):  # and what came may be no such data
            found = plan([point.run for point in chosen], store, options.retry_failed)
            _refuse(obstacle_problems(experiment, found))
        todo = [planned.run for planned in found.of("train", "score")]
        if not todo:
            begin(found)
            return Outcome(found, (), False)
        _check_home()
        runs = {run.run_id: run for run in todo}
        store.specify([_entry(point) for point in chosen if point.run.run_id in runs])
        executor = _executor(store, experiment, options, lambda run_id, event: listen(runs[run_id], event))
        with soft_stop(executor) as stopped:
            begin(found)
            problems = executor.check(list(runs))
            places = {point.run.run_id: point.place for point in chosen}
            _refuse(_problems(experiment, problems, places))
            results = Loop(executor, todo, listen, options.fail_fast, options.timeout).work()
        return Outcome(found, tuple(results), bool(stopped))


def obstacle_problems(experiment: ExperimentSpec, found: Plan) -> list[Problem]:
    """What is missing for the blocked runs of a plan, each once, where the experiment asks for it."""
    asked = dict.fromkeys(obstacle for planned in found.runs for obstacle in planned.obstacles)
    return [experiment.located.problem(_place_of(obstacle.field, experiment), obstacle.message) for obstacle in asked]


def _problems(experiment: ExperimentSpec, found: Mapping[str, Obstacle], places: Mapping[str, Path_]) -> list[Problem]:
    """What an executor's check found, by run_id; `places` are the entries that ask for the runs."""
    return [
        experiment.located.problem(
            places[run_id] if obstacle.field == "adapters" else _place_of(obstacle.field, experiment), obstacle.message
        )
        for run_id, obstacle in found.items()
    ]


def foreign_bases(experiment: ExperimentSpec, chosen: Sequence[Point]) -> list[Problem]:
    """Warnings of adapters that are put on another base than their own, each once, at their entries."""
    told = (((*point.place, "path"), foreign_base(point.run)) for point in chosen)
    return list(dict.fromkeys(experiment.located.problem(place, message) for place, message in told if message))


def _place_of(field: str, experiment: ExperimentSpec) -> Path_:
    """Where a field is set: by the matrix, where that has it."""
    axis = ("matrix", field)
    return axis if axis in experiment.located.marks else tuple(field.split("."))


def _check_home() -> None:
    """Raises PrerequisiteError where nothing can be kept."""
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrerequisiteError(f"{folder} can't be made: {error.strerror}; point $HARNESS_HOME elsewhere") from None
    if not os.access(folder, os.W_OK):
        raise PrerequisiteError(f"{folder} can't be written to; point $HARNESS_HOME elsewhere")


def _executor(store: Store, experiment: ExperimentSpec, options: Options, tell: Tell) -> Executor:
    asker = Asker(experiment.name, experiment.profile)
    if options.executor == "in-process":
        return InProcess(store, asker, tell, timeout=options.timeout)
    return Local(store, asker, tell, options.workers, options.runs_per_device or 1, timeout=options.timeout)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise PrerequisiteError("\n".join(dict.fromkeys(map(str, problems))))
