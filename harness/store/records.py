"""What the stages return and the store keeps: frozen values, never rows of the database."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainResult:
    """One finished training.

    seconds: wall time of the optimisation alone (loading excluded); tokens: non-padding tokens seen;
    peak_memory_bytes: CUDA's peak allocation, or the process's peak resident size on CPU;
    adapter_bytes: size of the saved weights; loss: the trainer's log history, a mapping per log line;
    counts: rows read, used, truncated, dropped, validation; provenance: seeds, template, fingerprints.
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
    """A run as an experiment registers it: the specification, and its place in the experiment."""

    run_id: str
    train_id: str
    model: str
    method: str
    seed: int | None
    spec: dict[str, Any]
    label: str
    tasks: tuple[str, ...]
    departures: tuple[str, ...] = ()


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

    title: the benchmark's, None where it was not recorded; weights: the tasks' shares in its average, empty where all
    weigh the same; suites: the suite of each task, where recorded.
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
