"""What a run needs that may be missing here, found before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.catalog.data import data_sets
from harness.catalog.models import ModelEntry, fetch_config, model_entry
from harness.catalog.tasks import tasks, tasks_in
from harness.errors import HarnessError, PrerequisiteError
from harness.spec.run import RunSpec, SourceRef


def obstacles(run: RunSpec, missing: Sequence[str], training: bool = True) -> list[str]:
    """Everything that stands in the way of training the run (if it must) and scoring its missing tasks."""
    found = list(_model_obstacles(run))
    if training:
        found += [*_optimizer_obstacles(run), *_data_obstacles(run)]
    return [*found, *_task_obstacles(run, missing)]


def _model_obstacles(run: RunSpec) -> Iterator[str]:
    entry = model_entry(run.model.name, run.model.revision)
    for package in entry.requires:
        if not _installed(package):
            yield f"{entry.name} needs the package {package}: pip install {' '.join(entry.requires)}"
    if run.model.quantization != "none" and not _installed("bitsandbytes"):
        yield f"quantization {run.model.quantization} needs bitsandbytes: pip install bitsandbytes"
    if entry.config is None and entry.source == "hub":
        yield f"the configuration of {entry.name} could not be fetched; is the name right, are you online?"


def _optimizer_obstacles(run: RunSpec) -> Iterator[str]:
    optimizer = run.train.optimizer if run.train else ""
    if ("8bit" in optimizer or "paged" in optimizer) and not _installed("bitsandbytes"):
        yield f"optimizer {optimizer} needs bitsandbytes: pip install bitsandbytes"


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _data_obstacles(run: RunSpec) -> Iterator[str]:
    for source in run.data.sources if run.data else ():
        try:
            _check_source(source)
        except HarnessError as error:
            yield f"training data: {error}"


def _check_source(source: SourceRef) -> None:
    if source.kind == "catalog":
        known = {file.file: file for entry in data_sets().values() for file in entry.files}
        known[source.location].check()
    elif source.kind == "path" and not Path(source.location).is_file():
        raise PrerequisiteError(f"{source.location} is not there")


def _task_obstacles(run: RunSpec, missing: Sequence[str]) -> Iterator[str]:
    known = tasks() | (tasks_in(Path(run.score.tasks_path)) if run.score.tasks_path else {})
    for name in missing:
        file = known[name].file if name in known else None
        try:
            if file is not None:
                file.check()
        except HarnessError as error:
            yield f"test data of {name}: {error}"


def fetch_configs(names: Sequence[tuple[str, str | None]]) -> None:
    """Fetches the configurations of hub models that the catalog doesn't hold; what fails stays unknown."""
    for name, revision in dict.fromkeys(names):
        entry: ModelEntry = model_entry(name, revision)
        if entry.source == "hub" and entry.config is None:
            with suppress(Exception):  # any way in which a hub can't be reached; the plan names the obstacle
                fetch_config(name, revision)
