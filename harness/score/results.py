"""What lm-eval found, in the store's terms."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from numbers import Real
from typing import Any, Literal, Protocol

from lm_eval.api.task import Task

from harness.catalog.tasks import GENERATIVE
from harness.errors import RunError
from harness.score.fingerprint import task_fingerprint
from harness.score.rules import NOTHING_FOUND
from harness.score.task_index import LoadedTask
from harness.store.records import Sample, Score, TaskResult

StoreOutputs = Literal["wrong", "all", "none"]
Row = Mapping[str, Any]


class Answerer(Protocol):
    """Who answered: what it knows of its answers."""

    def output_tokens(self, contexts: Sequence[Any], texts: Sequence[str]) -> list[int | None]:
        """The lengths of the outputs that these contexts got, None where unknown."""

    def account(self) -> dict[str, Any]:
        """What a task's provenance says of it."""


def task_result(
    loaded: LoadedTask,
    found: Mapping[str, Any],
    lm: Answerer,
    store_outputs: StoreOutputs,
    seconds: float,
) -> TaskResult:
    """A task's scores, samples and origin from `evaluate`'s results.

    Samples are those of the main metric under the task's first filter; items whose value is no number of its own
    (f1, perplexity) have none. Raises RunError where the model's likelihoods are not numbers.
    """
    rows = found["samples"][loaded.name]
    filters = list(dict.fromkeys(row["filter"] for row in rows))
    first = [row for row in rows if row["filter"] == filters[0]]
    _check_likelihoods(loaded, first)
    lengths = _output_tokens(loaded.task, first, lm)
    scores = _scores(loaded.task, found["results"][loaded.name], rows, filters)
    main = _metrics(loaded.task, first)[0]
    return TaskResult(
        task=loaded.name,
        version=str((loaded.content.get("metadata") or {}).get("version", loaded.task.VERSION)),
        fingerprint=task_fingerprint(loaded.content),
        scores=(*scores, *_length_score(lengths)),
        samples=_samples(loaded.task, first, main, lengths, store_outputs),
        seconds=seconds,
        provenance={**_provenance(loaded, found, lengths), **lm.account()},
    )


def _metrics(task: Task, rows: Sequence[Row]) -> list[str]:
    """The metrics that the rows have, in the order of the task's metric list."""
    order = list(task.aggregation())
    names = dict.fromkeys(name for row in rows for name in row["metrics"])
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _scores(task: Task, values: Row, rows: Sequence[Row], filters: Sequence[str]) -> list[Score]:
    scores = []
    for filter_name in filters:
        filtered = [row for row in rows if row["filter"] == filter_name]
        for metric in _metrics(task, filtered):
            stderr = values.get(f"{metric}_stderr,{filter_name}")
            scores.append(
                Score(
                    metric=metric if len(filters) == 1 else f"{metric},{filter_name}",
                    value=float(values[f"{metric},{filter_name}"]),
                    stderr=float(stderr) if _is_number(stderr) else None,
                    n=sum(metric in row["metrics"] for row in filtered),
                )
            )
    return scores


def _samples(
    task: Task, rows: Sequence[Row], main: str, lengths: Sequence[int | None], store_outputs: StoreOutputs
) -> tuple[Sample, ...]:
    samples = []
    for row, length in zip(rows, lengths, strict=True):
        if not _is_number(row.get(main)):
            continue
        outcome = float(row[main])
        keep = store_outputs == "all" or (store_outputs == "wrong" and outcome < 1)
        samples.append(
            Sample(
                doc_id=row["doc_id"],
                doc_hash=row["doc_hash"],
                outcome=outcome,
                answer=_answer(task, row),
                output_tokens=length,
                output=_text(row) if keep and task.OUTPUT_TYPE == GENERATIVE else None,
            )
        )
    return tuple(samples)


def _answer(task: Task, row: Row) -> str | None:
    if task.OUTPUT_TYPE == "multiple_choice":
        choices = task.doc_to_choice(row["doc"])
        likelihoods = [likelihood for likelihood, _ in row["filtered_resps"][: len(choices)]]
        return str(choices[likelihoods.index(max(likelihoods))])
    if not task.get_config("filter_list"):
        return None
    answer = row["filtered_resps"][0]
    return answer if isinstance(answer, str) and answer not in NOTHING_FOUND else None


def _text(row: Row) -> str:
    return row["resps"][0][0]


def _output_tokens(task: Task, rows: Sequence[Row], lm: Answerer) -> list[int | None]:
    if task.OUTPUT_TYPE != GENERATIVE:
        return [None] * len(rows)
    return lm.output_tokens([row["arguments"][0][0] for row in rows], [_text(row) for row in rows])


def _length_score(lengths: Sequence[int | None]) -> tuple[Score, ...]:
    counts = [length for length in lengths if length is not None]
    if not counts:
        return ()
    stderr = statistics.stdev(counts) / math.sqrt(len(counts)) if len(counts) > 1 else None
    return (Score("output_tokens", statistics.fmean(counts), stderr, len(counts)),)


def _provenance(loaded: LoadedTask, found: Mapping[str, Any], lengths: Sequence[int | None]) -> dict[str, Any]:
    counts = [length for length in lengths if length is not None]
    return {
        "lm_eval": version("lm_eval"),
        "config": json.loads(json.dumps(loaded.content, default=str)),
        "generation": loaded.task.get_config("generation_kwargs"),
        "n_shot": found["n-shot"][loaded.name],
        "items": dict(found["n-samples"][loaded.name]),
        "mean_output_tokens": statistics.fmean(counts) if counts else None,
    }


def _check_likelihoods(loaded: LoadedTask, rows: Sequence[Row]) -> None:
    if loaded.task.OUTPUT_TYPE != "multiple_choice":
        return
    if any(math.isnan(likelihood) for row in rows for likelihood, _ in row["filtered_resps"]):
        raise RunError("diverged", f"{loaded.name}: the model's likelihoods are not numbers")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
