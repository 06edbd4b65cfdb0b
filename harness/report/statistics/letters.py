"""The compact letter display: methods that share a letter could not be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from operator import or_
from string import ascii_lowercase

from numpy.typing import ArrayLike

MOST_COLUMNS = 200
"""More columns than any table of methods needs; where absorbing passes it, it would not end."""


def letters(separated: ArrayLike) -> tuple[str, ...]:
    """Each method's letters (`a`, `ab`, `b`), best method first: two share one exactly if they are not separated.

    separated: (methods, methods), symmetric, in the order of rank. Beyond `z` a letter is a pair: `aa`, and then the
    letters of a method are joined by commas.
    Source: Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons": insert and
    absorb, then leave out each column that the others make needless. Absorbing may take exponentially many columns;
    beyond MOST_COLUMNS they are grown instead, the heuristic of Gramm et al. 2007, "Algorithms for compact letter
    displays: Comparison and evaluation", which may use a letter more.
    """
    rows = [[bool(cell) for cell in row] for row in separated]
    count = len(rows)
    columns = _absorbed(rows)
    if columns is None:
        columns = _grown(rows)
    columns = sorted(_needed(columns, count), key=lambda column: _members(column, count))
    names = _names(len(columns))
    joint = "," if len(columns) > len(ascii_lowercase) else ""
    return tuple(
        joint.join(name for name, column in zip(names, columns, strict=True) if column >> method & 1)
        for method in range(count)
    )


def _absorbed(rows: Sequence[Sequence[bool]]) -> list[int] | None:
    """All largest sets of methods of which no two are separated; None where there are more than MOST_COLUMNS."""
    count = len(rows)
    columns = [(1 << count) - 1] if count else []
    for first in range(count):
        for second in range(first + 1, count):
            if rows[first][second]:
                columns = _insert(columns, 1 << first, 1 << second)
                if len(columns) > MOST_COLUMNS:
                    return None
    return columns


def _grown(rows: Sequence[Sequence[bool]]) -> list[int]:
    """Sets of methods of which no two are separated, grown from the first pair that stands in none of them yet."""
    count = len(rows)
    together = [
        sum(1 << other for other, apart in enumerate(row) if not apart) | 1 << own for own, row in enumerate(rows)
    ]
    open_pairs, columns = list(together), []
    for first in range(count):
        while open_pairs[first]:
            column, left = 1 << first, together[first]
            for wanted in (open_pairs[first], -1):
                while grow := left & wanted & ~column:
                    other = grow & -grow
                    column |= other
                    left &= together[other.bit_length() - 1]
            for member in _members(column, count):
                open_pairs[member] &= ~column
            columns.append(column)
    return columns


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
        if all(not column & ~_beside(member, others) for member in _members(column, count)):
            kept = others
    return kept


def _beside(method: int, columns: Sequence[int]) -> int:
    """The methods that stand in a column with this one."""
    return reduce(or_, (column for column in columns if column >> method & 1), 0)


def _members(column: int, count: int) -> list[int]:
    return [method for method in range(count) if column >> method & 1]


def _names(count: int) -> list[str]:
    """`a` to `z`, then `aa` to `zz`, and so on."""
    names, length = [], 0
    while len(names) < count:
        length += 1
        names += ["".join(parts) for parts in product(ascii_lowercase, repeat=length)]
    return names[:count]
