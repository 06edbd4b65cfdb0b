"""The model as lm-eval sees it, and leaving the model and the random state as they were."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError
from harness.score.soft_prompt import prompt_length
from harness.score.splits import Request, Splits, tells_prompts_apart

Emit = Callable[[dict[str, Any]], None]

EMIT_SECONDS = 0.5

# lm-eval would fork a process per core to bootstrap a standard error; forking after torch started may hang.
os.environ.setdefault("DISABLE_MULTIPROC", "1")


class Progress(CacheHook):
    """Counts the requests that lm-eval reports as answered; keeps none of the answers."""

    def __init__(self, total: int, emit: Emit) -> None:
        super().__init__(None)
        self._total, self._emit = total, emit
        self._done, self._emitted_at = 0, 0.0

    def add_partial(self, attr: str, req: Any, res: Any) -> None:
        """lm-eval's call after each answer."""
        self._done += 1
        now = time.monotonic()
        if self._done == self._total or now - self._emitted_at > EMIT_SECONDS:
            self._emitted_at = now
            self._emit({"event": "items", "done": self._done, "total": self._total})


class ScoredModel(HFLM):
    """lm-eval's model over one in memory, with a fixed batch size and progress events in place of its bars.

    `truncated` is the number of requests that were too long for the model and lost their beginning.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int, emit: Emit
    ) -> None:
        with _tied_already(model):
            super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        self._report = emit
        self._splits: Splits | None = None
        self.truncated = 0
        if tells_prompts_apart(model):
            # Else requests whose tokens are equal share a row, wherever their prompts end.
            self.logits_cache = False

    @property
    def max_length(self) -> int:
        """The tokens that the model takes, without the positions of a learned prompt."""
        return super().max_length - prompt_length(self.model)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generated texts, in the order of the requests. Raises RunError where answers leave no room for prompts."""
        length = requests[0].args[1].get("max_gen_toks", self.max_gen_toks)
        room = self.max_length - length
        if room < 1:
            raise RunError("config", f"{length} tokens of answer leave no room in the model's {self.max_length}")
        self._begin([request.args[0] for request in requests], room)
        return super().generate_until(requests, disable_tqdm=True)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-likelihoods of continuations, in the order of the requests."""
        self._begin(["".join(request.args) for request in requests], self.max_length + 1)
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(self, requests: list[Request], *args: Any, **kwargs: Any) -> list[tuple[float, bool]]:
        self._splits = Splits(requests, self.max_length) if tells_prompts_apart(self.model) else None
        return super()._loglikelihood_tokens(requests, *args, **kwargs)

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self._splits is None:
            return super()._model_call(inps, *args, **kwargs)
        with self.model.prompt_lengths(self._splits.lengths_of(inps)):
            return super()._model_call(inps, *args, **kwargs)

    def output_tokens(self, contexts: Sequence[str], texts: Sequence[str]) -> list[int | None]:
        """The lengths of these outputs."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    def account(self) -> dict[str, Any]:
        """For a task's provenance: how many prompts were cut."""
        return {"truncated": self.truncated}

    def _begin(self, texts: list[str], room: int) -> None:
        self.set_cache_hook(Progress(len(texts), self._report))
        self.truncated += sum(len(ids) > room for ids in self.tokenizer(texts)["input_ids"])

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **arguments: Any) -> Any:
        # lm-eval makes the end-of-sequence token a stop string, and stop strings don't work with beams in batches
        # (see decoding.py). `generate` ends a row at the token itself.
        eos = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        strings = [string for string in stop if string != eos]
        arguments.setdefault("eos_token_id", self._end_tokens())
        return super()._model_generate(context, max_length, strings, **arguments)

    def _end_tokens(self) -> list[int]:
        configured = self.model.generation_config.eos_token_id
        own = configured if isinstance(configured, list) else [configured]
        return sorted({self.eot_token_id, *own} - {None})


@contextmanager
def _tied_already(model: PreTrainedModel) -> Iterator[None]:
    """Within: tying does nothing. lm-eval ties weights, which fails where embeddings are trained by token (PEFT)."""
    model.tie_weights = lambda *args, **kwargs: None
    try:
        yield
    finally:
        del model.tie_weights


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Within: no dropout. Afterwards every module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def same_padding(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Afterwards the tokenizer pads as before: lm-eval gives one without a padding token some other token for it."""
    before = tokenizer.pad_token
    try:
        yield
    finally:
        tokenizer.pad_token = before


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Within: random numbers start from the seed. Afterwards they go on where they were.

    Those of python, numpy and torch (CPU and CUDA): lm-eval draws from python's when it names a task.
    """
    python, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)
