"""`harness plan` counts what the DenseLoRA paper prints, from configurations alone: Tables 1, 3 and 4 and Figure 4."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import expand, load_experiment
from harness.adapters.catalogue import Catalogue, find_methods
from harness.pipeline.check import Counted, count
from harness.spec.resolve import resolve_adapter
from harness.spec.run import RunSpec
from harness.store.published.shipped import publications

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
LLAMA3, LLAMA2 = "meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-2-7b-hf"
BASE = {LLAMA3: 8_030_261_248, LLAMA2: 6_738_415_616}
# (in, out) of query, key, value, up and down; both models have 32 layers.
SIZES = {
    LLAMA3: {"Q": (4096, 4096), "K": (4096, 1024), "V": (4096, 1024), "U": (4096, 14336), "D": (14336, 4096)},
    LLAMA2: {"Q": (4096, 4096), "K": (4096, 4096), "V": (4096, 4096), "U": (4096, 11008), "D": (11008, 4096)},
}
LAYERS = 32
CONTRADICTED = {
    # Printed, and what the formulas say.
    (LLAMA3, "denselora r=64 on QKVUD"): (0.06, 0.0522),
    (LLAMA3, "lora r=32 on UD, denselora r=32 on QKV"): (0.49, 0.476),
    (LLAMA3, "dora r=16 on QKVUD"): (0.35, 0.361),
}
UNTOLD = {"vera": 827_392, "adalora": 28_314_112, "lokr": 811_008, "nora": 8_028_160}
"""Methods of which the paper prints the percentage alone: our configuration of each trains so many."""


def lora(model: str, r: int, targets: str) -> int:
    return LAYERS * r * sum(into + out for into, out in (SIZES[model][letter] for letter in targets))


def dora(model: str, r: int, targets: str) -> int:
    return lora(model, r, targets) + LAYERS * sum(SIZES[model][letter][1] for letter in targets)


def denselora(model: str, r: int, targets: str) -> int:
    return matrices(r, targets) + r * sum(into + out for into, out in (SIZES[model][letter] for letter in targets))


def matrices(r: int, targets: str) -> int:
    return LAYERS * len(targets) * r**2


FORMULAS = {"lora": lora, "dora": dora, "denselora": denselora}


def trained(model: str, part: dict) -> int:
    """The parameters that the paper's formulas give an adapter."""
    if part.get("train_encoder_decoder") is False:
        return matrices(part["r"], part["targets"])
    return FORMULAS[part["method"]](model, part["r"], part["targets"])


def name(adapter: dict) -> str:
    parts = adapter.get("mixed") or [adapter]
    return ", ".join(f"{part['method']} r={part['r']} on {part['targets']}" for part in parts)


PRINTED = [
    pytest.param(table, row, id=f"{table.experiment}-{table.model.rpartition('/')[2]}-{row.label}")
    for publication in publications()
    if publication.source.key == "denselora"
    for table in publication.tables
    for row in table.rows
    if row.params_percent is not None and table.table in ("Table 1", "Table 3", "Table 4", "Figure 4")
]


@pytest.fixture(scope="module")
def planned() -> dict[str, list[tuple[RunSpec, Counted]]]:
    """The runs of each experiment as in the paper, with what `plan` counts of them."""
    runs = {
        name: expand(load_experiment(EXPERIMENTS / f"{name}.yaml"))
        for name in ("commonsense", "granularity", "components", "rank")
    }
    counts = count([run for found in runs.values() for run in found])
    return {name: [(run, counts[run.run_id]) for run in found] for name, found in runs.items()}


@pytest.fixture(scope="module")
def methods() -> Catalogue:
    return find_methods()


@pytest.mark.parametrize(("table", "row"), PRINTED)
def test_plan_counts_what_the_paper_prints(planned, methods, table, row):
    candidates = [(run, counted) for run, counted in planned[table.experiment] if run.model.name == table.model]
    if row.adapter is None:
        (found,) = (counted for run, counted in candidates if run.adapter.method == row.method)
        assert found.trainable_params == UNTOLD[row.method]
    else:
        wanted = resolve_adapter(row.adapter, methods, "llama")
        (found,) = (counted for run, counted in candidates if run.adapter == wanted)
        parts = row.adapter.get("mixed") or [row.adapter]
        assert found.trainable_params == sum(trained(table.model, part) for part in parts)
    percent = found.trainable_percent
    # Frozen matrices count as the adapter's too: NoRA's outer pairs, and E and D of Freeze.
    frozen = row.method == "nora" or (row.adapter or {}).get("train_encoder_decoder") is False
    of_all = 100 * found.trainable_params / (BASE[table.model] + found.trainable_params)
    assert percent == pytest.approx(of_all, rel=0.05 if frozen else 1e-6)
    printed, counted = CONTRADICTED.get((table.model, name(row.adapter) if row.adapter else ""), (None, None))
    if printed is None:
        assert round(percent, 2) == row.params_percent
    else:
        assert row.params_percent == printed
        assert round(percent, 2) != printed
        assert percent == pytest.approx(counted, rel=2e-3)


def test_what_the_formulas_contradict_is_three_printed_values():
    found = set()
    for table, row in (param.values for param in PRINTED):
        if row.adapter is not None:
            parts = row.adapter.get("mixed") or [row.adapter]
            count = sum(trained(table.model, part) for part in parts)
            if round(100 * count / (BASE[table.model] + count), 2) != row.params_percent:
                found.add((table.model, name(row.adapter)))

    assert found == set(CONTRADICTED)


@pytest.mark.parametrize(("model", "method", "r", "parameters"), [
    (LLAMA3, "lora", 32, 56_623_104),
    (LLAMA2, "lora", 32, 56_098_816),
    (LLAMA3, "lora", 1, 1_769_472),
    (LLAMA3, "denselora", 16, 925_696),
    (LLAMA3, "denselora", 32, 1_933_312),
    (LLAMA3, "denselora", 64, 4_194_304),
    (LLAMA3, "denselora", 256, 24_641_536),
    (LLAMA2, "denselora", 16, 917_504),
    (LLAMA2, "denselora", 32, 1_916_928),
    (LLAMA2, "denselora", 64, 4_161_536),
])  # fmt: skip
def test_the_formulas_give_the_known_counts(model, method, r, parameters):
    assert FORMULAS[method](model, r, "QKVUD") == parameters
