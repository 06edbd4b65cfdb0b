"""Simulates leaderboards whose truth is known, and counts how often the report's intervals and groups are wrong.

python benchmarks/coverage.py                                     the table of docs/statistics.md
python benchmarks/coverage.py --replications 200 --items 200,1000 a quick look
python benchmarks/coverage.py --only special --json

An item's difficulty and each method's way with it are normal in logits, and so is what a seed does to a method; given
these an outcome is a biased coin. All seeds and methods meet the same items, so that outcomes are correlated. Five
methods; four are equal, one is two points better.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from scipy.special import stdtr

from harness.report.statistics.holm import holm
from harness.report.statistics.pairs import compare_all
from harness.report.statistics.proportions import mcnemar, paired_proportions, wilson

GAPS = np.array([0.0, 0.0, 0.0, 0.0, 0.02])
DIFFICULTY, INTERACTION = 1.5, 0.5
"""Standard deviations in logits: of the items, and of what a method makes of each item."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Setting:
    """What is simulated. spread: standard deviation of a seed's accuracy in points; common: the share of a seed's
    effect that all methods feel (data order); each of `tasks` has `items`.
    """

    seeds: int
    items: int
    spread: float
    tasks: int = 1
    accuracy: float = 0.8
    common: float = 0.0
    difficulty: float = DIFFICULTY
    interaction: float = INTERACTION

    @property
    def name(self) -> str:
        """How the setting departs from the usual one."""
        usual = Setting(self.seeds, self.items, self.spread)
        return ", ".join(f"{key} {value:g}" for key, value in asdict(self).items() if value != getattr(usual, key))


@dataclass(frozen=True)
class Rates:
    """Shares of 1. means, differences: intervals that hold the truth; false_positives: of comparisons of equal
    methods, p ≤ 0.05; false_groups: of boards on which Holm separates equals or reverses an order; found: of true
    differences of two points, p ≤ 0.05; satterthwaite_*: of the textbook t test, for comparison; weights_*: of boards
    with one seed, about these weights; None where no two of them are equal.
    """

    setting: Setting
    means: float
    differences: float
    false_positives: float
    false_groups: float
    found: float
    satterthwaite_differences: float
    satterthwaite_false_groups: float
    weights_means: float | None = None
    weights_differences: float | None = None
    weights_false_positives: float | None = None


COUNTED = [field.name for field in fields(Rates) if field.name != "setting"]


def share_right(logit: np.ndarray, spread: float) -> np.ndarray:
    """The mean of the logistic function over a normal logit: E σ(logit + spread Z)."""
    return (1 / (1 + np.exp(-(logit[..., None] + spread * NODES)))) @ WEIGHTS


class World:
    """The truth of a setting, and leaderboards drawn from it."""

    def __init__(self, setting: Setting, generator: np.random.Generator) -> None:
        self.setting, self.generator = setting, generator
        self.by_item = float(np.hypot(setting.difficulty, setting.interaction))
        grid = np.linspace(-9, 9, 4001)
        slope = np.gradient(share_right(grid, self.by_item), grid)
        at = np.interp(setting.accuracy, share_right(grid, self.by_item), slope)
        self.by_seed = setting.spread / 100 / float(at)
        curve = share_right(grid, float(np.hypot(self.by_item, self.by_seed)))
        self.truth = setting.accuracy + GAPS
        self.logits = np.interp(self.truth, curve, grid)

    def seed_effects(self) -> np.ndarray:
        """What each seed does to each method, in logits: (methods, seeds)."""
        share, shape = self.setting.common, (len(GAPS), self.setting.seeds)
        together, apart = self.generator.normal(size=shape[1]), self.generator.normal(size=shape)
        return self.by_seed * (np.sqrt(share) * together + np.sqrt(1 - share) * apart)

    def outcomes(self, effects: np.ndarray) -> np.ndarray:
        """One task's outcomes: (methods, seeds, items)."""
        setting, shape = self.setting, (len(GAPS), self.setting.items)
        difficulty = setting.difficulty * self.generator.standard_normal(shape[1], dtype=np.float32)
        own = setting.interaction * self.generator.standard_normal(shape, dtype=np.float32)
        odds = np.exp(self.logits[:, None] + difficulty + own, dtype=np.float32)
        chances = self.generator.random((*effects.shape, shape[1]), dtype=np.float32)
        return chances < (1 - chances) * (odds[:, None, :] * np.exp(effects, dtype=np.float32)[..., None])


def simulate(setting: Setting, replications: int, generator: np.random.Generator) -> Rates:
    """The rates of one setting over this many leaderboards."""
    world = World(setting, generator)
    boards = [_board(world) for _ in range(replications)]
    counted = {name: float(np.mean([board[name] for board in boards])) for name in boards[0]}
    single = setting.tasks == 1
    weights = [_weights(world) for _ in range(replications)] if single else []
    for name in weights[0] if weights else ():
        counted[f"weights_{name}"] = float(np.mean([board[name] for board in weights]))
    return Rates(setting, **counted)


