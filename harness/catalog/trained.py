"""Adapters that were trained before: a directory in PEFT's format, or one on the hub."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.catalog.files import sha256_of_all
from harness.catalog.models import HUB_ID
from harness.errors import NotFoundError

CONFIG = "adapter_config.json"
SAFE, PICKLED = "adapter_model.safetensors", "adapter_model.bin"


@dataclass(frozen=True)
class TrainedAdapter:
    """An adapter's files.

    content: `sha256:...` of weights and configuration, or `hub:id@revision`; base_model: the base that its
    configuration names; parameters: how many values its weights hold, None for pickled ones. Neither is known of a
    hub adapter that was never fetched.
    """

    source: Literal["local", "hub"]
    location: str
    content: str
    revision: str | None = None
    base_model: str | None = None
    parameters: int | None = None
    fetched: bool = True


def trained_adapter(path: str, revision: str | None = None) -> TrainedAdapter:
    """The adapter that `path` names: a directory, or a hub id.

    Raises NotFoundError for a path that can be neither, and for a directory that is no adapter or a broken one.
    """
    if os.path.isdir(path):
        if revision is not None:
            raise NotFoundError(f"a directory has no revision, got {revision!r}")
        return _local(Path(path).absolute())
    if HUB_ID.match(path) and ".." not in path and "--" not in path:
        return _hub(path, revision or "main")
    other = "" if os.path.isabs(path) else " and no hub id (owner/name)"
    raise NotFoundError(f"{path} is no directory here{other}")


def fetch_trained(name: str, revision: str | None) -> None:
    """Fetches a hub adapter's configuration (a few kilobytes) into the hub's cache, where `trained_adapter` finds it.

    Raises what `huggingface_hub.hf_hub_download` raises when the hub can't be reached or has no such adapter.
    """
    from huggingface_hub import hf_hub_download

    hf_hub_download(name, CONFIG, revision=revision)


def _local(folder: Path) -> TrainedAdapter:
    config, weights = folder / CONFIG, _weights(folder)
    if not config.is_file() and (folder / "config.json").is_file():
        raise NotFoundError(f"{folder} holds a whole model, no adapter: name it as base.model, with method none")
    if not config.is_file() or weights is None:
        lacking = CONFIG if not config.is_file() else f"{SAFE} or {PICKLED}"
        raise NotFoundError(f"{folder} is no adapter in PEFT's format: it holds no {lacking}")
    return TrainedAdapter(
        source="local",
        location=str(folder),
        content=f"sha256:{sha256_of_all((config, weights))}",
        base_model=_read_config(config).get("base_model_name_or_path"),
        parameters=_count(weights),
    )


def _hub(name: str, revision: str) -> TrainedAdapter:
    folder = _fetched(name, revision)
    weights = _weights(folder) if folder else None
    return TrainedAdapter(
        source="hub",
        location=name,
        content=f"hub:{name}@{revision}",
        revision=revision,
        base_model=_read_config(folder / CONFIG).get("base_model_name_or_path") if folder else None,
        parameters=_count(weights) if weights else None,
        fetched=folder is not None,
    )


def _fetched(name: str, revision: str) -> Path | None:
    """Where the hub's cache holds an adapter."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, CONFIG, revision=revision)
    return Path(path).parent if isinstance(path, str) else None


def _weights(folder: Path) -> Path | None:
    return next((folder / name for name in (SAFE, PICKLED) if (folder / name).is_file()), None)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise NotFoundError(f"{path} can't be read: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise NotFoundError(f"{path} is no adapter's configuration: it names no peft_type")
    return config


def _count(weights: Path) -> int | None:
    """How many values a file of safetensors holds, from its header; None for a pickled one."""
    if weights.name != SAFE:
        return None
    size = weights.stat().st_size
    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = max((entry["data_offsets"][1] for entry in tensors), default=0)
        count = sum(math.prod(entry["shape"]) for entry in tensors)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise NotFoundError(f"{weights} is no safetensors file, or a broken one") from None
    if 8 + length + end != size:
        raise NotFoundError(f"{weights} is broken: it has {size:,} bytes where its header says {8 + length + end:,}")
    return count
