"""What is scored: the embedded benchmark's questions, and likelihood requests of known shapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from harness.catalog.prompts import prompts, render
from harness.paths import PACKAGE
from harness.score.decided import Rule
from harness.score.language_model import ScoredModel
from harness.spec.run import ModelRef
from harness.train.base_model import load_base

DATA = PACKAGE / "catalog" / "micro" / "data"
RULES = [Rule(("solution1", "solution2"))]
NEW_TOKENS = 32
SHAPES = {"piqa": (15, 2, 25), "hellaswag": (45, 4, 22), "prompt": (100, 2, 25), "last token": (80, 2, 7)}
"""Likelihood requests: the context's tokens, the choices, the tokens of each. Those of the last differ in the last."""


@dataclass(frozen=True)
class Work:
    """Something to score, by lm-eval's model or by ours, and how to see that both find the same."""

    name: str
    requests: Sequence[Any]

    @property
    def generates(self) -> bool:
        """Whether texts are generated; else likelihoods are compared."""
        return self.name == "generation"

    def done_by(self, lm: HFLM) -> list[Any]:
        """The answers."""
        if not self.generates:
            return lm._loglikelihood_tokens(list(self.requests), disable_tqdm=True)
        arguments = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False, "num_beams": 1}
        asked = [Instance("generate_until", {}, (text, dict(arguments)), 0) for text in self.requests]
        return lm.generate_until(asked, disable_tqdm=True)

    def agrees(self, ours: Sequence[Any], stock: Sequence[Any]) -> bool:
        """Whether answers are the same: texts up to where ours end, likelihoods to 1e-5 of their size."""
        pairs = list(zip(ours, stock, strict=True))
        if self.generates:
            return all(theirs.startswith(own) for own, theirs in pairs)
        return all(abs(own[0] - theirs[0]) <= 1e-5 * max(1.0, abs(theirs[0])) for own, theirs in pairs)


def load(name: str, tuning_steps: int) -> tuple[PreTrainedModel, Any]:
    """A catalogued model in fp32, with a LoRA that was trained for so many steps to answer in the tasks' format."""
    base, tokenizer = load_base(ModelRef(name=name), torch.device("cpu"))
    model = base.float()
    if tuning_steps:
        torch.manual_seed(0)
        config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        model = _tuned(get_peft_model(model, config), tokenizer, tuning_steps)
    return model.eval(), tokenizer


def questions(tokenizer: Any, count: int) -> Work:
    """Two-way questions in LLM-Adapters' prompt."""
    rows = json.loads((DATA / "two_way" / "test.json").read_text())[:count]
    return Work("generation", [_prompt(row, tokenizer) for row in rows])


def choices(shape: str, vocabulary: int, count: int) -> Work:
    """Items of a shape, of random tokens; contexts are up to a third shorter or longer."""
    context, number, length = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)

    def drawn(low: int, high: int) -> list[int]:
        size = int(torch.randint(low, high + 1, (), generator=generator))
        return torch.randint(10, vocabulary, (size,), generator=generator).tolist()

    requests = []
    for _ in range(count):
        shared = drawn(context * 2 // 3, context * 4 // 3)
        body = drawn(length - 1, length - 1)
        for choice in range(number):
            ending = [*body, 10 + choice] if shape == "last token" else drawn(length * 2 // 3, length * 4 // 3)
            requests.append((("", ""), shared, ending))
    return Work(shape, requests)


def contenders(model: nn.Module, tokenizer: Any, sizes: Sequence[int]) -> dict[str, HFLM]:
    """lm-eval's model and ours at each batch size."""
    made: dict[str, HFLM] = {}
    for size in sizes:
        made[f"lm-eval, {size}"] = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size)
        made[f"ours, {size}"] = ScoredModel(model, tokenizer, size, lambda event: None, RULES)
    return made


def _tuned(model: nn.Module, tokenizer: Any, steps: int) -> nn.Module:
    rows = [row for row in json.loads((DATA / "train.json").read_text()) if "solution1" in row["instruction"]]
    optimizer = torch.optim.AdamW((weight for weight in model.parameters() if weight.requires_grad), lr=1e-2)
    for step in range(steps):
        for row in rows[4 * step : 4 * step + 4]:
            prompt = tokenizer(_prompt(row, tokenizer))["input_ids"]
            answer = tokenizer(row["output"])["input_ids"] + [tokenizer.eos_token_id]
            ids = torch.tensor([prompt + answer])
            labels = torch.tensor([[-100] * len(prompt) + answer])
            (model(input_ids=ids, labels=labels).loss / 4).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def _prompt(row: dict[str, Any], tokenizer: Any) -> str:
    return render(prompts()["llm_adapters"].score, row["instruction"], "", tokenizer)
