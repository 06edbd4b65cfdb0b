"""A method's parameters: what an experiment may set, and what becomes of it."""

from __future__ import annotations

import time

import pytest

from harness.adapters.param import check_param
from harness.adapters.params import joint_problems, multiple_problems, resolve_config, resolve_params

PARAMS = (
    "params:\n"
    "  r: {default: 16, min: 0}\n"
    "  alpha: 2r\n"
    "  dropout: {default: 0.1, min: 0, max: 1}\n"
    "  kind: {default: a, choices: [a, b]}\n"
    "  flag: true\n"
    "  layers: null\n"
    "  warm: {default: 0.1steps, type: int}\n"
    "  targets: QV\n"
)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("r", 4, None),
        ("r", 0, "must be at least 1, got 0"),
        ("r", True, "must be a whole number, got True"),
        ("r", 1.5, "must be a whole number, got 1.5"),
        ("r", None, "must be a whole number, got None"),
        ("alpha", "2r", None),
        ("alpha", "0.5 * r", None),
        ("alpha", ".5r", None),
        ("alpha", "1e-1r", None),
        ("alpha", "2.E+1 r", None),
        ("alpha", ".r", "must be a number or a multiple such as 2r, got '.r'"),
        ("alpha", "e1r", "must be a number or a multiple such as 2r, got 'e1r'"),
        ("alpha", 0, "must be above 0, got 0"),
        ("alpha", 10**400, f"must be a number, got {10**400}"),
        ("alpha", "2steps", "must be a number or a multiple such as 2r, got '2steps'"),
        ("r", 2**31, f"must be a whole number, got {2**31}"),
        ("alpha", "2q", "must be a number or a multiple such as 2r, got '2q'"),
        ("dropout", 2, "must be at most 1, got 2"),
        ("dropout", float("nan"), "must be a number, got nan"),
        ("kind", "c", "unknown value 'c', allowed: a, b"),
        ("flag", 1, "must be true or false, got 1"),
        ("layers", [1, 2], None),
        ("layers", None, None),
        ("warm", "0.3steps", None),
        ("targets", "QKVOGUD", None),
        ("targets", "all-linear", None),
        ("targets", ["c_attn"], None),
        ("targets", "QX", "knows the letters Q K V O G U D, got 'QX'"),
        ("targets", "q_proj", "must be letters of QKVOGUD, a list of module names, or all-linear, got 'q_proj'"),
    ],
)
def test_what_a_parameter_takes(method, name, value, message):
    params = method(PARAMS).params
    assert check_param(params[name], value, params) == message


def test_multiples_follow_what_they_multiply(method):
    found = resolve_params(method(PARAMS), {"r": 8})
    assert (found["alpha"], found["warm"]) == (16, "0.1steps")
    assert resolve_params(method(PARAMS), {"r": 3, "alpha": "0.5r"})["alpha"] == 1.5
    assert resolve_params(method(PARAMS), {"r": 3, "alpha": ".5r"})["alpha"] == 1.5
    assert resolve_params(method(PARAMS), {"r": 4, "alpha": "25e-2r"})["alpha"] == 1


@pytest.mark.parametrize(
    ("written", "share"),
    [("0.3steps", "0.3steps"), (".3steps", ".3steps"), ("3e-1steps", "0.3steps"), ("0.10 * steps", "0.1steps")],
)
def test_training_understands_every_share_of_the_steps(method, written, share):
    assert multiple_problems(method(PARAMS), {"warm": written}) == {}
    assert resolve_params(method(PARAMS), {"warm": written})["warm"] == share


@pytest.mark.parametrize("value", ["9" * 400_000 + "!", "2" + " " * 400_000 + "!", "1e" + "9" * 400_000 + "!"])
def test_a_long_text_that_is_no_multiple_is_told_at_once(method, value):
    params, began = method(PARAMS).params, time.process_time()

    assert check_param(params["alpha"], value, params)
    assert time.process_time() - began < 1


def test_the_result_of_a_multiple_is_bounded_too(method):
    assert multiple_problems(method(PARAMS), {"alpha": "0r"}) == {"alpha": "must be above 0, got 0 from '0r'"}


def test_a_parameter_that_is_left_null_must_be_able_to_have_what_it_follows(method):
    found = method(
        "params:\n"
        "  first: {default: a, choices: [a, b, c]}\n"
        "  second: {default: null, follows: first, choices: [a, b]}\n"
    )
    told = {"first": "'c' can't be second too, which follows it: set second to one of a, b"}

    assert check_param(found.params["second"], None, found.params) is None
    assert joint_problems(found, {"first": "c"}) == told
    assert joint_problems(found, {"first": "c", "second": None}) == told
    assert joint_problems(found, {"first": "c", "second": "b"}) == {}


def test_a_multiple_follows_a_multiple(method):
    found = method("params: {r: 4, alpha: 2r, gamma: 0.5alpha}\n")
    assert resolve_params(found, {"r": 6}) == {"r": 6, "alpha": 12, "gamma": 6}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"r": "2alpha"}, {"r": "must be a multiple of a number, got '2alpha'"}),
        ({"alpha": "2warm"}, {"alpha": "must be a multiple of a number, got '2warm'"}),
        ({"alpha": "9" * 400 + "r"}, {"alpha": f"must be a finite number, got inf from '{'9' * 400}r'"}),
    ],
)
def test_a_multiple_of_itself_of_the_steps_or_of_too_much(method, given, message):
    assert multiple_problems(method(PARAMS), given) == message


def test_what_has_no_type_of_its_own_is_positive_all_the_same(method):
    params = method("params: {r: null, alpha: null}\n").params
    assert check_param(params["r"], -1, params) == "must be at least 1, got -1"
    assert check_param(params["alpha"], 0, params) == "must be above 0, got 0"


def test_a_reference_that_stands_alone_keeps_its_type(method):
    lines = ("a: ${r}", "b: '${dropout}'", "c: r${r}", "d: ['${flag}']", "e: {f: '${layers}'}", 'g: "${kind}"')
    found = method(f"{PARAMS}config:\n" + "".join(f"  {line}\n" for line in lines))

    config = resolve_config(found, resolve_params(found, {}), "llama")

    assert config == {"a": 16, "b": 0.1, "c": "r16", "d": [True], "e": {"f": None}, "g": "a"}


def test_letters_are_resolved_in_every_argument_that_names_modules(method):
    found = method(f"{PARAMS}config: {{target_modules: '${{targets}}', exclude_modules: D, other: QV}}\n")

    config = resolve_config(found, resolve_params(found, {}), "llama")

    assert config == {"target_modules": ["q_proj", "v_proj"], "exclude_modules": ["down_proj"], "other": "QV"}
    assert resolve_config(found, resolve_params(found, {}), None)["target_modules"] == "QV"
