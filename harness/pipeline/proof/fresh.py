"""What the fresh process does: it loads adapters that another process saved, and says what the model answers."""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from harness.pipeline.classes import hushed, told
from harness.pipeline.proof.probe import logits
from harness.spec.run import AdapterRef, ModelRef


def main() -> None:
    """Answers orders, one JSON line each, until there are no more.

    Order: `{adapter, model, folder, ids, mask, output}`; the logits are written to `output`. Answer: `{error}`.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    bases: dict[str, Any] = {}
    for line in sys.stdin:
        print(json.dumps({"error": _error(json.loads(line), bases)}), file=answers, flush=True)


def _error(order: dict[str, Any], bases: dict[str, Any]) -> str | None:
    try:
        with hushed():
            _load(order, bases)
    except Exception as error:  # noqa: BLE001 - a method's own code
        return told(error)
    return None


def _load(order: dict[str, Any], bases: dict[str, Any]) -> None:
    import torch

    from harness.train.adapter import load_adapter
    from harness.train.base_model import load_base

    reference = ModelRef.model_validate(order["model"])
    if reference.content not in bases:
        bases[reference.content] = load_base(reference, torch.device("cpu"))[0]
    base = copy.deepcopy(bases[reference.content])
    model = load_adapter(base, Path(order["folder"]), AdapterRef.model_validate(order["adapter"]))
    found = logits(model, torch.tensor(order["ids"]), torch.tensor(order["mask"]))
    np.save(order["output"], found.numpy())
