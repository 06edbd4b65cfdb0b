"""A results database of 100,000 runs, written in bulk through the harness's own tables."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy
from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from harness.spec.run import AdapterRef, DataRef, ModelRef, PromptRef, RunSpec, ScoreSettings, SourceRef, TrainSettings
from harness.store.database import engine_for, for_writing
from harness.store.documents import Documents, parts_of_spec
from harness.store.packing import pack_list, pack_outcomes
from harness.store.store import upgrade_store
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

METHODS = [f"method_{letter}" for letter in "abcdefghij"]
SETTINGS, SEEDS = 20, 5
PER_EXPERIMENT = len(METHODS) * SETTINGS * SEEDS
ITEMS = {"boolq": 17, "piqa": 17, "siqa": 17, "winogrande": 17, "arc_e": 16, "arc_c": 16}
"""Tasks and how many items of each are asked: 100 samples a run, and two metrics a task make 12 scores."""
MODELS_OF_LAST = 4
"""The last experiment's runs lie on so many boards, every other one's on one."""
POOL = 200
COUNTS = {"read": 1000, "used": 1000, "truncated": 0, "dropped": 0, "validation": 0}
BEGIN = datetime(2026, 1, 1)
PROVENANCE = {"lm_eval": "0.4.13", "config": {"doc_to_text": "{{ instruction }}\n" * 40, "metadata": {"version": 1.0}}}
PARAMS = {"r": 16, "alpha": 32, "dropout": 0.05, "targets": "QKVUD"}
CONFIG = {**PARAMS, "target_modules": ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]}
HARDWARE = {"packages": {"torch": "2.13.0", "peft": "0.21.2"}, "hardware": {"cpu": "a processor " * 20}}


def build(path: Path, experiments: int) -> None:
    """Writes the database, the same one for the same arguments: every experiment has `PER_EXPERIMENT` runs."""
    url = f"sqlite:///{path}"
    upgrade_store(url)
    engine = engine_for(url)
    with for_writing(engine).begin() as connection:
        connection.execute(insert(ScoredTask), [
            {"id": number, "name": task, "version": "1.0", "fingerprint": "f"} for number, task in enumerate(ITEMS, 1)
        ])  # fmt: skip
        connection.execute(insert(ItemSet), [
            {"id": number, "task": number, "digest": task, "n": n, "doc_ids": pack_list(range(n)),
             "hashes": pack_list([f"{task}{item}" for item in range(n)])}
            for number, (task, n) in enumerate(ITEMS.items(), 1)
        ])  # fmt: skip
        answers, documents = _answers(), Documents(Session(connection))
        for number in range(experiments):
            _experiment(connection, number, number == experiments - 1, answers, documents)
    engine.dispose()


Answers = dict[tuple[int, int], list[tuple[float, dict[str, bytes]]]]


def _answers() -> Answers:
    """By task and method, what runs may have answered: the accuracy and the packed columns."""
    draws = numpy.random.default_rng(0)
    found: Answers = {}
    for (task, n), method in product(enumerate(ITEMS.values(), 1), range(len(METHODS))):
        for right in draws.random((POOL, n)) < 0.5 + 0.04 * method:
            columns = {
                "outcomes": pack_outcomes(right.astype(float).tolist()),
                "answers": pack_list(["true" if each else "false" for each in right]),
                "output_tokens": pack_list(draws.integers(2, 30, n).tolist()),
            }
            found.setdefault((task, method), []).append((float(right.mean()), columns))
    return found


def _experiment(connection: Connection, number: int, last: bool, answers: Answers, documents: Documents) -> None:
    first = number * PER_EXPERIMENT + 1
    moment = BEGIN + timedelta(hours=number)
    connection.execute(insert(Experiment), {
        "id": number + 1, "name": name_of(number), "profile": "paper", "path": f"{name_of(number)}.yaml",
        "question": "Which?", "benchmark": f"benchmark_{number % 10}", "spec": {"name": name_of(number)},
        "registered_at": moment,
    })  # fmt: skip
    points = list(enumerate(product(range(len(METHODS)), range(SETTINGS), range(SEEDS)), first))
    runs = [_run(number, id, *point, last, moment, documents) for id, point in points]
    connection.execute(insert(Run), runs)
    connection.execute(insert(Membership), [
        {"experiment": number + 1, "run": run["id"], "label": f"{run['method']} {(run['id'] - 1) // SEEDS % SETTINGS}",
         "position": run["id"] - first, "tasks": list(ITEMS), "departures": []}
        for run in runs
    ])  # fmt: skip
    connection.execute(insert(Training), [_training(run, documents) for run in runs])
    hardware, hardware_shared = documents.keep_provenance(HARDWARE)
    connection.execute(insert(Attempt), [
        {"run": run["id"], "number": 1, "worker": "node:1:1", "host": "node", "device": "cuda:0", "settings": {},
         "started_at": moment, "ended_at": run["finished_at"], "outcome": "complete", "provenance": hardware,
         "shared": hardware_shared}
        for run in runs
    ])  # fmt: skip
    scored, scored_shared = documents.keep_provenance(PROVENANCE)
    chosen = [(id, task, answers[task, point[0]][id * 7 % POOL]) for id, point in points for task in _task_ids()]
    connection.execute(insert(Scoring), [
        {"run": id, "task": task, "seconds": 1.5, "scored_at": moment, "shared": scored_shared,
         "provenance": {**scored, "mean_output_tokens": 10 + id % 1000 / 100}}
        for id, task, _ in chosen
    ])  # fmt: skip
    connection.execute(insert(TaskScore), [row for each in chosen for row in _scores(*each)])
    connection.execute(insert(SampleSet), [
        {"run": id, "task": task, "item_set": task, "outputs": None, **columns} for id, task, (_, columns) in chosen
    ])  # fmt: skip


def name_of(number: int) -> str:
    """The name of an experiment, counted from 0."""
    return f"scale_{number:03}"


def run_id_of(id: int) -> str:
    """The run id of the run that the database has under this number, counted from 1."""
    return hashlib.sha256(str(id).encode()).hexdigest()[:12]


def _task_ids() -> range:
    return range(1, len(ITEMS) + 1)


def _run(
    number: int, id: int, method: int, setting: int, seed: int, last: bool, moment: datetime, documents: Documents
) -> dict[str, Any]:
    model = f"model-{number}" + (f"-{setting % MODELS_OF_LAST}" if last else "")
    spec = _spec(model, METHODS[method], 1e-4 * (setting + 1), seed)
    spec |= {"train_id": run_id_of(-id), "run_id": run_id_of(id), "tasks": list(ITEMS)}
    parts = map(documents.keep, parts_of_spec(spec, (run_id_of(id), run_id_of(-id), seed)))
    return {
        "id": id, "run_id": run_id_of(id), "train_id": run_id_of(-id), "model": model, "method": METHODS[method],
        "seed": seed, **dict(zip(("setting", "point"), parts, strict=True)), "status": "complete", "token": 1,
        "created_at": moment, "finished_at": moment + timedelta(seconds=id % PER_EXPERIMENT),
    }  # fmt: skip


def _spec(model: str, method: str, learning_rate: float, seed: int) -> dict[str, Any]:
    template = "Below is an instruction that describes a task. Write a response.\n{{ instruction }}\n" * 8
    source = SourceRef(kind="catalog", location="data", name="data", content="sha256:data")
    return RunSpec(
        model=ModelRef(name=model, content=f"sha256:{model}", dtype="bfloat16"),
        adapter=AdapterRef(method=method, config_class=f"peft:{method}", config=CONFIG, params=PARAMS),
        data=DataRef(name="data", sources=(source,)),
        train=TrainSettings(epochs=2, learning_rate=learning_rate),
        prompt=PromptRef(name="plain", train=template, score=template),
        score=ScoreSettings(),
        seed=seed,
    ).model_dump(mode="json")


def _training(run: dict[str, Any], documents: Documents) -> dict[str, Any]:
    provenance, shared = documents.keep_provenance({"seed": run["seed"], "peft_config": CONFIG})
    loss = [{"step": step, "loss": 2.5 - step / 100} for step in range(1, 101)]
    return {
        "train_id": run["train_id"], "seconds": 100.0, "steps": 100, "tokens": 500_000, "peak_memory_bytes": 2**30,
        "trainable_params": 1_933_312, "base_params": 8_030_261_248, "trainable_percent": 0.0241,
        "adapter_bytes": 7_700_000, "loss": zlib.compress(json.dumps(loss).encode()), "counts": COUNTS,
        "provenance": provenance, "shared": shared,
        "trained_at": run["finished_at"],
    }  # fmt: skip


def _scores(id: int, task: int, answered: tuple[float, dict[str, bytes]]) -> Iterator[dict[str, Any]]:
    value, n = answered[0], list(ITEMS.values())[task - 1]
    stderr = (value * (1 - value) / (n - 1)) ** 0.5
    for position, (metric, found) in enumerate((("accuracy", value), ("extracted", 1.0))):
        spread = stderr if position == 0 else 0.0
        yield {
            "run": id,
            "task": task,
            "metric": metric,
            "position": position,
            "value": found,
            "stderr": spread,
            "n": n,
        }
