"""Every problem at once, with the file and line where the value was written."""

from __future__ import annotations

import pytest

from harness import load_experiment
from harness.errors import SpecError

SMALL = "name: small\nbase: {model: micro-llama}\ndata: {train: micro}\nadapters: [{method: lora}]\ntasks: micro\n"


def refused(*arguments) -> list[str]:
    with pytest.raises(SpecError) as error:
        load_experiment(*arguments)
    return str(error.value).splitlines()


def test_all_problems_of_all_files_are_told_at_once_where_they_were_written(write):
    write("adapters/odd.yaml", "method: odd\nconfig_class: peft:LoraConfig\ntrain:\n  learning_rat: 1\n")
    write("_base.yaml", "train:\n  learning_rate: 0\n  lr: 1\nbase:\n  dtype: float8\n")
    write(
        "bad.yaml",
        "nme: bad\n"
        "extends: [_base.yaml, _gone.yaml]\n"
        "base:\n  model: micro-lama\n"
        "data: {train: micro}\n"
        "adapters:\n"
        "  - {method: denslora}\n"
        "  - {method: lora, r: 0, rank: 3}\n"
        "  - {method: odd}\n"
        "tasks: [micro_two_wya]\n"
        "matrix:\n  adapter.q: [1]\n"
        "profiles:\n  tiny:\n    score:\n      limit: 0\n",
    )

    found = refused("bad.yaml", "tiny", ["score.batch_size=0", "x"])

    heads = [line.split(": ")[0] for line in found]
    assert heads == [
        "--set score.batch_size",
        "--set x",
        "_base.yaml:2 train.learning_rate",
        "_base.yaml:3 train.lr",
        "_base.yaml:5 base.dtype",
        "adapters/odd.yaml:4 train.learning_rat",
        "bad.yaml:1 name",
        "bad.yaml:1 nme",
        "bad.yaml:2 extends[1]",
        "bad.yaml:4 base.model",
        "bad.yaml:7 adapters[0].method",
        "bad.yaml:8 adapters[1].r",
        "bad.yaml:8 adapters[1].rank",
        "bad.yaml:10 tasks[0]",
        "bad.yaml:12 matrix.adapter.q",
        "bad.yaml:16 score.limit",
    ]
    assert "bad.yaml:7 adapters[0].method: unknown method 'denslora', did you mean 'denselora'?" in found
    assert "bad.yaml:8 adapters[1].r: must be at least 1, got 0" in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml:1: must hold a mapping of fields"),
        ("- a\n", "bad.yaml:1: must hold a mapping of fields"),
        ("name: x\nname: y\n", "bad.yaml:2 name: is written twice"),
        ("base:\n  model: a\n  model: b\n", "bad.yaml:3 base.model: is written twice"),
        ("name: x\n  bad: 1\n", "bad.yaml:2: not valid YAML: mapping values are not allowed here"),
        (
            "name: \x00\n",
            "bad.yaml:1: not valid YAML: unacceptable character #x0000: special characters are not allowed",
        ),
        ("name: {{x}}\n", "bad.yaml:1 name: holds a key that is no text; quote it"),
        ("a: &a [*a]\n", "bad.yaml:1: is nested too deeply, or an alias contains itself"),
    ],
)
def test_a_file_that_is_no_mapping_in_yaml_is_told_in_one_line(write, text, message):
    write("bad.yaml", text)
    assert refused("bad.yaml") == [message]


def test_yaml_can_run_nothing(write, folder):
    write("bad.yaml", f"name: !!python/object/apply:os.mkdir ['{folder}/made']\n")

    assert "bad.yaml:1" in refused("bad.yaml")[0]
    assert not (folder / "made").exists()


def test_aliases_that_multiply_are_refused(write):
    rows = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"{name}: &{name} [{', '.join(['*' + before] * 10)}]" for before, name in zip("abcdef", "bcdefg")]
    write("bad.yaml", "\n".join(rows))

    assert refused("bad.yaml") == ["bad.yaml:1: holds more than 10,000 values"]


