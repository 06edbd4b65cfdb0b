"""A task's test file that can't be asked blocks its runs before any weight is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.catalog.data import DataFile
from harness.catalog.files import sha256_of
from harness.pipeline.plan import plan
from harness.pipeline.task_data import check_test_file

from .conftest import Small

BOOLQ = Path("data/boolq/test.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds no items"),
        ("{}", "holds no items"),
        ('[{"instruction": "1 +', "is no JSON array of items"),
        ('["1 + 1?"]', "row 1: must be a mapping of columns, got str"),
        ('[{"instruction": "?", "answer": "2"}, {"question": "?", "answer": "4"}]',
         "row 2: no instruction; the columns are question, answer"),
        ('[{"instruction": "?", "answer": null}]', "row 1: no answer; the columns are instruction, answer"),
    ],
)  # fmt: skip
def test_the_plan_names_the_file_and_the_row(content: str, message: str, small: Small, place: Path) -> None:
    runs = small.runs()
    (place / BOOLQ).write_text(content)
    (planned,) = plan(runs, small.store).runs
    assert planned.action == "blocked"
    assert [obstacle.field for obstacle in planned.obstacles if BOOLQ.name in obstacle.message] == ["tasks"]
    assert f"test data of llm_adapters_boolq: {place / BOOLQ} {message}" in planned.reason


def test_a_file_that_is_mended_blocks_no_more(small: Small, place: Path) -> None:
    runs, whole = small.runs(), (place / BOOLQ).read_text()
    (place / BOOLQ).write_text("[]")
    blocked = plan(runs, small.store).runs[0].reason
    (place / BOOLQ).write_text(whole)
    assert plan(runs, small.store).runs[0].reason != blocked


def test_a_users_own_task_may_have_its_own_columns(place: Path) -> None:
    (place / "mine.json").write_text('[{"question": "1 + 1?"}]')
    check_test_file(DataFile(str(place / "mine.json")), built_in=False)


def test_a_file_that_the_catalog_fixes_is_not_read_again(place: Path) -> None:
    (place / "mine.json").write_text("[]")
    check_test_file(DataFile(str(place / "mine.json"), sha256_of(place / "mine.json")), built_in=True)
