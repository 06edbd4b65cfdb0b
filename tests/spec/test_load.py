"""Reading an experiment: what it extends, its profiles, its paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import expand, load_experiment
from harness.errors import SpecError

SMALL = "name: small\nbase: {model: micro-llama}\ndata: {train: micro}\nadapters: [{method: lora}]\ntasks: micro\n"


def test_the_smallest_experiment_has_five_fields(write):
    write("small.yaml", f"# Does LoRA learn?\n{SMALL}")

    found = load_experiment("small.yaml")

    assert (found.name, found.profile, found.benchmark) == ("small", "paper", "micro")
    assert found.question == "Does LoRA learn?"
    assert found.tasks[0] == "micro_true_false"
    (run,) = expand(found)
    assert (run.train.epochs, run.train.learning_rate, run.seed) == (1, 3e-4, 0)


def test_later_files_win_and_the_file_itself_last(write):
    write("a.yaml", "train: {learning_rate: 1e-3, batch_size: 8, max_length: 64}\n")
    write("b.yaml", "train: {learning_rate: 2e-3, batch_size: 4}\n")
    write("small.yaml", f"extends: [a.yaml, b.yaml]\ntrain: {{learning_rate: 3e-3}}\n{SMALL}")

    train = load_experiment("small.yaml").file.train

    assert (train.learning_rate, train.batch_size, train.max_length) == (3e-3, 4, 64)


def test_a_profile_lies_over_the_file_and_set_over_the_profile(write):
    write("tiny.yaml", "train: {steps: 3, max_length: 32}\nscore: {limit: 7}\n")
    write(
        "small.yaml", f"{SMALL}train: {{epochs: 2}}\nprofiles:\n  tiny: {{extends: tiny.yaml, score: {{limit: 9}}}}\n"
    )

    paper, tiny = load_experiment("small.yaml"), load_experiment("small.yaml", "tiny")
    changed = load_experiment("small.yaml", "tiny", ["score.limit=11", "train.epochs=1"])

    assert (paper.file.train.epochs, paper.file.score.limit) == (2, None)
    assert (tiny.file.train.epochs, tiny.file.train.steps, tiny.file.score.limit) == (None, 3, 9)
    assert (changed.file.train.epochs, changed.file.train.steps, changed.file.score.limit) == (1, None, 11)


def test_the_environment_chooses_the_default_profile(write, monkeypatch):
    write("small.yaml", f"{SMALL}profiles: {{tiny: {{score: {{limit: 9}}}}}}\n")
    monkeypatch.setenv("HARNESS_PROFILE", "tiny")

    assert load_experiment("small.yaml").profile == "tiny"
    assert load_experiment("small.yaml", "paper").file.score.limit is None


def test_a_file_may_declare_the_profile_paper(write):
    write("small.yaml", f"{SMALL}profiles: {{paper: {{score: {{limit: 5}}}}}}\n")

    assert load_experiment("small.yaml").file.score.limit == 5


def test_paths_are_relative_to_the_file_that_names_them(write, folder):
    write("shared/model/config.json", '{"model_type": "gpt2"}')
    write("shared/_base.yaml", "base: {model: model}\ndata: {train: {path: rows.json}}\n")
    text = SMALL.replace("base: {model: micro-llama}\ndata: {train: micro}\n", "")
    path = write("mine/small.yaml", f"extends: [../shared/_base.yaml]\n{text}")

    (run,) = expand(load_experiment(path))

    assert Path(run.data.sources[0].location) == folder / "shared" / "rows.json"
    assert Path(run.model.name) == folder / "shared" / "model"
    assert run.adapter.config["target_modules"] == ["c_attn", "c_fc", "mlp.c_proj"]


def test_paths_in_a_matrix_are_relative_to_its_file(write, folder):
    matrix = "matrix: {data.train: [{path: a.json}, {path: b.json}]}\n"
    path = write("mine/small.yaml", SMALL + matrix)

    found = [run.data.sources[0].location for run in expand(load_experiment(path))]

    assert found == [str(folder / "mine" / "a.json"), str(folder / "mine" / "b.json")]


def test_built_in_experiments_and_fragments_are_found_from_anywhere(write):
    write("small.yaml", f"extends: [_paper.yaml]\n{SMALL}")

    assert load_experiment("experiments/commonsense.yaml").name == "commonsense"
    assert load_experiment("small.yaml").file.train.checkpoint == "best"


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("no", "no"), ("2024-01-01", "2024-01-01"), ("1:30", "1:30"), ("0x1F", 31)]
)
def test_values_are_read_as_yaml_1_2(write, text, value):
    from harness.located import read_yaml

    read = read_yaml(write("value.yaml", f"value: {text}\n")).data["value"]
    assert (read, type(read)) == (value, type(value))


def test_a_missing_experiment_is_answered_with_the_nearest(write):
    write("granularity.yaml", SMALL)

    with pytest.raises(SpecError, match=r"granularty\.yaml: no such experiment, did you mean 'granularity\.yaml'"):
        load_experiment("granularty.yaml")
