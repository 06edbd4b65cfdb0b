"""What a recorded sample was asked: prompts are not stored, and made again from the task and its data."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from lm_eval.utils import handle_non_serializable, hash_string
from transformers import PreTrainedTokenizerBase

from harness.score.prompting import scoring_prompt
from harness.score.task_index import LoadedTask, load_tasks
from harness.spec.run import RunSpec
from harness.store.records import Sample


@dataclass(frozen=True)
class Question:
    """The prompt of a sample, and the answer that counts as right."""

    prompt: str
    target: str


def asked_again(
    run: RunSpec, task: str, samples: Sequence[Sample], tokenizer: PreTrainedTokenizerBase | None
) -> list[Question | None]:
    """Of each sample its question; None where the task's data no longer hold the item that was answered.

    tokenizer: the model's, needed where the template is its chat template. The prompt stands as the template gives it,
    before a chat API puts it into its messages. Raises RunError and PrerequisiteError where the task or its data are
    not to be had.
    """
    with scoring_prompt(run.prompt.score, tokenizer), redirect_stdout(sys.stderr):
        (loaded,) = load_tasks([task], run.score.tasks_path)
        docs = list(loaded.task.eval_docs)
        return [_question(loaded, docs, sample) for sample in samples]


def _question(loaded: LoadedTask, docs: Sequence[dict[str, Any]], sample: Sample) -> Question | None:
    if not 0 <= sample.doc_id < len(docs) or _hash(docs[sample.doc_id]) != sample.doc_hash:
        return None
    doc = docs[sample.doc_id]
    asked = loaded.task.fewshot_context(doc, loaded.task.get_config("num_fewshot") or 0)
    return Question("\n".join(asked) if isinstance(asked, list) else str(asked), _target(loaded, doc))


def _target(loaded: LoadedTask, doc: dict[str, Any]) -> str:
    found = loaded.task.doc_to_target(doc)
    if isinstance(found, int) and loaded.task.OUTPUT_TYPE == "multiple_choice":
        return str(loaded.task.doc_to_choice(doc)[found])
    return " | ".join(map(str, found)) if isinstance(found, list) else str(found)


def _hash(doc: dict[str, Any]) -> str:
    """lm-eval's `doc_hash`."""
    return hash_string(json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False))
