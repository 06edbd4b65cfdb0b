"""How well trainings did on their validation examples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.report.selection import Candidate
from harness.store.records import TrainResult
from harness.store.store import Store


def mean_validation_loss(store: Store, runs: Sequence[Candidate]) -> float | None:
    """The mean over seeds; None where one of them lacks it."""
    trained = {run.run_id: run.training for run in store.runs([run.run.run_id for run in runs], loss=True)}
    losses = [_validation_loss(trained[run.run.run_id], _keeps_best(run)) for run in runs]
    known = [loss for loss in losses if loss is not None]
    return statistics.fmean(known) if known and len(known) == len(losses) else None


def _keeps_best(run: Candidate) -> bool:
    return run.spec.train is not None and run.spec.train.checkpoint == "best"


def _validation_loss(training: TrainResult | None, best: bool) -> float | None:
    """The validation loss of the checkpoint that was kept: the best one, or the last; None where none was measured."""
    losses = [line["eval_loss"] for line in (training.loss if training else ()) if line.get("eval_loss") is not None]
    return (min(losses) if best else losses[-1]) if losses else None
