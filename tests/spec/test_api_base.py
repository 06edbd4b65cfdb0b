"""A base model that a server answers for: what an experiment says of it, and what makes its runs the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import expand, load_experiment
from harness.errors import SpecError
from harness.spec.experiment import ExperimentSpec
from harness.spec.run import RunSpec

CHAT = {"api": "openai-chat", "model": "gpt-4o-mini"}
Experiment = Callable[..., ExperimentSpec]
Problems = Callable[..., dict[str, str]]

WRITTEN = """\
name: chatgpt
base: {api: openai-chat, model: gpt-4o-mini}
adapters: [{method: none}]
tasks: commonsense
prompt: zero_shot_cot
"""


def only(found: ExperimentSpec) -> RunSpec:
    (run,) = expand(found)
    return run


@pytest.fixture
def behind(experiment: Experiment) -> Callable[..., RunSpec]:
    """The run of the smallest experiment on a chat model; keywords are those of its base."""

    def run(*changes: str, prompt: str = "none", score: dict[str, Any] | None = None, **base: Any) -> RunSpec:
        fields = {"base": CHAT | base, "adapters": [{"method": "none"}], "prompt": prompt, "score": score or {}}
        return only(experiment(*changes, **fields))

    return run


def test_an_api_needs_a_models_name_and_no_training_data(write: Callable[[str, str], Path]) -> None:
    run = only(load_experiment(write("chatgpt.yaml", WRITTEN)))
    assert run.model.name == "gpt-4o-mini"
    assert run.model.api is not None
    assert run.model.api.url == "https://api.openai.com/v1/chat/completions"
    assert (run.data, run.train, run.seed) == (None, None, None)
    assert run.prompt.answer_after == "the correct answer is"


def test_completions_have_an_address_of_their_own(behind: Callable[..., RunSpec]) -> None:
    assert behind(api="openai-completions").model.api.url == "https://api.openai.com/v1/completions"


def test_weights_that_are_here_still_need_training_data(problems: Problems) -> None:
    assert problems(data=None) == {"data": "must be a mapping, got None"}


def test_a_folder_of_the_models_name_is_not_taken_for_it(behind: Callable[..., RunSpec], folder: Path) -> None:
    (folder / "gpt-4o-mini").mkdir()
    assert behind().model.name == "gpt-4o-mini"


def test_another_server_protocol_or_model_is_another_run(behind: Callable[..., RunSpec]) -> None:
    address = "http://localhost:8000/v1/chat/completions"
    runs = [
        behind(),
        behind(model="gpt-4o"),
        behind(url=address),
        behind(url=address.replace("8000", "8001")),
        behind(api="openai-completions", url=address),
        behind(prompt="zero_shot_cot"),
    ]
    assert len({run.run_id for run in runs}) == len(runs)


def test_the_official_address_written_out_and_patience_change_no_id(behind: Callable[..., RunSpec]) -> None:
    written = behind(url="https://api.openai.com/v1/chat/completions", timeout=5, max_retries=0)
    assert written.run_id == behind().run_id
    assert (written.model.api.timeout, written.model.api.max_retries) == (5, 0)
    assert behind(score={"batch_size": 2}).run_id == behind().run_id


def test_how_reasoning_is_read_and_how_long_it_may_be_decide_the_run(
    behind: Callable[..., RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    from harness.catalog.prompts import prompts

    before = behind(prompt="zero_shot_cot")
    for change in ({"answer_after": "so"}, {"max_tokens": 64}):
        monkeypatch.setitem(prompts(), "zero_shot_cot", dataclasses.replace(prompts()["zero_shot_cot"], **change))
        assert behind(prompt="zero_shot_cot").run_id != before.run_id


def test_several_models_of_one_server_are_an_axis_of_the_matrix(experiment: Experiment) -> None:
    found = experiment(base=CHAT, adapters=[{"method": "none"}], matrix={"base.model": ["gpt-4o-mini", "gpt-4o"]})
    assert [run.model.name for run in expand(found)] == ["gpt-4o-mini", "gpt-4o"]


def test_an_api_samples_without_top_k(behind: Callable[..., RunSpec]) -> None:
    assert behind(score={"decoding": {"sample": {"temperature": 0.5}}}).score.decoding.sample.top_k == 0


def test_a_trained_method_is_refused_where_it_is_written(write: Callable[[str, str], Path]) -> None:
    text = WRITTEN.replace("[{method: none}]", "\n  - {method: none}\n  - {method: lora}\n  - mixed: %s")
    path = write("chatgpt.yaml", text % "[{method: lora, targets: Q}, {method: dora, targets: V}]")
    with pytest.raises(SpecError) as error:
        load_experiment(path)
    message = "its base can't be trained behind openai-chat, which only answers: use method: none"
    assert [str(problem) for problem in error.value.problems] == [
        f"chatgpt.yaml:5 adapters[1].method: {message}",
        f"chatgpt.yaml:6 adapters[2].mixed: {message}",
    ]


@pytest.mark.parametrize(
    ("base", "field", "message"),
    [
        ({"dtype": "float16"}, "base.dtype", "belongs to weights, which a model behind openai-chat has not here"),
        ({"quantization": "nf4"}, "base.quantization", "belongs to weights"),
        ({"revision": "main"}, "base.revision", "belongs to weights"),
        ({"api": "openai"}, "base.api", "unknown value 'openai', did you mean 'openai-chat'?"),
        ({"timeout": 0}, "base.timeout", "must be above 0, got 0"),
        ({"max_retries": -1}, "base.max_retries", "must be at least 0, got -1"),
        ({"url": "localhost:8000"}, "base.url", "must be an http or https address"),
        ({"url": "https://api.openai.com/v1"}, "base.url", "the whole address, which ends in /chat/completions"),
        ({"url": "https://me:pw@x.org/v1/chat/completions"}, "base.url", "neither a name nor a query"),
        ({"url": "https://x.org/v1/chat/completions?api-key=1"}, "base.url", "neither a name nor a query"),
        ({"url": "http://x.org/v1/chat/completions"}, "base.url", "must be https: the key would travel readable"),
    ],
)
def test_what_a_server_can_not_have_is_refused(
    problems: Problems, base: dict[str, Any], field: str, message: str
) -> None:
    found = problems(base=CHAT | base, adapters=[{"method": "none"}])
    assert list(found) == [field] and message in found[field]


@pytest.mark.parametrize("name", ["url", "timeout", "max_retries"])
def test_a_servers_fields_need_a_server(problems: Problems, name: str) -> None:
    value = "http://localhost/v1/chat/completions" if name == "url" else 3
    found = problems(base={"model": "micro-llama", name: value})
    assert found == {f"base.{name}": "belongs to a server: set base.api to openai-chat or openai-completions"}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"score": {"decoding": {"beams": 4}}}, "score.decoding", "openai-chat knows no beams"),
        ({"score": {"decoding": {"sample": {"top_k": 5}}}}, "score.decoding", "openai-chat knows no top_k"),
        ({"prompt": "chat"}, "prompt", "openai-chat applies the model's chat template itself: use prompt: none"),
    ],
)
def test_what_its_protocol_lacks_is_refused(
    problems: Problems, fields: dict[str, Any], field: str, message: str
) -> None:
    found = problems(base=CHAT, adapters=[{"method": "none"}], **fields)
    assert list(found) == [field] and message in found[field]
