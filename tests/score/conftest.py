"""A random Llama of a few thousand parameters, a tokenizer of its own, and small test files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.catalog.prompts import prompts
from harness.score.scoring import score
from harness.spec.run import AdapterRef, ModelRef, PromptRef, RunSpec, ScoreSettings
from harness.store.records import TaskResult

CHOICES = ["solution1", "solution2"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "<eos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    text = [prompt.score for prompt in prompts().values()] + ["the correct answer is solution1 solution2"] * 20
    bpe.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="session")
def make_model(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], LlamaForCausalLM]:
    def make(seed: int) -> LlamaForCausalLM:
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.3,
            attention_dropout=0.5,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return LlamaForCausalLM(config)

    return make


@pytest.fixture
def model(make_model: Callable[[int], LlamaForCausalLM]) -> LlamaForCausalLM:
    return make_model(0)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """Twelve two-way questions in LLM-Adapters' format."""
    answers = [CHOICES[item * item % 3 % 2] for item in range(12)]
    return [
        {
            "instruction": f"Please choose the correct solution to the question: {item} or {item + 1}?\n\n"
            f"Solution1: {item}\n\nSolution2: {item + 1}\n\nAnswer format: solution1/solution2",
            "input": "",
            "output": f"the correct answer is {answer}",
            "answer": answer,
            "choices": CHOICES,
        }
        for item, answer in enumerate(answers)
    ]


TASK = """
include: {base}
task: {name}
{more}
metadata: {{version: 1.0, title: Mine, file: {file}}}
"""
FILTER = """
filter_list:
  - name: first
    filter: [{function: regex, regex_pattern: "solution1|solution2", fallback: ""}, {function: take_first}]
"""


@pytest.fixture
def own_tasks(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    """A user's tasks_path: `mine` (generative) and `mine_likelihood`, over twelve items of their own."""
    base = Path(__file__).parents[2] / "harness" / "score" / "tasks"
    (tmp_path / "test.json").write_text(json.dumps(rows))
    file = tmp_path / "test.json"
    generative = TASK.format(base=base / "_generative", name="mine", more=FILTER, file=file)
    (tmp_path / "mine.yaml").write_text(generative)
    likelihood = TASK.format(base=base / "_likelihood", name="mine_likelihood", more="", file=file)
    (tmp_path / "mine_likelihood.yaml").write_text(likelihood)
    return str(tmp_path)


@pytest.fixture
def make_run(own_tasks: str) -> Callable[..., RunSpec]:
    """A run that scores with the default prompt; keywords are score settings, or a field of the run."""

    def make(seed: int | None = None, prompt: str = "llm_adapters", **settings: Any) -> RunSpec:
        template = prompts()[prompt]
        return RunSpec(
            model=ModelRef(name="tiny"),
            adapter=AdapterRef(method="none", trains="nothing"),
            prompt=PromptRef(name=template.name, train=template.train, score=template.score),
            score=ScoreSettings(**{"batch_size": 4, "tasks_path": own_tasks, **settings}),
            seed=seed,
        )

    return make


OWN = """
task: echo
custom_dataset: !function harness.score.testset.load
test_split: test
doc_to_text: "Question: {{instruction}}"
doc_to_target: answer
generation_kwargs: {until: ["e"], max_gen_toks: 8, do_sample: true, temperature: 1.0}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {file: %s}
"""
GROUP = "group: all_mine\ntask: [mine, mine_likelihood]\n"


@pytest.fixture
def echo(own_tasks: str) -> str:
    (Path(own_tasks) / "echo.yaml").write_text(OWN % (Path(own_tasks) / "test.json"))
    (Path(own_tasks) / "group.yaml").write_text(GROUP)
    return own_tasks


@pytest.fixture
def scored(tokenizer: PreTrainedTokenizerFast) -> Callable[..., tuple[TaskResult, ...]]:
    """Scores a model with the suite's tokenizer, or another one."""

    def scored(run: RunSpec, model: LlamaForCausalLM, *tasks: str, **other: PreTrainedTokenizerFast) -> Any:
        return tuple(score(run, model, other.get("tokenizer", tokenizer), tasks, emit=lambda event: None))

    return scored
