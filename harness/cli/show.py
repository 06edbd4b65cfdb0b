"""`harness show`."""

from __future__ import annotations

from typing import Any, Literal

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, dash, print_json
from harness.errors import NotFoundError
from harness.store.database import shown
from harness.store.records import RunRecord
from harness.store.store import Store

SAMPLES = 3
LOSSES = 12


class Count(click.ParamType):
    """A whole number, or `all`."""

    name = "count"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int | Literal["all"]:
        """Raises BadParameter for anything else."""
        if value == "all":
            return "all"
        if not str(value).isdigit():
            self.fail(
                f"{value!r} is not a whole number; write --samples before other options or give N", param, context
            )
        return int(value)


@click.command()
@click.argument("run_id")
@click.option(
    "--samples",
    "asked",
    is_flag=False,
    flag_value="all",
    metavar="[N]",
    type=Count(),
    help="Only samples, with their prompts: all of them, or N a task.",
)
@click.option("--wrong", is_flag=True, help="With --samples: those that are not right.")
@click.option("--task", metavar="T", help="With --samples: those of this task.")
@as_json
@click.pass_obj
def show(
    settings: Settings, run_id: str, asked: int | Literal["all"] | None, wrong: bool, task: str | None, as_json: bool
) -> None:
    """Show one run: specification, provenance, scores, loss curve, attempts, errors, some wrong answers.

    RUN_ID may be shortened as long as it means one run. Prompts are not stored: --samples makes them again from the
    task and its data, and says where these have changed.
    """
    from harness.cli.samples import samples, show_samples, with_questions
    from harness.store.store import open_store

    if asked is None and (wrong or task):
        raise click.UsageError("--wrong and --task choose among --samples")
    limit = SAMPLES if asked is None else None if asked == "all" else asked
    with open_store(settings.db, read_only=True) as store:
        record = find_run(store, run_id)
        document = _document(store, record)
        found = samples(store, record, _tasks(document), task, limit, wrong or asked is None)
    if asked is not None:
        found = with_questions(record, found)
    if as_json:
        print_json(document | {"samples": found})
    elif asked is not None:
        show_samples(found)
    else:
        _show(document, found)


def find_run(store: Store, run_id: str) -> RunRecord:
    """The run that an id or its beginning means. Raises NotFoundError for none, and for several."""
    found = store.runs(prefix=run_id, loss=True)
    if not found:
        raise NotFoundError(f"no run {run_id!r} in {shown(store.url)}; harness status lists them")
    if len(found) > 1:
        raise NotFoundError(f"{run_id!r} means {len(found)} runs: {', '.join(record.run_id for record in found)}")
    return found[0]


def _document(store: Store, record: RunRecord) -> dict[str, Any]:
    training = record.training
    attempts = store.attempts(record.run_id)
    made = next((attempt.provenance for attempt in reversed(attempts) if attempt.provenance), {})
    return {
        "run_id": record.run_id,
        "train_id": record.train_id,
        "status": record.status,
        "error": record.error,
        "experiments": [vars(place) | {"tasks": list(place.tasks)} for place in _places(store, record.run_id)],
        "spec": record.spec,
        "provenance": made | {"training": training.provenance if training else None},
        "trainable_params": training.trainable_params if training else None,
        "base_params": training.base_params if training else None,
        "trainable_percent": training.trainable_percent if training else None,
        "train": None if training is None else _training(training),
        "scores": [
            {"task": score.task, "version": score.version, "metric": score.metric}
            | {"value": score.value, "stderr": score.stderr, "n": score.n}
            for score in store.scores([record.run_id])
        ],
        "overlap": store.overlaps([record.run_id]).get(record.run_id, {}),
        "attempts": [vars(attempt) for attempt in attempts],
    }


def _places(store: Store, run_id: str) -> Any:
    return store.memberships(run_ids=[run_id])


def _training(training: Any) -> dict[str, Any]:
    return {
        "seconds": training.seconds,
        "steps": training.steps,
        "tokens": training.tokens,
        "peak_memory_bytes": training.peak_memory_bytes,
        "adapter_bytes": training.adapter_bytes,
        "counts": training.counts,
        "loss": list(training.loss),
    }


def _tasks(document: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(score["task"] for score in document["scores"]))


def _show(document: dict[str, Any], wrong: dict[str, list[dict[str, Any]]]) -> None:
    import yaml

    places = ", ".join(
        f"{place['experiment']} ({place['profile']}): {place['label']}" for place in document["experiments"]
    )
    click.echo(f"{document['run_id']}  {document['status']}  {places}")
    if document["error"]:
        click.echo(f"error: {document['error']}")
    trainable = dash(document["trainable_params"], ",")
    click.echo(f"trainable parameters: {trainable} ({dash(document['trainable_percent'], '.4f')} %)")
    _show_training(document["train"])
    _show_data(document)
    for score in document["scores"]:
        spread = f"{score['value']:.4f} ± {dash(score['stderr'], '.4f')} (n={score['n']})"
        click.echo(f"{score['task']} {score['metric']}: {spread}")
    for task, samples in wrong.items():
        for sample in samples:
            click.echo(f"wrong: {task}[{sample['doc_id']}] answered {dash(sample['answer'])}: {sample['output']!r}")
    for attempt in document["attempts"]:
        kind = f" ({attempt['kind']})" if attempt["kind"] else ""
        why = f"{kind}: {attempt['message']}" if attempt["message"] else kind
        changed = "".join(f", {name} {value}" for name, value in attempt["settings"].items())
        where = f"{attempt['started_at']} on {attempt['worker']}{changed}"
        click.echo(f"attempt {attempt['number']}: {where}, {attempt['outcome']}{why}")
    shown = {"spec": document["spec"], "provenance": document["provenance"]}
    click.echo("\n" + yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100))


def _show_data(document: dict[str, Any]) -> None:
    """What was trained on, and how much of the test sets stands in it."""
    from harness.cli.data_quality import example_line, length_line, prefix_line
    from harness.report.overlap import overlap_line

    made = document["provenance"]["training"] or {}
    counts = document["train"]["counts"] if document["train"] else {}
    lines = [example_line(counts), length_line(made.get("lengths")), prefix_line(made.get("prefix"))]
    if document["overlap"]:
        lines.append(overlap_line(document["overlap"], list(document["overlap"])))
    for line in filter(None, lines):
        click.echo(line)


def _show_training(train: dict[str, Any] | None) -> None:
    if train is None or not train["steps"]:
        return
    memory = dash(train["peak_memory_bytes"] and train["peak_memory_bytes"] / 2**20, ",.0f")
    click.echo(
        f"trained {train['steps']} steps, {train['tokens']:,} tokens in {train['seconds']:.1f} s, peak {memory} MiB"
    )
    losses = [line for line in train["loss"] if "loss" in line]
    every = max(1, len(losses) // LOSSES)
    click.echo("loss: " + "  ".join(f"{line['step']}: {line['loss']:.3f}" for line in losses[::every]))
