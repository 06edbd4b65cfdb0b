"""A model that says what it is told to, put through a task as lm-eval puts any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate

from harness.score.task_index import load_tasks

Row = dict[str, Any]


class Found(NamedTuple):
    """What a task extracts from an output, whether it finds it right, whether it finds anything."""

    answer: str
    right: float
    extracted: float


class Scripted(LM):
    """Its output to an item is `say` of the item."""

    def __init__(self, say: Callable[[Row], str]) -> None:
        super().__init__()
        self.say = say

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        return [self.say(request.doc) for request in requests]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError


def answers(
    task: str, say: Callable[[Row], str], items: Sequence[int] | None = None, tasks_path: str | None = None
) -> list[Found]:
    """A task's verdicts on what is said to its items (all, or those at these positions), in their order."""
    (loaded,) = load_tasks([task], tasks_path)
    chosen = None if items is None else {task: list(items)}
    found = evaluate(Scripted(say), {"tasks": {task: loaded.task}}, samples=chosen, bootstrap_iters=0)
    rows = sorted(found["samples"][task], key=lambda row: row["doc_id"])
    return [Found(row["filtered_resps"][0], row["accuracy"], row["extracted"]) for row in rows]
