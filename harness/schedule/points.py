"""The points of an experiment that a command is about, and their places in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch

from harness.errors import Problem
from harness.pipeline.prerequisites import fetch_adapters, fetch_configs
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.foreign import foreign_base
from harness.spec.grid import NOTHING, points
from harness.spec.tuning import Tried
from harness.store.records import Entry
from harness.store.store import Store


def with_configs(experiment: ExperimentSpec, made: tuple[Point, ...] | None = None) -> tuple[Point, ...]:
    """The experiment's points (see `grid.points`), once the configurations of their hub models and adapters are here.

    Without these, target letters can't be resolved. What can't be fetched stays unknown. made: the points as they
    were made just now.
    """
    found = points(experiment) if made is None else made
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
    store.register(about, [entry(point) for point in chosen])


def entry(point: Point) -> Entry:
    """What the store is told of a point."""
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


def foreign_bases(experiment: ExperimentSpec, chosen: Sequence[Point]) -> list[Problem]:
    """Warnings of adapters that are put on another base than their own, each once, at their entries."""
    told = (((*point.place, "path"), foreign_base(point.run)) for point in chosen)
    return list(dict.fromkeys(experiment.located.problem(place, message) for place, message in told if message))
