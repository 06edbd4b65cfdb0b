"""What a file of published numbers holds."""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Fact(BaseModel):
    """A strict, immutable piece of a file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Recipe(Fact):
    """How adapters were trained and scored, in the words of our experiments; None: the source does not tell.

    data: the training data's name, ours where we have it; beams: 1 is greedy; seeds: their number.
    """

    data: Text | None = None
    validation: Count | None = None
    epochs: Positive | None = None
    steps: Annotated[int | None, Field(gt=0)] = None
    learning_rate: Positive | None = None
    lr_scheduler: Text | None = None
    warmup_steps: Annotated[float | None, Field(ge=0)] = None
    optimizer: Text | None = None
    weight_decay: Annotated[float | None, Field(ge=0)] = None
    max_grad_norm: Positive | None = None
    batch_size: Annotated[int | None, Field(gt=0)] = None
    max_length: Annotated[int | None, Field(gt=0)] = None
    loss_on: Literal["all", "completion"] | None = None
    checkpoint: Literal["best", "last"] | None = None
    eval_steps: Annotated[int | None, Field(gt=0)] = None
    dropout: Annotated[float | None, Field(ge=0, lt=1)] = None
    dtype: Text | None = None
    quantization: Text | None = None
    prompt: Text | None = None
    beams: Annotated[int | None, Field(gt=0)] = None
    seeds: Annotated[int | None, Field(gt=0)] = None

    def over(self, other: Recipe) -> Recipe:
        """The other recipe with what this one tells in its place."""
        return other.model_copy(update=self.model_dump(exclude_none=True))


class Source(Fact):
    """Where numbers come from.

    key: the file's name; url: of the very version that they were read in, where it has one; protocol: how they were
    measured, as far as the source tells; recipe: the same of what our experiments have words for.
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: Text
    authors: Text
    venue: Text
    url: Text
    arxiv: str | None = None
    protocol: Text
    recipe: Recipe = Recipe()


class PublishedRow(Fact):
    """A row of a table, as printed.

    method: ours, or `mixed`; adapter: its entry in an experiment, where the source tells enough to write one;
    params_percent: trainable of all parameters, in percent; scores: by task, without the suite; data_percent: the
    share of the training data; quoted_from: the key of the source that it was taken over from; own: whether the
    source's recipe made it, as far as the source tells; doubts: what arithmetic does not show (see `doubts_of`).
    """

    label: Text
    method: Text
    adapter: dict[str, Any] | None = None
    learning_rate: Annotated[float | None, Field(gt=0)] = None
    data_percent: Percent = 100
    trainable_params: Annotated[int | None, Field(ge=0)] = None
    params_percent: Percent | None = None
    scores: dict[str, Percent] = {}
    average: Percent | None = None
    quoted_from: str | None = None
    own: bool = True
    doubts: tuple[Text, ...] = ()

    @property
    def mean(self) -> float | None:
        """The scores' own mean; None where there are none."""
        return fmean(self.scores.values()) if self.scores else None


class PublishedTable(Fact):
    """Rows of one table on one model and one benchmark.

    model: our name of the base model, where we have one; suite: that of our tasks to which the scores belong, another
    word where none of ours is measured so; experiment: ours that asks the same; recipe: where it is not the source's.
    """

    table: Text
    model: Text
    benchmark: Text
    suite: Text
    experiment: str | None = None
    recipe: Recipe = Recipe()
    rows: Annotated[tuple[PublishedRow, ...], Field(min_length=1)]

    def task(self, column: str) -> str:
        """The task's full name: `llm_adapters_boolq` for `boolq`."""
        return f"{self.suite}_{column}"


class Claim(Fact):
    """What a text says of its numbers, and what they say: our arithmetic, and our verdict."""

    text: Text
    arithmetic: Text
    verdict: Text


class Publication(Fact):
    """A source with all that we have of it."""

    source: Source
    tables: Annotated[tuple[PublishedTable, ...], Field(min_length=1)]
    claims: tuple[Claim, ...] = ()
