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
from harness.spec.run import (
    AdapterRef,
    Api,
    ApiRef,
    DataRef,
    Decoding,
    ModelRef,
    PromptRef,
    Sampling,
    ScoreSettings,
    SourceRef,
    TrainSettings,
    WordingRef,
)
from harness.spec.schema import BaseSpec, DataSpec, ScoreSpec, SourceSpec, TrainSpec

MIXED = "mixed"
TIMEOUT = 120.0
MAX_RETRIES = 5


def resolve_model(base: BaseSpec) -> tuple[ModelRef, ModelEntry]:
    """The base model. Raises NotFoundError for a name that is no model."""
    if base.api is not None:
        return _behind_api(base, base.api)
    entry = model_entry(base.model, base.revision)
    content = f"hub:{entry.location}@{entry.revision}" if entry.source == "hub" else f"sha256:{entry.sha256}"
    name = entry.location if entry.source == "local" else entry.name
    dtype = base.dtype or entry.dtype
    reference = ModelRef(
        name=name, revision=entry.revision, content=content, dtype=dtype, quantization=base.quantization
    )
    return reference, entry


def _behind_api(base: BaseSpec, api: Api) -> tuple[ModelRef, ModelEntry]:
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
    if isinstance(data.train, str):
        known = data_set(data.train)
        sources = tuple(_catalog_source(file, known.format) for file in known.files)
        name = known.name
    else:
        sources = (_own_source(data.train),)
        name = sources[0].name
    return DataRef(name=name, sources=sources, fraction=data.fraction, limit=data.limit, validation=data.validation)


def _catalog_source(entry: DataFile, format: str) -> SourceRef:
    sha256 = entry.content()
    return SourceRef(
        kind="catalog",
        location=entry.file,
        name=entry.file,
        format=format,
        content=f"sha256:{sha256}" if sha256 else f"catalog:{entry.file}",
        wording=WordingRef(**asdict(entry.wording)) if entry.wording else None,
    )


def _own_source(source: SourceSpec) -> SourceRef:
    if source.path is not None:
        path = Path(source.path)
        content = f"sha256:{sha256_of(path)}" if path.is_file() else f"path:{path.name}"
        return SourceRef(kind="path", location=str(path), name=path.name, format=source.format, content=content)
    if source.url is not None:
        return SourceRef(
            kind="url", location=source.url, name=source.url, format=source.format, content=f"url:{source.url}"
        )
    revision = source.revision or "main"
    return SourceRef(
        kind="hub",
        location=str(source.hub),
        name=str(source.hub),
        format=source.format,
        revision=revision,
        content=f"hub:{source.hub}@{revision}",
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


def resolve_score(score: ScoreSpec, tasks_path: str | None, behind_api: bool = False) -> ScoreSettings:
    """The scoring protocol. An API's sampling knows no top_k, so that none (0) is recorded for it."""
    sample = score.decoding.sample
    if sample and behind_api:
        sample = sample.model_copy(update={"top_k": 0})
    decoding = Decoding(beams=score.decoding.beams or 1, sample=Sampling(**sample.model_dump()) if sample else None)
    return ScoreSettings(
        decoding=decoding,
        limit=score.limit,
        batch_size=score.batch_size,
        tasks_path=tasks_path,
        store_outputs=score.store_outputs,
    )


def resolve_adapter(entry: dict[str, Any], methods: Catalogue, model_type: str | None) -> AdapterRef:
    """An entry's method with its arguments; a mixture's parts likewise.

    Raises ValueError where the architecture lacks a target letter.
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
        params=params,
        mergeable=method.mergeable,
    )
