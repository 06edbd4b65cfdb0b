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
ELSEWHERE = {
    "rank": "r",
    "lora_r": "r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "targets",
    "max_steps": "steps",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "per_device_train_batch_size": "micro_batch_size",
    "gradient_accumulation_steps": "micro_batch_size",
    "max_seq_length": "max_length",
    "warmup_ratio": "warmup_steps",
    "lr_scheduler_type": "lr_scheduler",
    "optim": "optimizer",
    "model_name_or_path": "model",
    "torch_dtype": "dtype",
    "max_samples": "limit",
}
"""What fields are called in PEFT, TRL and transformers."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that follows an unknown name: the nearest known one, else all that is allowed."""
    allowed = sorted(map(str, known))
    match = closest(str(name), allowed)
    if match is not None:
        return f"did you mean {match!r}?"
    if len(allowed) > MOST_NAMES:
        return f"none of {len(allowed):,} known names is like it"
    return "allowed: " + ", ".join(allowed) if allowed else "none is allowed here"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant: what it is called elsewhere, its initials, or a slip of the fingers."""
    allowed = sorted(known)
    head, dot, last = name.rpartition(".")
    meant = head + dot + ELSEWHERE.get(last, last)
    if meant in allowed:
        return meant
    for word in allowed:
        if "_" in word and _initials(word) == name:
            return word
    if len(name) > LONGEST_NAME:
        return None
    alike = get_close_matches(name, allowed, n=10, cutoff=0.6)
    near = [word for word in alike if _slips(name, word) <= 1 + len(name) // 5 or _shortened(name, word)]
    return min(near, key=lambda word: _slips(name, word), default=None)


def _slips(name: str, word: str) -> int:
    """The letters to be put in, left out, exchanged or swapped with their neighbour to turn one into the other."""
    before, row = list[int](), list(range(len(word) + 1))
    for i, letter in enumerate(name, 1):
        before, above, row = row, before, [i]
        for j, other in enumerate(word, 1):
            slips = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == word[j - 2] and name[i - 2] == other:
                slips = min(slips, above[j - 2] + 1)
            row.append(slips)
    return row[-1]


def _shortened(name: str, word: str) -> bool:
    """Whether the name is the word without some of its letters, or begins with it: `fmt` and `formats` of `format`."""
    letters = iter(word)
    return name.startswith(word) or (word[:1] == name[:1] and all(letter in letters for letter in name))


def _initials(word: str) -> str:
    """`train.learning_rate` as `train.lr`."""
    head, dot, last = word.rpartition(".")
    return head + dot + "".join(part[:1] for part in last.split("_"))
