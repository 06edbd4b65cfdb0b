"""Whether tokenizer, tasks, prompt and training data go together, found before any weight is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import HarnessError, RunError
from harness.pipeline.classes import hushed
from harness.pipeline.due import due
from harness.pipeline.plan import adapter_kept
from harness.pipeline.prerequisites import Obstacle
from harness.spec.run import RunSpec
from harness.spec.tuning import VALIDATION
from harness.store.records import RunState

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def unfit(runs: Sequence[RunSpec], states: Mapping[str, RunState]) -> dict[str, Obstacle]:
    """The runs, by id, that can't be done although all they need is here, each with the first reason.

    A tokenizer that is damaged or has no end-of-text token; a task that can't be loaded, that has no items or one
    without a field of its template; prompts or training examples beyond the model's context; training prompts that
    are scored in other tokens. What several runs share is looked at once. states: what is recorded of the runs.
    """
    known: dict[str, Obstacle | None] = {}
    found: dict[str, Obstacle] = {}
    for run in runs:
        missing, trains = _todo(run, states.get(run.run_id))
        key = _key(run, missing, trains)
        if key not in known:
            with hushed():
                known[key] = _misfit(run, missing, trains)
        if (obstacle := known[key]) is not None:
            found[run.run_id] = obstacle
    return found


def _todo(run: RunSpec, state: RunState | None) -> tuple[tuple[str, ...], bool]:
    """The tasks to be scored, and whether the run is to be trained."""
    trained = state is not None and adapter_kept(run, state.trained)
    return due(run, state), run.data is not None and run.train is not None and not trained


def _key(run: RunSpec, missing: Sequence[str], trains: bool) -> str:
    """What decides whether a run fits: the method and the seed do not."""
    parts = [run.model, run.prompt, run.score, *([run.data, run.train] if trains else [])]
    return json.dumps([missing, [part.model_dump(mode="json") if part else None for part in parts]])


def _misfit(run: RunSpec, missing: Sequence[str], trains: bool) -> Obstacle | None:
    field = "base.model"
    try:
        tokenizer, context = _reader(run)
        field = "tasks"
        _check_tasks(run, missing, tokenizer, context)
        field = "data.train"
        if trains and tokenizer is not None:
            _check_training(run, tokenizer, context)
    except (HarnessError, RunError) as error:
        return Obstacle(field, str(error))
    except Exception:  # noqa: BLE001, S110 - what else a library raises is told, with its trace, as the run fails
        pass
    return None


def _reader(run: RunSpec) -> tuple[PreTrainedTokenizerBase | None, int | None]:
    """The model's tokenizer and the tokens that it takes at once; neither is known of a model behind an API."""
    if run.model.api is not None:
        return None, None
    from harness.train.base_model import load_context, load_tokenizer

    return load_tokenizer(run.model.name, run.model.revision), load_context(run.model.name, run.model.revision)


def _check_tasks(
    run: RunSpec, missing: Sequence[str], tokenizer: PreTrainedTokenizerBase | None, context: int | None
) -> None:
    from harness.score.items import examine
    from harness.score.scoring import check_answerable
    from harness.score.task_index import load_tasks

    if missing == (VALIDATION,):
        return
    examine(run, missing, tokenizer, context)
    if run.model.api is not None:
        check_answerable(load_tasks(missing, run.score.tasks_path), run.model.api)


def _check_training(run: RunSpec, tokenizer: PreTrainedTokenizerBase, context: int | None) -> None:
    """As `train.rows.prepare` checks it, without tokenising what need not be."""
    from harness.train.examples import draw, read
    from harness.train.lengths import check_context, within_context
    from harness.train.prefix import check_prefix
    from harness.train.tokens import check_answers, encoded

    assert run.data is not None and run.train is not None
    used, _ = draw(read(run.data), run.data, run.seed or 0)
    check_prefix(used, tokenizer, run.prompt)
    check_answers(encoded(used, tokenizer, run.prompt), within_context(run.train, context))
    if context is not None and run.train.max_length > context:
        lengths = [len(row.ids) for row in encoded(used, tokenizer, run.prompt)]
        check_context(lengths, run.train.max_length, context)
