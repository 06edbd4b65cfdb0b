"""From the settings of one point to the content that identifies it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.adapters.catalogue import Catalogue
from harness.adapters.params import filled, resolve_config, resolve_params
from harness.catalog.apis import URLS
from harness.catalog.data import DataFile, data_set
from harness.catalog.files import sha256_of
from harness.catalog.models import ModelEntry, model_entry
from harness.catalog.prompts import prompt
from harness.catalog.trained import trained_adapter
from harness.errors import NotFoundError
from harness.spec.run import (
    AdapterRef,
    Api,
    ApiRef,
    DataRef,
    Decoding,
    LoadedRef,
    ModelRef,
    PartRef,
    PromptRef,
    Sampling,
    ScoreSettings,
    SourceRef,
    TrainSettings,
    WordingRef,
)
from harness.spec.schema import BaseSpec, DataSpec, PartSpec, PlaceSpec, ScoreSpec, TrainSpec

MIXED = "mixed"
TIMEOUT = 120.0
MAX_RETRIES = 5


def resolve_model(base: BaseSpec) -> tuple[ModelRef, ModelEntry]:
    """The base model. Raises NotFoundError for a name that is no model."""
    if base.api is not None:
        return _served(base, base.api)
    entry = model_entry(base.model, base.revision)
    content = f"hub:{entry.location}@{entry.revision}" if entry.source == "hub" else f"sha256:{entry.sha256}"
    name = entry.location if entry.source == "local" else entry.name
    dtype = base.dtype or entry.dtype
    reference = ModelRef(
        name=name, revision=entry.revision, content=content, dtype=dtype, quantization=base.quantization
    )
    return reference, entry


def revision_faults(base: BaseSpec) -> dict[str, str]:
    """Messages by field: a revision of a model that has none. Expects a name that is a model."""
    if base.api is not None or base.revision is None or (entry := model_entry(base.model)).source == "hub":
        return {}
    held = "embedded" if entry.source == "embedded" else "in a package" if entry.source == "package" else "a directory"
    return {"base.revision": f"belongs to hub models (owner/name), got {base.revision!r} for {entry.name}, {held}"}


def _served(base: BaseSpec, api: Api) -> tuple[ModelRef, ModelEntry]:
    reference = ApiRef(
        protocol=api,
        url=base.url or URLS[api],
        timeout=TIMEOUT if base.timeout is None else base.timeout,
        max_retries=MAX_RETRIES if base.max_retries is None else base.max_retries,
    )
    entry = ModelEntry(base.model, base.model, "api", reference.url)
    return ModelRef(name=base.model, content=f"api:{base.model}", api=reference), entry


def resolve_data(data: DataSpec) -> DataRef:
    """The training data. Raises NotFoundError for a data set that the catalog doesn't know."""
    drawn = {"fraction": data.fraction, "limit": data.limit, "validation": data.validation}
    if isinstance(data.train, str):
        name, sources = _catalog_sources(data.train)
        return DataRef(name=name, sources=sources, **drawn)
    if data.train.mix is None:
        source = _own_source(data.train)
        return DataRef(name=source.name, sources=(source,), **drawn)
    parts = [(part.weight, *_part_sources(part)) for part in data.train.mix]
    return DataRef(
        name=" + ".join(f"{weight:g} {name}" for weight, name, _ in parts),
        sources=tuple(source for _, _, sources in parts for source in sources),
        mix=tuple(PartRef(weight=weight, sources=len(sources)) for weight, _, sources in parts),
        **drawn,
    )


def _part_sources(part: PartSpec) -> tuple[str, tuple[SourceRef, ...]]:
    if part.train is not None:
        return _catalog_sources(part.train)
    source = _own_source(part)
    return source.name, (source,)


def _catalog_sources(name: str) -> tuple[str, tuple[SourceRef, ...]]:
    known = data_set(name)
    return known.name, tuple(_catalog_source(file, known.format) for file in known.files)


