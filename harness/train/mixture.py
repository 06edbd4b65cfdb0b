"""Mixing several sources of examples by weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def shares(items: Sequence[Item], parts: Sequence[int], weights: Sequence[float]) -> list[Item]:
    """The longest sequence in which the parts keep the proportion of their weights and nothing comes twice.

    parts: the part of each item. The items of a part keep their order. At every place comes the part that is
    furthest behind its share, so that every beginning of the sequence holds the proportion to within an item or
    so; the sequence ends where that part is used up.
    """
    waiting = [
        [item for item, part in zip(items, parts, strict=True) if part == wanted] for wanted in range(len(weights))
    ]
    taken = [0] * len(weights)
    mixed: list[Item] = []
    while True:
        part = min(range(len(weights)), key=lambda index: ((taken[index] + 0.5) / weights[index], index))
        if taken[part] == len(waiting[part]):
            return mixed
        mixed.append(waiting[part][taken[part]])
        taken[part] += 1
