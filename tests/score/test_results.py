"""What a task's result holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.errors import RunError
from harness.score import language_model, scoring
from harness.spec.run import RunSpec
from harness.store.records import Sample, TaskResult

MakeRun = Callable[..., RunSpec]
Scored = Callable[..., tuple[TaskResult, ...]]


def test_scores_carry_n_and_the_standard_error(make_run: MakeRun, model: LlamaForCausalLM, scored: Scored) -> None:
    generative, likelihood = scored(make_run(), model, "mine", "mine_likelihood")
    assert [s.metric for s in generative.scores] == ["accuracy", "extracted", "output_tokens"]
    (accuracy,) = likelihood.scores
    p = sum(sample.outcome for sample in likelihood.samples) / 12
    assert 0 < p < 1
    assert (accuracy.metric, accuracy.value, accuracy.n) == ("accuracy", pytest.approx(p), 12)
    assert accuracy.stderr == pytest.approx(math.sqrt(p * (1 - p) / 11))
    lengths = [sample.output_tokens for sample in generative.samples]
    assert generative.scores[2].value == pytest.approx(np.mean(lengths))
    assert generative.scores[2].stderr == pytest.approx(np.std(lengths, ddof=1) / math.sqrt(12))


def test_one_item_has_no_standard_error(make_run: MakeRun, model: LlamaForCausalLM, scored: Scored) -> None:
    (result,) = scored(make_run(limit=1), model, "mine")
    assert [(s.stderr, s.n) for s in result.scores] == [(None, 1)] * 3


@pytest.mark.parametrize(("kept", "expected"), [("all", {0.0, 1.0}), ("wrong", {0.0}), ("none", set())])
def test_outputs_are_kept_as_asked(
    kept: str,
    expected: set[float],
    make_run: MakeRun,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    scored: Scored,
) -> None:
    def always_the_first(self: Any, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return ["surely solution1, not solution2"] * len(requests)

    monkeypatch.setattr(language_model.ScoredModel, "generate_until", always_the_first)
    (result,) = scored(make_run(store_outputs=kept), model, "mine")
    assert {sample.outcome for sample in result.samples if sample.output} == expected
    assert {sample.outcome for sample in result.samples} == {0.0, 1.0}
    first: Sample = result.samples[0]
    length = len(tokenizer("surely solution1, not solution2")["input_ids"])
    assert (first.doc_id, first.answer, first.output_tokens, first.outcome) == (0, "solution1", length, 1.0)


def test_a_users_own_task_keeps_its_stops_and_takes_the_runs_decoding(
    echo: str, make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    (result,) = scored(make_run(store_outputs="wrong"), model, "echo")
    assert [s.metric for s in result.scores] == ["exact_match", "output_tokens"]
    assert result.version == "Yaml"
    assert all("e" not in (sample.output or "") and sample.answer is None for sample in result.samples)
    assert result.provenance["generation"] == {"until": ["e"], "max_gen_toks": 8, "do_sample": False, "num_beams": 1}
    assert result.provenance["n_shot"] == 0
    json.dumps(result.provenance)


TWO_FILTERS = """
include: mine.yaml
task: two_filters
filter_list:
  - {name: strict, filter: [{function: regex, regex_pattern: "^(solution[12])$"}, {function: take_first}]}
  - {name: loose, filter: [{function: regex, regex_pattern: "solution[12]"}, {function: take_first}]}
"""


def test_a_task_with_two_filters_has_a_score_for_each_and_samples_of_the_first(
    own_tasks: str, make_run: MakeRun, model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch, scored: Scored
) -> None:
    (Path(own_tasks) / "two.yaml").write_text(TWO_FILTERS)
    monkeypatch.setattr(language_model.ScoredModel, "generate_until", lambda self, asked: ["a solution1"] * len(asked))
    (result,) = scored(make_run(), model, "two_filters")
    values = {s.metric: (s.value, s.n) for s in result.scores}
    assert values["accuracy,strict"] == (0.0, 12) and values["accuracy,loose"] > (0.3, 12)
    assert (values["extracted,strict"], values["extracted,loose"]) == ((0.0, 12), (1.0, 12))
    assert [(sample.outcome, sample.answer) for sample in result.samples] == [(0.0, None)] * 12


PAIRS = """
include: mine_likelihood.yaml
task: pairs
process_results:
metric_list: [{metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}]
"""


def test_a_metric_that_judges_no_single_item_has_a_score_and_no_samples(
    own_tasks: str, make_run: MakeRun, model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch, scored: Scored
) -> None:
    monkeypatch.setattr(scoring, "BOOTSTRAP_ITERATIONS", 50)
    (Path(own_tasks) / "pairs.yaml").write_text(PAIRS)
    (result,) = scored(make_run(), model, "pairs")
    assert [(s.metric, s.n) for s in result.scores] == [("mcc", 12)]
    assert result.scores[0].stderr is not None
    assert result.samples == ()


def test_prompts_that_are_too_long_for_the_model_are_counted(
    make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    roomy = scored(make_run(), model, "mine", "mine_likelihood")
    model.config.max_position_embeddings = 40
    tight = scored(make_run(), model, "mine", "mine_likelihood")
    assert [result.provenance["truncated"] for result in roomy] == [0, 0]
    assert [result.provenance["truncated"] for result in tight] == [12, 24]


def test_a_model_that_computes_no_numbers_has_diverged(
    make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    torch.nn.init.constant_(model.lm_head.weight, math.nan)
    with pytest.raises(RunError, match="mine_likelihood") as diverged:
        scored(make_run(), model, "mine_likelihood")
    assert diverged.value.kind == "diverged"
