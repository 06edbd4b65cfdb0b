"""The generated benchmark and the embedded model keep their promises."""

import collections
import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).parents[2]
MICRO = ROOT / "harness" / "catalog" / "micro"
DATA, MODEL = MICRO / "data", MICRO / "model"
TASKS = ("true_false", "two_way", "four_way", "fill_blank", "add_subtract")


def rows(path: Path) -> list[dict]:
    """The rows of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_generator_reproduces_every_byte(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.micro_llama.benchmark", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    shipped = {path.relative_to(DATA): path.read_bytes() for path in DATA.rglob("*.json")}
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert made == shipped


def test_no_instruction_stands_in_two_files_or_twice() -> None:
    instructions = [row["instruction"] for path in sorted(DATA.rglob("*.json")) for row in rows(path)]
    assert len(set(instructions)) == len(instructions)


def test_training_rows_are_instruction_rows() -> None:
    train = rows(DATA / "train.json")
    assert len(train) >= 3000
    for row in train:
        assert row["input"] == ""
        assert row["output"] == f"the correct answer is {row['answer']}"


@pytest.mark.parametrize("task", TASKS)
def test_test_set_has_its_size_and_choices_that_hold_the_answer(task: str) -> None:
    test = rows(DATA / task / "test.json")
    assert 200 <= len(test) <= 400
    for row in test:
        assert row["choices"].count(row["answer"]) == 1
        assert len(set(row["choices"])) == len(row["choices"])


@pytest.mark.parametrize("task", TASKS)
def test_no_place_among_the_choices_is_favoured(task: str) -> None:
    test = rows(DATA / task / "test.json")
    places = collections.Counter(row["choices"].index(row["answer"]) for row in test)
    assert len(places) == len(test[0]["choices"])
    assert max(places.values()) == min(places.values())


def test_no_sum_is_favoured() -> None:
    test = rows(DATA / "add_subtract" / "test.json")
    answers = collections.Counter(row["answer"] for row in test)
    assert max(answers.values()) < 0.15 * len(test)


def test_model_is_a_small_llama_with_grouped_queries() -> None:
    assert (MODEL / "model.safetensors").stat().st_size <= 4_000_000
    config = AutoConfig.from_pretrained(MODEL)
    assert config.architectures == ["LlamaForCausalLM"]
    assert config.num_key_value_heads < config.num_attention_heads
    assert config.max_position_embeddings >= 512


def test_model_answers_left_padded_prompts_as_single_ones() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    prompts = ["Is a dog an animal?", "Mia had 3 coins. Leo gave Mia 2 coins. how many coins does Mia have now?"]
    together = model.generate(
        **tokenizer(prompts, padding=True, return_tensors="pt"), max_new_tokens=4, do_sample=False
    )
    for prompt, ids in zip(prompts, together):
        alone = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=4, do_sample=False)
        assert tokenizer.decode(ids, skip_special_tokens=True) == tokenizer.decode(alone[0], skip_special_tokens=True)


def test_prompt_is_an_exact_token_prefix() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    row = rows(DATA / "train.json")[0]
    prompt = f"### Instruction:\n{row['instruction']}\n\n### Response:\n"
    ids = tokenizer(prompt)["input_ids"]
    assert tokenizer(prompt + row["output"])["input_ids"][: len(ids)] == ids
