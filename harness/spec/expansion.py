"""The points of an experiment's grid, one after the other, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from harness.adapters.method import Method
from harness.adapters.params import joint_problems
from harness.errors import NotFoundError, Problem
from harness.located import Located, Path_
from harness.spec.behind_api import api_faults, untrainable
from harness.spec.entries import parts_of
from harness.spec.experiment import ExperimentSpec
from harness.spec.fields import IDENTITY
from harness.spec.identity import Forms, field_class
from harness.spec.identity import seeded as with_seed
from harness.spec.matrix import Assignment, assignments_of, count_assignments, matching
from harness.spec.merge import merge
from harness.spec.mixtures import shared_targets
from harness.spec.problems import problems_of
from harness.spec.resolve import (
    MIXED,
    resolve_adapter,
    resolve_data,
    resolve_model,
    resolve_prompt,
    resolve_score,
    resolve_train,
    revision_faults,
)
from harness.spec.run import AdapterRef, RunSpec, ScoreSettings, TrainSettings
from harness.spec.schema import BaseSpec, DataSpec, ScoreSpec, TrainSpec
from harness.spec.tuning import Tuning

Spec = TypeVar("Spec", bound=BaseModel)
Found = TypeVar("Found")


MOST_POINTS = 100_000
"""An experiment of more runs is refused, before any of them is made."""


@dataclass(frozen=True)
class Point:
    """A run as an experiment sees it.

    label: how its row is called; departures: where its hyper-parameters differ from the experiment's recipe;
    place: the entry of the experiment's document that asks for it; role: `tuning` where it tries a point of `select`,
    `tuned` where it has the chosen one; tuning: what it tries, or what was chosen from how many (see spec.tuning).
    """

    run: RunSpec
    label: str
    departures: tuple[str, ...] = ()
    place: Path_ = ()
    role: Literal["run", "tuning", "tuned"] = "run"
    tuning: dict[str, Any] | None = None


@dataclass(frozen=True)
class Settings:
    """The experiment's settings under an assignment."""

    base: BaseSpec
    score: ScoreSpec
    prompt: str
    recipe: TrainSettings
    data: DataSpec | None = None


