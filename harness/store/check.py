"""Whether a results database is sound: its pages, its references, and whether its scores add up."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from sqlalchemy import and_, exists, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from harness.store.packing import unpack_list, unpack_outcomes
from harness.store.tables import (
    Attempt,
    Experiment,
    ItemSet,
    Membership,
    Run,
    SampleSet,
    ScoredTask,
    Scoring,
    TaskScore,
    Training,
)

MEANS = {"accuracy", "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"}
"""Metrics that are the mean of the items' outcomes; of others (perplexity, f1), only the lengths are compared."""
ROWS = 500
"""Samples unpacked at a time."""
COPY = "restore a backup, or pool what can be read into a new database"
AGAIN = "don't trust it: score the run again in another database, and compare"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    run_id: None where it concerns no single run; damage: the database itself is broken, nothing in it can be believed.
    """

    run_id: str | None
    problem: str
    advice: str
    damage: bool = False


def damage(session: Session) -> Iterator[Finding]:
    """What SQLite finds wrong with its file and its references; nothing for a server, which guards its own."""
    if session.get_bind().dialect.name != "sqlite":
        return
    try:
        for (line,) in session.execute(text("PRAGMA integrity_check")):
            if line != "ok":
                yield Finding(None, f"the file is damaged: {line}", COPY, damage=True)
        for table, row, parent, _ in session.execute(text("PRAGMA foreign_key_check")):
            yield Finding(None, f"{table}: row {row} refers to a row of {parent} that is not there", COPY, damage=True)
    except DatabaseError as error:  # so damaged that SQLite gives up the check itself
        yield Finding(None, f"the file is damaged: {error.orig}", COPY, damage=True)


def orphans(session: Session) -> Iterator[Finding]:
    """Rows that nothing refers to, or that lack their other half."""
    lonely = select(Run.run_id).where(~exists().where(Membership.run == Run.id)).order_by(Run.run_id)
    for run_id in session.scalars(lonely):
        yield Finding(run_id, "no experiment asks for it", "run an experiment that does, or leave it")
    unused = select(Training.train_id).where(~exists().where(Run.train_id == Training.train_id))
    for train_id in session.scalars(unused.order_by(Training.train_id)):
        yield Finding(None, f"training {train_id} belongs to no run", "run an experiment that uses it, or leave it")
    for table, what in ((SampleSet, "samples"), (TaskScore, "scores")):
        scored = exists().where(Scoring.run == table.run, Scoring.task == table.task)
        query = select(Run.run_id, ScoredTask.name).join(table, table.run == Run.id)
        query = query.join(ScoredTask, ScoredTask.id == table.task).where(~scored).distinct()
        for run_id, task in session.execute(query.order_by(Run.run_id, ScoredTask.name)):
            yield Finding(run_id, f"{task}: {what} without a record of the scoring", AGAIN)
    idle = select(ItemSet.id, ScoredTask.name).join(ScoredTask, ScoredTask.id == ItemSet.task)
    for number, task in session.execute(idle.where(~exists().where(SampleSet.item_set == ItemSet.id))):
        yield Finding(None, f"{task}: no run has answered item set {number}", "leave it; it only takes room")


def unfinished(session: Session) -> Iterator[Finding]:
    """Complete runs that lack a task's score, and attempts without an end of runs that nobody is at."""
    have: dict[int, set[str]] = {}
    main = select(TaskScore.run, ScoredTask.name).join(ScoredTask, ScoredTask.id == TaskScore.task)
    for run, task in session.execute(main.where(TaskScore.position == 0)):
        have.setdefault(run, set()).add(task)
    asked = select(Run.id, Run.run_id, Membership.tasks, Experiment.path, Experiment.profile)
    asked = asked.join(Membership, Membership.run == Run.id).join(Experiment, Experiment.id == Membership.experiment)
    for run, run_id, tasks, path, profile in session.execute(asked.where(Run.status == "complete")):
        if missing := [task for task in tasks if task not in have.get(run, ())]:
            again = f"harness run {path} --profile {profile}"
            yield Finding(run_id, f"complete, but without a score of {', '.join(missing)}", again)
    open_ended = select(Run.run_id, Attempt.number).join(Attempt, Attempt.run == Run.id)
    for run_id, number in session.execute(open_ended.where(Attempt.outcome.is_(None), Run.status != "running")):
        yield Finding(run_id, f"attempt {number} has no end, yet nobody is at the run", "the next attempt ends it")


def sums(session: Session) -> Iterator[Finding]:
    """Main metrics that are not what the recorded outcomes give, and samples that don't fit their items."""
    query = (
        select(
            Run.run_id, ScoredTask.name, TaskScore.metric, TaskScore.value, TaskScore.n,
            SampleSet.outcomes, SampleSet.answers, SampleSet.output_tokens, ItemSet.n.label("items"),
        )
        .join(SampleSet, SampleSet.run == Run.id)
        .join(TaskScore, and_(TaskScore.run == SampleSet.run, TaskScore.task == SampleSet.task))
        .join(ScoredTask, ScoredTask.id == SampleSet.task)
        .join(ItemSet, ItemSet.id == SampleSet.item_set)
        .where(TaskScore.position == 0)
        .execution_options(yield_per=ROWS)
    )  # fmt: skip
    for row in session.execute(query):
        try:
            values = unpack_outcomes(row.outcomes)
            lengths = {len(values), len(unpack_list(row.answers)), len(unpack_list(row.output_tokens))}
        except (zlib.error, ValueError, TypeError) as error:
            yield Finding(row.run_id, f"{row.name}: its samples can't be read ({error})", AGAIN)
            continue
        if lengths != {row.items}:
            told = " and ".join(map(str, sorted(lengths)))
            yield Finding(row.run_id, f"{row.name}: {told} samples for {row.items} items", AGAIN)
        elif row.metric.split(",")[0] in MEANS:
            mean = fmean(values)
            if len(values) != row.n or not math.isclose(mean, row.value, rel_tol=1e-9, abs_tol=1e-12):
                recorded = f"{row.metric} is recorded as {row.value:.6g} of {row.n}"
                yield Finding(
                    row.run_id, f"{row.name}: {recorded}, its outcomes give {mean:.6g} of {len(values)}", AGAIN
                )


def findings(session: Session) -> tuple[Finding, ...]:
    """All that is wrong; where the file itself is damaged only that, for nothing else can then be believed."""
    if damaged := tuple(damage(session)):
        return damaged
    return (*orphans(session), *unfinished(session), *sums(session))
