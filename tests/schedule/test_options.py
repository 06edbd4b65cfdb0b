"""What `harness run` refuses of its options about workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import cli

EXPERIMENT = """\
name: few
base: {model: micro-llama}
data: {train: micro}
adapters: [{method: lora}]
tasks: [micro_true_false]
"""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--workers", "0"), "0 is not in the range 1<=x<=256"),
        (("--workers", "100000"), "100000 is not in the range 1<=x<=256"),
        (("--runs-per-device", "-1"), "-1 is not in the range 1<=x<=256"),
        (("--runs-per-device", "half"), "'half' is not a valid integer range"),
        (("--workers", "2", "--runs-per-device", "2"), "give --workers (processes in all) or --runs-per-device"),
        (("--executor", "in-process", "--workers", "2"), "one run after the other: --workers can't be more than 1"),
        (("--executor", "in-process", "--runs-per-device", "3"), "--runs-per-device can't be more than 1"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    options: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    (tmp_path / "few.yaml").write_text(EXPERIMENT)
    result = CliRunner().invoke(cli, ["run", "few.yaml", *options])

    assert result.exit_code == 2
    assert told in " ".join(f"{result.output} {result.exception}".split())
    assert [path.name for path in tmp_path.iterdir()] == ["few.yaml"]
