"""What many runs say alike is kept once, and read back as it was written."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import func, select

from harness.store.database import engine_for
from harness.store.records import Entry
from harness.store.store import Store, open_store
from harness.store.tables import Document

from .conftest import Databases
from .records import RUN, completed, entry, experiment, result, taken

SPEC = {
    "model": {"name": "micro-llama", "content": "sha256:1"},
    "adapter": {"method": "lora", "config": {"r": 8, "names": ["q", "ü"]}},
    "data": {"name": "micro", "fraction": 0.1},
    "train": {"steps": 10, "learning_rate": 3e-4},
    "prompt": {"name": "plain", "score": "{question}"},
    "score": {"limit": None},
    "keep": False,
    "tasks": ["boolq"],
}


def seeded(seed: int | None, **changes: object) -> Entry:
    """A run of the specification above."""
    run_id, train_id = f"{seed or 0:012}", f"t{seed or 0:011}"
    spec = {**SPEC, "seed": seed, "train_id": train_id, "run_id": run_id, **changes}
    return Entry(run_id, train_id, "micro-llama", "lora", seed, spec, "LoRA", ("boolq",))


def documents(store: Store) -> int:
    """How many there are."""
    with engine_for(store.url).connect() as connection:
        return connection.execute(select(func.count()).select_from(Document)).scalar_one()


@pytest.fixture
def blank(databases: Databases) -> Store:
    """A database without runs."""
    return open_store(databases("blank"))


def test_runs_that_differ_in_their_seeds_share_their_specification(blank: Store) -> None:
    entries = [seeded(seed) for seed in range(5)]
    blank.register(experiment(), entries)

    assert documents(blank) == 2
    assert [run.spec for run in blank.runs()] == [each.spec for each in entries]


def test_runs_of_one_setting_share_it_whatever_else_they_are(blank: Store) -> None:
    other = seeded(1, adapter={"method": "dora"})
    blank.register(experiment(), [seeded(0), other])

    assert documents(blank) == 3
    assert blank.runs([other.run_id])[0].spec == other.spec


@pytest.mark.parametrize("spec", [{}, {"model": "micro-llama"}, {"seed": 7, "run_id": "another", "x": None}])
def test_a_specification_is_read_back_as_it_was_written(blank: Store, spec: dict[str, object]) -> None:
    written = dataclasses.replace(entry(), spec=spec)
    blank.register(experiment(), [written])
    assert blank.runs()[0].spec == spec

    blank.specify([dataclasses.replace(written, spec={**spec, "score": {"batch_size": 4}})])
    assert blank.runs()[0].spec == {**spec, "score": {"batch_size": 4}}


def test_a_run_without_a_seed_has_none(blank: Store) -> None:
    blank.register(experiment(), [seeded(None)])
    assert blank.runs()[0].spec["seed"] is None


def test_provenance_is_read_back_whole_and_what_repeats_is_kept_once(store: Store) -> None:
    tasks = ("boolq", "piqa")
    claim, before = taken(store), documents(store)
    for number, task in enumerate(tasks):
        told = {"config": {"until": ["\n"]}, "overlap": {"items": 9}, "mean_output_tokens": 7.5 + number}
        store.record_task(claim, dataclasses.replace(result(task), provenance=told))
    packages = {"packages": {"peft": "0.21.2"}, "python": "3.11.7", "api": None}
    store.finish(claim, packages)

    assert documents(store) == before + 2
    assert store.overlaps([RUN]) == {RUN: {task: {"items": 9} for task in tasks}}
    assert store.attempts(RUN)[0].provenance == packages


def test_merging_brings_the_documents_that_are_missing(databases: Databases) -> None:
    entries = [seeded(seed) for seed in range(3)]
    with open_store(databases("ours")) as ours, open_store(databases("theirs")) as theirs:
        ours.register(experiment("other"), [entry("f" * 12)])  # so that the same numbers mean other documents
        theirs.register(experiment(), entries)
        completed(theirs, entries[0].run_id)
        ours.merge(theirs)

        found = {run.run_id: run.spec for run in ours.runs()}
        assert {each.run_id: each.spec for each in entries}.items() <= found.items()
        assert found["f" * 12] == entry().spec
        (training,) = theirs.trainings([entries[0].train_id]).values()
        assert ours.trainings([entries[0].train_id])[entries[0].train_id] == training
        assert ours.attempts(entries[0].run_id) == theirs.attempts(entries[0].run_id)
