"""Mixing several sources by weight, deterministically."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness.errors import RunError
from harness.spec.run import DataRef, PartRef
from harness.train.examples import Example, draw, read

from .runs import data_file, rows


def mixed(*parts: tuple[float, int], seed: int = 0, **choice: float) -> tuple[list[Example], list[Example]]:
    """The draw from parts of a weight and a number of examples."""
    examples = [
        Example("text", text=f"{part}-{i}", part=part) for part, (_, count) in enumerate(parts) for i in range(count)
    ]
    mix = tuple(PartRef(weight=weight, sources=1) for weight, _ in parts)
    return draw(examples, DataRef(name="mine", sources=(), mix=mix, **choice), seed)


def counts(examples: list[Example]) -> list[int]:
    found = Counter(example.part for example in examples)
    return [found[part] for part in sorted(found)]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (((2, 100), (1, 100)), [100, 50]),
        (((1, 100), (1, 30)), [30, 30]),
        (((0.5, 40), (0.25, 40), (0.25, 10)), [20, 10, 10]),
    ],
)
def test_the_parts_are_in_proportion_to_their_weights_until_one_is_used_up(
    parts: tuple[tuple[float, int], ...], expected: list[int]
) -> None:
    used, _ = mixed(*parts)
    assert all(abs(got - wanted) <= 1 for got, wanted in zip(counts(used), expected, strict=True))
    assert len(set(used)) == len(used)


def test_every_beginning_holds_the_proportion() -> None:
    used, _ = mixed((3, 300), (1, 300))
    for end in range(4, len(used), 7):
        first, second = counts(used[:end])
        assert abs(first - 0.75 * end) <= 1
        assert abs(second - 0.25 * end) <= 1


def test_fractions_are_nested_and_validation_is_apart() -> None:
    parts = (2, 200), (1, 200)
    small, held_out = mixed(*parts, fraction=0.1, validation=30)
    large, same = mixed(*parts, fraction=0.2, validation=30)
    assert held_out == same
    assert counts(held_out) == [20, 10]
    assert small == large[: len(small)]
    assert not set(held_out) & set(large)


def test_a_seed_draws_the_same_again_and_another_others() -> None:
    parts = (1, 100), (1, 20)
    assert mixed(*parts, seed=1) == mixed(*parts, seed=1)
    assert set(mixed(*parts, seed=1)[0]) != set(mixed(*parts, seed=2)[0])


def test_a_mixture_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(RunError, match="fraction 1 of 5 examples, 5 of them for validation, leaves none"):
        mixed((1, 100), (1, 2), validation=5)


def test_a_part_may_be_several_files(tmp_path: Path) -> None:
    first, second, third = (data_file(tmp_path / f"{name}.json", rows(2)).sources[0] for name in "abc")
    mix = (PartRef(weight=1, sources=2), PartRef(weight=1, sources=1))
    found = read(DataRef(name="mine", sources=(first, second, third), mix=mix))
    assert [example.part for example in found] == [0, 0, 0, 0, 1, 1]
