"""The points among which `select` chooses, adapter by adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.spec.entries import parts_of
from harness.spec.expansion import Expansion, Point, Settings, at_
from harness.spec.experiment import ExperimentSpec
from harness.spec.identity import identified
from harness.spec.matrix import Assignment, assignments_of
from harness.spec.resolve import resolve_data
from harness.spec.run import RunSpec, ScoreSettings
from harness.spec.schema import SelectSpec
from harness.spec.select import OVER
from harness.spec.tuning import VALIDATION, Candidate, Tuning


class TunedExpansion(Expansion):
    """The pass over the grid of an experiment with `select`: an adapter that has several points is a Tuning."""

    def __init__(self, experiment: ExperimentSpec, select: SelectSpec) -> None:
        super().__init__(experiment)
        self._select = select

    def of_entry(
        self, settings: Settings, entry: dict[str, Any], index: int, assignment: Assignment
    ) -> Iterator[Point | Tuning]:
        """The candidates of an entry; its points where there is nothing to train, or nothing to choose."""
        untuned = self.template(settings, self.assigned(entry, assignment), index, assignment)
        if untuned is None:
            return
        if untuned.run.adapter.trains == "nothing":
            yield from self.seeded(settings, entry, index, assignment)
            return
        self._check_validation(settings, assignment)
        distinct: dict[str, Candidate] = {}
        for choices in self._choices(entry):
            candidate = self._candidate(entry, index, assignment, choices)
            if candidate is not None and candidate.tuning and candidate.runs:
                distinct.setdefault(candidate.tuning[0].run.run_id, candidate)
        if len(distinct) > 1:
            key, seeds = identified(untuned.run).train_id, tuple(self._select.seeds)
            yield Tuning(key, self._select.by, seeds, tuple(distinct.values()))
        else:
            yield from (point for candidate in distinct.values() for point in candidate.runs)

    def _check_validation(self, settings: Settings, assignment: Assignment) -> None:
        """Choosing needs examples that are kept from training; and to be right or wrong, these need answers."""
        data, by = settings.data, self._select.by
        if data is None:
            return
        if data.validation == 0:
            needed = f"must be above 0, got 0: {by} is measured on examples that are kept from training"
            self.problem(at_("data.validation", assignment), needed)
        known = self.resolved(resolve_data, data, at_("data.train", assignment))
        if by == "validation_accuracy" and known and any(source.format == "text" for source in known.sources):
            self.problem(("select", "by"), f"{by} needs answers, which data of the format text has not")

    def _choices(self, entry: dict[str, Any]) -> Iterator[Assignment]:
        """The values that are tuned, as far as the entry has them, each combination once."""
        params = {f"adapter.{name}" for part in parts_of(entry) for name in self.method(part).params}
        seen = set()
        for assignment in assignments_of(self._select.over, OVER):
            own = {key: choice for key, choice in assignment.items() if key.startswith("train.") or key in params}
            if (values := repr([(key, choice.value) for key, choice in own.items()])) not in seen:
                seen.add(values)
                yield own

    def _candidate(
        self, entry: dict[str, Any], index: int, assignment: Assignment, choices: Assignment
    ) -> Candidate | None:
        """The point of these choices; None where it can't be."""
        whole = {**assignment, **choices}
        settings = self.settings(whole)
        if settings is None:
            return None
        tuning = self.seeded(settings, entry, index, whole, self._select.seeds)
        return Candidate(
            values={key: choice.value for key, choice in choices.items()},
            tuning=tuple(replace(point, run=_trying(point.run)) for point in tuning),
            runs=tuple(self.seeded(settings, entry, index, whole)),
        )


def _trying(run: RunSpec) -> RunSpec:
    """A run that is scored on the validation examples: whatever the tasks and how they are scored, it is the same."""
    scored = ScoreSettings(batch_size=run.score.batch_size)
    return identified(run.model_copy(update={"score": scored, "tasks": (VALIDATION,), "measure": ()}))
