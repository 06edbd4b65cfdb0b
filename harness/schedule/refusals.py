"""What stands in the way of an experiment, told where the experiment asks for it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from harness.errors import PrerequisiteError, Problem, UnfitError
from harness.located import Path_
from harness.paths import home
from harness.pipeline.plan import Plan
from harness.pipeline.prerequisites import Obstacle
from harness.schedule.devices import Devices
from harness.schedule.fitness import shortfalls
from harness.spec.experiment import ExperimentSpec


def obstacle_problems(experiment: ExperimentSpec, found: Plan) -> list[Problem]:
    """What is missing for the blocked runs of a plan, each once, where the experiment asks for it."""
    return _where_asked(experiment, [obstacle for planned in found.runs for obstacle in planned.obstacles])


def _where_asked(experiment: ExperimentSpec, found: Sequence[Obstacle]) -> list[Problem]:
    asked = dict.fromkeys(found)
    return [experiment.located.problem(_place_of(obstacle.field, experiment), obstacle.message) for obstacle in asked]


def machine_problems(experiment: ExperimentSpec, found: Plan) -> list[Problem]:
    """What this machine lacks for a plan, without asking the hub."""
    return _where_asked(experiment, shortfalls(found, Devices.here(), asks_hub=False))


def refuse_unfit(experiment: ExperimentSpec, found: Plan, here: bool = True) -> None:
    """Raises UnfitError with all that runs of a plan lack, of files and packages as well as of this machine.

    here: whether they are done on it.
    """
    lacking = _where_asked(experiment, shortfalls(found, Devices.here() if here else None))
    if problems := [*lacking, *obstacle_problems(experiment, found)]:
        raise UnfitError("\n".join(dict.fromkeys(map(str, problems))))


def refuse_blocked(experiment: ExperimentSpec, found: Plan) -> None:
    """Raises PrerequisiteError with what is missing for the blocked runs of a plan."""
    _refuse(obstacle_problems(experiment, found))


def refuse_unsound(experiment: ExperimentSpec, found: Mapping[str, Obstacle], places: Mapping[str, Path_]) -> None:
    """Raises PrerequisiteError with what an executor's check found, by run_id; `places`: the runs' entries."""
    _refuse(
        [
            experiment.located.problem(
                places[run_id] if obstacle.field == "adapters" else _place_of(obstacle.field, experiment),
                obstacle.message,
            )
            for run_id, obstacle in found.items()
        ]
    )


def _place_of(field: str, experiment: ExperimentSpec) -> Path_:
    """Where a field is set: by the matrix, where that has it."""
    axis = ("matrix", field)
    return axis if axis in experiment.located.marks else tuple(field.split("."))


def check_home() -> None:
    """Raises PrerequisiteError where nothing can be kept."""
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrerequisiteError(f"{folder} can't be made: {error.strerror}; point $HARNESS_HOME elsewhere") from None
    if not os.access(folder, os.W_OK):
        raise PrerequisiteError(f"{folder} can't be written to; point $HARNESS_HOME elsewhere")


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise PrerequisiteError("\n".join(dict.fromkeys(map(str, problems))))
