"""What training changed: measures against other formulas, and real trainings' numbers against their files."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import PreTrainedModel

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import DataRef, RunSpec
from harness.store.records import TrainResult
from harness.train.adapter import attach
from harness.train.fingerprint import weights_fingerprint
from harness.train.increments.afterwards import remeasure
from harness.train.increments.density import density, effective_rank, gini, hoyer
from harness.train.increments.gaussian import gaussian
from harness.train.increments.matrix import increment
from harness.train.increments.names import part_of_model
from harness.train.training import Stopped

from .runs import METHODS, adapter, run_of

Make = Callable[[], PreTrainedModel]
Fit = Callable[..., tuple[TrainResult, Any]]


def measured(data: DataRef, method: str = "lora", **settings: Any) -> RunSpec:
    return run_of(data, METHODS[method], **{"steps": 3, **settings}).model_copy(update={"measure": ("increments",)})


def skewed(seed: int = 0, n: int = 60) -> np.ndarray:
    return np.sort(np.abs(np.random.default_rng(seed).standard_normal(n)) ** 3)


def test_hoyer_is_0_where_all_entries_are_as_large_and_1_where_one_is_all() -> None:
    assert hoyer(np.full(50, 0.3)) == pytest.approx(0)
    assert hoyer(np.eye(1, 50)[0]) == pytest.approx(1)
    assert hoyer(np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(2 - math.sqrt(2))


def test_gini_is_half_the_mean_difference_of_all_pairs_over_their_mean() -> None:
    sizes = skewed()
    pairs = np.abs(sizes[:, None] - sizes[None, :]).mean()

    assert gini(sizes) == pytest.approx(pairs / (2 * sizes.mean()))
    assert gini(np.full(50, 0.3)) == pytest.approx(0)


def test_effective_rank_is_the_perplexity_of_the_singular_values() -> None:
    matrix = np.random.default_rng(1).standard_normal((5, 9))
    singular = np.sqrt(np.linalg.eigvalsh(matrix @ matrix.T))
    shares = singular / singular.sum()

    assert effective_rank(matrix) == pytest.approx(math.prod(share**-share for share in shares))
    assert effective_rank(np.eye(7)) == pytest.approx(7)
    assert effective_rank(np.outer(np.arange(1, 5), np.arange(1, 8))) == pytest.approx(1)


def test_no_measure_hangs_on_the_scale() -> None:
    change = np.random.default_rng(2).standard_normal((8, 30)) ** 3

    assert np.allclose(
        list(vars(density(change)).values()), list(vars(density(1e-9 * change)).values()), rtol=1e-9, atol=0
    )


def test_what_means_nothing_is_missing() -> None:
    assert set(vars(density(np.zeros((4, 4)))).values()) == {None}
    assert density(np.array([2.0])).gini is None
    assert density(np.arange(9.0)).effective_rank is None


def test_normal_entries_have_what_theory_says_they_have() -> None:
    found = gaussian(300, 400)
    theory = {
        **{f"share_{percent}": math.erf(percent / 100 / math.sqrt(2)) for percent in (1, 5, 10)},
        "hoyer": 1 - math.sqrt(2 / math.pi),
        "gini": math.sqrt(2) - 1,
    }

    for name, value in theory.items():
        mean, deviation = found[name]
        assert mean == pytest.approx(value, rel=0.01)
        assert 0 < deviation < 0.05 * mean
    assert 250 < found["effective_rank"][0] < 300


def test_sparser_and_lower_ranked_changes_are_told_from_normal_ones() -> None:
    draw = np.random.default_rng(3)
    normal, low = draw.standard_normal((64, 64)), draw.standard_normal((64, 2)) @ draw.standard_normal((2, 64))
    sparse = normal * (draw.random((64, 64)) < 0.2)
    found = [increment("x.q_proj.lora_A.default.weight", np.zeros((64, 64)), each) for each in (normal, sparse, low)]
    even, thin, flat = (each.density for each in found)

    assert even.share_1 == pytest.approx(0.008, abs=0.005) and thin.share_1 == pytest.approx(0.8, abs=0.03)
    assert thin.gini > even.gini + 0.3 and thin.hoyer > even.hoyer + 0.3
    assert flat.effective_rank < 2.1 < even.effective_rank


def test_slices_are_squares_of_the_smaller_side_and_repeat() -> None:
    change = np.random.default_rng(4).standard_normal((8, 100))
    wide, again, square = (
        increment("x.lora_A.default.weight", np.zeros(shape), each)
        for shape, each in (((8, 100), change), ((8, 100), change), ((8, 8), change[:, :8]))
    )

    assert wide == again
    assert (wide.slice_side, wide.slice_count, square.slice_count) == (8, 32, 1)
    assert np.array(wide.patch).shape == (8, 8)
    assert wide.slices["gini"][0] == pytest.approx(wide.density.gini, abs=0.05)
    assert wide.slices["gini"][1] > 0 and square.slices["gini"] == (pytest.approx(square.density.gini), None)
    assert sum(wide.histogram) == 800


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("base_model.model.model.layers.3.self_attn.q_proj.lora_A.default.weight", (3, "q_proj", "lora_A")),
        ("base_model.model.model.layers.0.mlp.up_proj.denselora_M.default", (0, "up_proj", "denselora_M")),
        ("base_model.denselora_encoder.q_proj_128x64.default", (None, "q_proj", "denselora_encoder")),
        ("base_model.model.model.layers.2.q_proj.adamss_A.default.11", (2, "q_proj", "adamss_A")),
        ("base_model.model.model.layers.2.q_proj.glora_A.default.Xd", (2, "q_proj", "glora_A.Xd")),
        ("prompt_encoder.default.mlp_head.0.bias", (None, None, "prompt_encoder.mlp_head.bias")),
        ("model.layers.7.self_attn.q_proj.weight", (7, "q_proj", "weight")),
    ],
)
def test_a_matrix_is_placed_by_its_name(name: str, place: tuple[int | None, str | None, str]) -> None:
    assert part_of_model(name) == place


def test_a_training_is_measured_only_where_it_is_asked(fit: Fit, data: DataRef) -> None:
    assert fit(run_of(data))[0].increments == ()


@pytest.mark.parametrize("method", ["mixed", "vera"])
def test_increments_are_the_saved_weights_less_those_drawn_from_the_seed(
    method: str, fit: Fit, data: DataRef, paths: RunPaths, fresh_base: Make
) -> None:
    run = measured(data, method)
    found = fit(run)[0].increments
    start = dict(attach(fresh_base(), run.adapter, 3, 0).named_parameters())
    saved = load_file(paths.adapter / "adapter_model.safetensors")

    mixed = {"lora_A", "lora_B", "denselora_M", "denselora_encoder", "denselora_decoder"}
    assert {each.matrix for each in found} == (mixed if method == "mixed" else {"vera_lambda_b", "vera_lambda_d"})
    for each in found:
        file_name = each.name.replace(".default", "")
        change = (saved[file_name] - start[each.name]).double()
        assert each.rms == pytest.approx(change.square().mean().sqrt().item(), rel=1e-6)
        below = (change.abs() < 0.1 * each.rms).double().mean().item() if each.rms else None
        assert each.density.share_10 == pytest.approx(below)


def test_a_fully_fine_tuned_model_is_measured_too(fit: Fit, data: DataRef) -> None:
    full = METHODS["lora"].model_copy(update={"method": "full", "trains": "all", "config_class": None, "config": {}})
    found = fit(measured(data).model_copy(update={"adapter": full}))[0].increments

    assert {each.matrix for each in found} == {"weight"}
    assert {"q_proj", "down_proj", "embed_tokens"} <= {each.module for each in found}


def test_a_resumed_training_is_measured_from_its_true_start(fit: Fit, data: DataRef, paths: RunPaths) -> None:
    run = measured(data, "denselora", steps=6)
    straight = fit(run)[0].increments
    with pytest.raises(Stopped):
        fit(run, stop_after=3)
    result, _ = fit(run)

    assert result.provenance["resumed_from"] == 3
    assert result.increments == straight


def test_afterwards_a_kept_adapter_gives_the_same_numbers_and_the_base_is_given_back(
    fit: Fit, data: DataRef, paths: RunPaths, base: PreTrainedModel
) -> None:
    run = measured(data, "denselora")
    result, _ = fit(run)
    before = weights_fingerprint(base)

    assert remeasure(run, result, paths.adapter, base) == result.increments
    assert weights_fingerprint(base) == before
    assert {type(value) for each in result.increments for row in each.patch for value in row} == {float}


def without_start(result: TrainResult) -> TrainResult:
    """As versions recorded it that took no fingerprint of the start."""
    return replace(result, provenance={key: value for key, value in result.provenance.items() if key != "start"})


def test_an_older_training_is_measured_where_its_weights_resemble_the_start_and_nothing_else_is(
    fit: Fit, data: DataRef, paths: RunPaths, base: PreTrainedModel
) -> None:
    run = measured(data)
    result, _ = fit(run)

    other = run.model_copy(update={"seed": 1})
    assert remeasure(run, without_start(result), paths.adapter, base) == result.increments
    with pytest.raises(RunError, match="what is drawn here is not shown to be it"):
        remeasure(other, without_start(result), paths.adapter, base)
    with pytest.raises(RunError, match="its start can't be made again here"):
        remeasure(other, result, paths.adapter, base)
    swapped = replace(result, provenance=result.provenance | {"saved": "0" * 64})
    with pytest.raises(RunError, match="not those that were trained and saved"):
        remeasure(run, swapped, paths.adapter, base)


def test_a_prompt_without_the_network_that_made_it_is_refused(
    fit: Fit, data: DataRef, paths: RunPaths, base: PreTrainedModel
) -> None:
    tuned = adapter("p_tuning", "peft:PromptEncoderConfig", encoder_hidden_size=8, num_virtual_tokens=4)
    run = measured(data).model_copy(update={"adapter": tuned})
    result, _ = fit(run)

    assert {each.matrix for each in result.increments} >= {"prompt_encoder.embedding", "prompt_encoder.mlp_head"}
    with pytest.raises(RunError, match="what is kept holds not all that was trained"):
        remeasure(run, result, paths.adapter, base)
