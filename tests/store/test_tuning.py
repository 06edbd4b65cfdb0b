"""The places of runs that tune, on every backend: written, read back, and marked once they are asked no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.store.records import Entry
from harness.store.store import Store

from .records import entry, experiment


def trying(number: int, key: str = "k") -> Entry:
    group = {"key": key, "label": "LoRA", "point": {"train.learning_rate": number / 100}}
    about = {"by": "validation_loss", "groups": [group]}
    tried = entry(run_id=f"{number:012x}", tasks=("data.validation",))
    return replace(tried, train_id=tried.run_id, role="tuning", tuning=about)


def tuned(number: int, chosen: float, key: str = "k") -> Entry:
    about = {"key": key, "chosen": {"train.learning_rate": chosen}, "points": 2}
    found = entry(run_id=f"{number:012x}", tasks=("boolq",))
    return replace(found, train_id=found.run_id, role="tuned", tuning=about)


def roles(store: Store) -> dict[int, Any]:
    return {int(place.run_id, 16): place.role for place in store.memberships("first")}


def begun(store: Store, *numbers: int) -> None:
    """Runs that were done: those that were not are forgotten once nobody asks for them."""
    for number in numbers:
        claim = store.claim(f"{number:012x}", "here:1:1", "cpu")
        assert claim is not None
        store.finish(claim, {})


def test_what_was_tried_and_chosen_is_read_back(store: Store) -> None:
    store.register(experiment(), [entry(), trying(1), tuned(2, 0.01)])
    assert [(place.role, place.tuning) for place in store.memberships("first")] == [
        ("run", None),
        ("tuning", trying(1).tuning),
        ("tuned", tuned(2, 0.01).tuning),
    ]


def test_a_point_that_is_tried_no_more_is_superseded(store: Store) -> None:
    store.register(experiment(), [trying(1), trying(2), trying(3, key="other")])
    begun(store, 1, 2, 3)
    store.register(experiment(), [trying(2)])
    assert roles(store) == {1: "superseded", 2: "tuning", 3: "tuning"}
    store.register(experiment(), [trying(1), trying(2)])
    assert roles(store)[1] == "tuning"


def test_a_former_choice_is_superseded_by_another_one_alone(store: Store) -> None:
    store.register(experiment(), [trying(1), tuned(8, 0.01), tuned(9, 0.01)])
    begun(store, 1, 8, 9)
    store.register(experiment(), [trying(1), trying(2)])
    assert (roles(store)[8], roles(store)[9]) == ("tuned", "tuned"), "nothing is chosen anew yet"
    store.register(experiment(), [trying(1), trying(2), tuned(8, 0.01)])
    assert roles(store)[9] == "tuned", "the same point, which is scored otherwise or has another seed"
    store.register(experiment(), [trying(1), trying(2), tuned(7, 0.02)])
    assert (roles(store)[7], roles(store)[8], roles(store)[9]) == ("tuned", "superseded", "superseded")


def test_an_experiment_that_does_not_tune_supersedes_nothing(store: Store) -> None:
    store.register(experiment(), [trying(1), tuned(8, 0.01)])
    begun(store, 1, 8)
    store.register(experiment(), [entry()])
    assert roles(store)[8] == "tuned"
