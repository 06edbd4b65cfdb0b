"""What training changed, as tables: each kind of matrix, and the paper's claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.report.board import Leaderboard
from harness.report.figures import MISSING
from harness.report.foot import protocol, title
from harness.report.increments.claim import Against, comparisons
from harness.report.increments.kinds import Kind
from harness.report.increments.measures import MEASURES, Spread
from harness.report.sheet import Sheet
from harness.store.increments.records import ABSOLUTE

TITLES = tuple(measure.title for measure in MEASURES.values())
FOOT = (
    "Start and Size: the RMS of the weights before training, and of their change. < 1, 5, 10 %: entries that changed",
    "by less than that share of their matrix's Size, in %. Hoyer, Gini: 0 even, 1 sparse. Eff. rank: in % of what",
    "normal entries have. Independent normal entries have 0.80, 3.99 and 7.97 %, 0.202, 0.414 and 100.",
    f"Slices: Gini over random square slices, ± from slice to slice. < {ABSOLUTE[1]:g}: entries that changed by less",
    "than that, in %, whatever the Size: it compares scales, not densities. Other ± are over seeds.",
)
CLAIM = (
    "What M has beyond normal entries of its shape, less what A or B has, ± over seeds. M is denser where the shares,",
    "Hoyer and Gini are below zero and Eff. rank above it. Denser, Sparser: by how many measures in every seed.",
)


def increment_sheets(board: Leaderboard, found: Sequence[Kind], unmeasured: int) -> list[Sheet]:
    """A board's kinds of matrices and, where there is an M beside an A or B, how they compare.

    unmeasured: the number of its trainings of which no increments are recorded.
    """
    compared = comparisons(found)
    foot = [protocol(board), *FOOT]
    if unmeasured:
        trainings = "1 training" if unmeasured == 1 else f"{unmeasured} trainings"
        foot.append(f"Not measured: {trainings}; harness measure does it where the adapter is kept.")
    sheets = [
        Sheet(
            title=f"{title(board)} · what training changed",
            heads=(
                "Method",
                "Matrix",
                "Shape",
                "N",
                "Seeds",
                "Start",
                "Size",
                *TITLES,
                "Slices",
                f"< {ABSOLUTE[1]:g}",
            ),
            lines=tuple(_line(kind) for kind in found),
            foot=tuple(foot),
            records=tuple(_record(kind) for kind in found),
            about=board.setting() | {"comparisons": [_comparison(each) for each in compared]},
        )
    ]
    if compared:
        sheets.append(
            Sheet(
                title="Is M denser than A and B?",
                heads=("M of", "Against", "Equal", "Seeds", *TITLES, "Denser", "Sparser"),
                lines=tuple(_claim_line(each) for each in compared),
                foot=CLAIM,
                records=(),
                about={},
            )
        )
    return sheets


def _line(kind: Kind) -> tuple[str, ...]:
    slices = kind.slices("gini")
    between = None if slices is None else Spread(*slices)
    return (
        kind.label,
        kind.matrix,
        kind.size,
        str(kind.matrices),
        str(len(kind.by_seed)),
        _small(kind.sizes("start_rms")),
        _small(kind.sizes("rms")),
        *(_shown(kind.over_seeds(name), name) for name in MEASURES),
        _shown(between, "gini"),
        f"{kind.absolute(1):.1f}",
    )


def _claim_line(found: Against) -> tuple[str, ...]:
    return (
        found.dense.label,
        f"{found.sparse.matrix.removeprefix('lora_')} of {found.sparse.label}",
        found.equal,
        str(found.seeds),
        *(_shown(found.differences.get(name), name, "+") for name in MEASURES),
        str(len(found.denser)),
        str(len(found.sparser)),
    )


def _small(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2g}"


def _shown(found: Spread | None, name: str, sign: str = "") -> str:
    if found is None:
        return MISSING
    digits = {"hoyer": 3, "gini": 3, "effective_rank": 1}.get(name, 2)
    text = f"{found.mean:{sign}.{digits}f}"
    return text if found.deviation is None else f"{text} ± {found.deviation:.{digits}f}"


def _record(kind: Kind) -> dict[str, Any]:
    record: dict[str, Any] = {
        "label": kind.label,
        "method": kind.method,
        "matrix": kind.matrix,
        "shape": kind.size,
        "matrices": kind.matrices,
        "seeds": len(kind.by_seed),
        "r": kind.rank,
        "trainable_params": kind.trainable_params,
        "start_rms": kind.sizes("start_rms"),
        "rms": kind.sizes("rms"),
    }
    for name in MEASURES:
        found, expected, slices = kind.over_seeds(name), kind.normal(name), kind.slices(name) or (None, None)
        record |= {
            name: None if found is None else found.mean,
            f"{name}_sd": None if found is None else found.deviation,
            f"{name}_normal": None if expected is None else expected.mean,
            f"{name}_slices": slices[0],
            f"{name}_slices_sd": slices[1],
        }
    return record | {f"below_{limit:g}": kind.absolute(index) for index, limit in enumerate(ABSOLUTE)}


def _comparison(found: Against) -> dict[str, Any]:
    differences = {name: {"difference": each.mean, "sd": each.deviation} for name, each in found.differences.items()}
    return {
        "dense": {"label": found.dense.label, "matrix": found.dense.matrix},
        "against": {"label": found.sparse.label, "matrix": found.sparse.matrix},
        "equal": found.equal,
        "seeds": found.seeds,
        "measures": differences,
        "denser": list(found.denser),
        "sparser": list(found.sparser),
    }
