"""What is known of the training examples before training: their lengths, their flaws, their fit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import TrainSettings
from harness.train.examples import Example
from harness.train.flaws import flaws
from harness.train.lengths import length_report
from harness.train.rows import Rows, prepare
from harness.train.training import train

from .runs import data_file, prompt, rows, run_of


def prepared(path: Path, tokenizer: PreTrainedTokenizerFast, content: list, context: int | None, **settings) -> Rows:
    data = data_file(path / "x.json", content)
    return prepare(data, prompt("none"), TrainSettings(**settings), 0, tokenizer, context)


def long_rows(count: int) -> list[dict[str, str]]:
    return [{"instruction": "heron " * 300 + str(i), "output": "It is the heron."} for i in range(count)]


def test_percentiles_are_lengths_of_examples() -> None:
    lengths = random.Random(0).sample(range(1, 400), 100)
    report = length_report(lengths, max_length=80)
    ordered = sorted(lengths)
    assert report["mean"] == pytest.approx(sum(lengths) / 100)
    assert (report["p50"], report["p95"], report["max"]) == (ordered[49], ordered[94], ordered[99])
    assert report["truncated_percent"] == pytest.approx(sum(length > 80 for length in lengths))
    assert length_report([], max_length=80) == {}


def test_the_report_is_of_the_examples_before_they_are_cut(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    content = [*rows(30), *long_rows(10)]
    made = prepared(tmp_path, tokenizer, content, None, max_length=50)
    whole = sorted(len(tokenizer(row["instruction"])["input_ids"]) + len(
        tokenizer(row["output"])["input_ids"]) + 1 for row in content)  # fmt: skip
    report = made.quality["lengths"]
    assert (report["max"], report["p50"]) == (whole[-1], whole[19])
    assert report["mean"] == pytest.approx(sum(whole) / 40)
    assert report["truncated_percent"] == pytest.approx(100 * made.counts["truncated"] / 40)
    assert made.counts["truncated"] == sum(length > 50 for length in whole) > 0
    assert max(map(len, made.train["input_ids"])) == 50


def test_repeated_examples_and_empty_answers_are_counted(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    silent = [{"instruction": "Which?", "output": output} for output in ("", " \n")]
    made = prepared(tmp_path, tokenizer, [*rows(10), *rows(3), rows(1)[0], *silent], None)
    assert (made.counts["duplicates"], made.counts["empty_outputs"]) == (4, 2)
    assert made.counts["used"] == 16


def test_flaws_are_seen_in_every_format() -> None:
    talk = Example("messages", messages=({"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}))
    mute = Example("prompt_completion", instruction="2+2=", output="")
    text = Example("text", text="The heron waits.")
    assert flaws([talk, talk, mute, text, text, text]) == {"duplicates": 3, "empty_outputs": 3}


def test_examples_beyond_the_models_context_are_cut_and_counted(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    made = prepared(tmp_path, tokenizer, [*rows(97), *long_rows(3)], 256, max_length=2000)
    assert made.counts["truncated"] == 3
    assert max(map(len, made.train["input_ids"])) == 256
    assert made.quality["lengths"]["max_length"] == 256


def test_a_run_with_over_5_percent_beyond_the_context_fails_before_it_trains(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, base: PreTrainedModel, paths: RunPaths
) -> None:
    run = run_of(data_file(tmp_path / "x.json", [*rows(40), *long_rows(4)]), max_length=2000)
    steps: list[dict] = []
    with pytest.raises(RunError, match="4 of 44 training examples are longer than the model's context of 256") as it:
        train(run, paths, base, tokenizer, emit=steps.append, should_stop=lambda: False)
    assert it.value.kind == "data"
    assert steps == []
    shorter = run.model_copy(update={"train": run.train.model_copy(update={"max_length": 200, "steps": 1})})
    result, _ = train(shorter, paths, base, tokenizer, emit=steps.append, should_stop=lambda: False)
    assert result.counts["truncated"] == 4
    assert result.provenance["lengths"]["max"] > 256
    assert result.provenance["prefix"] == {"checked": 20, "mismatched": 0, "first": None}
