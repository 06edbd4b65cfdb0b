"""A run's samples for people: what was asked, what was answered, what counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from harness.catalog.prompts import CHAT
from harness.cli.options import dash
from harness.errors import HarnessError, NotFoundError, RunError, nearest
from harness.spec.run import RunSpec
from harness.store.records import RunRecord, Sample
from harness.store.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNKNOWN = "the data no longer hold this item"


def samples(
    store: Store, record: RunRecord, tasks: list[str], only: str | None, limit: int | None, wrong: bool
) -> dict[str, list[dict[str, Any]]]:
    """By task the first `limit` samples (None: all), or those of them that are wrong.

    Raises NotFoundError for a task of which the run has no score.
    """
    if only is not None and only not in tasks:
        raise NotFoundError(f"run {record.run_id} has no score of {only!r}, {nearest(only, tasks)}")
    chosen = dict.fromkeys(tasks if only is None else [only])
    return {
        task: [vars(sample) for sample in _taken(store.samples(record.run_id, task), limit, wrong)] for task in chosen
    }


def _taken(found: tuple[Sample, ...], limit: int | None, wrong: bool) -> list[Sample]:
    return [sample for sample in found if not wrong or sample.outcome < 1][:limit]


def with_questions(record: RunRecord, found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The same samples with `prompt` and `target`; where these can't be made again, None, and `missing` says why."""
    from harness.score.asked_again import asked_again

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    run = RunSpec.model_validate(record.spec)
    tokenizer = _tokenizer(run)
    asked: dict[str, list[dict[str, Any]]] = {}
    for task, rows in found.items():
        try:
            questions = asked_again(run, task, [Sample(**row) for row in rows], tokenizer)
            why = UNKNOWN
        except (HarnessError, RunError) as error:
            questions, why = [None] * len(rows), str(error)
        asked[task] = [
            row | ({"prompt": None, "target": None, "missing": why} if each is None else vars(each))
            for row, each in zip(rows, questions, strict=True)
        ]
    return asked


def _tokenizer(run: RunSpec) -> PreTrainedTokenizerBase | None:
    """The model's, where prompts are made by its chat template."""
    if CHAT not in run.prompt.score or run.model.api is not None:
        return None
    from harness.train.base_model import load_tokenizer

    return load_tokenizer(run.model.name, run.model.revision)


def show_samples(found: dict[str, list[dict[str, Any]]]) -> None:
    """Prints samples one after the other, as long as they are: to be read in a pager."""
    for task, rows in found.items():
        for row in rows:
            click.echo(f"── {task}[{row['doc_id']}] {_verdict(row['outcome'])}")
            click.echo(row["prompt"] if row["prompt"] is not None else f"(prompt: {row['missing']})")
            click.echo(f"── output ({dash(row['output_tokens'])} tokens)")
            click.echo(row["output"] if row["output"] is not None else "(not kept: see score.store_outputs)")
            click.echo(f"── extracted: {dash(row['answer'])}   right: {dash(row['target'])}\n")


def _verdict(outcome: float) -> str:
    return {1.0: "right", 0.0: "wrong"}.get(outcome, f"{outcome:g}")
