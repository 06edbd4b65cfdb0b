"""`harness adapters check`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.adapters.catalogue import Catalogue, find_methods
from harness.adapters.method import Method, load_method
from harness.cli.main import Settings
from harness.cli.options import as_json, print_json
from harness.errors import Problem, SpecError

if TYPE_CHECKING:
    from harness.pipeline.proof.verdict import Proof


@click.command()
@click.argument("targets", nargs=-1, metavar="[FILE | METHOD]...")
@click.option("--all", "everything", is_flag=True, help="Every method that is found.")
@as_json
@click.pass_obj
def check(settings: Settings, targets: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Prove methods on the embedded model: seconds each, no network, nothing recorded.

    \b
    schema          the file can be used, its classes can be imported
    builds          it attaches to the model
    counts          parameters counted without weights are those of the model
    starts_as_base  untrained, it changes no output
    learns          the loss falls in 20 steps, at its own learning rate, or at 10 or 100 times that
    reloads         a fresh process that loads what was saved gives the same logits
    resumes         stopped at step 10 and begun again, it ends as straight training does, bit for bit
    size            of the saved weights
    merges          merged, it answers as before; with `mergeable: false` it refuses and changes nothing

    What a file declares in `limits` or as `mergeable: false` is no failure, unless it is not true. Exits with 1 for
    any other cross, 2 if a named file or method can't be used.
    """
    if everything == bool(targets):
        raise click.UsageError("name FILEs or METHODs, or --all")
    catalogue = find_methods(settings.adapters)
    methods = list(catalogue.methods.values()) if everything else _named(targets, catalogue)
    broken = catalogue.broken if everything else {}
    proofs = [*_proved(settings, methods), *_unusable(broken)]
    if as_json:
        passed = all(proof.passed for proof in proofs)
        print_json({"methods": [proof.to_json() for proof in proofs], "passed": passed})
    else:
        _show(proofs)
    if settings.verbose:
        _tracebacks(proofs)
    click.get_current_context().exit(0 if all(proof.passed for proof in proofs) else 1)


def _named(targets: Sequence[str], catalogue: Catalogue) -> list[Method]:
    """The methods that are meant, each once.

    Raises SpecError with every problem in their files, NotFoundError with the nearest name.
    """
    methods: dict[str, Method] = {}
    problems: list[Problem] = []
    for target in targets:
        try:
            method = _method(target, catalogue)
            methods.setdefault(os.path.realpath(method.file), method)
        except SpecError as error:
            problems += error.problems
    problems += [problem for method in methods.values() for problem in _file_problems(method)]
    if problems:
        raise SpecError(problems)
    return list(methods.values())


def _method(target: str, catalogue: Catalogue) -> Method:
    is_file = target.endswith((".yaml", ".yml")) or Path(target).name != target
    return load_method(Path(target), target) if is_file else catalogue.method(target)


def _file_problems(method: Method) -> list[Problem]:
    from harness.pipeline.classes import class_problems
    from harness.spec.entries import method_file_problems

    return [*method_file_problems(method), *class_problems(method)]


def _proved(settings: Settings, methods: Sequence[Method]) -> Iterator[Proof]:
    from harness.cli.check_progress import progress
    from harness.pipeline.proof.prove import Prover

    with _ended_by_sigterm(), progress(len(methods), settings.quiet) as shown, Prover(shown.begin) as prover:
        for method in methods:
            proof = prover.prove(method)
            shown.end(proof)
            yield proof


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM is taken as Ctrl-C is, so that the temporary folder goes."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _unusable(broken: dict[str, tuple[Problem, ...]]) -> Iterator[Proof]:
    from harness.pipeline.proof.prove import unusable

    return (unusable(name, problems) for name, problems in broken.items())


def _show(proofs: Sequence[Proof]) -> None:
    from harness.cli.check_table import drawn

    click.echo(drawn(proofs))


def _tracebacks(proofs: Sequence[Proof]) -> None:
    for proof in proofs:
        for one in proof.checks:
            if one.trace:
                print(f"{proof.method} {one.name}\n{one.trace}", file=sys.stderr)