def _catalog_source(entry: DataFile, format: str) -> SourceRef:
    sha256 = entry.content()
    return SourceRef(
        kind="catalog",
        location=entry.file,
        name=entry.file,
        format=format,
        content=f"sha256:{sha256}" if sha256 else f"catalog:{entry.file}",
        wording=WordingRef(**asdict(entry.wording)) if entry.wording else None,
        columns=dict(entry.columns),
        replace=entry.replace,
    )


def _own_source(source: PlaceSpec) -> SourceRef:
    read = {"format": source.format, "columns": source.columns}
    if source.path is not None:
        path = Path(source.path)
        content = f"sha256:{sha256_of(path)}" if path.is_file() else f"path:{path.name}"
        return SourceRef(kind="path", location=str(path), name=path.name, content=content, **read)
    if source.url is not None:
        content = f"sha256:{source.sha256}" if source.sha256 else f"url:{source.url}"
        return SourceRef(kind="url", location=source.url, name=source.url, content=content, **read)
    revision = source.revision or "main"
    return SourceRef(
        kind="hub",
        location=str(source.hub),
        name=str(source.hub),
        revision=revision,
        content=f"hub:{source.hub}@{revision}",
        config=source.config,
        split=source.split,
        **read,
    )


def resolve_prompt(name: str) -> PromptRef:
    """The template texts of a prompt that the catalog has."""
    found = prompt(name)
    return PromptRef(
        name=name,
        train=found.train,
        score=found.score,
        answer_after=found.answer_after,
        max_tokens=found.max_tokens,
    )


def resolve_train(train: TrainSpec) -> TrainSettings:
    """The hyper-parameters, with one epoch where neither epochs nor steps are set."""
    values = train.model_dump()
    if values["epochs"] is None and values["steps"] is None:
        values["epochs"] = 1.0
    return TrainSettings(**values)


def resolve_score(score: ScoreSpec, tasks_path: str | None, served: bool = False) -> ScoreSettings:
    """The scoring protocol. An API's sampling knows no top_k, so that none (0) is recorded for it."""
    sample = score.decoding.sample
    if sample and served:
        sample = sample.model_copy(update={"top_k": 0})
    decoding = Decoding(beams=score.decoding.beams or 1, sample=Sampling(**sample.model_dump()) if sample else None)
    return ScoreSettings(
        decoding=decoding,
        limit=score.limit,
        batch_size=score.batch_size,
        tasks_path=tasks_path,
        store_outputs=score.store_outputs,
        merge=score.merge,
    )


def resolve_adapter(entry: dict[str, Any], methods: Catalogue, model_type: str | None) -> AdapterRef:
    """An entry's method with its arguments; a mixture's parts likewise.

    Raises ValueError where the architecture lacks a target letter, NotFoundError where there is no adapter to load.
    """
    if MIXED in entry:
        parts = tuple(resolve_adapter(part, methods, model_type) for part in entry[MIXED])
        return AdapterRef(method=MIXED, config_class="harness.tuners:MixedConfig", parts=parts)
    method = methods.method(entry["method"])
    params = resolve_params(method, {key: value for key, value in entry.items() if key in method.params})
    return AdapterRef(
        method=method.method,
        trains=method.trains,
        config_class=method.config_class,
        config=resolve_config(method, params, model_type),
        callbacks=filled(method.callbacks, params),
        trainer=method.trainer,
        optimizer=method.optimizer,
        optimizer_args=filled(method.optimizer_args, params),
        loads=_loaded(filled(method.loads, params)) if method.loads else None,
        params=params,
        mergeable=method.mergeable,
    )


def _loaded(named: dict[str, Any]) -> LoadedRef:
    if named["path"] is None:
        raise NotFoundError("path is required: the adapter's directory in PEFT's format, or a hub id")
    found = trained_adapter(named["path"], named.get("revision"))
    return LoadedRef(
        path=found.location,
        revision=found.revision,
        content=found.content,
        base_model=found.base_model,
        parameters=found.parameters,
    )
