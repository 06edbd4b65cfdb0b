"""Base models: known by name, in a local directory, or on the hub."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.catalog.files import sha256_of_all
from harness.errors import NotFoundError, nearest
from harness.paths import PACKAGE

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")  # the hub takes 96 characters
MODEL_SUFFIXES = {".safetensors", ".bin", ".gguf", ".json", ".model", ".txt"}


@dataclass(frozen=True)
class ModelEntry:
    """A base model: where its weights come from and, where known without them, its architecture.

    `config` is transformers' configuration as a mapping (with `model_type`), None while it is unknown:
    a hub model that was never fetched, a model behind an API.
    """

    name: str
    title: str
    source: Literal["embedded", "package", "hub", "local", "api"]
    location: str
    revision: str | None = None
    dtype: str = "auto"
    config: dict[str, Any] | None = None
    sha256: str | None = None
    requires: tuple[str, ...] = ()
    notes: str = ""


@lru_cache
def _catalog() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((PACKAGE / "catalog" / "models.yaml").read_text(encoding="utf-8"))


def model_names() -> list[str]:
    """Every catalog name and alias."""
    return [name for entry, fields in _catalog().items() for name in (entry, *fields.get("aliases", ()))]


def model_title(name: str) -> str | None:
    """What a model of the catalog is called in full; None for others."""
    return _catalog().get(name, {}).get("title")


def model_entry(name: str, revision: str | None = None) -> ModelEntry:
    """The model that `base.model` names: a catalog name or alias, a local directory, or a hub id.

    Raises NotFoundError for a name that can be none of them.
    """
    for key, fields in _catalog().items():
        if name == key or name in fields.get("aliases", ()):
            return _known(key, fields, revision)
    if os.path.isdir(name):
        return _local(Path(name).absolute())
    if HUB_ID.match(name) and not name.endswith((".", "-")) and ".." not in name and "--" not in name:
        return ModelEntry(name, name, "hub", name, revision or "main", config=_fetched_config(name, revision))
    if Path(name).is_absolute():
        raise NotFoundError(f"{name} is no directory here")
    hint = nearest(name, model_names())
    raise NotFoundError(f"{name!r} is no catalog name, no directory here and no hub id (owner/name); {hint}")


def _known(name: str, fields: dict[str, Any], revision: str | None) -> ModelEntry:
    rest = {key: value for key, value in fields.items() if key not in ("aliases", "requires")}
    entry = ModelEntry(name=name, **rest, requires=tuple(fields.get("requires", ())))
    if entry.source == "embedded":
        folder = PACKAGE / "catalog" / entry.location
        return replace(entry, config=_read_config(folder), sha256=sha256_of_all(_files(folder)))
    if entry.source == "hub":
        return replace(entry, revision=revision or "main")
    return entry


def _local(folder: Path) -> ModelEntry:
    config = _read_config(folder)
    if config is None:
        raise NotFoundError(f"{folder} holds no config.json; a model directory is what save_pretrained writes")
    return ModelEntry(
        folder.name, folder.name, "local", str(folder), config=config, sha256=sha256_of_all(_files(folder))
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES)


def _read_config(folder: Path) -> dict[str, Any] | None:
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise NotFoundError(f"{path} can't be read: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise NotFoundError(f"{path} is no model's configuration: it names no model_type")
    return config


def _fetched_config(name: str, revision: str | None) -> dict[str, Any] | None:
    """A hub model's configuration, if it lies in the hub's local cache."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, "config.json", revision=revision)
    return json.loads(Path(path).read_text(encoding="utf-8")) if isinstance(path, str) else None


def fetch_config(name: str, revision: str | None) -> None:
    """Fetches a hub model's configuration (a few kilobytes) into the hub's cache, where `model_entry` finds it.

    Raises what `huggingface_hub.hf_hub_download` raises when the hub can't be reached or has no such model.
    """
    from huggingface_hub import hf_hub_download

    hf_hub_download(name, "config.json", revision=revision)
