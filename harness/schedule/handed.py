"""What a worker is handed: a run's id, under which it reads its specification from the store."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import RunError
from harness.spec.identity import identified
from harness.spec.run import RunSpec
from harness.store.store import Store


@dataclass(frozen=True)
class Asker:
    """The experiment at one profile for which runs are done: its list of tasks is the one that counts."""

    experiment: str
    profile: str


def specification(store: Store, run_id: str, asker: Asker) -> RunSpec | None:
    """The run as it is recorded, with the tasks that the experiment asks; None where it does not ask for it any more.

    Raises RunError where what is recorded is no specification, or another run's.
    """
    asked = store.memberships(asker.experiment, [run_id])
    tasks = next((place.tasks for place in asked if place.profile == asker.profile), None)
    if tasks is None:
        return None
    records = store.runs([run_id])
    if not records:
        return None
    try:
        run = RunSpec.model_validate(records[0].spec)
    except ValueError as error:
        raise RunError("internal", f"the recorded specification of {run_id} can't be read: {error}") from error
    if identified(run).run_id != run_id:
        raise RunError("internal", f"the recorded specification of {run_id} is another run's")
    return run.model_copy(update={"tasks": tasks})
