"""Running an experiment: register, plan, do what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from harness.errors import PrerequisiteError, Problem, UnfitError
from harness.located import Path_
from harness.paths import database_url, home
from harness.pipeline.execute import Result
from harness.pipeline.plan import Plan, plan
from harness.pipeline.prerequisites import Obstacle, fetch_adapters, fetch_configs
from harness.pipeline.training_data import fetch_addresses
from harness.pipeline.tuning import tried
from harness.schedule.devices import Devices
from harness.schedule.executor import Executor, Tell
from harness.schedule.fitness import shortfalls
from harness.schedule.handed import Asker
from harness.schedule.in_process import InProcess
from harness.schedule.local import Local
from harness.schedule.loop import Listener, Loop
from harness.schedule.stopping import soft_stop
from harness.schedule.tuned import to_be_chosen, unchosen
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.foreign import foreign_base
from harness.spec.grid import NOTHING, points
from harness.spec.run import RunSpec
from harness.spec.tuning import Tried
from harness.store.records import Entry
from harness.store.store import Store, exists, open_store

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
    """What a command did: what it planned, and how each run that it began ended.

    The plan holds the runs of points that were chosen on the way, too; unchosen: the rows for which tuning found none.
    """

    plan: Plan
    results: tuple[Result, ...]
    interrupted: bool
    unchosen: tuple[Problem, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 done, 1 some run failed, 3 interrupted or incomplete."""
        failed = any(result.outcome == "failed" for result in self.results) or self.plan.blocked_by("failure")
        failed = failed or bool(self.unchosen)
        begun = {result.run_id for result in self.results if result.outcome == "complete"}
        missing = [planned for planned in self.plan.of("train", "score") if planned.run.run_id not in begun]
        if self.interrupted:
            return 3
        return 1 if failed else 3 if missing or self.plan.blocked_by("worker") else 0


def ignore(run: object, event: object) -> None:
    """A listener that doesn't care."""


def with_configs(experiment: ExperimentSpec) -> tuple[Point, ...]:
    """The experiment's points (see `grid.points`), once the configurations of their hub models and adapters are here.

    Without these, target letters can't be resolved. What can't be fetched stays unknown.
    """
    found = points(experiment)
    runs = [point.run for point in found if point.run.model.api is None]
    models = fetch_configs([(run.model.name, run.model.revision) for run in runs])
    adapters = fetch_adapters(run.adapter.loads for run in runs if run.adapter.loads is not None)
    return points(experiment) if models or adapters else found


def selected(experiment: ExperimentSpec, only: str | None, done: Mapping[str, Tried] = NOTHING) -> tuple[Point, ...]:
    """The experiment's points, or those whose label or run id matches `only`; what tunes a row that does is one.

    done: the runs that tune, as far as they have ended.
    """
    return tuple(
        point
        for point in points(experiment, done)
        if only is None or any(fnmatch(name, only) for name in (point.run.run_id, *_names(point)))
    )


def _names(point: Point) -> list[str]:
    """What a point is called: by itself, and as one of those that tune a row."""
    groups = (point.tuning or {}).get("groups", ())
    return [point.label, *(group["label"] for group in groups)]


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
        role=point.role,
        tuning=point.tuning,
    )


def run(
    experiment: ExperimentSpec,
    db: str | None = None,
    options: Options = Options(),
    listen: Listener = ignore,
    begin: Callable[[Plan], object] = lambda plan: None,
    chose: Callable[[Sequence[Point]], object] = lambda points: None,
) -> Outcome:
    """Does what is missing of an experiment and records it.

    begin: told of the plan before anything is done; where the experiment tunes, again of the runs of the points that
    were chosen, of which `chose` is told before. Raises PrerequisiteError, before any weight is loaded, with
    everything that blocks a run; what the plan shows of that before anything is recorded.
    """
    with_configs(experiment)
    url = database_url(db)
    with open_store(url, read_only=True) if exists(url) else nullcontext() as known:
        done = tried(experiment, known, options.retry_failed)
        chosen = selected(experiment, options.only, done)
        found = plan([point.run for point in chosen], known, options.retry_failed)
        later = plan(to_be_chosen(experiment, done, options.only), known)
        _refuse_unfit(experiment, Plan((*found.runs, *later.runs)))
    with open_store(url) as store:
        register(store, experiment, points(experiment, done))
        if fetch_addresses(planned.run for planned in found.of("train")):  # and what came may be no such data
            found = plan([point.run for point in chosen], store, options.retry_failed)
            _refuse(obstacle_problems(experiment, found))
        todo = [planned.run for planned in found.of("train", "score")]
        if not todo:
            begin(found)
            return Outcome(found, (), False, unchosen(experiment, options.only, done))
        _check_home()
        runs = {run.run_id: run for run in todo}
        executor = _executor(store, experiment, options, lambda run_id, event: listen(runs[run_id], event))
        with soft_stop(executor) as stopped:
            begin(found)
            results = _work(experiment, store, executor, chosen, todo, options, listen)
            done = tried(experiment, store)
            known = {point.run.run_id for point in chosen}
            asked = selected(experiment, options.only, done) if done else ()
            more = [point for point in asked if point.run.run_id not in known]
            if more and not _ends(executor, results, options):
                register(store, experiment, points(experiment, done))
                chose(more)
                further = plan([point.run for point in more], store, options.retry_failed)
                begin(further)
                _refuse(obstacle_problems(experiment, further))
                todo = [planned.run for planned in further.of("train", "score")]
                runs |= {run.run_id: run for run in todo}
                results += _work(experiment, store, executor, more, todo, options, listen)
                found = Plan((*found.runs, *further.runs))
        return Outcome(found, tuple(results), bool(stopped), unchosen(experiment, options.only, done))


def _work(
    experiment: ExperimentSpec,
    store: Store,
    executor: Executor,
    chosen: Sequence[Point],
    todo: Sequence[RunSpec],
    options: Options,
    listen: Listener,
) -> list[Result]:
    """Does runs of these points. Raises PrerequisiteError, before it begins one, where one can't be done."""
    ids = dict.fromkeys(run.run_id for run in todo)
    store.specify([_entry(point) for point in chosen if point.run.run_id in ids])
    problems = executor.check(list(ids))
    _refuse(_problems(experiment, problems, {point.run.run_id: point.place for point in chosen}))
    return Loop(executor, todo, listen, options.fail_fast, options.timeout).work()


def _ends(executor: Executor, results: Sequence[Result], options: Options) -> bool:
    """Whether no more runs are to be begun once the first ones are done."""
    failed = options.fail_fast and any(result.outcome == "failed" for result in results)
    return executor.stopping or failed or any(result.halts for result in results)


def obstacle_problems(experiment: ExperimentSpec, found: Plan) -> list[Problem]:
    """What is missing for the blocked runs of a plan, each once, where the experiment asks for it."""
    return _where_asked(experiment, [obstacle for planned in found.runs for obstacle in planned.obstacles])


def _where_asked(experiment: ExperimentSpec, found: Sequence[Obstacle]) -> list[Problem]:
    asked = dict.fromkeys(found)
    return [experiment.located.problem(_place_of(obstacle.field, experiment), obstacle.message) for obstacle in asked]


def _refuse_unfit(experiment: ExperimentSpec, found: Plan) -> None:
    """Raises UnfitError with all that runs of a plan lack, of files and packages as well as of this machine."""
    lacking = _where_asked(experiment, shortfalls(found, Devices.here()))
    if problems := [*lacking, *obstacle_problems(experiment, found)]:
        raise UnfitError("\n".join(dict.fromkeys(map(str, problems))))


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
