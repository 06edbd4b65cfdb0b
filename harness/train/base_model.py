"""Loading a base model and its tokenizer, ready to be trained or scored."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from transformers import (
    AutoConfig,
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
from harness.train.lengths import context_of


def load_base(ref: ModelRef, device: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that `ref` names, in evaluation mode on `device`, and its tokenizer with a padding token.

    Raises PrerequisiteError for a missing package, weights that can't be fetched, or a tokenizer without an
    end-of-text token.
    """
    tokenizer = load_tokenizer(ref.name, ref.revision)
    entry = model_entry(ref.name, ref.revision)
    source = {"pretrained_model_name_or_path": _weights(entry), "revision": entry.revision or "main"}
    placed = {} if device.type == "cpu" else {"device_map": {"": device}}
    try:
        model = AutoModelForCausalLM.from_pretrained(**source, **_precision(entry, ref), **placed)
    except OSError as error:
        raise PrerequisiteError(f"{entry.name} can't be loaded from {entry.location}: {error}") from error
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval(), tokenizer


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A model's tokenizer; where it has no padding token of its own, it pads with the end-of-text token.

    Raises PrerequisiteError for one that can't be had or is damaged, or that has no end-of-text token.
    """
    entry = model_entry(name, revision)
    folder = _weights(entry)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, revision=entry.revision or "main")
    except Exception as error:  # whatever a hub brings, or a damaged file makes of the libraries
        raise PrerequisiteError(
            f"the tokenizer of {entry.name} can't be loaded from {entry.location}: {_first_line(error)}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise PrerequisiteError(
            f"the tokenizer of {entry.name} has no end-of-text token; set eos_token in its directory"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_context(name: str, revision: str | None = None) -> int | None:
    """The tokens that a model takes at once, by its configuration; None where that doesn't say.

    Raises PrerequisiteError for a configuration that can't be had or is of no known model.
    """
    entry = model_entry(name, revision)
    try:
        return context_of(AutoConfig.from_pretrained(_weights(entry), revision=entry.revision or "main"))
    except Exception as error:
        raise PrerequisiteError(f"the configuration of {entry.name} can't be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
