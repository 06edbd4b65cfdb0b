"""What prompts have in common is read once, and every answer is the one that lm-eval's own way gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from harness.catalog.prompts import prompts, render
from harness.paths import PACKAGE
from harness.score.decided import Rule
from harness.score.language_model import ScoredModel
from harness.score.scoring import score
from harness.spec.run import AdapterRef, ModelRef, PromptRef, RunSpec, ScoreSettings
from harness.store.records import TaskResult
from harness.train.base_model import load_base

Pair = tuple[str, str]
Loaded = tuple[PreTrainedModel, Any]
TEMPLATE = prompts()["llm_adapters"]
WORDS = ["solution1", "solution2"]
GREEDY = {"until": [], "max_gen_toks": 20, "do_sample": False, "num_beams": 1}
TASKS = ["micro_two_way", "micro_four_way", "micro_true_false", "micro_fill_blank", "micro_add_subtract"]


def silent(event: dict[str, Any]) -> None:
    pass


DATA = PACKAGE / "catalog" / "micro" / "data"


def rows_of(task: str, count: int) -> list[dict[str, Any]]:
    return json.loads((DATA / task / "test.json").read_text())[:count]


@pytest.fixture(scope="module")
def micro() -> Loaded:
    model, tokenizer = load_base(ModelRef(name="micro-llama"), torch.device("cpu"))
    return model.float(), tokenizer


@pytest.fixture(scope="module")
def tuned() -> Loaded:
    """micro-llama after a few steps of LoRA on its training set: it answers two-way questions in their format."""
    base, tokenizer = load_base(ModelRef(name="micro-llama"), torch.device("cpu"))
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base.float(), config)
    optimizer = torch.optim.AdamW((weight for weight in model.parameters() if weight.requires_grad), lr=1e-2)
    rows = [row for row in json.loads((DATA / "train.json").read_text()) if "solution1" in row["instruction"]]
    for start in range(0, 160, 8):
        optimizer.zero_grad()
        _loss(model, tokenizer, rows[start : start + 8]).backward()
        optimizer.step()
    return model.eval(), tokenizer


def _loss(model: PreTrainedModel, tokenizer: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    """On the answers alone."""
    prompts = tokenizer([render(TEMPLATE.score, row["instruction"], "", None) for row in rows])["input_ids"]
    answers = tokenizer([row["output"] + tokenizer.eos_token for row in rows])["input_ids"]
    width = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return model(input_ids=ids, labels=labels).loss


def generations(lm: HFLM, texts: list[str], **arguments: Any) -> list[str]:
    asked = {**GREEDY, **arguments}
    requests = [Instance("generate_until", {}, (text, dict(asked)), index) for index, text in enumerate(texts)]
    return lm.generate_until(requests, disable_tqdm=True)


def likelihoods(lm: HFLM, pairs: list[Pair]) -> list[tuple[float, bool]]:
    requests = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
    return lm.loglikelihood(requests, disable_tqdm=True)


@contextmanager
def counted(model: PreTrainedModel) -> Iterator[list[int]]:
    """The numbers of tokens, padding included, that the model is given, call by call."""
    calls: list[int] = []
    handle = model.get_input_embeddings().register_forward_hook(lambda *call: calls.append(call[1][0].numel()))
    try:
        yield calls
    finally:
        handle.remove()


@pytest.mark.parametrize(("which", "batch_size"), [("micro", 3), ("tuned", 1), ("tuned", 3), ("tuned", 16)])
def test_generated_answers_are_lm_evals_own_item_by_item(
    which: str, batch_size: int, request: pytest.FixtureRequest
) -> None:
    model, tokenizer = request.getfixturevalue(which)
    rows = [*rows_of("two_way", 8), *rows_of("add_subtract", 4)]
    texts = [render(TEMPLATE.score, row["instruction"], "", None) for row in rows]
    expected = generations(HFLM(pretrained=model, tokenizer=tokenizer, batch_size=12), texts)
    whole = ScoredModel(model, tokenizer, batch_size, silent)
    assert generations(whole, texts) == expected
    ended = ScoredModel(model, tokenizer, batch_size, silent, [Rule(tuple(WORDS))])
    found = generations(ended, texts)
    for short, long in zip(found, expected, strict=True):
        assert long.startswith(short)
        assert re.findall("|".join(WORDS), short)[:1] == re.findall("|".join(WORDS), long)[:1]
    assert ended.decided == sum(bool(re.search("|".join(WORDS), text)) for text in found)
    assert (ended.decided > 3) is (which == "tuned")


def test_every_micro_task_has_the_same_samples_both_ways(tuned: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = tuned
    run = RunSpec(
        model=ModelRef(name="micro-llama"),
        adapter=AdapterRef(method="none", trains="nothing"),
        prompt=PromptRef(name=TEMPLATE.name, train=TEMPLATE.train, score=TEMPLATE.score),
        score=ScoreSettings(batch_size=8, limit=12),
    )

    def samples() -> list[tuple[Any, ...]]:
        results: list[TaskResult] = list(score(run, model, tokenizer, TASKS, emit=silent))
        return [(result.task, one.doc_id, one.outcome, one.answer) for result in results for one in result.samples]

    ours = samples()
    assert len(ours) == 12 * len(TASKS) and len({outcome for _, _, outcome, _ in ours}) > 1
    monkeypatch.setattr("harness.score.language_model.reuses_cache", lambda model: False)
    assert samples() == ours


def test_a_text_that_is_done_leaves_its_place_to_the_next(tuned: Loaded) -> None:
    model, tokenizer = tuned
    texts = [render(TEMPLATE.score, row["instruction"], "", None) for row in rows_of("two_way", 24)]
    with counted(model) as stock:
        generations(HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4), texts)
    lm = ScoredModel(model, tokenizer, 4, silent, [Rule(tuple(WORDS))])
    with counted(model) as ours:
        generations(lm, texts)
    assert sum(ours) < 0.6 * sum(stock)
    assert len(ours) < len(stock)


PROMPTS = ["which animal barks", "the correct answer", "why is the sky so very blue and the sea not?", "a"]
SHAPES: dict[str, list[Pair]] = {
    "long choices": [
        (text, f" {choice} and so on until the very end")
        for text in PROMPTS
        for choice in ("the dog is", "a cat which meows", "no")
    ],
    "last token": [(text, f" solution{number}") for text in PROMPTS for number in (1, 2)],
    "one begins another": [(text, " the dog" + more) for text in PROMPTS for more in ("", " barks", " barks loudly")],
    "one choice each": [(text + " the", " dog barks") for text in PROMPTS],
    "twice the same": [(PROMPTS[0], " the dog")] * 3 + [(PROMPTS[1], " the cat meows")],
    "no prompt": [("", "the dog barks"), ("", "the cat")],
    "too long": [(PROMPTS[2] * 40, f" the dog {number} barks at everyone") for number in range(3)],
}


@pytest.mark.parametrize("batch_size", [1, 3, 16])
@pytest.mark.parametrize("shape", SHAPES)
def test_likelihoods_are_lm_evals_own(
    shape: str, batch_size: int, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    expected = likelihoods(HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2), SHAPES[shape])
    lm = ScoredModel(model, tokenizer, batch_size, silent)
    found = likelihoods(lm, SHAPES[shape])
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], rel=1e-5, abs=1e-5)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert lm.truncated == (3 if shape == "too long" else 0)


def test_the_most_likely_continuation_is_known_as_such(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    lm = ScoredModel(model, tokenizer, 2, silent)
    best = generations(lm, PROMPTS[:1], max_gen_toks=1)[0]
    ids = tokenizer(PROMPTS[0] + best)["input_ids"]
    assert tokenizer.decode(ids[len(tokenizer(PROMPTS[0])["input_ids"]) :]) == best
    assert [greedy for _, greedy in likelihoods(lm, [(PROMPTS[0], best), (PROMPTS[0], " solution1")])] == [True, False]


@pytest.mark.parametrize(("shape", "share"), [("long choices", 0.75), ("last token", 1.0)])
def test_a_shared_context_is_read_once(
    shape: str, share: float, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    pairs = [
        (f"{text} or {number}, ask the dog and the cat?", rest) for number in range(3) for text, rest in SHAPES[shape]
    ]
    with counted(model) as stock:
        likelihoods(HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4), pairs)
    lm = ScoredModel(model, tokenizer, 4, silent)
    with counted(model) as ours:
        likelihoods(lm, pairs)
    assert sum(ours) <= share * sum(stock)
