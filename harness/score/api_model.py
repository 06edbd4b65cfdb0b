"""A model behind an API as lm-eval sees it: lm-eval's own API models, asked in threads and with patience."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.models.utils import postprocess_generated_text

from harness.catalog.apis import host_of, key
from harness.score.asking import Server
from harness.score.language_model import Emit, Progress
from harness.spec.run import ApiRef

OPENAI = "api.openai.com"
NOT_SENT = ("num_beams", "top_k")
"""Of a run's decoding, what the protocol doesn't have; a run behind an API has one beam and no top_k."""
USAGE = ("prompt_tokens", "completion_tokens")


class _Asked:
    """What both protocols share: requests in threads, and a tally of the answers.

    lm-eval repeats every failure alike, within seconds, and takes an answer that it can't read for an empty one:
    here a request is repeated as the server asks, or ends the task (see `asking.Server`).
    """

    def __init__(self, name: str, api: ApiRef, concurrency: int, seed: int, emit: Emit) -> None:
        super().__init__(  # type: ignore[call-arg]
            model=name, base_url=api.url, tokenizer_backend=None, num_concurrent=concurrency, seed=seed
        )
        self._api, self._report, self._threads = api, emit, concurrency
        headers = {"Authorization": f"Bearer {key()}"} if key() else {}
        self._server = Server(api.url, headers, api.timeout, api.max_retries, concurrency)
        self._named: set[str] = set()
        self._tokens: dict[Any, int] = {}
        self._tally: Counter[str] = Counter()

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generated texts, in the order of the requests. Raises RunError for the first that gets no answer."""
        progress = Progress(len(requests), self._report)
        with ThreadPoolExecutor(self._threads) as pool:
            pending = [pool.submit(self._ask, *request.args) for request in requests]
            try:
                for answered in as_completed(pending):
                    answered.result()
                    progress.add_partial("generate_until", None, None)
            except BaseException:
                self._server.give_up()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._server.close()
        return [self._read(*request.args, answer.result()) for request, answer in zip(requests, pending, strict=True)]

    def _ask(self, context: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        return self.model_call([context], gen_kwargs=arguments)

    def model_call(
        self, messages: list[Any], *, generate: bool = True, gen_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """lm-eval's single request: the server's answer as it stands."""
        message = self.create_message(messages)  # type: ignore[attr-defined]
        payload = self._create_payload(message, generate=generate, gen_kwargs=gen_kwargs, seed=self._seed)  # type: ignore[attr-defined]
        return self._server.post(payload, self._text)

    def _create_payload(self, *args: Any, gen_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
        sent = {name: copy.copy(value) for name, value in (gen_kwargs or {}).items() if name not in NOT_SENT}
        payload = super()._create_payload(*args, gen_kwargs=sent, **kwargs)  # type: ignore[misc]
        return {name: value for name, value in payload.items() if value not in (None, [])}

    def _text(self, answer: dict[str, Any]) -> str:
        """What the model wrote; "" where the server gave nothing on purpose (a refusal, a content filter)."""
        raise NotImplementedError

    def _read(self, context: Any, arguments: dict[str, Any], answer: dict[str, Any]) -> str:
        text, usage = self._text(answer), answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        counts = {name: usage[name] for name in USAGE if isinstance(usage.get(name), int)}
        if "completion_tokens" in counts:
            self._tokens[context] = counts["completion_tokens"]
        self._named.add(str(answer.get("model") or ""))
        cut = answer["choices"][0].get("finish_reason") == "length"
        self._tally.update(counts | {"empty": int(not text), "cut": int(cut)})
        return postprocess_generated_text(text, stop=arguments.get("until"), think_end_token=None)

    def output_tokens(self, contexts: Sequence[Any], texts: Sequence[str]) -> list[int | None]:
        """What the server counted for its answers to these prompts; None where it counts nothing."""
        return [self._tokens.get(context) for context in contexts]

    def account(self) -> dict[str, Any]:
        """For a task's provenance: who answered, how often with nothing or cut short, with how many tokens."""
        return {
            "api": {
                "protocol": self._api.protocol,
                "host": host_of(self._api.url),
                "models": sorted(self._named - {""}),
                "empty": self._tally["empty"],
                "cut": self._tally["cut"],
                **{name: self._tally.get(name) for name in USAGE},
            }
        }


class ChatModel(_Asked, LocalChatCompletion):
    """`openai-chat`: the prompt is the user's message, and the server applies the model's chat template."""

    def _create_payload(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload = super()._create_payload(*args, **kwargs)
        if host_of(self._api.url) == OPENAI:  # max_tokens is what other servers know, and what its newer models refuse
            payload["max_completion_tokens"] = payload.pop("max_tokens")
        return payload

    def _text(self, answer: dict[str, Any]) -> str:
        return _string(answer["choices"][0]["message"].get("content"))


class CompletionModel(_Asked, LocalCompletionsAPI):
    """`openai-completions`: the model goes on from the prompt as it stands."""

    def _text(self, answer: dict[str, Any]) -> str:
        return _string(answer["choices"][0]["text"])


def _string(value: Any) -> str:
    if not isinstance(value, (str, type(None))):
        raise TypeError(f"a text, not {type(value).__name__}")
    return value or ""


PROTOCOLS: dict[str, type[ChatModel | CompletionModel]] = {
    "openai-chat": ChatModel,
    "openai-completions": CompletionModel,
}
