"""Scoring that finds too little memory for its batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.errors import RunError
from harness.score.scoring import score
from harness.spec.run import RunSpec
from harness.store.records import TaskResult

MakeRun = Callable[..., RunSpec]
BOTH = ["mine_likelihood", "mine"]


def refuse_more_than(model: nn.Module, most: int) -> None:
    def refuse(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = args[0] if args else kwargs["input_ids"]
        if len(ids) > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")

    model.register_forward_pre_hook(refuse, with_kwargs=True)


def answers(result: TaskResult) -> Any:
    return result.scores, result.samples, result.fingerprint


def test_a_task_is_asked_again_in_batches_of_half_the_size_with_the_answers_that_those_give(
    make_run: MakeRun, make_model: Callable[[int], LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast
) -> None:
    planned = list(score(make_run(batch_size=2), make_model(0), tokenizer, BOTH, emit=lambda event: None))
    model, told = make_model(0), []
    refuse_more_than(model, 4)
    found = list(score(make_run(batch_size=8), model, tokenizer, BOTH, emit=lambda event: None, shrunk=told.append))
    sizes = [result.provenance["batch_size"] for result in found]
    assert told == sorted(set(told), reverse=True)
    assert set(told) <= {4, 2, 1} and told
    assert sizes[-1] == told[-1] and all(size < 8 for size in sizes)
    assert [answers(result) for result in found] == [answers(result) for result in planned]


def test_where_not_even_one_prompt_fits_the_run_fails_and_earlier_tasks_stay(
    make_run: MakeRun, make_model: Callable[[int], LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast
) -> None:
    model, told = make_model(0), []
    results = score(make_run(batch_size=4), model, tokenizer, BOTH, emit=lambda event: None, shrunk=told.append)
    assert next(results).provenance["batch_size"] == 4
    refuse_more_than(model, 0)
    with pytest.raises(RunError, match="mine: not even single prompts fit into memory") as it:
        next(results)
    assert (it.value.kind, told) == ("oom", [2, 1])
