"""The results database as the rest of the harness sees it.

Contract. A run is `pending` until somebody claims it, then `running`, then `complete`, `failed` or
`cancelled`. A claim is one atomic statement that also writes the first heartbeat and raises the run's token;
every later write of that worker carries its token and is refused once a newer claim exists. A recorded score
never changes; a run's missing tasks may be added. What a method returns is frozen and belongs to the caller.
Only this package opens sessions; a method that returns has committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from harness.errors import StoreError
from harness.store import check, claims, costs, groups, listing, merge, queries, registry, results, sample_queries
from harness.store.bare_file import Read, unchanged, undisturbed
from harness.store.database import check_schema, engine_for, for_writing, shown, sqlite_file, translated, upgrade
from harness.store.increments import keeping as increments
from harness.store.increments.records import Increment
from harness.store.records import (
    AttemptRecord,
    Claim,
    Entry,
    LateRecord,
    ListedRun,
    MembershipRecord,
    Outcomes,
    PlaceGroup,
    RunRecord,
    RunState,
    Sample,
    ScoreRecord,
    TaskResult,
    TrainResult,
)

if TYPE_CHECKING:
    from harness.store.published.records import Publication


class Store:
    """An open results database; use `open_store`."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.url = url
        self._engine = engine

    def close(self) -> None:
        """Closes every connection; SQLite then folds its write-ahead log into the file."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with translated(self.url), Session(self._engine) as session, session.begin(), unchanged(session.connection()):
            yield session

    def _read(self, query: Callable[..., Read], *arguments: Any) -> Read:
        """What a query returns, which takes a session and these arguments."""

        def found() -> Read:
            with self._session() as session:
                return query(session, *arguments)

        return undisturbed(found)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with translated(self.url), Session(for_writing(self._engine)) as session, session.begin():
            yield session

    def register(self, experiment: Mapping[str, Any], entries: Sequence[Entry]) -> None:
        """Writes down an experiment (name, profile, path, question, benchmark, spec) and its runs.

        Runs that are already known keep their status; an experiment's pending runs that are no longer asked
        for are forgotten. While a worker is at a run of the experiment, another command may be about to do them:
        they stay until the next time then, and the tasks of a place are added to those that it has.
        """
        with self._writing() as session:
            registry.register(session, experiment, entries)

    def specify(self, entries: Sequence[Entry]) -> None:
        """Refreshes the specifications of registered runs that are about to be done, which their workers read here.

        What is no part of a run's identity (paths, batch sizes) may have changed since it was registered.
        """
        with self._writing() as session:
            registry.specify(session, entries)

    def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The state of each run that is known, by run_id."""
        return self._read(queries.states, run_ids)

    def counts(self) -> dict[str, int]:
        """How many runs have each status; a status that none has is absent. Runs of no experiment don't count."""
        return self._read(listing.counts)

    def listing(self, run_ids: Sequence[str] | None = None, limit: int | None = None) -> tuple[ListedRun, ...]:
        """Where these runs stand, or all: the latest experiment's first, in its order.

        limit: so many of all at most: those that run, then failed ones, pending ones, the latest complete ones.
        """
        return self._read(listing.listing, run_ids, limit)

    def trainings(self, train_ids: Sequence[str]) -> dict[str, TrainResult]:
        """What training took, for each train_id that was trained; without the loss log."""
        return self._read(queries.trainings, train_ids)

    def claim(
        self,
        run_id: str,
        worker: str,
        device: str | None,
        seen: RunState | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Claim | None:
        """Takes a run that nobody is at; or the run as it was `seen`, also running under a worker that is dead.

        worker: `host:pid:start`; settings: those of no identity with which it is begun (threads, micro-batch, ...).
        None where somebody else was faster: one who has taken the run since it was seen, even if it is done by now.
        """
        with self._writing() as session:
            return claims.claim(session, run_id, worker, device, seen, settings)

    def note(self, claim: Claim, settings: Mapping[str, Any]) -> None:
        """Writes down with which settings the attempt goes on. Raises ClaimLost where the run was taken over."""
        with self._writing() as session:
            claims.note(session, claim, settings)

    def record_late(self, claim: Claim, worker: str, task: str | None, payload: Mapping[str, Any]) -> None:
        """Keeps, apart from all results, what a worker has brought after it lost its claim.

        task: what was scored, None for a training; payload: JSON values.
        """
        with self._writing() as session:
            claims.record_late(session, claim, worker, task, payload)

    def late_results(self, run_id: str) -> tuple[LateRecord, ...]:
        """What workers brought of this run after they had lost their claims, the first one first."""
        return self._read(queries.late_results, run_id)

    def trained_last(self, models: Sequence[str], most: int) -> list[str]:
        """The runs of these models (by name) whose adapters were trained last, the latest first."""
        return self._read(costs.trained_last, models, most)

    def scoring_times(self, run_ids: Sequence[str]) -> list[tuple[str, str, float, int]]:
        """What scoring took: run, task, seconds, and how many items were asked. At most a few hundred runs."""
        return self._read(costs.scoring_times, run_ids)

    def beat(self, claim: Claim, stage: str | None = None) -> bool:
        """Says that the worker lives (and what it does); False where the claim is lost."""
        with self._writing() as session:
            return claims.beat(session, claim, stage)

    def record_training(self, claim: Claim, train_id: str, result: TrainResult) -> None:
        """Writes down a finished training. Raises ClaimLost where another worker has taken over."""
        with self._writing() as session:
            claims.hold(session, claim)
            results.record_training(session, train_id, result)

    def record_increments(self, train_id: str, found: Sequence[Increment]) -> None:
        """Writes down what a training changed in each matrix, measured after it, in place of what was there."""
        with self._writing() as session:
            increments.keep(session, train_id, found)

    def record_task(self, claim: Claim, result: TaskResult) -> None:
        """Writes down all scores and samples of one task. Raises ClaimLost where another worker has taken over."""
        with self._writing() as session:
            results.record_task(session, claims.hold(session, claim), result)

    def finish(self, claim: Claim, provenance: Mapping[str, Any]) -> None:
        """The run is complete. Raises ClaimLost where another worker has taken over."""
        with self._writing() as session:
            claims.end(session, claim, "complete", provenance=provenance)

    def fail(self, claim: Claim, kind: str, message: str, traceback: str, provenance: Mapping[str, Any]) -> None:
        """The run failed. Raises ClaimLost where another worker has taken over."""
        with self._writing() as session:
            claims.end(session, claim, "failed", kind, message, traceback, provenance)

    def release(self, claim: Claim, provenance: Mapping[str, Any], message: str | None = None) -> None:
        """The run was stopped before its end and waits again. Raises ClaimLost where another worker has taken over.

        message: what has to be mended before it can go on, if anything.
        """
        with self._writing() as session:
            claims.end(session, claim, "pending", message=message, provenance=provenance)

    def runs(
        self, run_ids: Sequence[str] | None = None, prefix: str | None = None, loss: bool = False
    ) -> tuple[RunRecord, ...]:
        """Recorded runs: those of these ids, those whose id starts with `prefix`, or all.

        loss: also unpack the loss log of their trainings.
        """
        return self._read(queries.runs, run_ids, prefix, loss)

    def memberships(
        self, experiment: str | None = None, run_ids: Sequence[str] | None = None
    ) -> tuple[MembershipRecord, ...]:
        """The places of runs in experiments, the latest registered experiment first."""
        return self._read(queries.memberships, experiment, run_ids)

    def groups(
        self, experiment: str | None = None, benchmark: str | None = None, run_ids: Sequence[str] | None = None
    ) -> tuple[PlaceGroup, ...]:
        """The places of all runs, or of these, grouped by what decides on whose board they stand.

        The latest registered experiment comes first.
        """
        return self._read(groups.groups, experiment, benchmark, run_ids)

    def models(self) -> frozenset[str]:
        """The base models of the recorded runs."""
        return self._read(queries.models)

    def benchmarks(self) -> tuple[tuple[str, str], ...]:
        """Every experiment that has runs, with its benchmark: once for each profile, the latest one first."""
        return self._read(queries.benchmarks)

    def scores(self, run_ids: Sequence[str]) -> tuple[ScoreRecord, ...]:
        """Every recorded score of these runs."""
        return self._read(queries.scores, run_ids)

    def increments(self, train_ids: Sequence[str]) -> dict[str, tuple[Increment, ...]]:
        """What trainings changed in each matrix, by train_id, in the model's order; unmeasured ones are absent."""
        return self._read(increments.kept, train_ids)

    def measured(self, train_ids: Sequence[str]) -> frozenset[str]:
        """Those of these trainings of which increments are recorded."""
        return self._read(increments.measured, train_ids)

    def overlaps(self, run_ids: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
        """Of these runs, by run_id and task as it was last scored, what of the test set stands in the training data.

        See `train.overlap.measure` for the counts; `{error: why}` where they could not be taken. Runs that were scored
        before overlaps were measured, and those that train nothing, are absent.
        """
        return self._read(queries.overlaps, run_ids)

    def attempts(self, run_id: str) -> tuple[AttemptRecord, ...]:
        """Every try at a run, the first one first."""
        return self._read(queries.attempts, run_id)

    def samples(self, run_id: str, task: str) -> tuple[Sample, ...]:
        """A run's outcome on every item of a task as it was last scored, by document id."""
        return self._read(sample_queries.samples, run_id, task)

    def outcomes(self, run_ids: Sequence[str], tasks: Sequence[str] | None = None) -> tuple[Outcomes, ...]:
        """Every item's outcome of these runs on each task as it was last scored; tasks None: on all.

        Runs that answered the same items share one `Items`.
        """
        return self._read(sample_queries.outcomes, run_ids, tasks)

    def publications(self) -> tuple[Publication, ...]:
        """What papers and repositories print of methods: the published numbers that this database was given.

        They are those of the version that made or last upgraded it.
        """
        from harness.store.published.keeping import kept

        return self._read(kept)

    def published_current(self) -> bool:
        """Whether these published numbers are the ones that this version brings."""
        from harness.store.published.keeping import current

        return self._read(current)

    def findings(self) -> tuple[check.Finding, ...]:
        """What is wrong with the database: damage, orphans, scores that don't add up. Reads every sample."""

        def found(session: Session) -> tuple[check.Finding, ...]:
            findings = check.findings(session)
            session.rollback()  # a damaged file can't even commit what was only read
            return findings

        return self._read(found)

    def merge(self, other: Store, keep_ours: bool = False) -> merge.Merged:
        """Adds what another database has and this one lacks, in one transaction; what is recorded here stays.

        keep_ours: leave out runs of which both have results that differ. Raises MergeConflict for them otherwise.
        """

        def merged() -> merge.Merged:
            with self._writing() as ours, other._session() as theirs:
                return merge.merge(ours, theirs, keep_ours)

        return undisturbed(merged)


def open_store(url: str, read_only: bool = False) -> Store:
    """Opens the results database, making an empty one where there is none (unless `read_only`).

    Raises StoreError for a database of another schema (with the command that mends it), one that holds
    something else, or one that is not there to be read.
    """
    # Looked at before it is opened for writing: a file that is not ours stays as it is.
    ours = exists(url)
    if read_only:
        if not ours:
            path = sqlite_file(url)
            there = path is None or path.is_file()
            missing = f"{shown(url)} is empty; harness run fills it"
            raise StoreError(
                missing if there else f"{shown(url)}: there is no such database yet; harness run makes it"
            )
        return Store(engine_for(url, read_only=True), url)
    engine = engine_for(url)
    if not ours:
        with translated(url):
            upgrade(engine)
    return Store(engine, url)


def upgrade_store(url: str) -> None:
    """Brings a database, also one that is not there yet, to our schema.

    Raises StoreError for a newer schema and for what holds something else, of which no byte is changed.
    """
    path = sqlite_file(url)
    if path is None or path.is_file():
        reading = engine_for(url, read_only=True)
        check_schema(reading, url, older=True)
        reading.dispose()
    engine = engine_for(url)
    with translated(url):
        upgrade(engine)
    engine.dispose()


def exists(url: str) -> bool:
    """Whether anything was ever recorded there: the file of a SQLite URL is missing or empty where not.

    Raises StoreError for what is no URL, and for a database that holds something else or another schema.
    """
    path = sqlite_file(url)
    if path is not None and not path.is_file():
        return False
    engine = engine_for(url, read_only=True)
    try:
        return check_schema(engine, url)
    finally:
        engine.dispose()
