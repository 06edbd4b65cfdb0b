"""What the stages return and the store keeps: frozen values, never rows of the database."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from harness.store.increments.records import Increment

Role = Literal["run", "tuning", "tuned", "superseded"]
"""What a run is to an experiment: see `MembershipRecord`."""


@dataclass(frozen=True)
class TrainResult:
    """One finished training.

    seconds: wall time of the optimisation alone (loading excluded); tokens: non-padding tokens seen;
    peak_memory_bytes: CUDA's peak allocation, or the process's peak resident size on CPU;
    adapter_bytes: size of the saved weights; loss: the trainer's log history, a mapping per log line;
    counts: rows read, used, truncated, dropped, validation; provenance: seeds, template, fingerprints;
    increments: what it changed in each trained matrix, where that was measured (the store keeps them apart).
    """

    seconds: float
    steps: int
    tokens: int
    peak_memory_bytes: int | None
    trainable_params: int
    base_params: int
    trainable_percent: float
    adapter_bytes: int | None = None
    loss: tuple[dict[str, Any], ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    increments: tuple[Increment, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One test item's outcome under a task's main metric.

    doc_hash: SHA-256 of the item as the task serves it; outcome: the item's value of the main metric
    (1.0 right, 0.0 wrong); answer: what was extracted, None where nothing was found; output_tokens:
    length of the generated text, None where nothing is generated; output: the whole text.
    """

    doc_id: int
    doc_hash: str
    outcome: float
    answer: str | None = None
    output_tokens: int | None = None
    output: str | None = None


@dataclass(frozen=True)
class Items:
    """A set of a task's test items, in order; equal digests mean equal ids and hashes."""

    digest: str
    doc_ids: tuple[int, ...]
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Outcomes:
    """A run's outcomes on a task's items: `numpy.asarray(values)` has one value for each item, in their order."""

    run_id: str
    task: str
    version: str
    fingerprint: str
    items: Items
    values: array[float] | array[int]


@dataclass(frozen=True)
class Score:
    """One metric of one task, as a fraction (not percent); `stderr` is None where it can't be known."""

    metric: str
    value: float
    stderr: float | None
    n: int


@dataclass(frozen=True)
class TaskResult:
    """All scores of one task for one run, the task's main metric first."""

    task: str
    version: str
    fingerprint: str
    scores: tuple[Score, ...]
    samples: tuple[Sample, ...]
    seconds: float
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A run as an experiment registers it: the specification, and its place in the experiment.

    role, tuning: see `MembershipRecord`.
    """

    run_id: str
    train_id: str
    model: str
    method: str
    seed: int | None
    spec: dict[str, Any]
    label: str
    tasks: tuple[str, ...]
    departures: tuple[str, ...] = ()
    role: Role = "run"
    tuning: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunState:
    """What is known of a run at a moment.

    scored: tasks with recorded scores, as name → the versions and fingerprints of them.
    """

    run_id: str
    train_id: str
    status: str
    stage: str | None
    kind: str | None
    error: str | None
    worker: str | None
    beat_seconds_ago: float | None
    attempts: int
    scored: dict[str, frozenset[tuple[str, str]]]
    trained: bool


@dataclass(frozen=True)
class ListedRun:
    """Where a run stands, in a line; of a run of several experiments, its place in the latest one."""

    run_id: str
    experiment: str
    label: str
    status: str
    stage: str | None
    error: str | None
    seed: int | None
    attempts: int


@dataclass(frozen=True)
class Claim:
    """The right to work on a run. It is lost when somebody else claims the run with a higher token."""

    run_id: str
    token: int
    attempt: int


@dataclass(frozen=True)
class AttemptRecord:
    """One try at a run."""

    number: int
    worker: str
    host: str | None
    device: str | None
    settings: dict[str, Any]
    started_at: str
    ended_at: str | None
    outcome: str | None
    kind: str | None
    message: str | None
    traceback: str | None
    provenance: dict[str, Any]


@dataclass(frozen=True)
class LateRecord:
    """What a worker brought after it had lost its claim (`token`): a training's summary, or a task's scores."""

    token: int
    worker: str
    task: str | None
    payload: dict[str, Any]
    recorded_at: str


@dataclass(frozen=True)
class ScoreRecord:
    """One recorded metric; `position` 0 is the task's main metric."""

    run_id: str
    task: str
    version: str
    fingerprint: str
    metric: str
    position: int
    value: float
    stderr: float | None
    n: int
    scored_at: str


@dataclass(frozen=True)
class RunRecord:
    """Everything recorded of a run but its scores, samples and attempts."""

    run_id: str
    train_id: str
    model: str
    method: str
    seed: int | None
    status: str
    stage: str | None
    kind: str | None
    error: str | None
    spec: dict[str, Any]
    created_at: str
    finished_at: str | None
    training: TrainResult | None = None


@dataclass(frozen=True)
class MembershipRecord:
    """A run's place in an experiment.

    path: the experiment's file as it was named; title: the benchmark's, None where it was not recorded; weights: the
    tasks' shares in its average, empty where all weigh the same; suites: the suite of each task, where recorded.
    role: `run`; `tuning` for a run that tries a point of the experiment's `select`; `tuned` for a run of the point
    that was chosen; `superseded` for one of either kind that is asked no more. tuning: what was tried or chosen, as
    `spec.tuning` says it.
    """

    experiment: str
    profile: str
    benchmark: str
    run_id: str
    label: str
    position: int
    tasks: tuple[str, ...]
    departures: tuple[str, ...]
    title: str | None = None
    weights: dict[str, float] = field(default_factory=dict)
    suites: dict[str, str] = field(default_factory=dict)
    role: Role = "run"
    tuning: dict[str, Any] | None = None
    path: str = ""


class Standing(NamedTuple):
    """A run as boards are looked for. number: grows from run to run; scored: whether its group's tasks have a score.

    point: equal for runs whose specifications differ in seed and ids alone, where the setting is the same. Times are
    UTC, as text that sorts.
    """

    run_id: str
    point: int
    status: str
    created_at: str
    finished_at: str | None
    number: int
    scored: bool


@dataclass(frozen=True)
class PlaceGroup:
    """Runs that an experiment asks for the same tasks in one setting, in the experiment's order.

    setting: the number of the setting; parts: the specification's `model`, `data`, `prompt` and `score`.
    """

    experiment: str
    benchmark: str
    tasks: tuple[str, ...]
    weights: dict[str, float]
    role: Role
    setting: int
    parts: dict[str, Any]
    runs: tuple[Standing, ...]
