"""How answers come about: prompt, greedy decoding, beams, samples, likelihoods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.errors import RunError
from harness.score import prompting
from harness.spec.run import RunSpec
from harness.store.records import TaskResult

MakeRun = Callable[..., RunSpec]
Scored = Callable[..., tuple[TaskResult, ...]]
Row = dict[str, Any]


def outputs(result: TaskResult) -> list[str | None]:
    return [sample.output for sample in result.samples]


@pytest.fixture
def talker(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A model that ends its answers soon, and at different lengths."""
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 2
    return model


def test_greedy_answers_are_generates_own(
    make_run: MakeRun, talker: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: list[Row], scored: Scored
) -> None:
    run = make_run(store_outputs="all")
    (result,) = scored(run, talker, "mine")
    talker.eval()
    for row, sample in zip(rows, result.samples, strict=True):
        with prompting.scoring_prompt(run.prompt.score, tokenizer):
            ids = tokenizer(prompting.prompt(row), return_tensors="pt")["input_ids"]
        answer = talker.generate(ids, max_new_tokens=32, do_sample=False)[0, ids.shape[1] :]
        assert sample.output == tokenizer.decode(answer, skip_special_tokens=True)


def test_likelihoods_choose_what_the_model_finds_most_likely(
    make_run: MakeRun, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: list[Row], scored: Scored
) -> None:
    (result,) = scored(make_run(prompt="none"), model, "mine_likelihood")
    model.eval()

    def likelihood(row: Row, choice: str) -> float:
        ids = tokenizer(f"{row['instruction']}the correct answer is {choice}", return_tensors="pt")["input_ids"]
        start = len(tokenizer(row["instruction"])["input_ids"])
        with torch.no_grad():
            logs = model(ids).logits[0, :-1].log_softmax(-1)
        return logs.gather(1, ids[0, 1:, None])[start - 1 :].sum().item()

    chosen = [max(row["choices"], key=lambda choice: likelihood(row, choice)) for row in rows]
    assert [sample.answer for sample in result.samples] == [f"the correct answer is {choice}" for choice in chosen]
    assert [sample.outcome for sample in result.samples] == [float(c == r["answer"]) for c, r in zip(chosen, rows)]
    assert result.samples[0].output_tokens is None and result.samples[0].output is None


def test_the_runs_prompt_is_what_the_model_reads(
    make_run: MakeRun, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, scored: Scored
) -> None:
    with pytest.raises(RunError, match="chat template"):
        scored(make_run(prompt="chat"), model, "mine")
    answers = {}
    chatty = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, pad_token="<pad>", eos_token="<eos>"
    )
    chatty.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %} [assistant]"
    for prompt in ("none", "llm_adapters", "chat"):
        (result,) = scored(make_run(prompt=prompt, store_outputs="all"), model, "mine", tokenizer=chatty)
        answers[prompt] = outputs(result)
    assert answers["none"] != answers["llm_adapters"] != answers["chat"] != answers["none"]
    with prompting.scoring_prompt("{{ chat }}", chatty):
        assert prompting.prompt({"instruction": "Why?", "input": ""}) == "[user] Why? [assistant]"
    assert prompting.prompt({"instruction": "Why?"}).endswith("### Instruction:\nWhy?\n\n### Response:\n")


def test_samples_follow_the_runs_seed(make_run: MakeRun, model: LlamaForCausalLM, scored: Scored) -> None:
    def sampled(seed: int, **settings: float) -> list[str | None]:
        run = make_run(seed=seed, store_outputs="all", decoding={"sample": {"temperature": 0.7, **settings}})
        return outputs(scored(run, model, "mine")[0])

    assert sampled(1) == sampled(1) != sampled(2)
    greedy = outputs(scored(make_run(store_outputs="all"), model, "mine")[0])
    assert sampled(1, top_k=1) == greedy != sampled(1)


def test_beams_find_the_same_answers_in_a_batch_as_one_by_one(
    make_run: MakeRun, talker: LlamaForCausalLM, scored: Scored
) -> None:
    one, six = (make_run(batch_size=size, store_outputs="all", decoding={"beams": 4}) for size in (1, 6))
    answers = outputs(scored(one, talker, "mine")[0])
    assert answers == outputs(scored(six, talker, "mine")[0])
    assert len({len(answer or "") for answer in answers}) > 2


def test_beams_with_stop_strings_in_batches_are_refused(
    echo: str, make_run: MakeRun, model: LlamaForCausalLM, scored: Scored
) -> None:
    with pytest.raises(RunError, match=r"echo: beams and the task's stop strings \['e'\]") as refused:
        scored(make_run(decoding={"beams": 4}), model, "mine", "echo")
    assert refused.value.kind == "config"
    assert len(scored(make_run(decoding={"beams": 4}, batch_size=1), model, "echo")) == 1
