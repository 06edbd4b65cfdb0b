"""A method's file: what it may say and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.adapters.method import load_method

SHIPPED = sorted((Path(__file__).parents[2] / "adapters").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_method_can_be_read_and_is_named_as_its_file(path):
    found = load_method(path)

    assert (found.method, bool(found.title), bool(found.family)) == (path.stem, True, True)
    assert all(param.help for param in found.params.values())


def test_a_baseline_is_one_file(method):
    found = method("params: {r: 4, alpha: 2r}\nconfig: {r: '${r}', lora_alpha: '${alpha}'}\n")

    assert (found.method, found.title, found.trains, found.file) == ("mine", "mine", "adapter", "mine.yaml")
    assert (found.params["r"].type, found.params["alpha"].type) == ("int", "float")


@pytest.mark.parametrize(
    ("default", "kind"),
    [("3", "int"), ("0.5", "float"), ("2r", "float"), ("0.1steps", "float"), ("4bit", "str"), ("true", "bool"),
     ("[a]", "list"), ("null", "any"), ("text", "str")],
)  # fmt: skip
def test_a_parameters_type_is_its_defaults(method, default, kind):
    assert method(f"params: {{r: 4, x: {default}}}\n").params["x"].type == kind


def test_callbacks_have_a_class_and_arguments(method):
    found = method("callbacks: ['a.b:C', {class: 'a.b:D', args: {n: 1}}]\n")

    assert found.callbacks == ({"class": "a.b:C", "args": {}}, {"class": "a.b:D", "args": {"n": 1}})


def test_an_optimizer_has_a_factory_and_arguments(method):
    plain = method("optimizer: a.b:make\n")
    named = method("params: {ratio: 16}\noptimizer: {class: a.b:make, args: {ratio: '${ratio}'}}\n")

    assert (plain.optimizer, plain.optimizer_args) == ("a.b:make", {})
    assert (named.optimizer, named.optimizer_args) == ("a.b:make", {"ratio": "${ratio}"})


def test_what_is_wrong_with_a_family_limits_and_named_classes(problems):
    text = (
        "family: lowrank\n"
        "limits: {merge: it is non-linear, resumes: ''}\n"
        "optimizer: {class: a.b:make, arg: 3}\n"
        "callbacks:\n"
        "  - {class: a.b:C, args: [1]}\n"
        "  - {class: a.b:C, args: {every: '${r}'}}\n"
    )
    assert problems(text) == [
        "mine.yaml:3 family: unknown family 'lowrank', did you mean 'low-rank'?",
        "mine.yaml:4 limits.merge: unknown check, did you mean 'merges'?",
        "mine.yaml:4 limits.resumes: must be the reason as a text, got ''",
        "mine.yaml:5 optimizer.arg: unknown field, did you mean 'args'?",
        "mine.yaml:7 callbacks[0].args: must be a mapping, got [1]",
        "mine.yaml:8 callbacks[1].args.every: ${r} is no parameter, none is allowed here",
    ]


def test_every_problem_is_told_at_its_line(problems):
    text = (
        "methd: x\n"
        "trainer: nonsense\n"
        "mergeable: maybe\n"
        "params:\n"
        "  r: {default: 4, mni: 1}\n"
        "  s: {min: 1}\n"
        "  t: {default: 1, type: integer, max: many, choices: 3}\n"
        "config:\n"
        "  a: ${rr}\n"
        "  b: [x, '${q}']\n"
        "callbacks: [3]\n"
        "train: 5\n"
    )
    assert problems(text) == [
        "mine.yaml:3 methd: unknown field, did you mean 'method'?",
        "mine.yaml:4 trainer: must be module:Class, got 'nonsense'",
        "mine.yaml:5 mergeable: must be true or false, got 'maybe'",
        "mine.yaml:7 params.r.mni: unknown field, did you mean 'min'?",
        "mine.yaml:8 params.s: needs a default",
        "mine.yaml:9 params.t.choices: must be a list, got 3",
        "mine.yaml:9 params.t.max: must be a number, got 'many'",
        "mine.yaml:9 params.t.type: unknown type 'integer', did you mean 'int'?",
        "mine.yaml:11 config.a: ${rr} is no parameter, did you mean 'r'?",
        "mine.yaml:12 config.b[1]: ${q} is no parameter, allowed: r, s, t",
        "mine.yaml:13 callbacks[0]: must be module:Class or {class: module:Class, args: {...}}, got 3",
        "mine.yaml:14 train: must be a mapping, got 5",
    ]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("method: mine\n", "mine.yaml:1 method: needs a config_class (module:Class of a peft.PeftConfig)"),
        ("config_class: a:B\n", "mine.yaml:1 method: must be a lower-case name, got None"),
        ("method: Mine\nconfig_class: a:B\n", "mine.yaml:1 method: must be a lower-case name, got 'Mine'"),
        (
            "method: mine\ntrains: everything\n",
            "mine.yaml:2 trains: must be adapter, all or nothing, got 'everything'",
        ),
        ("method: mine\ntrains: nothing\nloads: {revision: x}\n", "mine.yaml:3 loads: needs a path"),
        ("method: mine\nconfig_class: a:B\nloads: {path: x}\n", "mine.yaml:3 loads: needs trains: nothing"),
        (
            "method: mine\ntrains: nothing\nloads: {path: x, pth: y}\n",
            "mine.yaml:3 loads.pth: unknown field, did you mean 'path'?",
        ),
        ("", "mine.yaml:1: must hold a mapping of fields"),
    ],
)
def test_what_is_no_method(problems, head, message):
    assert problems(head=head) == [message]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("r: {default: 0}", "params.r.default: default must be at least 1, got 0"),
        ("r: 0", "params.r: default must be at least 1, got 0"),
        ("alpha: -2", "params.alpha: default must be above 0, got -2"),
        ("x: {default: a, type: int}", "params.x.default: default must be a whole number, got 'a'"),
        ("x: {default: 3, choices: [1, 2]}", "params.x.default: default unknown value 3, allowed: 1, 2"),
        ("targets: QX", "params.targets: default knows the letters Q K V O G U D, got 'QX'"),
        ("x: {default: 3, min: 5, max: 2}", "params.x.min: must be at most max 2, got 5"),
        (
            "x: {default: null, follows: y, choices: [1]}",
            "params.x.follows: 'y' is no other parameter, none is allowed here",
        ),
        ("{x: {default: null, follows: y}, y: 1}", "params.x.follows: needs choices, and null as the default"),
        ("label: 3", "params.label: is a field of every adapter: call it otherwise"),
    ],
)
def test_a_parameter_that_no_experiment_could_use(problems, params, message):
    assert problems(f"params:\n  {params}\n") == [f"mine.yaml:4 {message}"]


def test_a_mixture_is_no_method(problems):
    head = "method: mixed\nconfig_class: a:B\n"
    assert problems(head=head) == ["mine.yaml:1 method: is what a mixture is called: choose another name"]
