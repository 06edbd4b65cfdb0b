"""`harness validate`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from harness.adapters.catalogue import Catalogue, find_methods
from harness.cli.main import Settings
from harness.cli.options import as_json, print_json
from harness.errors import Problem, SpecError
from harness.paths import builtin_dir
from harness.spec.experiment import ExperimentSpec


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option(
    "--profile", metavar="P", help="Only this profile. Default: $HARNESS_PROFILE, else each that the file has."
)
@as_json
@click.pass_obj
def validate(settings: Settings, specs: tuple[str, ...], profile: str | None, as_json: bool) -> None:
    """Find every problem in experiment files at once.

    Needs neither data nor weights. Exits with 2 if there is a problem. A warning is none: rules of `exclude` that take
    out nothing.
    """
    problems, warnings = list[Problem](), dict[Problem, None]()
    valid: list[str] = []
    methods = find_methods(settings.adapters)
    profile = profile or os.environ.get("HARNESS_PROFILE")
    for spec in specs:
        found = _problems(methods, spec, profile, warnings)
        problems += found
        valid += [] if found else [spec]
    if as_json:
        told = {"problems": problems, "warnings": warnings}
        print_json({"valid": valid} | {name: [vars(problem) for problem in found] for name, found in told.items()})
    for problem in warnings:
        click.echo(f"warning: {problem}", err=True)
    if problems:
        raise SpecError(problems)
    if not as_json:
        for spec in valid:
            click.echo(f"{spec}: valid")


def _problems(methods: Catalogue, spec: str, profile: str | None, warnings: dict[Problem, None]) -> list[Problem]:
    from harness.spec.files import profiles_of
    from harness.spec.grid import idle_rules
    from harness.spec.load import load_experiment

    try:
        names = [profile] if profile else profiles_of(Path(spec))
    except SpecError as error:
        return list(error.problems)
    found: dict[Problem, None] = {}
    for name in names:
        try:
            experiment = load_experiment(spec, name, (), methods)
            found.update(dict.fromkeys(_class_problems(experiment)))
            warnings.update(dict.fromkeys(idle_rules(experiment)))
        except SpecError as error:
            found.update(dict.fromkeys(error.problems))
    return list(found)


def _class_problems(experiment: ExperimentSpec) -> Iterator[Problem]:
    """What is wrong with the classes of methods that are not built in; theirs are tested."""
    from harness.pipeline.classes import class_problems
    from harness.spec.entries import methods_of

    for method in methods_of(experiment.file.adapters, experiment.methods):
        if not Path(method.file).resolve().is_relative_to(builtin_dir("adapters")):
            yield from class_problems(method)
