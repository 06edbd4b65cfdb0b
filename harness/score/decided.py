"""When an answer can't change any more, however the model goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lm_eval.api.filter import Filter
from lm_eval.api.task import Task
from lm_eval.filters.custom import CustomFilter
from lm_eval.filters.extraction import RegexFilter
from lm_eval.filters.selection import TakeFirstFilter

from harness.score.rules import RESPONSE, first_responses

WORDS = re.compile(r"[A-Za-z0-9]+(\|[A-Za-z0-9]+)*")
UNFINISHED = "\ufffd"
"""What stands for the bytes of a character whose last ones are still to come."""


@dataclass(frozen=True)
class Rule:
    """The part of a text that can count: up to the first of `ends`, and of that the first of `words` if it has any.

    Of words that begin at one place the first-named counts: `re`'s own order.
    """

    words: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()

    def settled(self, text: str) -> bool:
        """Whether what counts is the same in every text that begins like this.

        A word or end that this text breaks off in, and that would count before what is found, leaves it open.
        """
        text = text.rstrip(UNFINISHED)
        cut = min((text.index(end) for end in self.ends if end in text), default=None)
        found = re.search("|".join(self.words), text[:cut]) if self.words else None
        if found is None:
            return cut is not None and not self._ends_open(text, cut)
        start, end = found.span()
        preferred = self.words[: self.words.index(found.group())]
        return not (
            self._ends_open(text, end)
            or any(_broken_off(word, text, 0, start) for word in self.words)
            or any(_broken_off(word, text, start, start + 1) for word in preferred)
        )

    def _ends_open(self, text: str, before: int) -> bool:
        return any(_broken_off(end, text, 0, before) for end in self.ends)


def deciding_rules(task: Task) -> list[Rule]:
    """For each of a task's filters what of a text it looks at; none where one of them may look at all of it.

    Known are LLM-Adapters' cut at a further response, and lm-eval's `regex` over plain words, first match, with
    `take_first`.
    """
    found = [_rule([make() for make in ensemble.filters]) for ensemble in task._filters]
    return [] if None in found else found


def _rule(filters: Sequence[Filter]) -> Rule | None:
    cuts = bool(filters) and isinstance(filters[0], CustomFilter) and filters[0].filter_fn is first_responses
    words = _words(filters[1:] if cuts else filters)
    return Rule(words, (RESPONSE,) if cuts else ()) if words or cuts else None


def _words(filters: Sequence[Filter]) -> tuple[str, ...]:
    if [type(part) for part in filters] != [RegexFilter, TakeFirstFilter]:
        return ()
    regex = filters[0]
    plain = regex.group_select == 0 and WORDS.fullmatch(regex.regex_pattern)
    return tuple(regex.regex_pattern.split("|")) if plain else ()


def _broken_off(word: str, text: str, start: int, stop: int) -> bool:
    """Whether the text ends within a word that began at one of these places."""
    places = range(max(start, len(text) - len(word) + 1), stop)
    return any(word.startswith(text[place:]) for place in places)
