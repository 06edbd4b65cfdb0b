"""Whether a run's training data is here and can be read, and fetching what has an address of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from harness.catalog.data import data_sets
from harness.catalog.files import locate
from harness.catalog.holdings import fetch_url, url_path
from harness.errors import HarnessError, PrerequisiteError, RunError
from harness.spec.run import DataRef, RunSpec, SourceRef
from harness.train.examples import Example, draw, drawn_count, read_source


def data_faults(data: DataRef) -> Iterator[str]:
    """What is wrong with each source: absent, not what the catalog says, or a row that can't be read.

    If nothing is, whether the draw leaves examples to train on. What lies on a hub or has not been fetched from
    its address yet is not looked at.
    """
    counts: list[int] | None = []
    for source in data.sources:
        try:
            count = _count(source, None if data.mix else data.name)
        except (HarnessError, RunError) as error:
            yield str(error)
            count = None
        counts = None if counts is None or count is None else [*counts, count]
    if counts is not None and (fault := _draw_fault(data.model_dump_json(), tuple(counts))):
        yield fault


def example_counts(data: DataRef) -> tuple[int, ...] | None:
    """How many examples each source has; None where one is elsewhere.

    Raises HarnessError or RunError where one is absent or can't be read.
    """
    counts = [_count(source, None if data.mix else data.name) for source in data.sources]
    return None if None in counts else tuple(count for count in counts if count is not None)


def drawn(data: DataRef, counts: Sequence[int]) -> int:
    """How many training examples a run draws from sources of so many each. Raises RunError where none are left."""
    return _drawn(data.model_dump_json(), tuple(counts))


def fetch_addresses(runs: Iterable[RunSpec]) -> bool:
    """Fetches the files of addresses that are not here yet; says whether there were any.

    Raises PrerequisiteError where one can't be had.
    """
    sources = [source for run in runs if run.data for source in run.data.sources if source.kind == "url"]
    absent = {source.location: source for source in sources if not url_path(source.location).is_file()}
    for address, source in absent.items():
        try:
            fetch_url(address, source.sha256)
        except PrerequisiteError as error:
            raise PrerequisiteError(f"training data: {error}") from None
    return bool(absent)


def _count(source: SourceRef, name: str | None) -> int | None:
    """How many examples a source has, all of them read; None where it is elsewhere."""
    if source.kind == "hub" or (source.kind == "url" and not url_path(source.location).is_file()):
        return None
    if source.kind == "catalog":
        known = {file.file: file for entry in data_sets().values() for file in entry.files}
        known[source.location].check(name)
    path = url_path(source.location) if source.kind == "url" else locate(source.location)
    stat = path.stat()
    return _read_count(source.model_dump_json(), path, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _read_count(source: str, path: Path, size: int, mtime_ns: int) -> int:
    return len(read_source(SourceRef.model_validate_json(source)))


@lru_cache
def _draw_fault(data: str, counts: tuple[int, ...]) -> str | None:
    """What is wrong with the draw from sources of so many examples each."""
    try:
        _drawn(data, counts)
    except RunError as error:
        return str(error)
    return None


@lru_cache
def _drawn(data: str, counts: tuple[int, ...]) -> int:
    ref = DataRef.model_validate_json(data)
    if not ref.mix:
        return drawn_count(ref, sum(counts))
    examples = [
        example
        for part, count in zip(ref.owners, counts, strict=True)
        for example in [Example("text", part=part)] * count
    ]
    return len(draw(examples, ref, seed=0)[0])
