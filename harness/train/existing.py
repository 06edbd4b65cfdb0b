"""Putting an adapter that was trained before on its base."""

from __future__ import annotations

import json
import warnings
from typing import Any

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from peft import PeftModel
from transformers import PreTrainedModel

import harness.tuners  # noqa: F401 - registers our types with PEFT
from harness.catalog.trained import trained_adapter
from harness.errors import NotFoundError, RunError
from harness.spec.foreign import foreign
from harness.spec.run import LoadedRef, ModelRef
from harness.store.records import TrainResult
from harness.train.live import adapter_weights, saved_fingerprint

MISSING = "missing adapter keys"
"""What PEFT's warning says where a part of an adapter was not in its file."""


def load_existing(base: PreTrainedModel, model: ModelRef, ref: LoadedRef) -> tuple[PeftModel, TrainResult]:
    """`base`, which is `model`, with the adapter that `ref` names, in evaluation mode, and what is recorded of it.

    Raises RunError("data") where its files are not those that were planned with, and RunError("config") where it
    can't be loaded on this base, or only in part.
    """
    _check_content(ref)
    size = base.num_parameters()
    adapted = _loaded(base, ref)
    count = sum(tensor.numel() for tensor in adapter_weights(adapted).values())
    percent = 100 * count / (size + count)
    return adapted, TrainResult(0.0, 0, 0, None, count, size, percent, provenance=_provenance(adapted, model, ref))


def _check_content(ref: LoadedRef) -> None:
    try:
        found = trained_adapter(ref.path, ref.revision)
    except NotFoundError as error:
        raise RunError("data", str(error)) from None
    if found.content != ref.content:
        raise RunError("data", f"{ref.path} has changed since the run was planned: it is another adapter now")


def _loaded(base: PreTrainedModel, ref: LoadedRef) -> PeftModel:
    where: dict[str, Any] = {} if ref.revision is None else {"revision": ref.revision}
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            adapted = PeftModel.from_pretrained(base, ref.path, **where).eval()
    except KeyError as error:
        raise RunError("config", f"{ref.path} is an adapter of type {error}, which PEFT does not know here") from error
    except (ValueError, TypeError, RuntimeError, OSError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise RunError("config", f"{ref.path} can't be loaded on this base: {error}") from error
    lacking = [str(warning.message) for warning in told if MISSING in str(warning.message)]
    if lacking:
        raise RunError("config", f"{ref.path} can't be loaded on this base: {lacking[0]}")
    return adapted


def _provenance(adapted: PeftModel, model: ModelRef, ref: LoadedRef) -> dict[str, Any]:
    """Where it came from, and what it is."""
    config = adapted.active_peft_config.to_dict()
    return {
        "loaded": ref.model_dump(mode="json"),
        "warning": foreign(model, ref),
        "peft_config": json.loads(json.dumps(config, default=_plain)),
        "saved": saved_fingerprint(adapted),
    }


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