class Expansion:
    """One pass over the grid; `problems` grows as points turn out to be impossible."""

    def __init__(self, experiment: ExperimentSpec) -> None:
        self.experiment = experiment
        self.problems: list[Problem] = []
        self._matched: set[int] = set()
        self._known: dict[Any, Any] = {}
        self._forms = Forms()

    def rows(self) -> Iterator[Point | Tuning]:
        """Every point that can be: by matrix value, then adapter, then seed; none where they are too many."""
        if self._too_many():
            return
        for assignment in assignments_of(self.experiment.file.matrix):
            settings = self.settings(assignment)
            for index, entry in enumerate(self.experiment.file.adapters) if settings else ():
                yield from self.of_entry(settings, entry, index, assignment)

    def of_entry(
        self, settings: Settings, entry: dict[str, Any], index: int, assignment: Assignment
    ) -> Iterator[Point | Tuning]:
        """What an entry makes under an assignment."""
        yield from self.seeded(settings, entry, index, assignment)

    def _too_many(self) -> bool:
        file = self.experiment.file
        adapters, seeds = len(file.adapters), len(file.seeds)
        count = count_assignments(file.matrix) * adapters * seeds
        if file.select:
            count = count // seeds * count_assignments(file.select.over) * (seeds + len(file.select.seeds))
        if count > MOST_POINTS:
            of = f"{count // (adapters * seeds):,} (matrix) × {adapters} (adapters) × {seeds} (seeds)"
            place = ("matrix",) if file.matrix else ("seeds",) if seeds > adapters else ("adapters",)
            if file.select:
                of, place = f"{count:,} with those that select tries", ("select", "over")
            self.problem(place, f"must make at most {MOST_POINTS:,} runs, got {of}")
        return count > MOST_POINTS

    def settings(self, assignment: Assignment) -> Settings | None:
        """The experiment's settings under an assignment; None where one of its values is wrong."""
        parts: dict[str, Any] = {
            "base": self._section(BaseSpec, "base", assignment),
            "score": self._section(ScoreSpec, "score", assignment),
            "prompt": self._prompt(assignment),
            "recipe": self._train({}, {}, ("train",), assignment),
        }
        if self.experiment.file.data is not None:
            parts["data"] = self._section(DataSpec, "data", assignment)
        if any(part is None for part in parts.values()):
            return None
        faults = api_faults(parts["base"], parts["score"], parts["prompt"])
        faults |= self._once(("revision", repr(parts["base"])), lambda: revision_faults(parts["base"]))
        for field, message in faults.items():
            self.problem(at_(field, assignment), message)
        return None if faults else Settings(**parts)

    def _section(self, model: type[Spec], section: str, assignment: Assignment) -> Spec | None:
        forced = self.experiment.overrides.data.get(section) or {}
        own = deepcopy(self.experiment.located.data.get(section) or {})
        values = own | _of(assignment, section) | {key: own[key] for key in forced}
        return self._validated(model, values, section, (section,), assignment)

    def _validated(
        self, model: type[Spec], values: dict[str, Any], section: str, place: Path_, assignment: Assignment
    ) -> Spec | None:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for problem in problems_of(error.errors(), Located({section: values}), model, (section,)):
                choice = assignment.get(problem.field)
                name = problem.field.partition(".")[2]
                at = choice.place if choice else (*place, *name.split(".")) if name else place
                self.problem(at, problem.message)
            return None

    def _prompt(self, assignment: Assignment) -> str:
        choice, forced = assignment.get("prompt"), self.experiment.overrides.data
        return self.experiment.file.prompt if choice is None or "prompt" in forced else choice.value

    def _train(
        self, method: dict[str, Any], entry: dict[str, Any], place: Path_, assignment: Assignment
    ) -> TrainSettings | None:
        """Hyper-parameters: the experiment's, the method's, the entry's, the matrix's, the command line's."""
        own = self.experiment.located.data.get("train") or {}
        forced = self.experiment.overrides.data.get("train") or {}
        layers = (own, method, entry, _of(assignment, "train"), forced)
        merged = merge(*(Located({"train": dict(layer)}, {}) for layer in layers)).data["train"]
        key = ("train", repr(sorted(merged.items())))
        if key not in self._known:
            spec = self._validated(TrainSpec, merged, "train", place, assignment)
            self._known[key] = None if spec is None else resolve_train(spec)
        return self._known[key]

    def assigned(self, entry: dict[str, Any], assignment: Assignment) -> dict[str, Any]:
        """The entry, each part of it that has a parameter of the assignment changed accordingly."""
        changed = deepcopy(entry)
        for part in parts_of(changed):
            params = self.method(part).params
            for name, choice in _choices(assignment, "adapter").items():
                if name in params:
                    part[name] = choice.value
        return changed

    def method(self, part: dict[str, Any]) -> Method:
        return self.experiment.methods.method(part["method"])

    def seeded(
        self,
        settings: Settings,
        entry: dict[str, Any],
        index: int,
        assignment: Assignment,
        seeds: Sequence[int] | None = None,
    ) -> Iterator[Point]:
        """The runs of an entry, with the experiment's seeds or others."""
        entry = self.assigned(entry, assignment)
        template = self.template(settings, entry, index, assignment)
        for seed in (self.experiment.file.seeds if seeds is None else seeds) if template else ():
            if not self._excluded(settings, template.run, entry, seed, assignment):
                yield replace(template, run=_identified(template.run, seed, self._forms))

    def _excluded(
        self, settings: Settings, run: RunSpec, entry: dict[str, Any], seed: int, assignment: Assignment
    ) -> bool:
        rules = self.experiment.file.matrix.get("exclude")
        matched = matching(_facts(settings, run, entry, seed, assignment), rules) if rules else []
        self._matched.update(matched)
        return bool(matched)

    def idle_rules(self) -> list[int]:
        """The rules of `exclude` that took out no point, once all rows are made."""
        return [at for at in range(len(self.experiment.file.matrix.get("exclude") or ())) if at not in self._matched]

    def template(self, settings: Settings, entry: dict[str, Any], index: int, assignment: Assignment) -> Point | None:
        """The run of an entry, still without its seed and ids; None where something in it can't be."""
        place: Path_ = ("adapters", index)
        own = {} if self.experiment.file.same_recipe or MIXED in entry else self.method(entry).train
        train = self._train(own, entry.get("train") or {}, (*place, "train"), assignment)
        model = self.resolved(resolve_model, settings.base, at_("base.model", assignment))
        data = settings.data and self.resolved(resolve_data, settings.data, at_("data.train", assignment))
        lacking = train is None or model is None or (settings.data is not None and data is None)
        if lacking or self._untrainable(settings, entry, place) or self._values_fail(entry, place, assignment):
            return None
        reference, known = model
        architecture = (known.config or {}).get("model_type")
        adapter = self._once(
            ("adapter", place, repr(entry), architecture),
            lambda: self._or_problem(
                lambda: resolve_adapter(entry, self.experiment.methods, architecture),
                _decided_at(entry, place, assignment),
            ),
        )
        if adapter is None or self._shared(adapter.parts, place, assignment):
            return None
        trained = adapter.trains != "nothing"
        run = RunSpec(
            model=reference,
            adapter=adapter,
            data=data if trained else None,
            train=train if trained else None,
            prompt=self._once(("prompt", settings.prompt), lambda: resolve_prompt(settings.prompt)),
            score=self._scored(settings, reference.api is not None),
            keep=self.experiment.file.keep,
            measure=tuple(self.experiment.file.measure) if trained else (),
            tasks=self.experiment.tasks,
        )
        departures = _departures(train, settings.recipe) if trained else ()
        return Point(run, str(entry.get("label") or ""), departures, place)

    def _scored(self, settings: Settings, served: bool) -> ScoreSettings:
        path = self.experiment.file.tasks_path
        key = ("score", repr(settings.score), served)
        return self._once(key, lambda: resolve_score(settings.score, path, served))

    def problem(self, place: Path_, message: str) -> None:
        self.problems.append(self.experiment.located.problem(place, message))

    def _untrainable(self, settings: Settings, entry: dict[str, Any], place: Path_) -> bool:
        """Whether an entry would train a model whose weights are not here, or put an adapter on it."""
        if settings.base.api is None:
            return False
        method = None if MIXED in entry else self.method(entry)
        if method is not None and method.trains == "nothing" and not method.loads:
            return False
        self.problem((*place, MIXED if MIXED in entry else "method"), untrainable(settings.base))
        return True

    def _shared(self, parts: Sequence[AdapterRef], place: Path_, assignment: Assignment) -> bool:
        """Whether two parts of a mixture adapt the same modules."""
        shared = shared_targets(parts)
        for number, message in shared.items():
            axis = assignment.get("adapter.targets")
            self.problem(axis.place if axis else (*place, MIXED, number, "targets"), message)
        return bool(shared)

    def _values_fail(self, entry: dict[str, Any], place: Path_, assignment: Assignment) -> bool:
        """Whether values, a matrix's among them, don't go together in this entry: `2r` that comes out wrong, say."""
        before = len(self.problems)
        for part in parts_of(entry):
            method = self.method(part)
            given = {name: value for name, value in part.items() if name in method.params}
            for name, message in joint_problems(method, given).items():
                axis = f"adapter.{name}"
                at = assignment[axis].place if axis in assignment else (*place, name)
                self.problem(at, f"{message} ({method.method})")
        return len(self.problems) > before

    def resolved(self, function: Callable[[Any], Found], spec: Any, place: Path_) -> Found | None:
        return self._once((function, repr(spec)), lambda: self._or_problem(lambda: function(spec), place))

    def _once(self, key: Any, make: Callable[[], Found]) -> Found:
        """What many points share is made once, and is one object."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _or_problem(self, function: Callable[[], Found], place: Path_) -> Found | None:
        try:
            return function()
        except (NotFoundError, ValueError) as error:
            self.problem(place, str(error))
            return None


def _facts(
    settings: Settings, run: RunSpec, entry: dict[str, Any], seed: int, assignment: Assignment
) -> dict[str, list[Any]]:
    """What `exclude` can name of a point, each with the values that match it: as written and as resolved."""
    sections = {"base": settings.base, "data": settings.data, "score": settings.score, "train": run.train}
    facts: dict[str, list[Any]] = {"seed": [seed], "prompt": [settings.prompt]}
    for section, values in sections.items():
        facts |= {f"{section}.{name}": [value] for name, value in (values.model_dump() if values else {}).items()}
    facts |= {"adapter.method": [run.adapter.method], "adapter.label": [entry.get("label")]}
    for part, reference in zip(parts_of(entry), run.adapter.parts or (run.adapter,), strict=True):
        for name, value in reference.params.items():
            facts.setdefault(f"adapter.{name}", []).extend((value, part.get(name, value)))
    for key, choice in assignment.items():
        if not key.startswith("adapter."):
            facts.setdefault(key, []).append(choice.value)
    return facts


def _choices(assignment: Assignment, section: str) -> dict[str, Any]:
    prefix = f"{section}."
    return {key.removeprefix(prefix): choice for key, choice in assignment.items() if key.startswith(prefix)}


def _of(assignment: Assignment, section: str) -> dict[str, Any]:
    return {name: choice.value for name, choice in _choices(assignment, section).items()}


def at_(key: str, assignment: Assignment) -> Path_:
    """Where the value of a field was written."""
    return assignment[key].place if key in assignment else tuple(key.split("."))


def _decided_at(entry: dict[str, Any], place: Path_, assignment: Assignment) -> Path_:
    """Where an entry says what its adapter is put on, or where it lies."""
    for name in ("targets", "path"):
        if f"adapter.{name}" in assignment and (name in entry or MIXED in entry):
            return assignment[f"adapter.{name}"].place
        if name in entry:
            return (*place, name)
    return place


def _identified(run: RunSpec, seed: int, forms: Forms) -> RunSpec:
    """A run has a seed where one decides something: training, or sampled answers."""
    seeded = run.adapter.trains != "nothing" or run.score.decoding.sample is not None
    return with_seed(run, seed if seeded else None, forms)


def _departures(train: TrainSettings, recipe: TrainSettings) -> tuple[str, ...]:
    ours, asked = train.model_dump(), recipe.model_dump()
    differing = [name for name in ours if ours[name] != asked[name]]
    decisive = [name for name in differing if field_class(TrainSettings, name) == IDENTITY]
    return tuple(f"{name} {ours[name]} (recipe: {asked[name]})" for name in decisive)
