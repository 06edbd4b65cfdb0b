"""What a plan says of the code that an experiment runs."""

from __future__ import annotations

from harness.pipeline.code import named_code
from harness.spec.grid import expand
from harness.spec.load import load_experiment

EXPERIMENT = """\
name: small
base: {model: micro-llama}
data: {train: micro}
adapters:
  - {method: none}
  - {method: adalora}
  - {method: mine}
tasks: [riddles]
tasks_path: tasks
"""


def test_own_classes_and_own_tasks_functions_are_named_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "mine.yaml").write_text(
        "method: mine\nconfig_class: my.tuner:Config\ncallbacks: ['my.tuner:Callback', 'peft:X']\n"
    )
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "riddles.yaml").write_text("task: riddles\ndoc_to_text: !function riddles.text\n")
    (tmp_path / "small.yaml").write_text(EXPERIMENT)

    assert named_code(expand(load_experiment("small.yaml"))) == [
        f"{tmp_path}/tasks/riddles.yaml:2 riddles.text",
        "my.tuner:Config (mine)",
        "my.tuner:Callback (mine)",
    ]
