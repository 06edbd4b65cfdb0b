"""What training changed in each matrix, as the database keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.store.export import export
from harness.store.increments.records import Density, Increment
from harness.store.store import Store, open_store

from .conftest import Databases
from .records import RUN, TRAINING, completed, entry, experiment, taken

TRAIN = "t" + RUN[1:]


def increment(name: str = "layers.0.q_proj.lora_A.default.weight", columns: int = 100) -> Increment:
    """Of 4 × `columns` entries; every number is one that half precision holds."""
    return Increment(
        name=name,
        layer=0,
        module="q_proj",
        matrix="lora_A",
        rows=4,
        columns=columns,
        start_rms=0.024,
        rms=1e-5 / 3,
        density=Density(0.01, 0.05, 0.1, 0.2, 0.4, None),
        absolute=(0.9, 1.0, 1.0),
        gaussian={"gini": (0.41, 0.01)},
        slice_side=4,
        slice_count=32,
        slices={"gini": (0.4, 0.02), "share_1": (0.0, None)},
        histogram=(0, 5, 10, 0),
        patch=((0.5, -1.25, 2.0, 0.0), (1.0, 1.0, 1.0, -4.0)),
    )


FOUND = (increment("b"), increment("a"), replace(increment("c"), layer=None, module=None, patch=(), histogram=()))


def measured(store: Store, increments: tuple[Increment, ...] = FOUND, saved: str = "one") -> None:
    claim = taken(store)
    training = replace(TRAINING, provenance={"saved": saved}, increments=increments)
    store.record_training(claim, TRAIN, training)
    store.finish(claim, {})


def trained_again(store: Store, **changes: object) -> None:
    """As where its weights were lost, for another run that shares the training."""
    other = "f" * 12
    store.register(experiment("second"), [replace(entry(other), train_id=TRAIN)])
    store.record_training(taken(store, other), TRAIN, replace(TRAINING, **changes))


def test_increments_come_back_as_they_were_measured_in_the_models_order(store: Store) -> None:
    measured(store)

    assert store.increments([TRAIN, "unknown"]) == {TRAIN: FOUND}
    assert store.trainings([TRAIN])[TRAIN].increments == ()


def test_what_was_not_measured_is_absent(store: Store) -> None:
    completed(store)

    assert store.increments([TRAIN]) == {}


def test_a_later_measurement_takes_the_place_of_the_earlier_one(store: Store) -> None:
    measured(store)
    store.record_increments(TRAIN, FOUND[:1])

    assert store.increments([TRAIN]) == {TRAIN: FOUND[:1]}


@pytest.mark.parametrize(("saved", "left"), [("one", {TRAIN: FOUND}), ("other", {}), (None, {})])
def test_increments_stay_only_with_the_weights_that_they_are_of(store: Store, saved: str | None, left: object) -> None:
    measured(store)
    trained_again(store, provenance={"saved": saved})

    assert store.increments([TRAIN]) == left


def test_merging_takes_increments_that_are_missing_here_and_keeps_those_that_are_there(
    store: Store, databases: Databases
) -> None:
    with open_store(databases("other")) as other:
        other.register(experiment(), [entry()])
        measured(other)
        completed(store)
        store.merge(other)
        assert store.increments([TRAIN]) == {TRAIN: FOUND}

        store.record_increments(TRAIN, FOUND[:2])
        store.merge(other)
        assert store.increments([TRAIN]) == {TRAIN: FOUND[:2]}


def test_an_export_has_a_line_for_each_matrix(store: Store, tmp_path: Path) -> None:
    measured(store)

    assert export(store, tmp_path / "out")["increments"] == len(FOUND)
