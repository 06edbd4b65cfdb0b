"""One kind of matrix in all layers and modules of a row: LoRA's A, DenseLoRA's M."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.report.increments.measures import MEASURES, Spread, mean_of, normal, spread, value
from harness.report.labels import labelled_rows
from harness.report.selection import Candidate
from harness.store.increments.records import Increment

BySeed = Mapping[int, tuple[Increment, ...]]


@dataclass(frozen=True)
class Kind:
    """The matrices of one name that a row trains, by seed.

    label: the row's; rank: its parameter r, if it has one; trainable_params: of the whole adapter.
    """

    label: str
    method: str
    matrix: str
    rank: int | None
    trainable_params: int | None
    by_seed: BySeed

    @property
    def matrices(self) -> int:
        """How many there are in the model."""
        return max(len(found) for found in self.by_seed.values())

    @property
    def size(self) -> str:
        """Rows × columns; the range where they differ."""
        every = [increment for found in self.by_seed.values() for increment in found]
        return " × ".join(_range([getattr(each, side) for each in every]) for side in ("rows", "columns"))

    def over_seeds(self, name: str) -> Spread | None:
        """A measure's mean over the matrices, and its spread over the seeds."""
        return self._spread(lambda each: value(each, name))

    def normal(self, name: str) -> Spread | None:
        """The same of normal entries in these shapes."""
        return self._spread(lambda each: normal(each, name))

    def excess(self, name: str) -> dict[int, float]:
        """By seed, by how much the measure exceeds that of normal entries of the same shape, on average."""
        found = {
            seed: mean_of([_less(value(each, name), normal(each, name)) for each in increments])
            for seed, increments in self.by_seed.items()
        }
        return {seed: excess for seed, excess in found.items() if excess is not None}

    def slices(self, name: str) -> tuple[float, float | None] | None:
        """Over random square slices: the measure's mean, and its mean spread from slice to slice of a matrix.

        Of an effective rank it is the rank itself.
        """
        found = [
            each.slices[name] for increments in self.by_seed.values() for each in increments if name in each.slices
        ]
        factor = 1.0 if name == "effective_rank" else MEASURES[name].factor
        if not found:
            return None
        deviation = mean_of([between for _, between in found])
        return factor * fmean(mean for mean, _ in found), None if deviation is None else factor * deviation

    def sizes(self, name: str) -> float | None:
        """The mean of `rms` or `start_rms` over matrices and seeds."""
        return mean_of([getattr(each, name) for increments in self.by_seed.values() for each in increments])

    def absolute(self, index: int) -> float:
        """The mean share of entries, in percent, whose change is below one of ABSOLUTE."""
        return 100 * fmean(each.absolute[index] for found in self.by_seed.values() for each in found)

    def _spread(self, of: Callable[[Increment], float | None]) -> Spread | None:
        by_seed = [mean_of([of(each) for each in increments]) for increments in self.by_seed.values()]
        return spread([each for each in by_seed if each is not None])


def kinds(runs: Sequence[Candidate], measured: Mapping[str, tuple[Increment, ...]]) -> tuple[Kind, ...]:
    """Every kind of matrix of every row that was measured, in the rows' order.

    measured: the increments of trainings, by train_id. Kinds of which nothing changed have no measure.
    """
    found = []
    for label, members in labelled_rows(run for run in runs if run.run.train_id in measured):
        by_seed = {run.run.seed or 0: measured[run.run.train_id] for run in sorted(members, key=_seed)}
        first = members[0]
        training = first.run.training
        matrices = dict.fromkeys(each.matrix for increments in by_seed.values() for each in increments)
        found += [
            Kind(
                label=label,
                method=first.run.method,
                matrix=matrix,
                rank=first.spec.adapter.params.get("r"),
                trainable_params=None if training is None else training.trainable_params,
                by_seed={
                    seed: tuple(each for each in increments if each.matrix == matrix)
                    for seed, increments in by_seed.items()
                },
            )
            for matrix in matrices
        ]
    return tuple(found)


def _seed(run: Candidate) -> int:
    return run.run.seed or 0


def _less(found: float | None, other: float | None) -> float | None:
    return None if found is None or other is None else found - other


def _range(lengths: list[int]) -> str:
    low, high = min(lengths), max(lengths)
    return str(low) if low == high else f"{low}–{high}"