def test_a_merge_key_may_be_overridden_and_its_mapping_used_twice(write):
    write("small.yaml", SMALL.replace("[{method: lora}]", "[&a {<<: &b {method: lora, r: 4}, r: 8}, *a, *b]"))
    assert len(load_experiment("small.yaml").file.adapters) == 3


def test_a_cycle_is_told_where_it_closes(write):
    write("a.yaml", f"extends: [b.yaml]\n{SMALL}")
    write("b.yaml", "train: {epochs: 1}\nextends:\n  - a.yaml\n")

    assert refused("a.yaml") == ["b.yaml:3 extends[0]: a.yaml extends this file in turn: a cycle"]


def test_an_unknown_profile_is_answered_with_the_nearest(write):
    write("small.yaml", f"{SMALL}profiles: {{smollm2: {{}}}}\n")
    assert refused("small.yaml", "smolm2") == [
        "small.yaml:6 profiles: unknown profile 'smolm2', did you mean 'smollm2'?"
    ]


@pytest.mark.parametrize("profiles", [[1], {"a": "b"}, "x"])
def test_profiles_that_are_no_mappings(problems, profiles):
    assert next(iter(problems(profiles=profiles))).startswith("profiles")


ENTRIES = {
    "adapters": ("lora", "must be a list, got 'lora'"),
    "adapters[0]": (["lora"], "must be a mapping, got 'lora'"),
    "adapters[0].method": ([{"r": 2}], "is required"),
    "adapters[0].r": ([{"method": "lora", "r": True}], "must be a whole number, got True"),
    "adapters[0].alpha": ([{"method": "lora", "alpha": "0r"}], "must be above 0, got 0 from '0r'"),
    "adapters[0].targets": (
        [{"method": "lora", "targets": "QX"}],
        "knows the letters Q K V O G U D, got 'QX'",
    ),
    "adapters[0].activation": (
        [{"method": "denselora", "r": 4, "activation": "relu"}],
        "'relu' can't be decoder_activation too, which follows it: set decoder_activation to one of identity, linear",
    ),
    "adapters[0].decoder_activation": (
        [{"method": "denselora", "decoder_activation": "relu"}],
        "unknown value 'relu', did you mean 'gelu'?",
    ),
    "adapters[0].mixed": ([{"mixed": [{"method": "lora"}]}], "must be a list of two or more adapters"),
    "adapters[0].mixed[1].method": (
        [{"mixed": [{"method": "lora"}, {"method": "none"}]}],
        "none can't be mixed with others",
    ),
    "adapters[0].train.steps": ([{"method": "lora", "train": {"epochs": 1, "steps": 2}}], "excludes epochs"),
    "adapters[0].label": ([{"method": "lora", "label": 5}], "must be a text, got 5"),
}


@pytest.mark.parametrize(("field", "value", "message"), [(field, *case) for field, case in ENTRIES.items()])
def test_an_adapter_entry_that_can_not_be(problems, field, value, message):
    assert problems(adapters=value)[field].startswith(message)


