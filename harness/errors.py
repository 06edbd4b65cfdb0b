"""What can go wrong, and who is to mend it.

HarnessError                the user's: shown as a message, never a traceback; the command exits with 2
├── SpecError               everything wrong with the files that a command was given, all at once
├── PrerequisiteError       something is missing here: a package, a file, a device
│   └── UnfitError          all that an experiment lacks on this machine; another profile may fit
├── StoreError              the results database can't be used as it is
└── NotFoundError           a name or id that nothing answers to
RunError                    one run failed; recorded with its kind, the other runs go on
└── BatchTooLarge           its micro-batch did not fit into memory; a smaller one may
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from typing import Literal

FailureKind = Literal["config", "data", "oom", "diverged", "crashed", "timeout", "internal"]


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake of the user's, where it stands and how to mend it."""

    file: str
    line: int
    field: str
    message: str

    def __post_init__(self) -> None:
        for name in ("field", "message"):
            text = getattr(self, name)
            if len(text) > MOST_TOLD:
                object.__setattr__(self, name, f"{text[: MOST_TOLD // 2]} … {text[-MOST_TOLD // 2 :]}")

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        told = f"{where} {self.field}: {self.message}" if self.field else f"{where}: {self.message}"
        return "".join(map(_printable, told))


def _printable(character: str) -> str:
    """The character as it may stand in a line of a message."""
    if character.isprintable():
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


MOST_TOLD = 1_000
"""Characters of a message; of a longer one, which quotes a long value, the middle is left out."""
MOST_PROBLEMS = 200
"""Nobody mends more mistakes of one kind at a time."""
AND_MORE = f"and more: only the first {MOST_PROBLEMS} such mistakes are told"


def first(problems: Iterable[Problem]) -> list[Problem]:
    """The first problems of a kind; beyond MOST_PROBLEMS, one more says that there are others."""
    found = list(islice(problems, MOST_PROBLEMS + 1))
    if len(found) > MOST_PROBLEMS:
        found[-1] = replace(found[-1], message=AND_MORE)
    return found


class HarnessError(Exception):
    """A mistake that the user can mend; the message says how."""


class SpecError(HarnessError):
    """Every problem found in the files of one command, in the order of the files' lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PrerequisiteError(HarnessError):
    """Something that must be there is not; the message says what to install, fetch or set."""


class UnfitError(PrerequisiteError):
    """An experiment as it stands can't be run here; the message says all that it lacks, a line each."""


class StoreError(HarnessError):
    """The results database can't be opened or written as it is."""


class NotFoundError(HarnessError):
    """No run, method, task or experiment has this name."""


class RunError(Exception):
    """One run failed for a known reason; `kind` is recorded with it."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class BatchTooLarge(RunError):
    """The memory ran out while micro-batches of `size` were computed."""

    def __init__(self, size: int, reason: BaseException) -> None:
        self.size = size
        told = str(reason).partition("\n")[0] or type(reason).__name__
        super().__init__("oom", f"micro-batches of {size} don't fit: {told}; gradient_checkpointing may help")


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What PyTorch says of short memory on CUDA, MPS and CPU where it raises no type of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, of the accelerator or of the host."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


MOST_NAMES = 60
"""A longer list of what is allowed helps nobody."""
LONGEST_NAME = 200
"""Characters; what is longer resembles no name."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that follows an unknown name: the nearest known one, else all that is allowed."""
    allowed = sorted(map(str, known))
    matches = [word for word in allowed if "_" in word and _initials(word) == name]
    if not matches and len(str(name)) <= LONGEST_NAME:
        matches = get_close_matches(str(name), allowed, n=1, cutoff=0.6)
    if matches:
        return f"did you mean {matches[0]!r}?"
    if len(allowed) > MOST_NAMES:
        return f"none of {len(allowed):,} known names is like it"
    return "allowed: " + ", ".join(allowed) if allowed else "none is allowed here"


def _initials(word: str) -> str:
    """`train.learning_rate` as `train.lr`."""
    head, dot, last = word.rpartition(".")
    return head + dot + "".join(part[:1] for part in last.split("_"))
