"""lm-eval's own tasks by name, over small data sets that lie where it looks for the hub's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM

from harness.errors import RunError
from harness.spec.run import Decoding, RunSpec
from harness.store.records import TaskResult

Scored = Callable[..., tuple[TaskResult, ...]]
PIQA = [{"goal": f"Open jar {item}", "sol1": "Twist it.", "sol2": "Eat it whole.", "label": 0} for item in range(6)]
GSM8K = [{"question": f"What is {item} + 1?", "answer": f"It is {item + 1}\n#### {item + 1}"} for item in range(6)]


def put(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "validation"):
        put(tmp_path / "baber" / "piqa", split, PIQA)
    for split in ("train", "test"):
        put(tmp_path / "openai" / "gsm8k", split, GSM8K)
    files = "".join(f"  - {{split: {split}, path: {split}.jsonl}}\n" for split in ("train", "test"))
    head = f"---\nconfigs:\n- config_name: main\n  data_files:\n{files}---\n"
    (tmp_path / "openai" / "gsm8k" / "README.md").write_text(head)


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_a_choice_and_a_generated_answer_are_scored_as_lm_eval_defines_them(
    make_run: Callable[..., RunSpec], model: LlamaForCausalLM, scored: Scored
) -> None:
    choice, generated = scored(make_run(), model, "piqa", "gsm8k_cot_zeroshot")
    assert (choice.task, choice.version) == ("piqa", "1.0")
    assert [(score.metric, score.n) for score in choice.scores] == [("acc", 6), ("acc_norm", 6)]
    assert len({sample.answer for sample in choice.samples} - {"Twist it.", "Eat it whole."}) == 0
    assert (generated.task, generated.version) == ("gsm8k_cot_zeroshot", "3.0")
    metrics = [score.metric for score in generated.scores]
    assert metrics == ["exact_match,strict-match", "exact_match,flexible-extract", "output_tokens"]


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_beams_with_a_tasks_stop_strings_in_batches_are_refused_with_the_reason(
    make_run: Callable[..., RunSpec], model: LlamaForCausalLM, scored: Scored
) -> None:
    with pytest.raises(RunError, match=r"stop strings .* only go together one item at a time") as error:
        scored(make_run(decoding=Decoding(beams=2)), model, "gsm8k_cot_zeroshot")
    assert error.value.kind == "config"
    scored(make_run(decoding=Decoding(beams=2), batch_size=1, limit=1), model, "gsm8k_cot_zeroshot")


@pytest.mark.slow
def test_without_its_data_a_task_says_so(
    make_run: Callable[..., RunSpec],
    model: LlamaForCausalLM,
    scored: Scored,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(RunError, match="piqa: its data can't be read") as error:
        scored(make_run(), model, "piqa")
    assert error.value.kind == "data"
