"""How much of a run's test sets stands in its training data, measured once for each pair of contents."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.paths import home
from harness.spec.run import DataRef
from harness.store.records import TaskResult

if TYPE_CHECKING:
    from harness.score.items import Items
    from harness.train.examples import Example

METHOD = 1
"""Which way of measuring a kept result is of."""


def overlaps(data: DataRef | None, tasks: Mapping[str, Items]) -> dict[str, dict[str, Any]]:
    """By task: the counts of `train.overlap.measure` over the whole training data, whatever share of it is drawn.

    Empty where nothing is trained. Training data that can't be read (an adapter was kept, its data was not) leave
    `{error: why}`: a measurement is no reason to lose a run.
    """
    if data is None:
        return {}
    try:
        return _measured(data, tasks)
    except Exception as error:  # noqa: BLE001 - whatever a file or a hub does
        return {name: {"error": f"{type(error).__name__}: {error}"} for name in tasks}


def noted(results: Iterable[TaskResult], found: Mapping[str, dict[str, Any]]) -> Iterator[TaskResult]:
    """The results as they come, each with what was found of its task in its provenance."""
    for result in results:
        known = {"overlap": found[result.task]} if result.task in found else {}
        yield replace(result, provenance={**result.provenance, **known})


def _measured(data: DataRef, tasks: Mapping[str, Items]) -> dict[str, dict[str, Any]]:
    from harness.train.examples import read
    from harness.train.overlap import measure

    kept = {name: _file(data, items) for name, items in tasks.items()}
    found = {name: json.loads(path.read_text()) for name, path in kept.items() if path is not None and path.is_file()}
    missing = {name: items.texts for name, items in tasks.items() if name not in found}
    if missing:
        new = measure(_texts(read(data)), missing)
        for name, counts in new.items():
            _keep(kept[name], counts)
        found |= new
    return {name: found[name] for name in tasks}


def _texts(examples: Iterable[Example]) -> Iterator[str]:
    """Everything that the examples say, each question and each answer a text of its own."""
    for example in examples:
        if example.format == "messages":
            yield from (str(message["content"]) for message in example.messages)
            continue
        yield "\n".join(filter(None, [example.instruction, example.input])) or example.text
        if example.output:
            yield example.output


def _file(data: DataRef, items: Items) -> Path | None:
    """Where the counts of this pair lie; None for training data of unknown content, which is measured each time."""
    from harness.train.examples import data_fingerprints

    if any(source.kind == "url" or (source.kind == "hub" and not source.revision) for source in data.sources):
        return None
    sources = [source.model_dump(mode="json", exclude={"location", "name", "kind"}) for source in data.sources]
    pair = json.dumps([METHOD, sources, list(data_fingerprints(data).values()), items.fingerprint], sort_keys=True)
    return home() / "overlap" / f"{hashlib.sha256(pair.encode()).hexdigest()[:24]}.json"


def _keep(path: Path | None, counts: Mapping[str, int]) -> None:
    """Writes the counts whole or not at all: other workers read them."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(json.dumps(counts))
    part.replace(path)
