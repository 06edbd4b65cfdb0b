"""The classes of a specification's fields: what a field's value decides.

Every field of a RunSpec carries exactly one of these marks; a test fails for one without.
IDENTITY decides the trained adapter and enters `train_id`; SCORING decides the scores of a given
adapter and enters `run_id` alone; RUNTIME decides neither (where and how fast a run is done).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FieldClass:
    """`since`: the identity version that introduced the field.

    A field younger than version 1 is left out of the canonical form at its default, so that the
    ids of runs recorded before it stay as they are.
    """

    role: Literal["identity", "scoring", "runtime"]
    since: int = 1


IDENTITY = FieldClass("identity")
SCORING = FieldClass("scoring")
RUNTIME = FieldClass("runtime")
LATER_IDENTITY = FieldClass("identity", since=2)
"""Decides the adapter as IDENTITY does; ids from before the field existed stay."""
LATER_SCORING = FieldClass("scoring", since=2)
"""Decides the scores as SCORING does; ids from before the field existed stay."""
