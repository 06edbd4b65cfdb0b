"""Target letters, resolved per architecture."""

from __future__ import annotations

from functools import lru_cache

import yaml

from harness.paths import PACKAGE

LETTERS = "QKVOGUD"
"""Attention query, key, value, output; MLP gate, up, down."""


@lru_cache
def _tables() -> dict[str, dict[str, str]]:
    return yaml.safe_load((PACKAGE / "catalog" / "architectures.yaml").read_text(encoding="utf-8"))


def is_letters(targets: object) -> bool:
    """Whether `targets` is written in letters (`QKVUD`) rather than as names or `all-linear`."""
    return isinstance(targets, str) and targets != "" and set(targets) <= set(LETTERS)


def letters_of(model_type: str) -> dict[str, str] | None:
    """The module that each letter means in an architecture; None for one without a table.

    Two letters that share a name are one fused projection.
    """
    return _tables().get(model_type)


def module_names(letters: str, model_type: str) -> list[str]:
    """The modules that `letters` mean in an architecture, in the letters' order, each once.

    Raises ValueError for an architecture without a table or a letter that it lacks, and for letters that
    name only part of a fused projection.
    """
    table = _tables().get(model_type)
    if table is None:
        raise ValueError(
            f"the letters {letters} have no meaning for the architecture {model_type!r}; list module names"
        )
    missing = [letter for letter in letters if letter not in table]
    if missing:
        raise ValueError(f"{model_type} has no {', '.join(missing)}; it has {''.join(table)}")
    names = list(dict.fromkeys(table[letter] for letter in letters))
    for name in names:
        fused = "".join(letter for letter in table if table[letter] == name)
        if not set(fused) <= set(letters):
            raise ValueError(f"{model_type} keeps {fused} in one module, {name}: name all of them or none")
    return names
