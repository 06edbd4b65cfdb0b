"""Scoring a model in memory: which tasks and items, in what order, and what is left as it was."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import TrainableTokensConfig, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.errors import PrerequisiteError, RunError
from harness.score.scoring import score
from harness.spec.run import RunSpec
from harness.store.records import TaskResult

MakeRun = Callable[..., RunSpec]
Scored = Callable[..., tuple[TaskResult, ...]]
MakeModel = Callable[[int], LlamaForCausalLM]
Row = dict[str, Any]


def items(result: TaskResult) -> set[tuple[int, str]]:
    return {(sample.doc_id, sample.doc_hash) for sample in result.samples}


def outputs(result: TaskResult) -> set[str | None]:
    return {sample.output for sample in result.samples}


def without_seconds(results: tuple[TaskResult, ...]) -> list[dict[str, Any]]:
    return [{**vars(result), "seconds": None} for result in results]


def test_each_result_is_there_before_the_next_task_begins(
    make_run: MakeRun, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    events: list[dict[str, Any]] = []
    results = score(make_run(), model, tokenizer, ["mine_likelihood", "mine"], emit=events.append)
    assert events == []
    assert next(results).task == "mine_likelihood"
    assert events[0] == {"event": "task", "task": "mine_likelihood", "index": 1, "of": 2}
    assert events[-1] == {"event": "items", "done": 24, "total": 24}
    assert next(results).task == "mine"
    assert {"event": "task", "task": "mine", "index": 2, "of": 2} in events
    assert events[-1] == {"event": "items", "done": 12, "total": 12}
    assert list(results) == []


def test_progress_may_be_printed(
    make_run: MakeRun,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    capsys: pytest.CaptureFixture[str],
) -> None:
    list(score(make_run(), model, tokenizer, ["mine"], emit=lambda event: print(json.dumps(event))))
    printed = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert printed[0] == "task" and set(printed[1:]) == {"items"}


def test_a_limit_takes_the_same_items_for_every_run_and_a_smaller_one_some_of_them(
    make_run: MakeRun, make_model: MakeModel, scored: Scored
) -> None:
    (everything,) = scored(make_run(), make_model(0), "mine_likelihood")
    (five,) = scored(make_run(limit=5, seed=3), make_model(0), "mine_likelihood")
    (again,) = scored(make_run(limit=5, seed=4, prompt="none"), make_model(1), "mine_likelihood")
    (two,) = scored(make_run(limit=2), make_model(0), "mine_likelihood")
    assert len(items(five)) == 5 and items(two) < items(five) < items(everything)
    assert items(again) == items(five)
    assert {sample.doc_id for sample in five.samples} != set(range(5))
    by_id = {sample.doc_id: sample for sample in everything.samples}
    assert all(by_id[sample.doc_id] == sample for sample in five.samples)


def test_models_never_share_answers(make_run: MakeRun, make_model: MakeModel, scored: Scored) -> None:
    run, both = make_run(store_outputs="all"), ("mine", "mine_likelihood")
    first, second, again = (scored(run, make_model(seed), *both) for seed in (0, 1, 0))
    assert without_seconds(again) == without_seconds(first)
    assert not outputs(first[0]) & outputs(second[0])
    assert first[0].fingerprint == second[0].fingerprint
    assert items(first[0]) == items(second[0])


@pytest.mark.parametrize("decoding", [{}, {"sample": {}}])
def test_nothing_is_left_changed(
    decoding: dict[str, Any],
    make_run: MakeRun,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    capfd: pytest.CaptureFixture[str],
    scored: Scored,
) -> None:
    model.train()
    model.model.layers[0].eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="<eos>")
    state = (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate())
    scored(make_run(decoding=decoding, seed=1), model, "mine", "mine_likelihood", tokenizer=tokenizer)
    assert (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()) == state
    assert model.training and model.model.layers[1].training and not model.model.layers[0].self_attn.training
    assert (tokenizer.padding_side, tokenizer.pad_token) == ("right", None)
    assert capfd.readouterr().out == ""


def test_trained_tokens_of_tied_embeddings_are_scored(
    make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    model.config.tie_word_embeddings = True
    model.tie_weights()
    trained = get_peft_model(model, TrainableTokensConfig(token_indices=[5, 6, 7], task_type="CAUSAL_LM"))
    (before,) = scored(make_run(store_outputs="all"), trained, "mine")
    for weight in trained.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=3.0)
    (after,) = scored(make_run(store_outputs="all"), trained, "mine")
    assert outputs(before) != outputs(after)


def test_a_groups_name_stands_for_its_tasks(
    echo: str, make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    results = scored(make_run(), model, "mine_likelihood", "all_mine")
    assert [result.task for result in results] == ["mine_likelihood", "mine"]


def test_an_unknown_task_is_refused_with_the_nearest_name(
    make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    with pytest.raises(RunError, match="unknown task 'mine_likelyhood', did you mean 'mine_likelihood'") as unknown:
        scored(make_run(), model, "mine", "mine_likelyhood")
    assert unknown.value.kind == "config"
    with pytest.raises(RunError, match="did you mean 'arc_challenge'"):
        scored(make_run(), model, "arc_chalenge")
    with pytest.raises(RunError, match=r"allowed: .*llm_adapters_boolq"):
        scored(make_run(), model, "qqqqqqqqqqqqqqq")


def test_missing_or_other_test_data_is_said_before_anything_is_scored(
    make_run: MakeRun,
    model: LlamaForCausalLM,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scored: Scored,
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with pytest.raises(PrerequisiteError, match=r"boolq/test.json is in none of .*HARNESS_DATA"):
        scored(make_run(), model, "mine", "llm_adapters_boolq")
    (tmp_path / "data" / "boolq").mkdir(parents=True)
    (tmp_path / "data" / "boolq" / "test.json").write_text(json.dumps(rows))
    with pytest.raises(PrerequisiteError, match=r"is not the file that this task is defined over.*tasks_path"):
        scored(make_run(), model, "mine", "llm_adapters_boolq")
