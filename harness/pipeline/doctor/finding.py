"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What was found of a topic.

    state: `wrong` keeps runs from being done or records from being read, `note` is a thing that some need; advice: how
    to have it otherwise, empty where nothing is to be done.
    """

    topic: str
    state: State
    told: str
    advice: str = ""
