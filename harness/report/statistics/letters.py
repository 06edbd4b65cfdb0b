"""The compact letter display: methods that share a letter could not be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from string import ascii_lowercase

from numpy.typing import ArrayLike


def letters(separated: ArrayLike) -> tuple[str, ...]:
    """Each method's letters (`a`, `ab`, `b`), best method first: two share one exactly if they are not separated.

    separated: (methods, methods), symmetric, in the order of rank. Beyond `z` a letter is a pair: `aa`, and then the
    letters of a method are joined by commas.
    Source: Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons": insert and
    absorb, then leave out each column that the others make needless.
    """
    rows = [[bool(cell) for cell in row] for row in separated]
    count = len(rows)
    columns = [(1 << count) - 1] if count else []
    for first in range(count):
        for second in range(first + 1, count):
            if rows[first][second]:
                columns = _insert(columns, 1 << first, 1 << second)
    columns = sorted(_needed(columns, count), key=lambda column: _members(column, count))
    names = _names(len(columns))
    joint = "," if len(columns) > len(ascii_lowercase) else ""
    return tuple(
        joint.join(name for name, column in zip(names, columns, strict=True) if column >> method & 1)
        for method in range(count)
    )


def _insert(columns: Sequence[int], first: int, second: int) -> list[int]:
    """Splits each column that holds both, and absorbs halves that lie within another column."""
    kept = [column for column in columns if not (column & first and column & second)]
    halves = {column & ~one for column in columns if column & first and column & second for one in (first, second)}
    for half in sorted(halves, key=int.bit_count, reverse=True):
        if not any(half & column == half for column in kept):
            kept.append(half)
    return kept


def _needed(columns: Sequence[int], count: int) -> list[int]:
    """The columns without those of which every pair (and member) stands in another column too; small ones go first."""
    kept = sorted(columns, key=int.bit_count)
    for column in list(kept):
        others = [other for other in kept if other != column]
        members = _members(column, count)
        pairs = (1 << a | 1 << b for a, b in product(members, members))
        if all(any(pair & other == pair for other in others) for pair in pairs):
            kept = others
    return kept


def _members(column: int, count: int) -> list[int]:
    return [method for method in range(count) if column >> method & 1]


def _names(count: int) -> list[str]:
    """`a` to `z`, then `aa` to `zz`, and so on."""
    names, length = [], 0
    while len(names) < count:
        length += 1
        names += ["".join(parts) for parts in product(ascii_lowercase, repeat=length)]
    return names[:count]
