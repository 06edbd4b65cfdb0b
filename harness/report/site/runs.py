"""What the site shows of single runs, read from the store at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.board import Leaderboard
from harness.report.estimates import scale
from harness.report.rows import Row
from harness.store.records import MembershipRecord, RunRecord, ScoreRecord
from harness.store.store import Store


@dataclass(frozen=True)
class Runs:
    """By run_id: records with their loss logs, scores (the latest of each task and metric), places and overlaps."""

    records: dict[str, RunRecord]
    scores: dict[str, tuple[ScoreRecord, ...]]
    places: dict[str, MembershipRecord]
    overlaps: dict[str, dict[str, dict[str, Any]]]

    def main(self, run_id: str) -> dict[str, float]:
        """The run's main metric of each task, as it is shown."""
        found = (score for score in self.scores[run_id] if score.position == 0)
        return {score.task: score.value * scale(score.metric) for score in found}

    def averages(self, board: Leaderboard, row: Row) -> dict[str, float]:
        """The average of each of the row's runs that has every task; empty where the row has none."""
        if row.average is None:
            return {}
        weights = {task: board.weights.get(task, 1.0) for task in board.tasks}
        whole = sum(weights.values())
        found = {run_id: self.main(run_id) for run_id in row.run_ids}
        return {
            run_id: sum(weights[task] * values[task] for task in weights) / whole
            for run_id, values in found.items()
            if values.keys() >= weights.keys()
        }


def gather(store: Store, run_ids: Sequence[str]) -> Runs:
    """Reads these runs. Of a task that was scored in several versions the last one counts."""
    latest: dict[str, dict[tuple[str, str], ScoreRecord]] = defaultdict(dict)
    for score in sorted(store.scores(run_ids), key=lambda score: (score.scored_at, -score.position)):
        latest[score.run_id][score.task, score.metric] = score
    return Runs(
        records={run.run_id: run for run in store.runs(run_ids, loss=True)},
        scores={run_id: tuple(sorted(latest[run_id].values(), key=_order)) for run_id in run_ids},
        places={place.run_id: place for place in reversed(store.memberships(run_ids=run_ids))},
        overlaps=store.overlaps(run_ids),
    )


def _order(score: ScoreRecord) -> tuple[str, int]:
    return score.task, score.position
