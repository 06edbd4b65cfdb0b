"""Adapters on another base model than the one that they were trained on."""

from __future__ import annotations

from harness.catalog.models import model_entry
from harness.spec.run import LoadedRef, ModelRef, RunSpec


def foreign_base(run: RunSpec) -> str | None:
    """A warning where a run puts an adapter on another base than its configuration names; None where it doesn't."""
    return None if run.adapter.loads is None else foreign(run.model, run.adapter.loads)


def foreign(model: ModelRef, adapter: LoadedRef) -> str | None:
    """As `foreign_base`, for a model and an adapter. The last part of the names must be the same.

    `meta-llama/Meta-Llama-3-8B`, a mirror's copy of it and a directory of that name are one base: where a model lies
    says little of what it is.
    """
    if not adapter.base_model:
        return None
    entry = model_entry(model.name, model.revision)
    named, ours = _last(adapter.base_model), {_last(entry.name), _last(entry.location)}
    # A model that a package carries is converted into a directory that is called after it and its content.
    same = named.startswith(f"{_last(entry.name)}-") if entry.source == "package" else named in ours
    return None if same else f"was trained on {adapter.base_model}, and is put on {model.name}"


def _last(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
