"""A task's fingerprint: what it depends on, and what it does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.score.fingerprint import task_content, task_fingerprint

HELPER = "def load(**metadata):\n    return None\n"
TASK = """
include: base
task: mine
custom_dataset: !function harness.score.testset.load
doc_to_text: !function helper.load
process_results: !function harness.score.rules.same_text
metadata: {version: 1.0, title: Mine, suite: own, file: %s}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "base").write_text("output_type: generate_until\ntask: base\nnum_fewshot: 0\n")
    (folder / "helper.py").write_text(HELPER)
    (folder / "data.json").write_text("[]")
    (folder / "mine.yaml").write_text(TASK % (folder / "data.json"))
    return folder


def fingerprint(folder: Path) -> str:
    return task_fingerprint(task_content(folder / "mine.yaml"))


def test_does_not_depend_on_where_the_files_lie(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "second")
    (copy / "mine.yaml").write_text(TASK % (copy / "data.json"))
    assert fingerprint(copy) == fingerprint(folder)


def test_is_the_same_in_another_process_without_heavy_imports(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.score.fingerprint import task_content, task_fingerprint; "
        f"import harness.score.rules, harness.score.prompting, harness.score.testset; "
        f"print(task_fingerprint(task_content(Path({str(folder / 'mine.yaml')!r})))); "
        "print(sorted({'torch', 'lm_eval', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.split("\n")[:2] == [fingerprint(folder), "[]"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("data.json", "[]", "[{}]"),
        ("base", "num_fewshot: 0", "num_fewshot: 1"),
        ("helper.py", "None", "{}"),
        ("mine.yaml", "version: 1.0", "version: 1.1"),
        ("mine.yaml", "same_text", "same_number"),
    ],
)
def test_changes_with_what_decides_a_score(folder: Path, file: str, old: str, new: str) -> None:
    before = fingerprint(folder)
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    assert fingerprint(folder) != before


def test_does_not_change_with_a_title(folder: Path) -> None:
    before = fingerprint(folder)
    path = folder / "mine.yaml"
    path.write_text(path.read_text().replace("title: Mine", "title: Another"))
    assert fingerprint(folder) == before


def test_needs_the_data_file_of_a_built_in_loader_alone(folder: Path) -> None:
    (folder / "data.json").unlink()
    with pytest.raises(PrerequisiteError, match=r"data.json is not there"):
        fingerprint(folder)
    path = folder / "mine.yaml"
    path.write_text(path.read_text().replace("harness.score.testset.load", "helper.load"))
    assert len(fingerprint(folder)) == 64
