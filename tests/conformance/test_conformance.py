"""PEFT's own tests pass with our tuners, as they do with the methods that PEFT ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from .expected import FEWEST_PASSES, FILES, NEEDS_HUB, NOT_LINEAR, SKIPS
from .results import Result
from .sdist import SdistUnavailable, peft_tests
from .suite import function_of, passes

pytestmark = pytest.mark.slow


def test_none_of_pefts_tests_fails(results: dict[str, Result]) -> None:
    failures = [f"{test}\n{result.reason}" for test, result in results.items() if result.outcome == "failed"]
    assert not failures, "\n\n".join([f"{len(failures)} failed", *failures])


def test_the_tests_that_need_the_hub_are_those_known(results: dict[str, Result]) -> None:
    assert {test for test, result in results.items() if result.outcome == "xfailed"} == set(NEEDS_HUB)


def test_as_many_pass_as_ever(results: dict[str, Result], tuner: str) -> None:
    passed = passes(results)
    assert passed.total() > FEWEST_PASSES
    assert {file: passed[file] for file, fewest in FILES.items() if passed[file] < fewest[tuner]} == {}


def test_only_what_does_not_apply_is_skipped(results: dict[str, Result], tuner: str) -> None:
    reasons = {result.reason for result in results.values() if result.outcome == "skipped"}
    known = {begin: {reason for reason in reasons if reason.startswith(begin)} for begin in SKIPS[tuner]}
    assert reasons - set().union(*known.values()) == set()
    assert [begin for begin, found in known.items() if not found] == []


def test_merging_is_skipped_for_non_linear_adapters_only(results: dict[str, Result]) -> None:
    skipped = [test for test, result in results.items() if result.reason == NOT_LINEAR]
    passed = [test for test, result in results.items() if result.outcome == "passed"]
    merging = {function_of(test) for test in skipped}
    assert not [test for test in skipped if "identity" in test]
    assert merging <= {function_of(test) for test in passed if "identity" in test}
    assert {"test_merge_layers", "test_safe_merge"} <= {function.rpartition("::")[2] for function in merging}


def test_a_version_without_an_sdist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SdistUnavailable, match=r"peft 0\.21\.999"):
        peft_tests("0.21.999", tmp_path)
    assert list(tmp_path.iterdir()) == []
