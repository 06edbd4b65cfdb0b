"""What `harness plan` says of costs in words."""

from __future__ import annotations

from harness.cli.plan_cost import as_json, cost_lines
from harness.pipeline.estimate.cost import Estimate
from harness.pipeline.estimate.room import Room

BIG = Estimate(
    steps=10, examples=160, tokens=1_000, tokens_at_most=2_560, padded_tokens=1_200, flops=2e12,
    peak_memory_bytes=20 * 2**30, seconds=90.0, basis="3 recorded trainings on this model", scoring_items=300,
)  # fmt: skip


def test_costs_are_summed_and_what_may_not_fit_is_warned_of() -> None:
    lines = list(cost_lines([BIG, None, BIG], Room("NVIDIA L4", 10 * 2**30)))

    assert lines[0] == (
        "estimated for what is to be done: 2 trainings, 2K tokens, 4e+12 FLOPs, 3 min 00 s of training, "
        "up to 20.00 GiB of memory, 600 items to score, – of scoring"
    )
    assert "time of 2 trainings by 3 recorded trainings on this model" in lines[1]
    assert lines[2] == (
        "warning: 2 of 2 trainings may not fit: each needs about 20.00 GiB, 10.00 GiB of memory of NVIDIA L4 are free"
    )


def test_what_is_unknown_is_a_dash_and_tokens_have_a_bound() -> None:
    (line,) = cost_lines([Estimate(steps=10, examples=160, tokens_at_most=2_560)], Room("cpu", None))

    assert "1 trainings, at most 2.56K tokens, – FLOPs, – of training" in line


def test_memory_is_warned_of_also_where_the_data_is_not_here() -> None:
    first, warning = cost_lines([Estimate(peak_memory_bytes=20 * 2**30)], Room("cpu", 2**30, 600 * 2**20))

    assert "at most – tokens" in first
    assert warning.endswith("each needs about 20.59 GiB, 1.00 GiB of memory are free")


def test_nothing_to_do_costs_nothing() -> None:
    assert list(cost_lines([None, None], Room("cpu", 2**30))) == []
    assert as_json(None) is None
