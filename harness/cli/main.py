"""The `harness` command: its global options, its commands, its exit codes.

Exit codes: 0 done; 1 some run failed; 2 invalid input or usage; 3 interrupted or incomplete.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from harness.errors import HarnessError, nearest
from harness.paths import database_url

# Where pydantic looks for plugins it reads the metadata of every installed package, which no report has time for.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

COLLECT_AFTER = 100_000
"""New objects between two garbage collections: what is imported makes many, and none of them is garbage."""
INVALID = 2
INTERRUPTED = 3
COMMANDS = {
    "init": "harness.cli.init:init",
    "validate": "harness.cli.validate:validate",
    "plan": "harness.cli.plan:plan",
    "run": "harness.cli.run:run",
    "status": "harness.cli.status:status",
    "show": "harness.cli.show:show",
    "compare": "harness.cli.compare:compare",
    "report": "harness.cli.report:report",
    "measure": "harness.cli.measure:measure",
    "export": "harness.cli.export:export",
    "adapters": "harness.cli.adapters:adapters",
    "tasks": "harness.cli.tasks:tasks",
    "data": "harness.cli.data:data",
    "db": "harness.cli.db:db",
    "doctor": "harness.cli.doctor:doctor",
    "schema": "harness.cli.schema:schema",
}
SUMMARIES = {
    "init": "Write a commented experiment and a method of your own to start from.",
    "validate": "Find every problem in experiment files at once.",
    "plan": "Show an experiment's runs: what to train, to score, to reuse, and what blocks.",
    "run": "Do what is missing of an experiment, then print its leaderboard.",
    "status": "Show runs by status and stage: those of SPEC, or all that are recorded.",
    "show": "Show one run: specification, provenance, scores, loss curve, attempts, errors, some wrong answers.",
    "compare": "Compare two methods or two runs on the items and seeds that both have.",
    "report": "Print results from the database alone.",
    "measure": "Measure what trainings changed in each matrix, from the adapters that are kept.",
    "export": "Copy a run's trained adapter into a folder, in PEFT's format with a model card.",
    "adapters": "The methods that an experiment can name.",
    "tasks": "The tasks and benchmarks that an experiment can name.",
    "data": "The training sets and test files that the harness knows: where they are, and getting them.",
    "db": "Upkeep of the results database.",
    "doctor": "Look at this machine and installation: packages, GPUs, memory, folders, database, methods, the hub.",
    "schema": "Print the JSON Schema of experiment files, or of method files, for editors.",
}
"""The first sentences of the commands' own help, so that `harness --help` need not import them."""


@dataclass(frozen=True)
class Settings:
    """The global options."""

    db: str
    adapters: Path | None
    quiet: bool
    verbose: bool


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is asked for: `report` stays fast."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands in the order in which a user meets them."""
        return list(COMMANDS)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes a line for each command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with. Raises UsageError with the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            context.fail(f"No such command {args[0]!r}, {nearest(args[0], COMMANDS)}")
        return super().resolve_command(context, args)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        return getattr(import_module(module), attribute)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--db", metavar="URL", help="Results database. Default: $HARNESS_DB, else sqlite:///results.db.")
@click.option(
    "--adapters",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder of method files that are found before all others.",
)
@click.option("--quiet", is_flag=True, help="No progress, only results and problems.")
@click.option("--verbose", is_flag=True, help="Show tracebacks of failed runs.")
@click.version_option(package_name="peft-harness", prog_name="harness")
@click.pass_context
def cli(context: click.Context, db: str | None, adapters: Path | None, quiet: bool, verbose: bool) -> None:
    """Find out, honestly, which parameter-efficient fine-tuning method to use.

    An experiment is a YAML file: a question, the methods to compare, the data, the tasks. `harness run` trains
    and scores what is missing and prints the leaderboard; running it again does only what is still missing.
    """
    context.obj = Settings(database_url(db), adapters, quiet, verbose)


def main() -> None:
    """The entry point: runs a command, says what the user must mend, and exits with the documented code."""
    gc.set_threshold(COLLECT_AFTER)
    try:
        sys.exit(cli.main(prog_name="harness", standalone_mode=False) or 0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show(sys.stderr)
        sys.exit(INVALID)
    except HarnessError as error:
        print(error, file=sys.stderr)
        sys.exit(INVALID)
    except (click.Abort, KeyboardInterrupt):
        command = shlex.join(["harness", *sys.argv[1:]])
        print(f"interrupted; the same command goes on from here: {command}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}" if error.filename else error, file=sys.stderr)
        sys.exit(INVALID)
