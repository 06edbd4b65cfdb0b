"""Methods as text: what `harness adapters list` and `show` print."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import click
from rich.console import Console, Group
from rich.table import Table

from harness.adapters.families import FAMILIES
from harness.adapters.method import Method
from harness.adapters.param import Param
from harness.cli.options import UNBOUNDED, dash

NO_FAMILY = "other"
MERGES = {True: "merges", False: "no merging", None: "–"}
YES_NO = {True: "yes", False: "no", None: "–"}


def by_family(methods: Iterable[Method]) -> Iterator[tuple[str, list[Method]]]:
    """The methods by family, in the families' order; those without one at the end."""
    order = {family: place for place, family in enumerate((*FAMILIES, NO_FAMILY))}
    found = sorted(methods, key=lambda method: (order[method.family or NO_FAMILY], method.method))
    for family, members in groupby(found, key=lambda method: method.family or NO_FAMILY):
        yield family, list(members)


def print_list(methods: Iterable[Method]) -> None:
    """Every method in a line: its title, its paper and year, whether it merges, its parameters' defaults."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("method", "title", "year", "paper", "merges", "parameters"):
        table.add_column(name, overflow="fold", no_wrap=name not in ("title", "parameters"))
    for family, members in by_family(methods):
        table.add_row(f"[{family}]")
        for method in members:
            params = " ".join(f"{name}={dash(param.default)}" for name, param in method.params.items())
            table.add_row(
                f"  {method.method}",
                method.title,
                year(method) or "",
                _paper(method),
                MERGES[method.mergeable],
                params,
            )
    _print(table)


def print_method(method: Method) -> None:
    """One method: what it changes and where it comes from, what may be set, what it needs and can't do."""
    params = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "default", "allowed", "help"):
        params.add_column(name, overflow="fold", no_wrap=name == "name")
    for param in method.params.values():
        params.add_row(f"  {param.name}", dash(param.default), allowed(param), param.help)
    lines = [f"{method.title} ({method.file})"]
    lines += [text for text in (method.summary, source(method)) if text]
    lines += [f"class: {dash(method.config_class)}", f"merges: {YES_NO[method.mergeable]}"]
    after = [f"{field}: {name}" for field, name in named(method)]
    after += [f"train.{key}: {value}" for key, value in method.train.items()]
    after += [f"limit: {check}: {reason}" for check, reason in method.limits.items()]
    _print(Group(*lines, params, *after, *filter(None, [method.notes.strip()])))


def year(method: Method) -> str | None:
    """The paper's year: the one that is given, else its venue's, else the one in its arXiv number."""
    paper = method.paper
    if "year" in paper:
        return str(paper["year"])
    if found := re.search(r"(19|20)\d\d", paper.get("venue", "")):
        return found[0]
    number = re.match(r"\d\d", paper.get("arxiv", ""))
    return f"20{number[0]}" if number else None


def _paper(method: Method) -> str:
    """Where to find the paper: its arXiv number, else its venue."""
    number = method.paper.get("arxiv")
    return f"arXiv {number}" if number else method.paper.get("venue", "")


def source(method: Method) -> str:
    """The paper in a line: title, venue, arXiv number, year."""
    paper = method.paper
    parts = [paper.get("title"), paper.get("venue"), f"arXiv {paper['arxiv']}" if "arxiv" in paper else None]
    when = str(paper.get("year", ""))
    return ", ".join([*filter(None, parts), *([when] if when not in paper.get("venue", "") else [])])


def allowed(param: Param) -> str:
    """What a parameter may be, in words."""
    if param.choices:
        return "one of " + ", ".join(map(str, param.choices))
    kind = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "any": "anything"}
    words = kind.get(param.type, param.type)
    low, high = param.min, param.max
    if param.name == "alpha" and low is None:
        words += " above 0"
    if low is not None and high is not None:
        return f"{words} from {low:g} to {high:g}"
    if low is not None or high is not None:
        words += f" from {low:g}" if low is not None else f" up to {high:g}"
    return words


def named(method: Method) -> Iterator[tuple[str, str]]:
    """The code that a method brings along beside its configuration, each by its field."""
    if method.trainer:
        yield "trainer", method.trainer
    if method.optimizer:
        yield "optimizer", _called(method.optimizer, method.optimizer_args)
    for entry in method.callbacks:
        yield "callback", _called(entry["class"], entry["args"])


def _called(name: str, args: dict[str, Any]) -> str:
    return name + (f" ({', '.join(f'{key}={value}' for key, value in args.items())})" if args else "")


def _print(what: Any) -> None:
    width = None if sys.stdout.isatty() else UNBOUNDED
    console = Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=width is not None)
    with console.capture() as captured:
        console.print(what)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").splitlines()))
