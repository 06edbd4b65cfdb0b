"""What a model behind an API needs, told before any request."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pipeline.check import Counted, count
from harness.pipeline.plan import plan
from harness.spec.run import RunSpec

from .conftest import Small

LOCAL = "http://127.0.0.1:8000/v1/chat/completions"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def behind(small: Small, more: str = "", first: str = "llm_adapters_boolq") -> RunSpec:
    """The run of the small experiment on a chat model; more: of its base."""
    base = f"base: {{api: openai-chat, model: gpt-4o-mini{more}}}"
    changes = {"base: {model: llama3-8b}": base, "method: lora": "method: none", "llm_adapters_boolq": first}
    (run,) = small.runs(*changes.items())
    return run


def obstacles(run: RunSpec) -> list[tuple[str, str]]:
    (planned,) = plan([run], None).runs
    return [(obstacle.field, obstacle.message) for obstacle in planned.obstacles]


def test_a_missing_key_blocks_by_its_variables_name(small: Small) -> None:
    assert obstacles(behind(small)) == [("base.api", "api.openai.com asks for a key: set $OPENAI_API_KEY")]


def test_with_a_key_nothing_is_in_the_way(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert obstacles(behind(small)) == []
    (planned,) = plan([behind(small)], None).runs
    assert planned.action == "score"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:80", "10.0.0.7:8000", "gpu-box:8000"])
def test_a_server_on_this_machine_or_network_needs_no_key(small: Small, host: str) -> None:
    assert obstacles(behind(small, f", url: 'http://{host}/v1/chat/completions'")) == []


def test_a_key_that_would_break_a_header_is_refused_without_being_shown(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test\nsecond")
    ((field, message),) = obstacles(behind(small))
    assert field == "base.api" and message.startswith("$OPENAI_API_KEY is no key") and "second" not in message


def test_tasks_that_compare_likelihoods_are_refused_by_name(small: Small, place: Path) -> None:
    own = place / "own"
    own.mkdir()
    (own / "shared").write_text("output_type: multiple_choice\n")
    (own / "mine.yaml").write_text("include: shared\ntask: mine\n")
    (own / "free.yaml").write_text("include: shared\ntask: free\noutput_type: generate_until\n")
    run = behind(small, f", url: '{LOCAL}'", "micro_likelihood_two_way")
    run = run.model_copy(
        update={
            "tasks": (*run.tasks, "mine", "free"),
            "score": run.score.model_copy(update={"tasks_path": str(own)}),
        }
    )
    assert obstacles(run) == [
        ("tasks", "micro_likelihood_two_way compares likelihoods, which openai-chat does not give"),
        ("tasks", "mine compares likelihoods, which openai-chat does not give"),
    ]


def test_lm_evals_own_tasks_that_compare_likelihoods_are_refused_by_name(small: Small) -> None:
    run = behind(small, f", url: '{LOCAL}'")
    asked = run.model_copy(update={"tasks": ("boolq", "gsm8k_cot", "mmlu_anatomy")})
    assert obstacles(asked) == [
        ("tasks", "boolq compares likelihoods, which openai-chat does not give"),
        ("tasks", "mmlu_anatomy compares likelihoods, which openai-chat does not give"),
    ]


def test_a_model_elsewhere_trains_nothing_and_its_size_is_unknown(small: Small) -> None:
    run = behind(small)
    assert count([run]) == {run.run_id: Counted(0, None, 0.0)}
