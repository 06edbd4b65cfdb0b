"""What is recorded of the runs that tune: the only results that a choice is made from."""

from __future__ import annotations

from harness.spec.experiment import ExperimentSpec
from harness.spec.grid import points
from harness.spec.tuning import VALIDATION, Tried
from harness.store.records import RunState
from harness.store.store import Store


def tried(experiment: ExperimentSpec, store: Store | None, retry_failed: bool = False) -> dict[str, Tried]:
    """The ended ones of the runs that tune, by run_id. retry_failed: those that failed are taken for not ended yet.

    Of the scores in the database those on the validation examples alone are looked at.
    """
    if store is None or experiment.file.select is None:
        return {}
    ids = [point.run.run_id for point in points(experiment) if point.role == "tuning"]
    scores: dict[str, dict[str, float]] = {}
    for score in store.scores(ids):
        if score.task == VALIDATION:
            scores.setdefault(score.run_id, {})[score.metric] = score.value
    states = store.states(ids)
    ended = {run_id: Tried(values) for run_id, values in scores.items()}
    failed = {} if retry_failed else {run_id: error for run_id in ids if (error := _error(states.get(run_id)))}
    return ended | {run_id: Tried({}, error) for run_id, error in failed.items() if run_id not in ended}


def _error(state: RunState | None) -> str | None:
    return f"{state.kind}: {state.error}" if state is not None and state.status == "failed" else None