FIELDS = {
    "train.steps": ({"train": {"epochs": 1, "steps": 2}}, "excludes epochs: set one of them"),
    "train.micro_batch_size": ({"train": {"micro_batch_size": 5}}, "must divide batch_size 16, got 5"),
    "train.learning_rate": ({"train": {"learning_rate": float("inf")}}, "must be a finite number, got inf"),
    "train.lr": ({"train": {"lr": 1}}, "unknown field, did you mean 'learning_rate'?"),
    "train.optimizer": ({"train": {"optimizer": "adam"}}, "unknown value 'adam', did you mean 'adamw'?"),
    "seeds": ({"seeds": 3}, "must be a list, got 3"),
    "seeds[1]": ({"seeds": [0, True]}, "must be a whole number, got True"),
    "seeds[0]": ({"seeds": [-1]}, "must be at least 0, got -1"),
    "data.train": ({"data": {"train": "mikro"}}, "unknown data set 'mikro', did you mean 'micro'?"),
    "data.train.fmt": ({"data": {"train": {"path": "a", "fmt": 1}}}, "unknown field, did you mean 'format'?"),
    "base.model": ({"base": {"model": "a b/c"}}, "'a b/c' is no catalog name, no directory here and no hub id"),
    "base.revision": (
        {"base": {"model": "micro-llama", "revision": "abc"}},
        "belongs to hub models (owner/name), got 'abc' for micro-llama, embedded",
    ),
    "base.modl": ({"base": {"model": "micro-llama", "modl": 1}}, "unknown field, did you mean 'model'?"),
    "prompt": ({"prompt": "lm_adapters"}, "unknown prompt 'lm_adapters', did you mean 'llm_adapters'?"),
    "score.decoding": ({"score": {"decoding": "beam"}}, "must be greedy, {beams: N} or {sample: {temperature"),
    "score.limit": ({"score": {"limit": True}}, "must be a whole number, got True"),
    "score.merge": ({"score": {"merge": "nevr"}}, "unknown value 'nevr', did you mean 'never'?"),
    "measure[0]": ({"measure": ["increment"]}, "unknown value 'increment', did you mean 'increments'?"),
    "same_recpie": ({"same_recpie": True}, "unknown field, did you mean 'same_recipe'?"),
    "name": ({"name": "a b"}, "must be made of letters"),
    "tasks": ({"tasks": []}, "must not be empty"),
    "matrix": ({"matrix": [1]}, "must be a mapping, got [1]"),
}


@pytest.mark.parametrize(("field", "fields", "message"), [(field, *case) for field, case in FIELDS.items()])
def test_a_field_that_can_not_be(problems, field, fields, message):
    found = problems(**fields)
    assert found[field].startswith(message)
    assert len(found) == 1


def test_a_revision_belongs_to_a_model_on_the_hub(experiment, problems, write, folder):
    write("local/config.json", '{"model_type": "gpt2"}')
    experiment(base={"model": "owner/name", "revision": "abc"})
    experiment(base={"model": "llama3-8b", "revision": "abc"})
    for model in ("./local", "smollm2-135m"):
        assert list(problems(base={"model": model, "revision": "abc"})) == ["base.revision"]
    matrix = {"base.revision": ["abc"]}
    assert list(problems(matrix=matrix)) == ["matrix.base.revision[0]"]


def test_what_does_not_go_together_is_told_beside_other_problems(problems):
    found = problems(
        train={"epochs": 1, "steps": 10, "batch_size": 16, "micro_batch_size": 5, "learing_rate": 1},
        adapters=[{"method": "lora", "r": 4, "alpha": "0r"}, {"method": "lora", "r": 4, "foo": 1, "alpha": "0r"}],
        matrix={"train.micro_batch_size": [3], "adapter.q": [1]},
    )
    assert {field: message.partition(",")[0] for field, message in found.items()} == {
        "train.steps": "excludes epochs: set one of them",
        "train.micro_batch_size": "must divide batch_size 16",
        "train.learing_rate": "unknown field",
        "adapters[0].alpha": "must be above 0",
        "adapters[1].alpha": "must be above 0",
        "adapters[1].foo": "lora has no such parameter",
        "matrix.train.micro_batch_size[0]": "must divide batch_size 16",
        "matrix.adapter.q": "no adapter has this parameter",
    }


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"train": {"batch_size": "12", "micro_batch_size": 3}}, ["train.batch_size"]),
        ({"train": {"batch_sise": 12, "micro_batch_size": 3}}, ["train.batch_sise"]),
        (
            {"train": {"batch_size": "12"}, "matrix": {"train.micro_batch_size": [3]}},
            ["train.batch_size"],
        ),
        (
            {"train": {"lr": 1}, "matrix": {"zip": [{"train.micro_batch_size": [3], "train.batch_size": [12]}]}},
            ["train.lr"],
        ),
        ({"adapters": [{"method": "lora", "r": "x", "alpha": "2r"}]}, ["adapters[0].r"]),
        (
            {"adapters": [{"method": "denselora", "activation": "relu", "decoder_activation": "glu"}]},
            ["adapters[0].decoder_activation"],
        ),
    ],
)
def test_nothing_is_told_that_another_problem_may_be_the_cause_of(problems, fields, told):
    assert list(problems(**fields)) == told


