"""Greedy decoding of many prompts: a text that is done leaves its place to the next at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import nn

from harness.score.cached_rows import Rows, common_beginning

CHANGED = 4
"""Rows change hands when this part of them (one in so many) is free: texts that are done leave, and new ones are read,
together and not one by one. Until then a row that is done reads nothing beside the others: there are processors that
take half as long to multiply by 16 rows as by 13 (docs/scoring-and-sweeps.md)."""
ALIKE = 0.8
"""What is read together is at least this long, as a share of the longest of it."""


@dataclass
class Text:
    """One prompt and what the model has written after it. `decided`: it was ended because its answer is settled."""

    number: int
    prompt: Sequence[int]
    written: list[int] = field(default_factory=list)
    done: bool = False
    decided: bool = False


@dataclass(frozen=True)
class Endings:
    """When a text is done: after so many tokens, after one of these tokens, or when what it says is settled."""

    length: int
    tokens: frozenset[int]
    settled: Callable[[list[int]], bool] | None = None

    def reached(self, text: Text) -> bool:
        """Whether it is done."""
        if len(text.written) >= self.length or text.written[-1] in self.tokens:
            return True
        text.decided = self.settled is not None and self.settled(text.written)
        return text.decided


def greedy_texts(
    model: nn.Module, prompts: Sequence[Sequence[int]], endings: Endings, batch_size: int
) -> Iterator[Text]:
    """Each prompt with its most likely tokens, the longest prompts first, as they are done.

    The prompts' common beginning is read once. At a time, as many are under way as take no more room than batch_size
    of the longest.
    """
    beginning = min(common_beginning(prompts), min(map(len, prompts)) - 1)
    begun = Rows.begun(model, prompts[0][:beginning])
    waiting = deque(sorted(map(Text, range(len(prompts)), prompts), key=lambda text: -len(text.prompt)))
    room = batch_size * (len(waiting[0].prompt) + endings.length)
    held: list[Text] = []
    rows = begun.picked([])
    while waiting or not all(text.done for text in held):
        live = [text for text in held if not text.done]
        places = room // (len((live or waiting)[0].prompt) + endings.length)
        admits = waiting and (not live or places - len(live) >= places / CHANGED)
        if admits or len(held) - len(live) >= len(held) / CHANGED:
            rows = rows.picked([place for place, text in enumerate(held) if not text.done])
            held = live
        if admits:
            asked = _alike(waiting, places - len(live), beginning)
            fresh = begun.picked([0] * len(asked))
            logits = fresh.read([text.prompt[beginning:] for text in asked])
            rows = rows.joined(fresh) if live else fresh
            held = live + asked
        else:
            asked = held
            logits = rows.read([[] if text.done else text.written[-1:] for text in held])
        for text, token in zip(asked, logits[:, -1].argmax(dim=-1).tolist(), strict=True):
            if not text.done:
                text.written.append(token)
                text.done = endings.reached(text)
                if text.done:
                    yield text


def _alike(waiting: deque[Text], most: int, beginning: int) -> list[Text]:
    """The next texts, taken off the queue, that can be read together without much padding."""
    shortest = beginning + (len(waiting[0].prompt) - beginning) * ALIKE
    taken = [waiting.popleft()]
    while waiting and len(taken) < most and len(waiting[0].prompt) >= shortest:
        taken.append(waiting.popleft())
    return taken
