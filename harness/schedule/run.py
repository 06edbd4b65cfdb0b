"""Running an experiment: register, plan, do what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from harness.errors import Problem
from harness.paths import database_url
from harness.pipeline.execute import Result
from harness.pipeline.plan import Plan, plan
from harness.pipeline.training_data import fetch_addresses
from harness.pipeline.tuning import tried
from harness.schedule.cluster.dispatchers import dispatcher
from harness.schedule.loop import Listener
from harness.schedule.options import Options
from harness.schedule.points import register, selected, with_configs
from harness.schedule.refusals import check_home, refuse_blocked, refuse_unfit
from harness.schedule.rounds import Rounds
from harness.schedule.stopping import soft_stop
from harness.schedule.tuned import to_be_chosen, unchosen
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.grid import points
from harness.store.store import exists, open_store


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
    with open_store(url, read_only=True) if exists(url) else nullcontext() as before:
        done = tried(experiment, before, options.retry_failed)
        first = selected(experiment, options.only, done)
        found = plan([point.run for point in first], before, options.retry_failed)
        later = plan(to_be_chosen(experiment, done, options.only), before)
        refuse_unfit(experiment, Plan((*found.runs, *later.runs)), here=not options.elsewhere)
        runs = {planned.run.run_id: planned.run for planned in found.of("train", "score")}
        cluster = dispatcher(options, runs) if runs else None
    with open_store(url) as store:

        def write_down() -> None:
            register(store, experiment, points(experiment, done))

        write_down()
        if fetch_addresses(planned.run for planned in found.of("train")):  # and what came may be no such data
            found = plan([point.run for point in first], store, options.retry_failed)
            refuse_blocked(experiment, found)
        if not found.of("train", "score"):
            begin(found)
            return Outcome(found, (), False, unchosen(experiment, options.only, done))
        check_home()
        rounds = Rounds(experiment, store, options, listen, runs, cluster)
        with soft_stop(rounds.executor) as stopped:
            begin(found)
            rounds.work(first, found, write_down)
            done = tried(experiment, store)
            begun = {point.run.run_id for point in first}
            asked = selected(experiment, options.only, done) if done else ()
            more = [point for point in asked if point.run.run_id not in begun]
            if more and not rounds.over:
                write_down()
                chose(more)
                further = plan([point.run for point in more], store, options.retry_failed)
                begin(further)
                refuse_blocked(experiment, further)
                rounds.work(more, further, write_down)
                found = Plan((*found.runs, *further.runs))
        return Outcome(found, tuple(rounds.results), bool(stopped), unchosen(experiment, options.only, done))
