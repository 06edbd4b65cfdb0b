"""What does not go together is told before any weight is loaded, where the experiment asks for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import load_experiment, run
from harness.errors import PrerequisiteError
from harness.schedule.options import Options
from harness.score.task_index import _own_tasks

MODEL = Path(harness.__file__).parent / "catalog" / "micro" / "model"
EXPERIMENT = """\
name: x
base: {model: %(model)s}
data: {train: %(data)s}
train: {steps: 1, max_length: %(length)s}
adapters: [{method: lora}]
tasks_path: own
tasks: [%(task)s]
"""
TASK = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: own/sums.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}} is"
doc_to_target: "{{answer}}"
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
FILTER = 'filter_list: [{name: number, filter: [{function: regex, regex_pattern: "[0-9"}]}]\n'
ROWS = [{"question": "1 + 1", "answer": "2"}, {"question": "1 + 2", "answer": "3"}]
Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Why an experiment is not begun. No weight is ever loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    monkeypatch.setattr("harness.pipeline.workbench.Workbench.base", lambda *_: pytest.fail("weights were loaded"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sums.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "own" / "sums.yaml").write_text(TASK)

    def refused(**changes: Any) -> str:
        _own_tasks.cache_clear()
        fields = {"model": "micro-llama", "data": "micro", "length": 64, "task": "micro_two_way"} | changes
        (tmp_path / "x.yaml").write_text(EXPERIMENT % fields)
        with pytest.raises(PrerequisiteError) as told:
            run(load_experiment("x.yaml"), "results.db", Options(executor="in-process"))
        return str(told.value)

    return refused


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{question}}", "{{quest}}", "sums: its first item lacks what the task needs: 'quest' is undefined"),
        ("{{question}}", "{{question", "sums can't be loaded: TemplateSyntaxError: unexpected"),
        ("test_split: test", "test_split: tset", "sums: no such split, column, metric or filter: tset"),
        ("test_split: test\n", "", "sums can't be loaded: ValueError: Task dataset"),
        ("generate_until", "generate", "sums can't be loaded: ValueError: Got invalid output_type 'generate'"),
        ("sums.jsonl", "gone.jsonl", "sums: its data can't be read: Unable to find"),
        ("metric_list", FILTER + "metric_list", "sums: its filter 'number' can't be made: unterminated character set"),
    ],
)
def test_a_task_that_can_not_be_asked(old: str, new: str, message: str, refused: Refused) -> None:
    Path("own/sums.yaml").write_text(TASK.replace(old, new))
    assert refused(task="sums").startswith(f"x.yaml:7 tasks: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "sums has no test items"),
        (json.dumps(ROWS[0])[:-4], "sums: its data can't be read: JSON parse error"),
        (json.dumps(ROWS[0]) + '\n{"answer": "3"}', "sums item 1: no question, which the task needs; it has answer"),
    ],
)
def test_test_data_that_can_not_be_asked(text: str, message: str, refused: Refused) -> None:
    Path("own/sums.jsonl").write_text(text)
    assert refused(task="sums").startswith(f"x.yaml:7 tasks: {message}")


def changed(name: str, file: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """The embedded model in a folder, a file of it changed."""
    folder = Path(name).absolute()
    shutil.copytree(MODEL, folder)
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    return folder


def test_a_tokenizer_without_an_end_or_damaged(refused: Refused) -> None:
    endless = changed("endless", "tokenizer_config.json", lambda content: content.pop("eos_token"))
    assert refused(model=endless) == (
        "x.yaml:2 base.model: the tokenizer of endless has no end-of-text token; set eos_token in its directory"
    )
    cut = changed("cut", "config.json", lambda content: None)
    (cut / "tokenizer.json").write_text((cut / "tokenizer.json").read_text()[:300])
    assert refused(model=cut).startswith("x.yaml:2 base.model: the tokenizer of cut can't be loaded from ")


def test_prompts_beyond_the_models_context(refused: Refused) -> None:
    small = changed("small", "config.json", lambda content: content.update(max_position_embeddings=40))
    assert "x.yaml:7 tasks: micro_two_way: 300 of 300 prompts are longer than the 8 tokens" in refused(model=small)


def test_training_examples_that_do_not_fit(refused: Refused) -> None:
    rows = [{"instruction": "heron " * 700, "output": "It is."}] * 4
    Path("long.json").write_text(json.dumps(rows))
    told = refused(data="{path: long.json}", length=4000)
    assert told.startswith("x.yaml:3 data.train: 4 of 4 training examples are longer than the model's context of 512")
    told = refused(data="{path: long.json}", length="64, loss_on: completion")
    assert told == "x.yaml:3 data.train: no example has an answer within max_length 64; raise it"
    Path("talk.json").write_text(
        json.dumps([{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}])
    )
    told = refused(data="{path: talk.json, format: messages}")
    assert told == "x.yaml:3 data.train: data of the format messages needs a tokenizer with a chat template"
