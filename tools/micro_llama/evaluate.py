"""Checks the quality of micro-llama: the bare base, and a LoRA adapter after a short training.

python -m tools.micro_llama.evaluate --steps 150
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from peft import LoraConfig, PeftConfig, VeraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

TEMPLATE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
ANSWERS = {
    "true_false": r"true|false",
    "two_way": r"solution1|solution2",
    "four_way": r"answer[1-4]",
    "fill_blank": r"option1|option2",
    "add_subtract": r"-?\d+\.?\d*",
}
TARGETS = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
METHODS: dict[str, tuple[Callable[[], PeftConfig], float]] = {
    "lora": (lambda: LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM"), 5e-3),
    "dora": (
        lambda: LoraConfig(r=8, lora_alpha=16, use_dora=True, target_modules=TARGETS, task_type="CAUSAL_LM"),
        5e-3,
    ),
    "vera": (lambda: VeraConfig(r=64, target_modules=TARGETS, task_type="CAUSAL_LM"), 2e-2),
}
BATCH = 16
SCORING_BATCH = 100
Row = dict[str, str | list[str]]
Scores = dict[str, float]


def correct(task: str, text: str, gold: str) -> bool:
    """Whether the answer that is found in a generated text is the gold one."""
    found = re.findall(ANSWERS[task], text)
    return bool(found) and found[-1 if task == "add_subtract" else 0] == gold


@torch.no_grad()
def generate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> list[str]:
    """Greedy continuations of at most 32 tokens."""
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    ids = model.generate(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=32, do_sample=False
    )
    return tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def score_generated(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tests: dict[str, list[Row]]) -> Scores:
    """Percent of the generated answers that are right, for each task."""
    scores = {}
    for task, rows in tests.items():
        right = 0
        for start in range(0, len(rows), SCORING_BATCH):
            part = rows[start : start + SCORING_BATCH]
            texts = generate(model, tokenizer, [TEMPLATE.format(**row) for row in part])
            right += sum(correct(task, text, str(row["answer"])) for text, row in zip(texts, part))
        scores[task] = 100 * right / len(rows)
    return scores


@torch.no_grad()
def log_likelihoods(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: list[tuple[str, str]]
) -> list[float]:
    """Log-probability of each continuation after its prompt."""
    batch = collate(tokenizer, pairs, completion_only=True)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    losses = cross_entropy(logits.transpose(1, 2), batch["labels"][:, 1:], reduction="none")
    return (-losses.sum(1)).tolist()


def score_likelihood(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tests: dict[str, list[Row]]
) -> Scores:
    """Percent of the rows whose right answer is the likeliest of its choices, for each task."""
    scores = {}
    for task, rows in tests.items():
        right = 0
        for start in range(0, len(rows), SCORING_BATCH):
            part = rows[start : start + SCORING_BATCH]
            pairs = [
                (TEMPLATE.format(**row), f"the correct answer is {choice}")
                for row in part
                for choice in row["choices"]
            ]
            values = iter(log_likelihoods(model, tokenizer, pairs))
            for row in part:
                ranked = {choice: next(values) for choice in row["choices"]}
                right += max(ranked, key=ranked.__getitem__) == row["answer"]
        scores[task] = 100 * right / len(rows)
    return scores


def collate(
    tokenizer: PreTrainedTokenizerBase, pairs: list[tuple[str, str]], completion_only: bool
) -> dict[str, torch.Tensor]:
    """Right-padded prompts and continuations, with the labels of the loss."""
    ids = [tokenizer(prompt + continuation)["input_ids"] for prompt, continuation in pairs]
    prompts = [len(tokenizer(prompt)["input_ids"]) if completion_only else 0 for prompt, _ in pairs]
    length = max(map(len, ids))
    padded = torch.tensor([row + [tokenizer.pad_token_id] * (length - len(row)) for row in ids])
    labels, mask = padded.clone(), torch.zeros_like(padded)
    for index, (row, start) in enumerate(zip(ids, prompts)):
        mask[index, : len(row)] = 1
        labels[index, len(row) :] = -100
        labels[index, :start] = -100
    return {"input_ids": padded, "attention_mask": mask, "labels": labels}


def finetune(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, train: list[Row], rate: float, steps: int, loss_on: str
) -> None:
    """Train on shuffled batches with AdamW; the rate warms up over ten steps and falls linearly."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    random = Random(0)
    model.train()
    for step in range(steps):
        rows = random.sample(train, BATCH)
        pairs = [(TEMPLATE.format(**row), f"{row['output']}{tokenizer.eos_token}") for row in rows]
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / 10, 1 - step / steps)
        model(**collate(tokenizer, pairs, completion_only=loss_on == "completion")).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def line(label: str, scores: Scores, note: str = "") -> str:
    """One line of the table."""
    average = sum(scores.values()) / len(scores)
    return f"{label:18}" + "".join(f"{value:13.1f}" for value in [*scores.values(), average]) + f"   {note}"


def main() -> None:
    """Print accuracies of the base, generative and by likelihood, and of adapters after a short training."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, default=Path("harness/catalog/micro/model"))
    parser.add_argument("--data", type=Path, default=Path("harness/catalog/micro/data"))
    parser.add_argument("--steps", type=int, default=150, help="of training for each method")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=["lora"])
    parser.add_argument("--rate", type=float, help="learning rate, instead of the method's")
    parser.add_argument("--loss-on", choices=("all", "completion"), default="completion")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    train = json.loads((arguments.data / "train.json").read_text())
    tests = {task: json.loads((arguments.data / task / "test.json").read_text()) for task in ANSWERS}
    print(" " * 18 + "".join(f"{name:>13}" for name in [*tests, "average"]))
    base = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    print(line("base, generated", score_generated(base, tokenizer, tests)), flush=True)
    print(line("base, likelihood", score_likelihood(base, tokenizer, tests)), flush=True)
    for name in arguments.methods:
        torch.manual_seed(0)
        config, rate = METHODS[name]
        base = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
        model = get_peft_model(base, config())
        started, cpu = time.perf_counter(), time.process_time()
        finetune(model, tokenizer, train, arguments.rate or rate, arguments.steps, arguments.loss_on)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        trained = model.get_nb_trainable_parameters()[0]
        note = f"{arguments.steps} steps in {seconds:.0f} s ({cpu:.0f} CPU s), {trained:,} parameters"
        print(line(name, score_generated(model, tokenizer, tests), note), flush=True)


if __name__ == "__main__":
    main()
