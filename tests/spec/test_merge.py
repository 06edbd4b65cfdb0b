"""Documents laid over each other, and `--set`."""

from __future__ import annotations

import pytest

from harness.located import parse_yaml
from harness.spec.merge import assignments, merge


def merged(*texts: str) -> dict:
    return merge(*(parse_yaml(text, "x.yaml") for text in texts)).data


def test_mappings_merge_by_key_and_lists_replace():
    found = merged("a: {b: 1, c: [1, 2]}\nd: 1", "a: {c: [3]}\nd: {e: 1}")

    assert found == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ("train: {epochs: 2}", "train: {steps: 5}", {"train": {"steps": 5}}),
        ("train: {epochs: 2}", "train: {steps: null}", {"train": {"epochs": 2, "steps": None}}),
        ("data: {train: {path: a}}", "data: {train: {hub: b}}", {"data": {"train": {"hub": "b"}}}),
        ("data: {train: {url: a, sha256: b}}", "data: {train: {path: c}}", {"data": {"train": {"path": "c"}}}),
        ("data: {train: {url: a, sha256: b}}", "data: {train: {url: c}}", {"data": {"train": {"url": "c"}}}),
        (
            "data: {train: {url: a, sha256: b}}",
            "data: {train: {url: a, format: text}}",
            {"data": {"train": {"url": "a", "sha256": "b", "format": "text"}}},
        ),
        (
            "data: {train: {hub: a, revision: b, config: c, split: d, format: text}}",
            "data: {train: {hub: e, split: f}}",
            {"data": {"train": {"hub": "e", "split": "f", "format": "text"}}},
        ),
        ("base: {model: a, revision: b}", "base: {model: c}", {"base": {"model": "c"}}),
        ("base: {model: a, revision: b}", "base: {dtype: c}", {"base": {"model": "a", "revision": "b", "dtype": "c"}}),
        (
            "score: {decoding: {beams: 4}}",
            "score: {decoding: {sample: {top_k: 5}}}",
            {"score": {"decoding": {"sample": {"top_k": 5}}}},
        ),
    ],
)
def test_a_later_choice_replaces_the_one_that_it_excludes(below, above, expected):
    assert merged(below, above) == expected


def test_a_place_that_set_gives_takes_the_fields_of_the_former_one_with_it():
    below = parse_yaml("data: {train: {url: a, sha256: b}}", "x.yaml")
    found = merge(below, assignments(["data.train.path=c"], []))
    assert (found.data, ("data", "train", "sha256") in found.marks) == ({"data": {"train": {"path": "c"}}}, False)


def test_every_value_keeps_the_place_where_it_was_written():
    below = parse_yaml("a:\n  b: 1\n  c: 2\n", "below.yaml")
    above = parse_yaml("\n\na: {c: 3}\n", "above.yaml")

    found = merge(below, above)

    assert (found.mark(("a", "b")).file, found.mark(("a", "b")).line) == ("below.yaml", 2)
    assert (found.mark(("a", "c")).file, found.mark(("a", "c")).line) == ("above.yaml", 3)


def test_merging_changes_neither_document():
    below = parse_yaml("a: {b: {c: 1}}", "x")
    merge(below, parse_yaml("a: {b: {c: 2}}", "y"))

    assert below.data == {"a": {"b": {"c": 1}}}


def test_set_reads_values_as_yaml_and_the_last_one_wins():
    found = assignments(["a.b=1e-3", "a.c=[1, 2]", "a.d=", "a.b=text", "matrix.adapter.r=[4]"], []).data

    assert found == {"a": {"b": "text", "c": [1, 2], "d": None}, "matrix": {"adapter.r": [4]}}


def test_every_text_of_set_that_is_no_assignment_is_told():
    problems = []

    assert assignments(["a", "=1", "a.b=[1", "a..b=2", "c=1"], problems).data == {"c": 1}
    assert [str(problem) for problem in problems] == [
        "--set a: must be a.b=value",
        "--set =1: must be a.b=value",
        "--set a.b: '[1' is no YAML value",
        "--set a..b=2: must be a.b=value",
    ]
