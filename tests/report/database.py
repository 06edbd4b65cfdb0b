"""A results database filled as the pipeline fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.spec.identity import identified
from harness.spec.run import (
    AdapterRef,
    ApiRef,
    DataRef,
    LoadedRef,
    ModelRef,
    PromptRef,
    RunSpec,
    ScoreSettings,
    SourceRef,
    TrainSettings,
)
from harness.store.records import Entry, Sample, Score, TaskResult, TrainResult
from harness.store.store import open_store

TASKS = ("micro_two_way", "micro_four_way")
TRAINING = TrainResult(
    seconds=100.0,
    steps=10,
    tokens=5000,
    peak_memory_bytes=2**30,
    trainable_params=1_933_312,
    base_params=8_030_261_248,
    trainable_percent=0.0241,
)
Scores = Mapping[str, tuple[float, float | None]]


def scores(first: float, second: float) -> Scores:
    """Shares of right answers on both tasks, with their standard errors."""
    return {TASKS[0]: (first, 0.02), TASKS[1]: (second, 0.03)}


@dataclass(frozen=True)
class Asked:
    """A run and how an experiment calls it."""

    spec: RunSpec
    label: str
    departures: tuple[str, ...] = ()


def asked(
    method: str = "lora",
    *,
    seed: int = 0,
    label: str | None = None,
    model: str = "tiny",
    data: str = "micro",
    fraction: float = 1.0,
    limit: int | None = None,
    server: str | None = None,
    learning_rate: float = 3e-4,
    departures: tuple[str, ...] = (),
    **params: Any,
) -> Asked:
    """A run; `none` trains nothing, and `trained` loads an adapter, which is one training's."""
    untrained = method in ("none", "trained")
    trains = "nothing" if untrained else "adapter"
    loads = LoadedRef(path="theirs", content="sha256:theirs") if method == "trained" else None
    source = SourceRef(kind="catalog", location=data, name=data, content=f"sha256:{data}")
    spec = RunSpec(
        model=ModelRef(name=model, content=f"sha256:{model}", dtype="float32", api=_api(server)),
        adapter=AdapterRef(
            method=method, trains=trains, config_class=method, config=params, params=params, loads=loads
        ),
        data=None if untrained else DataRef(name=data, sources=(source,), fraction=fraction),
        train=None if untrained else TrainSettings(epochs=1.0, learning_rate=learning_rate),
        prompt=PromptRef(name="plain", train="{question} {answer}", score="{question}"),
        score=ScoreSettings(limit=limit),
        seed=None if untrained else seed,
    )
    return Asked(identified(spec), label or method, departures)


def _api(server: str | None) -> ApiRef | None:
    url = f"https://{server}/v1/chat/completions"
    return ApiRef(protocol="openai-chat", url=url, timeout=60, max_retries=2) if server else None


class Database:
    """A SQLite file, opened anew for everything that is done to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def register(
        self,
        *runs: Asked,
        experiment: str = "first",
        benchmark: str = "micro",
        tasks: Sequence[str] = TASKS,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """What `run` writes down before it begins; about: of the benchmark, title, weights and suites."""
        spec = {"benchmark": about} if about else {}
        fields = {"name": experiment, "profile": "paper", "path": "x.yaml", "question": "", "spec": spec}
        with open_store(self.url) as store:
            store.register({**fields, "benchmark": benchmark}, [entry(run, tasks) for run in runs])

    def complete(
        self,
        run: Asked,
        values: Scores,
        *,
        training: TrainResult = TRAINING,
        fingerprint: str = "f1",
        metric: str = "accuracy",
        n: int = 200,
        extra: tuple[Score, ...] = (),
        overlap: Mapping[str, dict[str, int]] | None = None,
    ) -> None:
        """Trains and scores a registered run."""
        with open_store(self.url) as store:
            claim = store.claim(run.spec.run_id, "worker", "cpu")
            assert claim is not None
            if run.spec.data is not None:
                store.record_training(claim, run.spec.train_id, training)
            for task, (value, stderr) in values.items():
                found = (Score(metric, value, stderr, n), *extra)
                measured = {"overlap": overlap[task]} if overlap and task in overlap else {}
                store.record_task(claim, TaskResult(task, "1.0", fingerprint, found, (), 1.0, measured))
            store.finish(claim, {})

    def answer(
        self,
        run: Asked,
        answers: Mapping[str, Sequence[float]],
        *,
        items: Sequence[int] | None = None,
        metric: str = "accuracy",
        fingerprint: str = "f1",
        training: TrainResult = TRAINING,
    ) -> None:
        """Trains a registered run and scores it with these outcomes of each task's items (default: 0, 1, 2, ...)."""
        with open_store(self.url) as store:
            claim = store.claim(run.spec.run_id, "worker", "cpu")
            assert claim is not None
            if run.spec.data is not None:
                store.record_training(claim, run.spec.train_id, training)
            for task, outcomes in answers.items():
                found = Score(metric, sum(outcomes) / len(outcomes), 0.01, len(outcomes))
                places = range(len(outcomes)) if items is None else items
                samples = tuple(Sample(i, f"hash{i}", float(y)) for i, y in zip(places, outcomes, strict=True))
                store.record_task(claim, TaskResult(task, "1.0", fingerprint, (found,), samples, 1.0))
            store.finish(claim, {})

    def fail(self, run: Asked, kind: str = "oom", message: str = "out of memory") -> None:
        """Fails a registered run."""
        with open_store(self.url) as store:
            claim = store.claim(run.spec.run_id, "worker", "cpu")
            assert claim is not None
            store.fail(claim, kind, message, "", {})


def entry(run: Asked, tasks: Sequence[str], **role: Any) -> Entry:
    """The run as an experiment registers it."""
    spec = run.spec
    return Entry(
        run_id=spec.run_id,
        train_id=spec.train_id,
        model=spec.model.name,
        method=spec.adapter.method,
        seed=spec.seed,
        spec=spec.model_dump(mode="json"),
        label=run.label,
        tasks=tuple(tasks),
        departures=run.departures,
        **role,
    )
