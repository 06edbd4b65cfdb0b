"""Pre-trains micro-llama from the generated corpus.

    python -m tools.micro_llama.pretrain --out harness/catalog/micro/model

The loss is the next-token loss over all tokens; a token of an answer, which the document determines,
counts fully, any other token CONTEXT_WEIGHT of it.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .benchmark import benchmark
from .corpus import Document, corpus
from .tokenizer import train_tokenizer

VOCABULARY = 800
TOKENIZER_DOCUMENTS = 20_000
BATCH = 48
CHUNK = 32  # batches that are sorted by length together
MATRIX_RATE = 0.02  # of Muon, for the matrices of the layers
OTHER_RATE = 3e-3  # of AdamW, for embeddings and norms
CONTEXT_WEIGHT = 0.1


@dataclass(frozen=True)
class Batch:
    """Padded token ids and the weight of each token as a target."""

    ids: torch.Tensor
    weights: torch.Tensor


def learn_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on documents of the corpus and on the instructions of the benchmark's training rows."""
    documents = itertools.islice(corpus(seed), TOKENIZER_DOCUMENTS)
    texts = ["".join(text for text, _ in document) for document in documents]
    template = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    )
    train, _ = benchmark(seed)
    texts += [
        f"{template}\n\n### Instruction:\n{row['instruction']}\n\n### Response:\n{row['output']}" for row in train
    ]
    return train_tokenizer(texts, VOCABULARY)


def encode(tokenizer: PreTrainedTokenizerFast, documents: list[Document]) -> list[tuple[list[int], list[float]]]:
    """Token ids and weights of each document, ended by the end token."""
    pieces = iter(tokenizer([text for document in documents for text, _ in document])["input_ids"])
    encoded = []
    for document in documents:
        ids: list[int] = []
        weights: list[float] = []
        for (_, answer), tokens in zip(document, pieces):
            ids += tokens
            weights += [1.0 if answer else CONTEXT_WEIGHT] * len(tokens)
        encoded.append(([*ids, tokenizer.eos_token_id], [*weights, CONTEXT_WEIGHT]))
    return encoded


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Batches of documents of similar length, without end."""
    documents = corpus(seed)
    generator = torch.Generator().manual_seed(seed)
    while True:
        encoded = encode(tokenizer, list(itertools.islice(documents, BATCH * CHUNK)))
        encoded.sort(key=lambda document: len(document[0]))
        for index in torch.randperm(CHUNK, generator=generator).tolist():
            chosen = encoded[index * BATCH : (index + 1) * BATCH]
            length = len(chosen[-1][0])
            ids = [ids + [tokenizer.pad_token_id] * (length - len(ids)) for ids, _ in chosen]
            weights = [weights + [0.0] * (length - len(weights)) for _, weights in chosen]
            yield Batch(torch.tensor(ids), torch.tensor(weights))


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The untrained model."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.08,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    match_tokens(model)
    look_back(model)
    return model


@torch.no_grad()
def match_tokens(model: LlamaForCausalLM) -> None:
    """Start each head with equal queries and keys, and an output that undoes its values (mimetic initialisation).

    A token then attends to tokens like itself and passes on what they are: half of an induction head.
    """
    config = model.config
    groups, width = config.num_key_value_heads, config.hidden_size
    for layer in model.model.layers:
        heads = layer.self_attn
        for source, target in (
            (heads.k_proj.weight, heads.q_proj.weight),
            (heads.v_proj.weight, heads.o_proj.weight.T),
        ):
            shared = source.view(groups, 1, -1, width)
            target.copy_(shared.expand(-1, config.num_attention_heads // groups, -1, -1).reshape(width, width))
        heads.o_proj.weight.mul_(0.5)


@torch.no_grad()
def look_back(model: LlamaForCausalLM) -> None:
    """Start head h of the first layer as one that attends h + 1 tokens back: the other half of an induction head.

    One entry of every embedding is the same constant; queries turned against keys by h + 1 positions
    in the fastest rotary frequencies then meet their keys at that distance.
    """
    config, heads = model.config, model.model.layers[0].self_attn
    model.model.embed_tokens.weight[:, 0] = 0.25
    queries = heads.q_proj.weight.mul_(0.1).view(config.num_attention_heads, config.head_dim, config.hidden_size)
    keys = heads.k_proj.weight.mul_(0.1).view(config.num_key_value_heads, config.head_dim, config.hidden_size)
    frequencies = model.model.rotary_emb.inv_freq[:4]
    keys[:, :4, 0] = 2.0
    for head in range(config.num_attention_heads):
        queries[head, :4, 0] = 2.0 * torch.cos(-(head + 1) * frequencies)
        queries[head, config.head_dim // 2 : config.head_dim // 2 + 4, 0] = 2.0 * torch.sin(-(head + 1) * frequencies)


def learning_rate(step: int, steps: int) -> float:
    """A short warm-up, constant while look-up forms, then a cosine to a fiftieth: as a share of the full rate."""
    hold = steps // 4
    if step < hold:
        return min(1.0, (step + 1) / 30)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - hold) / (steps - hold)))


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if all(parameter is not matrix for matrix in matrices)]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.0),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def pretrain(model: LlamaForCausalLM, stream: Iterator[Batch], steps: int) -> None:
    """Train the model for a number of steps, printing the loss and the accuracy on answer tokens."""
    pair = optimizers(model)
    schedules = [LambdaLR(optimizer, lambda step: learning_rate(step, steps)) for optimizer in pair]
    answers: list[torch.Tensor] = []
    started, tokens = time.perf_counter(), 0
    for step in range(1, steps + 1):
        batch = next(stream)
        logits = model(input_ids=batch.ids[:, :-1], use_cache=False).logits.flatten(0, 1)
        targets, weights = batch.ids[:, 1:].flatten(), batch.weights[:, 1:].flatten()
        loss = (cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(pair, schedules):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        tokens += batch.ids.numel()
        answers.append((logits.argmax(-1) == targets)[weights == 1.0])
        if step % 50 == 0 or step == steps:
            right, seconds = torch.cat(answers).float().mean().item(), time.perf_counter() - started
            pace = f"{tokens / seconds:,.0f} tokens/s  {seconds:.0f} s"
            print(f"step {step:5d}  loss {loss.item():.3f}  answers {right:.3f}  {pace}", flush=True)
            answers.clear()


def main() -> None:
    """Train tokenizer and model and write them in the layout of transformers."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("harness/catalog/micro/model"))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    started, cpu = time.perf_counter(), time.process_time()
    tokenizer = learn_tokenizer(arguments.seed)
    model = new_model(tokenizer)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens in the vocabulary")
    pretrain(model, batches(tokenizer, arguments.seed + 1), arguments.steps)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    print(f"{time.perf_counter() - started:.0f} s, {time.process_time() - cpu:.0f} CPU seconds")


if __name__ == "__main__":
    main()
