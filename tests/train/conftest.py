"""A tiny random Llama with its own tokenizer, data and paths."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from harness.catalog.prompts import prompts
from harness.paths import RunPaths
from harness.spec.run import DataRef, RunSpec
from harness.store.records import TrainResult
from harness.train.training import train

from .runs import data_file, rows

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    texts = [f"{row['instruction']} {row['output']}" for row in rows(50)] + [p.train for p in prompts().values()]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>")


@pytest.fixture
def fresh_base(tokenizer: PreTrainedTokenizerFast) -> Callable[[], PreTrainedModel]:
    """Makes the same random base model each time it is called."""

    def make() -> PreTrainedModel:
        torch.manual_seed(0)
        config = LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
            max_position_embeddings=256,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
        return LlamaForCausalLM(config).eval()

    return make


@pytest.fixture
def base(fresh_base: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    return fresh_base()


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(root=tmp_path / "home", train_id="a1", run_id="b2")


@pytest.fixture
def data(tmp_path: Path) -> DataRef:
    return data_file(tmp_path / "animals.json", rows(40))


@pytest.fixture
def fit(
    paths: RunPaths, tokenizer: PreTrainedTokenizerFast, fresh_base: Callable[[], PreTrainedModel]
) -> Callable[..., tuple[TrainResult, Any]]:
    """Trains a run on a fresh base; `stop_after=n` asks it to stop after n steps."""

    def fit(run: RunSpec, stop_after: int | None = None) -> tuple[TrainResult, Any]:
        step = count(1)
        return train(
            run, paths, fresh_base(), tokenizer, emit=lambda event: None, should_stop=lambda: next(step) == stop_after
        )

    return fit
