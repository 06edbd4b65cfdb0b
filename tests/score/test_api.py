"""Scoring a model that a server answers for: what is asked, and how every way of not answering ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.catalog.prompts import prompts, render
from harness.errors import RunError
from harness.score import asking
from harness.score.api_model import ChatModel
from harness.score.scoring import score_api
from harness.spec.run import ApiRef, Decoding, ModelRef, RunSpec, Sampling
from harness.store.records import TaskResult

from ..scripted_server import Server

SECRET = "sk-test-4f1c9a7e2b"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.01)
    with Server() as running:
        yield running


@pytest.fixture
def ask(server: Server, make_run: Callable[..., RunSpec]) -> Callable[..., TaskResult]:
    """Scores `mine`, or another task, on the server; keywords are the API's, or the run's settings."""

    def ask(
        *tasks: str,
        protocol: Any = "openai-chat",
        url: str | None = None,
        timeout: float = 5.0,
        max_retries: int = 2,
        prompt: str = "none",
        **settings: Any,
    ) -> TaskResult:
        api = ApiRef(protocol=protocol, url=url or server.url, timeout=timeout, max_retries=max_retries)
        template = prompts()[prompt]
        run = make_run(prompt=prompt, **settings).model_copy(
            update={"model": ModelRef(name="tiny", content="api:tiny", api=api)}
        )
        wording = {"answer_after": template.answer_after, "max_tokens": template.max_tokens}
        run = run.model_copy(update={"prompt": run.prompt.model_copy(update=wording)})
        (result,) = score_api(run, api, tasks or ("mine",), emit=lambda event: None)
        return result

    return ask


Ask = Callable[..., TaskResult]


def accuracy(result: TaskResult) -> float:
    return next(score.value for score in result.scores if score.metric == "accuracy")


def test_each_item_is_one_message_of_the_user_answered_greedily(
    ask: Ask, server: Server, rows: list[dict[str, Any]]
) -> None:
    result = ask(prompt="llm_adapters")
    template = prompts()["llm_adapters"].score
    prompts_sent = sorted(asked["messages"][0]["content"] for asked in server.asked)
    assert prompts_sent == sorted(render(template, row["instruction"]) for row in rows)
    for asked in server.asked:
        (message,) = asked.pop("messages")
        assert message["role"] == "user"
        assert asked == {"model": "tiny", "max_tokens": 32, "temperature": 0, "seed": 0}
    assert accuracy(result) == sum(row["answer"] == "solution1" for row in rows) / 12


def test_answers_are_put_to_their_own_items_whichever_comes_first(
    ask: Ask, server: Server, rows: list[dict[str, Any]]
) -> None:
    gold = {row["instruction"]: row["answer"] for row in rows}
    first = rows[0]["instruction"]

    def reply(prompt: str) -> str:
        time.sleep(0.2 if prompt == first else 0.0)
        return f"the correct answer is {gold[prompt]}"

    server.reply = reply
    assert accuracy(ask(batch_size=6)) == 1.0


@pytest.mark.parametrize("width", [1, 3])
def test_so_many_requests_are_under_way_as_the_batch_size_says(ask: Ask, server: Server, width: int) -> None:
    server.pause = 0.03
    ask(batch_size=width)
    assert server.most == width


def test_a_completion_goes_on_from_the_prompt_as_it_stands(
    ask: Ask, server: Server, rows: list[dict[str, Any]]
) -> None:
    url = server.url.replace("chat/", "")
    result = ask(protocol="openai-completions", url=url)
    assert sorted(asked["prompt"] for asked in server.asked) == sorted(row["instruction"] for row in rows)
    assert "messages" not in server.asked[0]
    assert accuracy(result) == sum(row["answer"] == "solution1" for row in rows) / 12


def test_sampling_sends_what_the_protocol_knows_and_the_runs_seed(ask: Ask, server: Server) -> None:
    ask(seed=7, limit=1, decoding=Decoding(sample=Sampling(temperature=0.5, top_p=0.9, top_k=0)))
    (asked,) = server.asked
    assert {name: asked.get(name) for name in ("temperature", "top_p", "top_k", "seed")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": None,
        "seed": 7,
    }


@pytest.mark.parametrize("name", ["gpt-3.5-turbo", "gpt-4o-mini"])
def test_openais_own_models_are_asked_greedily_whatever_their_names_hold(name: str) -> None:
    api = ApiRef(protocol="openai-chat", url="https://api.openai.com/v1/chat/completions", timeout=1, max_retries=0)
    model = ChatModel(name, api, 1, 0, lambda event: None)
    payload = model._create_payload([{"role": "user", "content": "?"}], generate=True, gen_kwargs={"max_gen_toks": 9})
    assert payload["temperature"] == 0
    assert payload["max_completion_tokens"] == 9 and "max_tokens" not in payload


def test_stop_strings_are_sent_and_hold_where_the_server_ignores_them(ask: Ask, server: Server, echo: str) -> None:
    result = ask("echo", store_outputs="all", limit=1)
    assert server.asked[0]["stop"] == ["e"]
    assert result.samples[0].output == "th"


def test_tokens_are_the_servers_count_and_its_name_for_the_model_is_kept(ask: Ask) -> None:
    result = ask()
    assert {sample.output_tokens for sample in result.samples} == {5}
    assert next(score.value for score in result.scores if score.metric == "output_tokens") == 5
    assert result.provenance["api"] == {
        "protocol": "openai-chat",
        "host": result.provenance["api"]["host"],
        "models": ["tiny-2026-01-01"],
        "empty": 0,
        "cut": 0,
        "prompt_tokens": 12 * 40,
        "completion_tokens": 12 * 5,
    }


def test_a_server_that_counts_no_tokens_leaves_their_number_open(ask: Ask, server: Server) -> None:
    server.usage = None
    result = ask(store_outputs="all")
    assert {sample.output_tokens for sample in result.samples} == {None}
    assert {sample.output for sample in result.samples} == {"the correct answer is solution1"}
    assert result.provenance["api"]["completion_tokens"] is None


@pytest.mark.parametrize("content", [{"content": None}, {}])
def test_an_answer_that_is_withheld_counts_as_none(ask: Ask, server: Server, content: dict[str, None]) -> None:
    message = {"role": "assistant", **content}
    server.script = [{"choices": [{"index": 0, "message": message, "finish_reason": "content_filter"}]}]
    result = ask(limit=1)
    assert accuracy(result) == 0 and result.samples[0].answer is None
    assert result.provenance["api"]["empty"] == 1


def test_a_reply_at_its_longest_is_counted_as_cut(ask: Ask, server: Server) -> None:
    message = {"role": "assistant", "content": "let me see"}
    server.script = [{"choices": [{"index": 0, "message": message, "finish_reason": "length"}]}]
    assert ask(limit=2).provenance["api"]["cut"] == 1


STATED = "solution1? At first I thought the correct answer is solution1.\n\n**The correct answer is:** {answer}."


def test_a_chain_of_thought_ends_with_the_answer_that_counts(
    ask: Ask, server: Server, rows: list[dict[str, Any]]
) -> None:
    gold = {row["instruction"]: row["answer"] for row in rows}
    server.reply = lambda prompt: STATED.format(answer=gold[prompt.partition("\n\nLet's think")[0]])
    reasoned = ask(prompt="zero_shot_cot", store_outputs="all")
    assert accuracy(reasoned) == 1.0
    assert {asked["max_tokens"] for asked in server.asked} == {512}
    assert {sample.output for sample in reasoned.samples} == {STATED.format(answer=word) for word in gold.values()}


def test_a_chain_of_thought_without_a_statement_has_no_answer(ask: Ask, server: Server) -> None:
    server.reply = lambda prompt: "solution1 or solution2? Hard to say: solution1."
    found = ask(prompt="zero_shot_cot")
    assert {score.metric: score.value for score in found.scores if score.metric == "extracted"} == {"extracted": 0}
    assert {sample.answer for sample in found.samples} == {None}


def test_other_prompts_keep_taking_the_first_match(ask: Ask, server: Server) -> None:
    server.reply = lambda prompt: STATED.format(answer="solution2")
    assert {sample.answer for sample in ask().samples} == {"solution1"}


BUSY = (429, {"Retry-After": "0"}, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}})


@pytest.mark.parametrize("step", [BUSY, (500, {}, "oops"), (503, {}, {"error": "warming up"}), "hang", "cut", "{"])
def test_what_passes_is_asked_again(ask: Ask, server: Server, step: Any) -> None:
    server.script = [step]
    result = ask(limit=2, batch_size=1, timeout=0.3)
    assert len(server.asked) == 3 and server.asked[0] == server.asked[1]
    assert [score.n for score in result.scores if score.metric == "accuracy"] == [2]


def test_a_server_is_left_alone_for_as_long_as_it_asks(ask: Ask, server: Server) -> None:
    server.script = [(429, {"Retry-After": "0.6"}, BUSY[2])]
    started = time.monotonic()
    ask(limit=1)
    assert 0.6 < time.monotonic() - started < 3


def test_without_a_wish_of_the_servers_the_waits_double(server: Server) -> None:
    passing = asking.Unanswered("timeout", "busy")
    waits = [asking.Server(server.url, {}, 1, 9)._wait(passing, tries) for tries in range(1, 10)]
    for tries, wait in enumerate(waits):
        assert 0.75 <= wait / (0.01 * 2**tries) <= 1
    assert asking.Server(server.url, {}, 1, 9)._wait(passing, 10) is None
    assert asking.Server(server.url, {}, 1, 99)._wait(passing, 60) <= 60


@pytest.mark.parametrize(
    ("step", "kind", "reason"),
    [
        (BUSY, "timeout", "gave no answer in 3 tries: 429 Too Many Requests: Rate limit reached"),
        ((500, {}, "oops"), "timeout", "gave no answer in 3 tries: 500 Internal Server Error: oops"),
        ("hang", "timeout", "gave no answer in 3 tries: nothing was heard for 0.2 s"),
        ("cut", "timeout", "gave no answer in 3 tries: the connection failed: "),
        ("<html>", "data", "gave no answer in 3 tries: the answer is in another form than the protocol's: <html>"),
        ({"error": {"message": "no such field"}}, "data", "in another form than the protocol's: no such field"),
        ({"choices": []}, "data", "in another form than the protocol's"),
        ({"choices": [{"text": "a completion's form"}]}, "data", "in another form than the protocol's"),
    ],
)
def test_what_does_not_pass_fails_with_its_kind_and_what_was_heard(
    ask: Ask, server: Server, step: Any, kind: str, reason: str
) -> None:
    server.script = [step] * 3
    with pytest.raises(RunError) as error:
        ask(limit=1, timeout=0.2)
    assert error.value.kind == kind
    assert str(error.value).startswith(f"127.0.0.1:{server.server_port} ") and reason in str(error.value)
    assert len(server.asked) == 3


def test_a_server_that_is_not_there_fails_with_the_reason(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1/chat/completions"
    with pytest.raises(
        RunError, match=r"gave no answer in 3 tries: the connection failed: ConnectionRefusedError"
    ) as error:
        ask(url=url)
    assert error.value.kind == "timeout"


QUOTA = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("step", "kind", "reason"),
    [
        (
            (401, {}, {"error": {"message": f"Incorrect API key provided: {SECRET}"}}),
            "config",
            "401 Unauthorized: Inc",
        ),
        ((404, {}, {"error": {"message": "The model `tiny` does not exist"}}), "config", "The model `tiny` does not"),
        ((400, {}, {"detail": "bad"}), "config", "refuses the request: 400 Bad Request: bad"),
        ((307, {"Location": "http://127.0.0.1:1/"}, ""), "config", "refuses the request: 307 Temporary Redirect"),
        ((429, {}, QUOTA), "config", "You exceeded your current quota"),
        ((429, {"Retry-After": "7200"}, BUSY[2]), "timeout", "gave no answer in one try: 429 Too Many Requests"),
    ],
)
def test_what_no_repetition_mends_is_asked_once(ask: Ask, server: Server, step: Any, kind: str, reason: str) -> None:
    server.script = [step] * 3
    with pytest.raises(RunError) as error:
        ask(limit=1)
    assert error.value.kind == kind and reason in str(error.value) and SECRET not in str(error.value)
    assert len(server.asked) == 1


def test_a_failure_ends_the_task_without_asking_for_the_rest(ask: Ask, server: Server) -> None:
    server.script = [(401, {}, "")]
    with pytest.raises(RunError):
        ask(batch_size=1)
    assert len(server.asked) <= 2


def test_nobody_waits_for_a_repetition_once_another_request_has_failed(ask: Ask, server: Server) -> None:
    server.script = [(429, {"Retry-After": "30"}, BUSY[2]), (401, {}, "")]
    started = time.monotonic()
    with pytest.raises(RunError, match="401"):
        ask(batch_size=2, limit=2)
    assert time.monotonic() - started < 10
    assert len(server.asked) == 2


@pytest.mark.parametrize("before", range(280, 301, 5))
def test_a_shortened_message_shows_no_part_of_the_key(ask: Ask, server: Server, before: int) -> None:
    server.script = [(400, {}, "x" * before + SECRET + " is wrong")]
    with pytest.raises(RunError) as error:
        ask(limit=1)
    assert SECRET[:4] not in str(error.value)


def test_the_key_is_sent_and_printed_nowhere(ask: Ask, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    server.script = [(503, {}, f"bad gateway for {SECRET}")]
    result = ask(limit=1)
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    printed = capfd.readouterr()
    assert "503 Service Unavailable: bad gateway for [the key]; asked again in" in printed.err
    assert SECRET not in printed.out + printed.err + repr(result)


def test_a_server_on_this_machine_is_asked_past_the_environments_proxy_and_netrc(
    ask: Ask, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    for name, value in {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    ask(limit=1)
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


def test_no_key_is_made_up(ask: Ask, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    ask(limit=1)
    assert server.headers[0]["Authorization"] is None


def test_likelihoods_are_refused_by_the_tasks_name_before_any_request(ask: Ask, server: Server) -> None:
    with pytest.raises(RunError, match="mine_likelihood compares likelihoods, which openai-chat does not give"):
        ask("mine", "mine_likelihood")
    assert server.asked == []
