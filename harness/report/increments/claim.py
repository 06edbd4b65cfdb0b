"""The claim: "M exhibits a dense update pattern", A and B "show sparse updates" (DenseLoRA, section 4.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.increments.kinds import Kind
from harness.report.increments.measures import MEASURES, Spread, spread

DENSE, SPARSE = "denselora_M", ("lora_A", "lora_B")
NEARLY = 1.15
"""The ratio of parameter counts up to which a rank can make them equal."""


@dataclass(frozen=True)
class Against:
    """M against A or B of a row with as large a rank, or as many parameters.

    differences: of each measure's excess over normal entries, M's less the other's, over common seeds;
    denser, sparser: the measures by which M is so in every seed.
    """

    dense: Kind
    sparse: Kind
    equal: str
    seeds: int
    differences: dict[str, Spread]
    denser: tuple[str, ...]
    sparser: tuple[str, ...]


def comparisons(found: Sequence[Kind]) -> tuple[Against, ...]:
    """Every M against every A and B that it can fairly be held against."""
    return tuple(_pairs(found))


def _pairs(found: Sequence[Kind]) -> Iterator[Against]:
    for dense in found:
        for sparse in found:
            equal = _equal(dense, sparse)
            if dense.matrix == DENSE and sparse.matrix in SPARSE and equal:
                yield _against(dense, sparse, equal)


def _equal(one: Kind, other: Kind) -> str | None:
    if one.rank is not None and one.rank == other.rank:
        return "rank"
    counts = [each.trainable_params for each in (one, other) if each.trainable_params]
    return "parameters" if len(counts) == 2 and max(counts) <= NEARLY * min(counts) else None


def _against(dense: Kind, sparse: Kind, equal: str) -> Against:
    common = sorted(set(dense.by_seed) & set(sparse.by_seed))
    by_seed = {name: _differences(dense, sparse, name, common) for name in MEASURES}
    signs = {name: {_sign(name, each) for each in values} for name, values in by_seed.items() if values}
    return Against(
        dense=dense,
        sparse=sparse,
        equal=equal,
        seeds=len(common),
        differences={name: known for name, values in by_seed.items() if (known := spread(values)) is not None},
        denser=tuple(name for name, seen in signs.items() if seen == {1}),
        sparser=tuple(name for name, seen in signs.items() if seen == {-1}),
    )


def _differences(dense: Kind, sparse: Kind, name: str, seeds: Sequence[int]) -> list[float]:
    own, other = dense.excess(name), sparse.excess(name)
    return [own[seed] - other[seed] for seed in seeds if seed in own and seed in other]


def _sign(name: str, difference: float) -> int:
    """1 where the difference makes M the denser one, -1 where the other."""
    size = difference if MEASURES[name].more_is_denser else -difference
    return (size > 0) - (size < 0)
