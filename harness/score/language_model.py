"""The model as lm-eval sees it, and leaving the model and the random state as they were."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import has_bos_prefix, postprocess_generated_text
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError
from harness.score.decided import Rule
from harness.score.greedy import Endings, greedy_texts
from harness.score.held import held
from harness.score.likelihoods import likelihoods
from harness.score.reuse import decodes_plainly, reuses_cache
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

    What prompts have in common is read once where the model allows it (see `reuses_cache`), with the same answers as
    lm-eval's own way. `rules`: a generated text ends as soon as what counts of it is settled by all of them.
    `truncated` is the number of requests that were too long for the model and lost their beginning,
    `decided` that of texts that ended early.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
        emit: Emit,
        rules: Sequence[Rule] = (),
    ) -> None:
        with _tied_already(model):
            super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        self._report = emit
        self._splits: Splits | None = None
        self._reuses = reuses_cache(model)
        self._end = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        self._rules = [replace(rule, ends=(*rule.ends, self._end)) for rule in rules]
        self.truncated = self.decided = 0
        self._held = held(model)
        self._padding_side = "left"
        if tells_prompts_apart(model):
            # Else requests whose tokens are equal share a row, wherever their prompts end.
            self.logits_cache = False

    @property
    def max_length(self) -> int:
        """The tokens that the model takes, without the positions of a learned prompt."""
        return super().max_length - prompt_length(self.model)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generated texts, in the order of the requests. Raises RunError where answers leave no room for prompts."""
        arguments = requests[0].args[1]
        length = arguments.get("max_gen_toks", self.max_gen_toks)
        room = self.max_length - length
        if room < 1:
            raise RunError("config", f"{length} tokens of answer leave no room in the model's {self.max_length}")
        self.set_cache_hook(Progress(len(requests), self._report))
        ids = self._encoded([request.args[0] for request in requests])
        self.truncated += sum(len(row) > room for row in ids)
        alike = all(ids) and all(request.args[1] == arguments for request in requests)
        if self._reuses and alike and decodes_plainly(self.model, arguments):
            return self._greedy(requests, [row[-room:] for row in ids], length)
        return super().generate_until(requests, disable_tqdm=True)

    def _greedy(self, requests: Sequence[Instance], prompts: Sequence[list[int]], length: int) -> list[str]:
        settled = (lambda ids: self._settled(self._text(ids))) if self._rules else None
        endings = Endings(length, frozenset(self._end_tokens()), settled)
        texts: dict[int, str] = {}
        for text in greedy_texts(self.model, prompts, endings, self.batch_size):
            texts[text.number] = self._text(text.written)
            self.decided += text.decided
            self.cache_hook.add_partial("generate_until", requests[text.number].args, texts[text.number])
        return [texts[number] for number in range(len(requests))]

    def _settled(self, text: str) -> bool:
        return all(rule.settled(text) for rule in self._rules)

    def _text(self, ids: list[int]) -> str:
        return postprocess_generated_text(self.tok_decode(ids), [self._end], None)

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """The texts' tokens, as lm-eval's `tok_batch_encode` has them without padding."""
        begins = has_bos_prefix(texts[0], self.tokenizer.bos_token)
        add = False if begins else self.add_bos_token
        return self.tokenizer(list(texts), **({} if add is None else {"add_special_tokens": add}))["input_ids"]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-likelihoods of continuations, in the order of the requests."""
        self.set_cache_hook(Progress(len(requests), self._report))
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        self._padding_side = "right"
        self.truncated += sum(len(prompt) + len(rest) > self.max_length + 1 for _, prompt, rest in requests)
        if self._reuses and override_bs is None:
            return self._likelihoods(requests)
        self._splits = Splits(requests, self.max_length) if tells_prompts_apart(self.model) else None
        return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)

    def _likelihoods(self, requests: list[Request]) -> list[tuple[float, bool]]:
        pairs = [(prompt, continuation) for _, prompt, continuation in requests]
        answers: dict[int, tuple[float, bool]] = {}
        for number, answer in likelihoods(self.model, pairs, self.batch_size, self.max_length, self.softmax_dtype):
            answers[number] = answer
            self.cache_hook.add_partial("loglikelihood", requests[number][0], answer)
        return [answers[number] for number in range(len(requests))]

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self._splits is None:
            return super()._model_call(inps, *args, **kwargs)
        with self.model.prompt_lengths(self._splits.lengths_of(inps)):
            return super()._model_call(inps, *args, **kwargs)

    def output_tokens(self, contexts: Sequence[str], texts: Sequence[str]) -> list[int | None]:
        """The lengths of these outputs."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    def account(self) -> dict[str, Any]:
        """For a task's provenance: how many prompts were cut, how many texts ended as their answer was settled, and
        what may change a rounding: batch size, padding, types, and whether the adapter was merged."""
        batches = {"batch_size": self.batch_size, "padding_side": self._padding_side}
        return {"truncated": self.truncated, "ended_when_decided": self.decided, **batches, **self._held}

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **arguments: Any) -> Any:
        # lm-eval makes the end-of-sequence token a stop string, and stop strings don't work with beams in batches
        # (see decoding.py). `generate` ends a row at the token itself.
        strings = [string for string in stop if string != self._end]
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
