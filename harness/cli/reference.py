"""The command reference in docs/cli.md, made from the commands' own help: `python -m harness.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from harness.cli.main import cli

HEAD = """\
# Commands

Made from `--help` by `make docs`.
Exit codes: 0 done; 1 some run failed; 2 invalid input or usage; 3 interrupted or incomplete.
"""


def reference() -> str:
    """Every command's help as one Markdown page."""
    return HEAD + "".join(_sections(cli, click.Context(cli, info_name="harness", **cli.context_settings)))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"\n## `{context.command_path}`\n\n```text\n{_help(command, context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _sections(child, click.Context(child, info_name=name, parent=context))


def _help(command: click.Command, context: click.Context) -> str:
    formatter = click.HelpFormatter(width=100)
    command.format_help(context, formatter)
    return formatter.getvalue().strip()


if __name__ == "__main__":
    print(reference(), end="")
