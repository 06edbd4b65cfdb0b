"""`harness --help` says what the commands say of themselves, and imports none of them."""

from __future__ import annotations

import subprocess
import sys

import click

from harness.cli.main import COMMANDS, SUMMARIES, cli


def test_the_list_of_commands_gives_the_first_sentence_of_each() -> None:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in COMMANDS}

    told = {name: command.help.split(".")[0] + "." for name, command in commands.items() if command and command.help}
    assert told == SUMMARIES


def test_help_imports_no_command() -> None:
    heavy = "{'pydantic', 'sqlalchemy', 'yaml', 'rich', 'numpy', 'torch'}"
    code = f"import sys; from harness.cli.main import cli; cli(['--help'], standalone_mode=False); assert not {heavy} & set(sys.modules)"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in COMMANDS)
