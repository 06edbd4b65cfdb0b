"""Loading a base model and its tokenizer, ready to be trained or scored."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from harness.catalog.models import ModelEntry, model_entry
from harness.errors import PrerequisiteError
from harness.paths import PACKAGE
from harness.spec.run import ModelRef
from harness.train.gguf import converted


def load_base(ref: ModelRef, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that `ref` names, in evaluation mode on `device`, and its tokenizer with a padding token.

    Raises PrerequisiteError for a missing package, weights that can't be fetched, or a tokenizer without an
    end-of-text token.
    """
    entry = model_entry(ref.name, ref.revision)
    source = {"pretrained_model_name_or_path": _weights(entry), "revision": entry.revision or "main"}
    placed = {} if device.type == "cpu" else {"device_map": {"": device}}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source)
        _check_end(tokenizer, entry.name)
        model = AutoModelForCausalLM.from_pretrained(**source, **_precision(entry, ref), **placed)
    except OSError as error:
        raise PrerequisiteError(f"{entry.name} can't be loaded from {entry.location}: {error}") from error
    _set_padding(model, tokenizer)
    return model.eval(), tokenizer


def _weights(entry: ModelEntry) -> str:
    """What from_pretrained takes: a directory or a hub id."""
    if entry.source == "embedded":
        return str(PACKAGE / "catalog" / entry.location)
    if entry.source == "package":
        return str(converted(entry))
    return entry.location


def _precision(entry: ModelEntry, ref: ModelRef) -> dict[str, Any]:
    """The arguments of from_pretrained that decide how the weights are held."""
    dtype = entry.dtype if ref.dtype == "auto" else ref.dtype
    held = dtype if dtype == "auto" else getattr(torch, dtype)
    if ref.quantization == "none":
        return {"dtype": held}
    if find_spec("bitsandbytes") is None:
        raise PrerequisiteError(f"quantization: {ref.quantization} needs bitsandbytes: pip install bitsandbytes")
    if ref.quantization == "int8":
        return {"dtype": held, "quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    compute = torch.bfloat16 if dtype == "auto" else held
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )
    return {"dtype": held, "quantization_config": config}


def _check_end(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    if tokenizer.eos_token_id is None:
        raise PrerequisiteError(f"the tokenizer of {name} has no end-of-text token; set eos_token in its directory")


def _set_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Padding with the end-of-text token where the tokenizer has none of its own; the model is told too."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
