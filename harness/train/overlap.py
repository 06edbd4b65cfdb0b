"""How much of a task's test set stands in the training data.

A test item is counted in three ways. `exact`: its text is a training text as it stands. `normalised`: it is one but
for case, white space and punctuation. `ngram`: 13 of its words in a row stand in one training text (Brown et al.
2020, "Language Models are Few-Shot Learners", appendix C). Words with which nearly every item of a task begins or
ends are the task's wording, not the item's, and take no part in the last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice

import numpy as np

N = 13
"""Words in a row that two texts share by more than chance."""
WORDING_SHARE = 0.9
FEWEST = 10
"""Of fewer items it can't be told which words are the task's."""
CHUNK = 4000
"""Training texts looked at together."""
BEYOND = 0
"""Stands for a word that no test item has, and for the end of a text."""

_WORD = re.compile(r"[^\W_]+")
_RANDOM = np.random.default_rng(0)
_FACTORS = _RANDOM.integers(0, 2**64, N, dtype=np.uint64) | np.uint64(1)


def measure(trained: Iterable[str], asked: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
    """For each task of `asked` (its items' texts): `items`, and of these `exact`, `normalised`, `ngram` and `long`.

    `long` are the items with at least 13 words of their own: of the others `ngram` can't tell. One pass over the
    training texts serves all tasks; only what the test items hold is kept in memory.
    """
    texts = list(chain.from_iterable(asked.values()))
    tokens = [words(text) for text in texts]
    plain = [" ".join(found) for found in tokens]
    grams = _Grams(list(chain.from_iterable(_own_words(part) for part in _parts(tokens, asked))))
    exact, normalised = _Found(texts), _Found(plain)
    trained = iter(trained)
    while chunk := list(islice(trained, CHUNK)):
        read = [words(text) for text in chunk]
        exact.look(chunk)
        normalised.look(" ".join(found) for found in read)
        grams.look(read)
    columns = {
        "exact": exact.mark(texts), "normalised": normalised.mark(plain), "ngram": grams.mark(), "long": grams.long
    }  # fmt: skip
    counts = {name: _parts(marks, asked) for name, marks in columns.items()}
    return {
        task: {"items": len(asked[task]), **{name: sum(map(bool, parts[place])) for name, parts in counts.items()}}
        for place, task in enumerate(asked)
    }


def words(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    return _WORD.findall(text.casefold())


def _parts(values: Sequence, asked: Mapping[str, Sequence[str]]) -> list[Sequence]:
    """Values of all items, task by task."""
    ends = list(accumulate(len(items) for items in asked.values()))
    return [values[start:end] for start, end in zip([0, *ends], ends)]


def _own_words(items: Sequence[list[str]]) -> Iterator[list[str]]:
    """Each item without the words that begin or end nearly every item."""
    first = _shared(items)
    last = _shared([item[::-1] for item in items])[::-1]
    for item in items:
        start = len(first) if item[: len(first)] == first else 0
        end = len(item) - (len(last) if last and item[-len(last) :] == last else 0)
        yield item[start:end]


def _shared(items: Sequence[list[str]]) -> list[str]:
    """The longest beginning that nearly all items have."""
    if len(items) < FEWEST:
        return []
    shared: tuple[str, ...] = ()
    while True:
        longer = Counter(tuple(item[: len(shared) + 1]) for item in items if len(item) > len(shared))
        best, count = longer.most_common(1)[0] if longer else ((), 0)
        if count < WORDING_SHARE * len(items):
            return list(shared)
        shared = best


class _Found:
    """Which of the texts that are looked for were met."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._wanted = {text for text in texts if text}
        self._met: set[str] = set()

    def look(self, texts: Iterable[str]) -> None:
        self._met.update(self._wanted.intersection(texts))

    def mark(self, texts: Iterable[str]) -> list[bool]:
        return [text in self._met for text in texts]


class _Grams:
    """The runs of N words of some items, as 64-bit hashes: among 10^7 by 10^6 of them a false match has odds of 10^-6.

    long: whether an item has such a run at all.
    """

    def __init__(self, items: Sequence[list[str]]) -> None:
        vocabulary = dict.fromkeys(chain.from_iterable(items))
        self._ids = {word: number for number, word in enumerate(vocabulary, start=1)}
        self._codes = np.random.default_rng(1).integers(0, 2**64, len(self._ids) + 1, dtype=np.uint64)
        self.long = [len(item) >= N for item in items]
        self._count = len(items)
        owners = np.repeat(np.arange(len(items)), [len(item) + 1 for item in items])
        hashes, starts = self._hashes(items)
        self._sorted, self._which = np.unique(hashes, return_inverse=True)
        self._owners = owners[starts]
        self._met = np.zeros(len(self._sorted), dtype=bool)

    def look(self, texts: Sequence[list[str]]) -> None:
        """Notes which runs these texts have."""
        hashes, _ = self._hashes(texts)
        if len(self._sorted) and len(hashes):
            places = np.searchsorted(self._sorted, hashes).clip(max=len(self._sorted) - 1)
            self._met[places[self._sorted[places] == hashes]] = True

    def mark(self) -> list[bool]:
        """Whether an item has a run that was met."""
        hit = self._owners[self._met[self._which]]
        return (np.bincount(hit, minlength=self._count) > 0).tolist()

    def _hashes(self, texts: Iterable[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """The hashes of all runs of known words within one text, and where in the joined texts they start."""
        number = self._ids.get
        ids = np.fromiter(
            chain.from_iterable((*(number(word, BEYOND) for word in text), BEYOND) for text in texts), dtype=np.int64
        )
        runs = max(0, len(ids) - N + 1)
        unknown = np.concatenate([[0], np.cumsum(ids == BEYOND)])
        starts = np.flatnonzero(unknown[N:] == unknown[:runs])
        codes = self._codes[ids]
        hashes = np.zeros(len(starts), dtype=np.uint64)
        for place, factor in enumerate(_FACTORS):
            hashes += codes[starts + place] * factor
        return hashes, starts
