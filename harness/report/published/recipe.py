"""Where the recipe of one of our runs departs from that of a published row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.spec.run import Decoding, RunSpec
from harness.store.published.records import Publication, PublishedRow, PublishedTable, Recipe


@dataclass(frozen=True)
class Departure:
    """A field in which two recipes differ, as text."""

    field: str
    ours: str
    published: str

    def __str__(self) -> str:
        return f"{self.field} {self.ours} ({self.published})"


Facts = dict[str, "str | None"]
"""What is told of each field; None: nothing."""


def recipe_of(
    publications: Sequence[Publication], publication: Publication, table: PublishedTable, row: PublishedRow
) -> Recipe:
    """What is told of how a row was made: by its own source, or by the one that it is quoted from."""
    if row.quoted_from is not None:
        for source, where, original in _rows(publications, row.quoted_from):
            if (where.model, where.benchmark, original.scores) == (table.model, table.benchmark, row.scores):
                return recipe_of(publications, source, where, original)
    if row.quoted_from is not None or not row.own:
        return Recipe()
    return Recipe(learning_rate=row.learning_rate).over(table.recipe.over(publication.source.recipe))


def _rows(publications: Sequence[Publication], key: str) -> Iterable[tuple[Publication, PublishedTable, PublishedRow]]:
    for publication in publications:
        for table in publication.tables if publication.source.key == key else ():
            yield from ((publication, table, row) for row in table.rows)


def compared(
    row: PublishedRow, table: PublishedTable, told: Recipe, ours: RunSpec, seeds: int
) -> tuple[tuple[Departure, ...], tuple[str, ...]]:
    """The fields in which our runs, of so many seeds, depart from the row's recipe; and those that are not told.

    Tasks are not looked at.
    """
    mine, theirs = _of_run(ours, seeds), _of_row(row, table, told)
    if mine.get("checkpoint") != theirs["checkpoint"]:
        mine.pop("validated every", None)  # the checkpoint says it
    known = {field: (value, theirs[field]) for field, value in mine.items() if value is not None}
    return (
        tuple(Departure(f, value, other) for f, (value, other) in known.items() if other not in (None, value)),
        tuple(field for field, (_, other) in known.items() if other is None),
    )


def _of_run(run: RunSpec, seeds: int) -> Facts:
    facts: Facts = {"model": run.model.name}
    if run.adapter.trains != "nothing":
        facts |= {"parameters": "", "dropout": _dropout(run), **_training(run), "seeds": str(seeds)}
    if run.model.api is None:
        facts |= {"dtype": run.model.dtype, "quantization": run.model.quantization}
    limit = run.score.limit
    items = "all" if limit is None else f"{limit} a task"
    return facts | {"template": run.prompt.name, "decoding": _decoding(run.score.decoding), "test items": items}


def _training(run: RunSpec) -> Facts:
    train, data = run.train, run.data
    if train is None or data is None:
        return {}
    most = "" if data.limit is None else f", at most {data.limit} examples"
    return {
        "training data": data.name,
        "share of it": f"{100 * data.fraction:g} %{most}",
        "validation": str(data.validation),
        "length": _length(train.epochs, train.steps),
        "learning rate": f"{train.learning_rate:g}",
        "schedule": train.lr_scheduler,
        "warm-up": _warmup(train.warmup_steps),
        "optimizer": train.optimizer,
        "weight decay": f"{train.weight_decay:g}",
        "gradient clipping": f"{train.max_grad_norm:g}",
        "batch": str(train.batch_size),
        "longest example": str(train.max_length),
        "loss on": train.loss_on,
        "checkpoint": train.checkpoint,
        "validated every": str(train.eval_steps) if train.checkpoint == "best" else None,
    }


def _of_row(row: PublishedRow, table: PublishedTable, told: Recipe) -> Facts:
    def number(value: float | None) -> str | None:
        return None if value is None else f"{value:g}"

    return {
        "model": table.model,
        "parameters": None if row.adapter is None else "",
        "dropout": number(told.dropout),
        "training data": told.data,
        "share of it": f"{row.data_percent:g} %",
        "validation": number(told.validation),
        "length": _length(told.epochs, told.steps),
        "learning rate": number(told.learning_rate),
        "schedule": told.lr_scheduler,
        "warm-up": _warmup(told.warmup_steps),
        "optimizer": told.optimizer,
        "weight decay": number(told.weight_decay),
        "gradient clipping": number(told.max_grad_norm),
        "batch": number(told.batch_size),
        "longest example": number(told.max_length),
        "loss on": told.loss_on,
        "checkpoint": told.checkpoint,
        "validated every": number(told.eval_steps),
        "seeds": number(told.seeds),
        "dtype": told.dtype,
        "quantization": told.quantization,
        "template": told.prompt,
        "decoding": None if told.beams is None else _decoding(Decoding(beams=told.beams)),
        "test items": "all",
    }


def _dropout(run: RunSpec) -> str | None:
    parts = run.adapter.parts or (run.adapter,)
    found = dict.fromkeys(f"{part.params['dropout']:g}" for part in parts if "dropout" in part.params)
    return ", ".join(found) or None


def _length(epochs: float | None, steps: int | None) -> str | None:
    if steps is not None:
        return f"{steps} steps"
    return None if epochs is None else f"{epochs:g} epochs"


def _warmup(steps: float | None) -> str | None:
    """A number below one is a share."""
    if steps is None:
        return None
    return f"{steps:g} of the steps" if 0 < steps < 1 else f"{steps:g} steps"


def _decoding(decoding: Decoding) -> str:
    if decoding.sample is not None:
        return "sampled"
    return "greedy" if decoding.beams == 1 else f"{decoding.beams} beams"