def _board(world: World) -> dict[str, float]:
    """One leaderboard against the methods' true means; a mean is the difference from a method that is never right."""
    setting, effects = world.setting, world.seed_effects()
    tasks = [world.outcomes(effects) for _ in range(setting.tasks)]
    nothing = np.zeros((1, *tasks[0].shape[1:]), bool)
    pairs = compare_all(
        [np.concatenate([task, nothing]) for task in tasks], np.ones((len(GAPS) + 1, setting.seeds), bool)
    )
    a, b = np.triu_indices(len(GAPS), 1)
    gap = world.truth[a] - world.truth[b]
    difference, p_value = pairs.difference[a, b], pairs.p_value[a, b]
    seed, item = pairs.seed[a, b], pairs.item[a, b]
    stderr = np.sqrt(seed + item)
    df = (setting.seeds - 1) * (stderr**2 / np.maximum(seed, 1e-12)) ** 2
    plain, off = (2 * stdtr(df, -np.abs(gone) / stderr) for gone in (difference, difference - gap))
    return {
        "means": np.mean(np.abs(pairs.difference[:-1, -1] - world.truth) <= pairs.half_width[:-1, -1]),
        "differences": np.mean(np.abs(difference - gap) <= pairs.half_width[a, b]),
        "false_positives": np.mean(p_value[gap == 0] <= 0.05),
        "false_groups": _wrong(difference, gap, holm(p_value)),
        "found": np.mean(p_value[gap != 0] <= 0.05),
        "satterthwaite_differences": np.mean(off > 0.05),
        "satterthwaite_false_groups": _wrong(difference, gap, holm(plain)),
    }


def _wrong(difference: np.ndarray, gap: np.ndarray, adjusted: np.ndarray) -> bool:
    return bool(((adjusted <= 0.05) & (difference * gap <= 0)).any())


def _weights(world: World) -> dict[str, float]:
    """A leaderboard of one seed each, against the true means of these very weights."""
    setting = world.setting
    effects = world.seed_effects()[:, :1]
    truth = share_right(world.logits + effects[:, 0], world.by_item)
    outcomes = world.outcomes(effects)[:, 0].astype(int)
    right = outcomes.sum(axis=1)
    held = [low <= true <= high for true, (low, high) in zip(truth, (wilson(n, setting.items) for n in right))]
    both = outcomes @ outcomes.T
    kept, positive = [], []
    for a, b in zip(*np.triu_indices(len(GAPS), 1)):
        wins, losses = int(right[a] - both[a, b]), int(right[b] - both[a, b])
        low, high = paired_proportions(wins, losses, setting.items)
        kept.append(low <= truth[a] - truth[b] <= high)
        if truth[a] == truth[b]:
            positive.append(mcnemar(wins, losses) <= 0.05)
    return {
        "means": np.mean(held),
        "differences": np.mean(kept),
        **({"false_positives": np.mean(positive)} if positive else {}),
    }


def settings(options: argparse.Namespace) -> Iterator[Setting]:
    """The grid, and settings that depart from it."""
    if options.only != "special":
        for seeds in options.seeds:
            for items in options.items:
                yield from (Setting(seeds, items, spread) for spread in options.spreads)
    if options.only != "grid":
        for seeds in options.seeds:
            usual = Setting(seeds, 1000, 1.0)
            yield replace(usual, tasks=4)
            yield replace(usual, tasks=4, spread=0.0)
            yield replace(usual, common=0.5)
            yield replace(usual, items=200, accuracy=0.95, spread=0.0)
            yield replace(usual, interaction=0.0, spread=0.0)
            yield replace(usual, interaction=1.5, spread=0.5)
            yield replace(usual, items=200, difficulty=6.0, spread=0.0)


def main() -> None:
    """Simulates, and prints a table row by row or one JSON document; progress goes to stderr."""
    options = _options()
    rates = []
    if not options.json:
        print(_row(["seeds", "items", "spread", "departs in", *(name.replace("_", " ") for name in COUNTED)]))
        print("|" + "---:|" * 3 + "---|" + "---:|" * len(COUNTED))
    for setting in settings(options):
        started = time.perf_counter()
        generator = np.random.default_rng([options.seed, zlib.crc32(repr(setting).encode())])
        rates.append(simulate(setting, options.replications, generator))
        print(f"{setting} {time.perf_counter() - started:.1f} s", file=sys.stderr)
        if not options.json:
            print(_cells(rates[-1]), flush=True)
    if options.json:
        print(json.dumps({"settings": vars(options), "rates": [asdict(rate) for rate in rates]}, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=2000, help="leaderboards of each setting")
    parser.add_argument("--seeds", type=_numbers(int), default=[3, 5, 10])
    parser.add_argument("--items", type=_numbers(int), default=[200, 1000, 4000, 16000])
    parser.add_argument("--spreads", type=_numbers(float), default=[0.0, 1.0, 2.0], help="seeds' sd in points")
    parser.add_argument("--only", choices=("grid", "special"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _numbers(kind: type) -> Callable[[str], list]:
    return lambda text: [kind(part) for part in text.split(",")]


def _cells(rates: Rates) -> str:
    """One row of the table, in percent."""
    setting, found = rates.setting, (getattr(rates, name) for name in COUNTED)
    shares = ("–" if value is None else f"{100 * value:.1f}" for value in found)
    return _row([f"{setting.seeds}", f"{setting.items:,}", f"{setting.spread:g}", setting.name, *shares])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
