"""`harness data check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.catalog.holdings import Collection, Holding, holding
from harness.cli.data_files import chosen, end, file_json
from harness.cli.data_quality import quality_lines
from harness.cli.main import Settings
from harness.cli.options import as_json, print_json
from harness.errors import HarnessError, RunError

if TYPE_CHECKING:
    from harness.pipeline.data_quality import Measure
    from harness.spec.run import DataRef, RunSpec

EXPERIMENTS = (".yaml", ".yml")


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--model", metavar="M", help="Count tokens with this model's tokenizer, too.")
@click.option("--prompt", metavar="P", default="llm_adapters", show_default=True, help="The template that is counted.")
@click.option("--max-length", type=click.IntRange(min=1), default=256, show_default=True, help="Tokens an example.")
@as_json
@click.pass_obj
def check_data(
    settings: Settings, names: tuple[str, ...], model: str | None, prompt: str, max_length: int, as_json: bool
) -> None:
    """Check the content of the files that are here against the catalog's, and look at the training examples.

    NAME is a training set, a task, a benchmark, a file as `list` names it, or an experiment's file, whose own
    training data (its template and its max_length) are meant. Of training examples, those that repeat an earlier one
    and those without an answer are counted, and with --model their tokens. Exits with 2 if a file differs or can't be
    read.
    """
    files = [each for name in names if not name.endswith(EXPERIMENTS) for each in chosen([name])]
    asked = chosen(()) if not names else tuple(dict.fromkeys(files))
    found = {file.file: holding(file) for each in asked for file in each.files}
    here = [each for each in found.values() if each.path is not None]
    problems = [_difference(each) for each in here if each.state == "differs"]
    measure = _measure(model, prompt, max_length)
    looked_at = [_looked_at(name, data, measure) for name, data in _known_data(asked, found)]
    for name in names:
        if name.endswith(EXPERIMENTS):
            looked_at += [_looked_at(*each) for each in _experiments_data(settings, name, model)]
    problems += [each["problem"] for each in looked_at if each["problem"]]
    if as_json:
        print_json({"files": [file_json(each) for each in here], "training": looked_at, "passed": not problems})
    else:
        for each in here:
            click.echo(f"{each.state}: {each.file.file} ({each.path})")
        for line in (line for each in looked_at for line in quality_lines(each)):
            click.echo(line)
        if asked:
            wrong = sum(each.state == "differs" for each in here)
            click.echo(f"{len(here)} of {len(found)} files are here, {wrong} of them wrong")
    end(problems)


def _difference(each: Holding) -> str:
    return f"{each.path} is not the file that the catalog means by {each.file.file} ({each.fault})"


def _measure(model: str | None, prompt: str, max_length: int) -> Measure | None:
    """How tokens are counted. Raises NotFoundError for a model or template that is unknown."""
    from harness.catalog.models import model_entry
    from harness.pipeline.data_quality import Measure
    from harness.spec.resolve import resolve_prompt

    template = resolve_prompt(prompt)
    if model is None:
        return None
    return Measure(model_entry(model).name if not Path(model).is_dir() else model, template, max_length)


def _known_data(asked: Sequence[Collection], found: dict[str, Holding]) -> Iterator[tuple[str, DataRef]]:
    """The catalog's training sets all of whose files are here."""
    from harness.catalog.data import data_sets
    from harness.spec.resolve import resolve_data
    from harness.spec.schema import DataSpec

    for each in asked:
        if each.name in data_sets() and all(found[file.file].path is not None for file in each.files):
            yield each.name, resolve_data(DataSpec(train=each.name))


def _experiments_data(
    settings: Settings, path: str, model: str | None
) -> Iterator[tuple[str, DataRef, Measure | None]]:
    """What an experiment trains on, each of its data once, to be counted in its own template."""
    from harness.cli.options import load
    from harness.pipeline.data_quality import Measure
    from harness.spec.grid import expand

    runs: dict[str, RunSpec] = {}
    for run in expand(load(settings, path, None)):
        if run.data is not None and run.train is not None:
            runs.setdefault(run.data.name, run)
    for name, run in runs.items():
        assert run.data is not None and run.train is not None
        measure = Measure(model, run.prompt, run.train.max_length) if model else None
        yield f"{path}: {name}", run.data, measure


def _looked_at(name: str, data: DataRef, measure: Measure | None) -> dict[str, Any]:
    """What is found in training data; `problem`: why it can't be read."""
    from harness.pipeline.data_quality import quality

    try:
        return {"name": name, "problem": None, **quality(data, measure)}
    except (HarnessError, RunError) as error:
        return {"name": name, "problem": f"{name}: {error}"}
