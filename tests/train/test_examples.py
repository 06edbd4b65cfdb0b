"""Reading training examples and drawing a run's share of them."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness.catalog.files import locate
from harness.errors import PrerequisiteError, RunError
from harness.spec.resolve import resolve_data
from harness.spec.run import DataRef, SourceRef
from harness.spec.schema import DataSpec, SourceSpec
from harness.train.examples import Example, data_fingerprints, draw, read

from .runs import data_file, rows


def source(path: Path, format: str = "instruction") -> SourceRef:
    return SourceRef(kind="path", location=str(path), name=path.name, format=format)


def data(*sources: SourceRef, **choice: float) -> DataRef:
    return DataRef(name="mine", sources=sources, **choice)


def write(path: Path, content: list[dict[str, str]]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(content), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, content[0])
            writer.writeheader()
            writer.writerows(content)
    else:
        import pandas

        pandas.DataFrame(content).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_every_kind_of_file_gives_the_same_examples(tmp_path: Path, suffix: str) -> None:
    content = [{"instruction": "two\nlines, and \u2028 one", "input": "", "output": 'a "quoted" answer'}, *rows(2)]
    examples = read(data(source(write(tmp_path / f"x{suffix}", content))))
    assert examples == [Example("instruction", row["instruction"], row["input"], row["output"]) for row in content]


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("\n".join(json.dumps(row) for row in rows(3)), encoding="utf-8")
    assert len(read(data(source(path)))) == 3


def test_sources_follow_each_other_in_the_order_they_are_named(tmp_path: Path) -> None:
    first, second = write(tmp_path / "b.json", rows(4)[2:]), write(tmp_path / "a.json", rows(4)[:2])
    instructions = [example.instruction for example in read(data(source(first), source(second)))]
    assert instructions == [row["instruction"] for row in rows(4)[2:] + rows(4)[:2]]


def test_formats_other_than_instruction(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]
    assert read(data_file(tmp_path / "t.json", [{"text": "all"}], "text")) == [Example("text", text="all")]
    pairs = data_file(tmp_path / "p.json", [{"prompt": "2+2=", "completion": "4"}], "prompt_completion")
    assert read(pairs) == [Example("prompt_completion", instruction="2+2=", output="4")]
    talk = data_file(tmp_path / "m.json", [{"messages": turns}], "messages")
    assert read(talk) == [Example("messages", messages=tuple(turns))]


def test_a_row_without_a_column_is_named_with_the_columns_there(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [*rows(2), {"question": "who?", "answer": "me"}])
    with pytest.raises(RunError, match=r"x\.jsonl row 3: no instruction, output .*columns are question, answer") as it:
        read(data(source(path)))
    assert it.value.kind == "data"


@pytest.mark.parametrize(
    ("row", "format", "message"),
    [
        ({"instruction": "a", "output": 4}, "instruction", "output must be text, got int"),
        ("just text", "instruction", "must be a mapping of columns, got str"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages", "ends with the assistant's"),
    ],
)
def test_rows_of_the_wrong_kind_are_refused(tmp_path: Path, row: object, format: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        read(data_file(tmp_path / "x.json", [row], format))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"instruction,output", r"x\.json is neither a JSON array nor JSON lines"),
        ("x.json", b"", r"x\.json is empty"),
        ("x.csv", b"instruction,output\n", r"x\.csv holds no rows"),
        ("x.json", b"[]", r"x\.json holds no rows"),
        ("x.json", b'{\n"data": [1],\n"version": 2}', r"is one JSON dict with the keys data, version, neither"),
        ("x.json", b'[{"instruction": "a", "output": "b"}, {"instr', r"row 2: no valid JSON: .*is the file cut off\?"),
        (
            "x.json",
            b'[{"instruction": "a"}, {"output" "b"}, {"c": 1}]',
            r"row 2: no valid JSON: Expecting ':'.*char 33\)$",
        ),
        ("x.jsonl", b'{"a": 1}\n\n{"a": 2}\n{"a', r"row 3 \(line 4\): no valid JSON: .*; is the file cut off\?"),
        ("x.jsonl", b'{"a": 1}\nnonsense\n{"a": 2}\n', r"row 2 \(line 2\): no valid JSON: Expecting value$"),
        ("x.jsonl", b'{"a": 1}\n{"a": "\xff"}', r"x\.jsonl line 2 is not UTF-8 \(byte 0xff\)"),
        ("x.json", b"\n<!doctype html><html>", r"x\.json is a web page, in spite of its name"),
        ("x.csv", b"PK\x03\x04", r"x\.csv is a zip archive"),
        ("x.json", b"version https://git-lfs.github.com/spec/v1", r"is a Git LFS pointer"),
        ("x.csv", b"instruction,output\na,b\na,b,c\n", r"row 2: has 3 cells, its header 2"),
        ("x.csv", b"instruction,output\na,b\na\n", r"row 2: has 1 cells, its header 2"),
        ("x.csv", b'instruction,output\na,"b', r"row 1: no valid CSV: .*is the file cut off\?"),
        ("x.parquet", b"PAR1 and then nothing", r"can't be read as Parquet: it is cut off or damaged"),
        ("x.parquet", b"\x1f\x8b\x08", r"can't be read as Parquet: it is a gzip archive"),
        ("x.txt", b"text", r"x\.txt: unknown kind of file; use \.json, \.jsonl, \.csv, \.parquet"),
    ],
)
def test_a_broken_or_other_file_is_named_with_what_was_found(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=message) as it:
        read(data(source(tmp_path / name)))
    assert it.value.kind == "data"


def test_a_wrong_format_is_answered_with_the_one_that_fits(tmp_path: Path) -> None:
    pairs = data_file(tmp_path / "p.json", [{"prompt": "2+2=", "completion": "4"}], "messages")
    message = r"row 1: no messages \(format messages\); .* prompt, completion, which fit format prompt_completion"
    with pytest.raises(RunError, match=message):
        read(pairs)


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{"question": "who?", "answer": "me", "input": "no part of it"}])
    renamed = source(path).model_copy(update={"columns": {"instruction": "question", "output": "answer"}})
    assert read(data(renamed)) == [Example("instruction", "who?", "no part of it", "me")]
    with pytest.raises(RunError, match="no reply"):
        read(data(source(path).model_copy(update={"columns": {"instruction": "question", "output": "reply"}})))


def test_gsm8ks_answers_end_in_the_words_that_llm_adapters_scores(tmp_path: Path) -> None:
    answer = "She sold 48/2 = <<48/2=24>>24 clips.\n48+24 = <<48+24=72>>72 in all.\n#### 1,072"
    path = write(tmp_path / "x.jsonl", [{"question": "How many?", "answer": answer}])
    known = resolve_data(DataSpec(train="gsm8k")).sources[0]
    (example,) = read(data(known.model_copy(update={"kind": "path", "location": str(path), "content": ""})))
    assert example.instruction == "How many?"
    assert example.output == "She sold 48/2 = 24 clips.\n48+24 = 72 in all.\nThe answer is 1,072."


@pytest.mark.skipif("HARNESS_DATA" not in os.environ, reason="needs gsm8k/train.jsonl under $HARNESS_DATA")
def test_all_of_gsm8k_is_read_and_holds_its_answers() -> None:
    known = resolve_data(DataSpec(train="gsm8k"))
    raw = [json.loads(line) for line in locate("gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()]
    examples = read(known)
    assert len(examples) == len(raw) == 7473
    for example, row in zip(examples, raw, strict=True):
        assert "<<" not in example.output
        number = row["answer"].rpartition("#### ")[2]
        assert re.findall(r"-?[\d,]*\d\.?\d*", example.output)[-1].rstrip(".") == number


def test_a_hub_data_set_is_loaded_by_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder stands for the hub, which `datasets` loads in the same call."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "hub"
    folder.mkdir()
    write(folder / "train.jsonl", rows(3))
    write(folder / "test.jsonl", rows(2))
    hub = SourceRef(kind="hub", location=str(folder), name="mine", revision="main")
    assert [example.output for example in read(data(hub))] == [row["output"] for row in rows(3)]
    assert len(read(data(hub.model_copy(update={"split": "test"})))) == 2
    with pytest.raises(RunError, match=r"data set .*hub@main can't be loaded: .*nothing.*"):
        read(data(hub.model_copy(update={"split": "nothing"})))


def test_what_the_hub_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def load_dataset(*names: str | None, **options: str) -> list[dict[str, str]]:
        asked.append((*names, options))
        return rows(1)

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    read(resolve_data(DataSpec(train=SourceSpec(hub="a/b", revision="abc", config="main", split="train[:50%]"))))
    read(resolve_data(DataSpec(train=SourceSpec(hub="a/b"))))
    assert asked == [
        ("a/b", "main", {"revision": "abc", "split": "train[:50%]"}),
        ("a/b", None, {"revision": "main", "split": "train"}),
    ]


def test_a_missing_file_is_the_users_to_provide(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"gone\.json is not there"):
        read(data(source(tmp_path / "gone.json")))


def test_what_was_read_has_a_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", rows(2))
    before = data_fingerprints(data(source(path)))
    write(path, rows(3))
    assert before.keys() == {"x.json"}
    assert before != data_fingerprints(data(source(path)))


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    planned = source(write(tmp_path / "x.json", rows(2)))
    planned = planned.model_copy(update={"content": f"sha256:{data_fingerprints(data(planned))['x.json']}"})
    assert len(read(data(planned))) == 2
    write(tmp_path / "x.json", rows(3))
    with pytest.raises(RunError, match="has changed since the run was planned"):
        read(data(planned))


def drawn(seed: int = 0, total: int = 100, **choice: float) -> tuple[list[Example], list[Example]]:
    return draw([Example("text", text=str(i)) for i in range(total)], data(**choice), seed)


def test_a_smaller_fraction_lies_within_a_larger_one() -> None:
    tenth, fifth = (drawn(fraction=share, validation=20)[0] for share in (0.1, 0.2))
    assert len(tenth) == 8
    assert len(fifth) == 16
    assert tenth == fifth[:8]


def test_the_validation_set_is_the_same_for_every_fraction_and_disjoint() -> None:
    small, held_out = drawn(fraction=0.1, validation=20)
    everything, same = drawn(validation=20)
    assert held_out == same
    assert len(held_out) == 20
    assert not set(held_out) & set(everything)
    assert set(small) <= set(everything)
    assert len(everything) == 80


def test_another_seed_draws_other_examples() -> None:
    assert drawn(seed=0, fraction=0.2) == drawn(seed=0, fraction=0.2) != drawn(seed=1, fraction=0.2)


def test_limit_bounds_the_training_examples() -> None:
    assert drawn(limit=7)[0] == drawn()[0][:7]
    assert len(drawn(limit=50, fraction=0.1)[0]) == 10


def test_a_draw_that_leaves_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(RunError, match="leaves none to train on"):
        drawn(total=10, validation=10)
