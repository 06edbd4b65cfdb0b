"""How often the crossed bootstrap's interval holds the truth, beside the report's: why nothing ranks by it.

python benchmarks/bootstrap.py                  the figures of docs/statistics.md; a few minutes
python benchmarks/bootstrap.py --draws 40       a quick look
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from harness.report.statistics.mean import means_over_seeds

SEEDS, ITEMS = (3, 5), 200


def crossed_bootstrap(outcomes: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a mean when seeds and items are drawn again, both at once.

    outcomes: (seeds, items). Source: Owen 2007, "The pigeonhole bootstrap". With k seeds it sees (k - 1)/k of the
    seeds' variance and knows of no t quantile, so that with 3 seeds it is far too short.
    """
    generator = np.random.default_rng(seed)
    seeds, items = outcomes.shape
    shares = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    means = [(share @ outcomes)[generator.integers(items, size=items)].mean() for share in shares]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def held(seeds: int, draws: int) -> tuple[int, int]:
    """Of so many draws of normal outcomes around 0, in how many the interval holds 0: the bootstrap's, the report's.

    Seeds, items and residual have a standard deviation of 1.
    """
    generator = np.random.default_rng(seeds)
    counts = [0, 0]
    for draw in range(draws):
        of_seeds, of_items = generator.normal(size=(seeds, 1)), generator.normal(size=ITEMS)
        outcomes = of_seeds + of_items + generator.normal(size=(seeds, ITEMS))
        (ours,) = means_over_seeds([outcomes[None]])
        for number, (low, high) in enumerate((crossed_bootstrap(outcomes, seed=draw), (ours.ci_low, ours.ci_high))):
            counts[number] += low is not None and high is not None and low <= 0 <= high
    return counts[0], counts[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400, help="simulated methods for each number of seeds")
    draws = parser.parse_args(arguments).draws
    for seeds in SEEDS:
        bootstrap, report = (f"{count / draws:.0%}" for count in held(seeds, draws))
        print(f"{seeds} seeds: the bootstrap held the truth in {bootstrap} of {draws} draws, ours in {report}")


if __name__ == "__main__":
    main()
