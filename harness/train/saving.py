"""Saving trained weights: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def save_weights(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, target: Path) -> int:
    """Saves an adapter in PEFT's format, or a whole model with its tokenizer, and returns the weights' bytes.

    The directory appears at once and complete; one that is there already is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        if isinstance(model, PeftModel):
            # "auto" would ask the hub whether the vocabulary grew; the harness never resizes it.
            model.save_pretrained(draft, save_embedding_layers=False)
        else:
            model.save_pretrained(draft)
            tokenizer.save_pretrained(draft)
        size = sum(file.stat().st_size for file in draft.glob("*.safetensors"))
        _replace(draft, target)
        return size
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace(draft: Path, target: Path) -> None:
    draft.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.replace(target, old / target.name)
        os.replace(draft, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(draft, target)
