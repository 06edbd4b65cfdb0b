"""The measure by which tuning chooses: against sums by hand, and against what greedy decoding writes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import log_softmax

from harness.catalog.prompts import render
from harness.errors import RunError
from harness.spec.tuning import VALIDATION
from harness.store.records import TaskResult
from harness.train.adapter import attach
from harness.train.examples import draw, read
from harness.train.validation import validate

from .runs import METHODS, adapter, data_file, prompt, rows, run_of

PROMPTED = {"prompt": adapter("prompt", "peft:PromptTuningConfig", num_virtual_tokens=3, task_type="CAUSAL_LM")}


def value(result: TaskResult, metric: str) -> float:
    return next(score.value for score in result.scores if score.metric == metric)


def held_out(run):
    return draw(read(run.data), run.data, run.seed)[1]


@pytest.mark.parametrize("loss_on", ["all", "completion"])
def test_the_loss_is_the_mean_over_tokens_whatever_the_batch(base, tokenizer, data, loss_on):
    data = data.model_copy(update={"validation": 7})
    sums, tokens = 0.0, 0
    for example in held_out(run_of(data)):
        asked = tokenizer(render(prompt().train, example.instruction, "", tokenizer))["input_ids"]
        ids = asked + tokenizer(example.output, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        with torch.no_grad():
            chances = log_softmax(base(input_ids=torch.tensor([ids])).logits[0].double(), dim=-1)
        places = range(len(asked) if loss_on == "completion" else 1, len(ids))
        sums -= sum(float(chances[at - 1, ids[at]]) for at in places)
        tokens += len(places)
    for batch in (1, 4):
        run = run_of(data, loss_on=loss_on, micro_batch_size=batch)
        result = validate(run, base, tokenizer)
        assert value(result, "loss") == pytest.approx(sums / tokens, rel=1e-5)
        assert result.scores[0].n == 7


def learn(base, tokenizer, row):
    """Teaches the model one example until it knows it by heart."""
    asked = tokenizer(render(prompt().train, row["instruction"], "", tokenizer))["input_ids"]
    whole = asked + tokenizer(row["output"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    optimizer, tokens = torch.optim.Adam(base.parameters(), lr=1e-2), torch.tensor([whole])
    for _ in range(40):
        optimizer.zero_grad()
        base(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()


def answered(base, tokenizer, example):
    """Whether greedy decoding writes the example's answer to the letter, and ends there."""
    asked = tokenizer(render(prompt().train, example.instruction, "", tokenizer), return_tensors="pt")["input_ids"]
    answer = tokenizer(example.output, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    written = base.generate(asked, max_new_tokens=len(answer), do_sample=False)[0, asked.shape[1] :]
    return written.tolist() == answer


def test_accuracy_is_the_share_that_greedy_decoding_answers_to_the_letter(base, tokenizer, tmp_path):
    known, *others = rows(5)
    longer = known | {"output": known["output"] + " Yes."}
    data = data_file(tmp_path / "known.json", [known, longer] * 2 + others + [known]).model_copy(
        update={"validation": 8}
    )
    run = run_of(data, loss_on="completion")
    before = validate(run, base, tokenizer)
    learn(base, tokenizer, known)
    after = validate(run, base, tokenizer)
    right = sum(answered(base, tokenizer, example) for example in held_out(run))
    assert 0 < right < 8
    assert (value(before, "accuracy"), value(after, "accuracy")) == (0.0, right / 8)
    assert value(after, "loss") < value(before, "loss")
    assert before.fingerprint == after.fingerprint


@pytest.mark.parametrize("method", ["lora", "denselora", "prompt"])
def test_adapters_and_learned_prompts_are_measured_alike(base, tokenizer, data, method):
    run = run_of(data.model_copy(update={"validation": 4}), (METHODS | PROMPTED)[method])
    model = attach(base, run.adapter, 6, 0).eval()
    result = validate(run, model, tokenizer)
    assert result.task == VALIDATION and 0 < value(result, "loss") < 20


def test_an_answer_that_is_cut_is_in_no_accuracy(base, tokenizer, tmp_path):
    long = rows(3) + [{"instruction": "Say it.", "output": "It is the heron. " * 40}] * 3
    data = data_file(tmp_path / "long.json", long).model_copy(update={"validation": 5})
    result = validate(run_of(data), base, tokenizer)
    whole = sum(len(example.output) < 100 for example in held_out(run_of(data)))
    assert [(score.metric, score.n) for score in result.scores] == [("loss", 5), ("accuracy", whole)]


def test_texts_have_a_loss_and_no_accuracy(base, tokenizer, tmp_path):
    texts = [{"text": row["instruction"]} for row in rows(6)]
    data = data_file(tmp_path / "texts.json", texts, format="text").model_copy(update={"validation": 3})
    assert [score.metric for score in validate(run_of(data), base, tokenizer).scores] == ["loss"]


def test_examples_without_a_label_and_losses_that_are_no_number_are_failures(base, tokenizer, data):
    data = data.model_copy(update={"validation": 3})
    with pytest.raises(RunError, match="no validation example has an answer within max_length 8"):
        validate(run_of(data, loss_on="completion", max_length=8), base, tokenizer)
    with torch.no_grad():
        base.lm_head.weight.fill_(float("nan"))
    with pytest.raises(RunError, match="the loss on the validation examples is nan") as error:
        validate(run_of(data), base, tokenizer)
    assert error.value.kind == "diverged"


def test_other_examples_have_another_fingerprint(base, tokenizer, data):
    found = {
        validate(run_of(data.model_copy(update={"validation": 3}), seed=seed), base, tokenizer).fingerprint
        for seed in (0, 0, 1)
    }
    assert len(found) == 2