def test_fields_of_an_entry_are_checked_together_with_the_experiments(experiment, problems):
    entry = {"method": "lora", "train": {"micro_batch_size": 32}}

    experiment(train={"batch_size": 32}, adapters=[entry])
    assert problems(adapters=[entry]) == {"adapters[0].train.micro_batch_size": "must divide batch_size 16, got 32"}


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"name: a\nbase: \xff\n", 2, "can't be read: is not UTF-8 text"),
        (b"a: 1\nb: \x00\n", 2, "not valid YAML: unacceptable character #x0000"),
        (b"name: small\ntrain: {steps: " + b"9" * 5000 + b"}\n", 2, "is no int, or too long for one"),
        (b"name: small\ntrain: {steps: !!int x}\n", 2, "is no int, or too long for one: 'x'"),
        (b"name: !!float x\n", 1, "is no float"),
        (b"keep: !!bool maybe\n", 1, "is no bool"),
        (b"keep: !!timestamp 2020\n", 1, "is no timestamp"),
        (b'tasks_path: "a\\0b"\n', 1, "holds a character that no text has"),
        (b'prompt: "\\ud800"\n', 1, "holds a character that no text has"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, 1, "is nested too deeply"),
    ],
)
def test_a_file_that_no_reader_understands_is_told_with_its_line(folder, content, line, message):
    (folder / "bad.yaml").write_bytes(content)
    (found,) = refused("bad.yaml")
    assert found.startswith(f"bad.yaml:{line}")
    assert message in found


def test_a_byte_order_mark_is_no_part_of_the_text(folder):
    (folder / "small.yaml").write_bytes(b"\xef\xbb\xbf# Why?\n" + SMALL.encode())
    assert load_experiment("small.yaml").question == "Why?"


def test_a_problem_is_one_line_whatever_it_quotes(write):
    write("bad.yaml", f'{SMALL}"a\\nb": 1\n')
    (found,) = refused("bad.yaml")
    assert found.startswith("bad.yaml:6 a b: unknown field")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("base.model", {"base": {"model": "./" + "a" * 5000}}),
        ("base.model", {"base": {"model": "~nobody-here/model"}}),
        ("tasks_path", {"tasks_path": "a" * 5000}),
        ("extends[0]", {"extends": ["a" * 5000]}),
    ],
)
def test_a_path_that_no_file_system_takes_is_a_missing_one(problems, field, fields):
    assert next(iter(problems(**fields))) == field


def test_a_misspelt_extends_is_answered_with_the_nearest(problems):
    assert problems(extend=["_a.yaml"]) == {"extend": "unknown field, did you mean 'extends'?"}
    assert problems("extends=[_a.yaml]") == {"extends": "belongs at the top of a file"}


def test_an_unknown_profile_hides_no_other_problem(write):
    write("small.yaml", f"{SMALL}train: {{steps: 0}}\n")
    assert refused("small.yaml", "tiny") == [
        "small.yaml:1 profiles: unknown profile 'tiny', allowed: paper",
        "small.yaml:6 train.steps: must be at least 1, got 0",
    ]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"path": "a", "url": "b"}, "needs exactly one of path, url and hub"),
        ({}, "needs exactly one of path, url and hub"),
        ({"path": "a", "revision": "b"}, "revision belongs to hub"),
    ],
)
def test_a_data_source_that_is_two_places_or_none(problems, train, message):
    assert problems(data={"train": train}) == {"data.train": message}


def test_a_label_is_one_line(problems):
    entries = [{"method": "lora", "label": "a\nb"}]
    assert problems(adapters=entries) == {"adapters[0].label": "must be one line, got 'a\\nb'"}


def test_a_label_or_a_recipe_belongs_to_the_whole_mixture(problems):
    parts = [{"method": "lora", "targets": "Q", "label": "a"}, {"method": "dora", "targets": "U", "train": {}}]
    told = "belongs beside `mixed`, not to a part of it"
    assert problems(adapters=[{"mixed": parts}]) == {
        "adapters[0].mixed[0].label": told,
        "adapters[0].mixed[1].train": told,
    }
