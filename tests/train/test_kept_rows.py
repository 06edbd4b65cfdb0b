"""Rows that are kept from run to run are those that would be made anew, and are made anew when they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import DataRef
from harness.train import kept_rows
from harness.train.kept_rows import KeptRows
from harness.train.rows import Rows, prepare
from harness.train.training import train

from .runs import METHODS, data_file, prompt, rows, run_of


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that rows were really made."""
    count: list[int] = []

    def counted(*arguments: Any) -> Rows:
        count.append(1)
        return prepare(*arguments)

    monkeypatch.setattr(kept_rows, "prepare", counted)
    return count


def asked(data: DataRef, **changes: Any) -> list[Any]:
    """The arguments of `prepare` but the tokenizer: a run's."""
    run = run_of(data, METHODS["lora"], **changes)
    return [run.data, run.prompt, run.train, run.seed]


def content(found: Rows) -> list[Any]:
    return [found.train.to_list(), found.validation.to_list(), found.counts, found.quality]


def test_what_is_kept_equals_what_is_made_anew(data: DataRef, tokenizer: Any, made: list[int]) -> None:
    kept, wanted = KeptRows(), content(prepare(*asked(data), tokenizer))

    assert content(kept.prepare(*asked(data), tokenizer)) == wanted
    assert content(kept.prepare(*asked(data), tokenizer)) == wanted
    assert len(made) == 1


def test_a_borrower_spoils_nothing_for_the_next(data: DataRef, tokenizer: Any) -> None:
    kept = KeptRows()
    lent = kept.prepare(*asked(data), tokenizer)
    wanted = content(prepare(*asked(data), tokenizer))
    lent.train.set_format("numpy", columns=["labels"])
    lent.counts["used"] = 0
    lent.quality.clear()

    assert content(kept.prepare(*asked(data), tokenizer)) == wanted


@pytest.mark.parametrize("changes", [{"max_length": 20}, {"loss_on": "completion"}], ids=["max_length", "loss_on"])
def test_other_settings_make_other_rows(
    data: DataRef, tokenizer: Any, made: list[int], changes: dict[str, Any]
) -> None:
    kept = KeptRows()
    kept.prepare(*asked(data), tokenizer)

    assert content(kept.prepare(*asked(data, **changes), tokenizer)) == content(
        prepare(*asked(data, **changes), tokenizer)
    )
    assert len(made) == 2


@pytest.mark.parametrize("place", ["prompt", "seed", "fraction", "context", "tokenizer"])
def test_whatever_decides_the_rows_makes_others(data: DataRef, tokenizer: Any, made: list[int], place: str) -> None:
    kept, (_, template, settings, seed) = KeptRows(), asked(data)
    kept.prepare(data, template, settings, seed, tokenizer)
    other = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="<s>", pad_token="</s>")
    changed = {
        "prompt": (data, prompt("none"), settings, seed, tokenizer),
        "seed": (data, template, settings, seed + 1, tokenizer),
        "fraction": (data.model_copy(update={"fraction": 0.5}), template, settings, seed, tokenizer),
        "context": (data, template, settings, seed, tokenizer, 250),
        "tokenizer": (data, template, settings, seed, other),
    }[place]
    kept.prepare(*changed)

    assert len(made) == 2


def test_how_rows_are_trained_on_makes_no_others(data: DataRef, tokenizer: Any, made: list[int]) -> None:
    kept = KeptRows()
    kept.prepare(*asked(data), tokenizer)
    kept.prepare(*asked(data, learning_rate=0.5, steps=9), tokenizer)

    assert len(made) == 1


def test_a_file_that_changed_is_read_again(tmp_path: Path, tokenizer: Any, made: list[int]) -> None:
    data, kept = data_file(tmp_path / "own.json", rows(6)), KeptRows()
    kept.prepare(*asked(data), tokenizer)
    (tmp_path / "own.json").write_text(json.dumps(rows(7)))

    assert kept.prepare(*asked(data), tokenizer).counts["read"] == 7
    assert len(made) == 2


def test_a_failure_is_told_each_time(tmp_path: Path, tokenizer: Any) -> None:
    data, kept = data_file(tmp_path / "own.json", [{"instruction": "?"}]), KeptRows()
    for _ in range(2):
        with pytest.raises(RunError, match="no output"):
            kept.prepare(*asked(data), tokenizer)


def test_no_more_is_kept_than_memory_is_given_and_the_oldest_goes_first(
    data: DataRef, tokenizer: Any, made: list[int]
) -> None:
    one = prepare(*asked(data), tokenizer)
    size = one.train.data.nbytes + one.validation.data.nbytes
    kept, (_, template, settings, _) = KeptRows(most_bytes=int(2.5 * size)), asked(data)
    for seed in (0, 1, 0, 2, 0, 1):  # 1 was used longest ago when 2 came
        kept.prepare(data, template, settings, seed, tokenizer)
    assert len(made) == 4
    nothing = KeptRows(most_bytes=0)
    for _ in range(2):
        nothing.prepare(*asked(data), tokenizer)
    assert len(made) == 6


def test_training_on_kept_rows_gives_the_same_bits(
    data: DataRef, fresh_base: Any, tokenizer: Any, tmp_path: Path
) -> None:
    kept, weights = KeptRows(), []
    for number, make in enumerate((prepare, kept.prepare, kept.prepare)):
        paths = RunPaths(tmp_path / str(number), "a1", "b2")
        run = run_of(data, METHODS["lora"], steps=3)
        silent: dict[str, Any] = {"emit": lambda event: None, "should_stop": lambda: False}
        train(run, paths, fresh_base(), tokenizer, make_rows=make, **silent)
        weights.append(load_file(paths.adapter / "adapter_model.safetensors"))

    for other in weights[1:]:
        assert all(torch.equal(weight, other[name]) for name, weight in weights[0].items())
