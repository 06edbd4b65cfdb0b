"""Benchmarks: those that are shipped."""

from __future__ import annotations

import pytest

from harness.catalog.benchmarks import benchmarks
from harness.catalog.tasks import suite_of, tasks


@pytest.mark.parametrize("name", benchmarks())
def test_a_shipped_benchmark_has_tasks_of_one_suite_that_weigh_the_same(name):
    found = benchmarks()[name]
    assert set(found.tasks) <= set(tasks())
    assert len(set(found.tasks)) == len(found.tasks) > 1
    assert len({suite_of(task) for task in found.tasks}) == 1
    assert (found.title != name, found.weights) == (True, {})


def test_arithmetic_is_the_papers_four_tasks():
    prefix = "llm_adapters_"
    assert benchmarks()["arithmetic"].tasks == tuple(prefix + name for name in ("gsm8k", "aqua", "addsub", "svamp"))
    assert set(benchmarks()["arithmetic_7"].tasks) > set(benchmarks()["arithmetic_mawps"].tasks)


def test_a_task_that_is_none_of_ours_is_lm_evals():
    assert (suite_of("llm_adapters_boolq"), suite_of("boolq")) == ("llm_adapters", "lm_eval")
