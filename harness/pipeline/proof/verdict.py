"""What a check saw of a method, and what that means beside what the method's file declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["passed", "failed", "declared", "not_applicable"]


@dataclass(frozen=True)
class Seen:
    """What a check saw.

    holds: None where the check does not apply; excusable: whether a declared limit covers it where it does not hold;
    noted: worth telling though it holds; trace: of an exception that nobody expected.
    """

    holds: bool | None
    detail: str = ""
    excusable: bool = True
    noted: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Check:
    """A check's result; `declared` is a cross that the method's file announces, with its reason."""

    name: str
    result: Result
    detail: str = ""
    noted: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Proof:
    """All checks of a method in order. adapter_bytes, trainable_params: None where it did not get that far."""

    method: str
    file: str
    checks: tuple[Check, ...]
    adapter_bytes: int | None = None
    trainable_params: int | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether there is no cross but those that are declared."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The checks that failed."""
        return tuple(check.name for check in self.checks if check.result == "failed")

    def to_json(self) -> dict[str, Any]:
        """`{method, file, passed, checks: [{name, result, detail}], adapter_bytes, trainable_params, seconds}`."""
        return {
            "method": self.method,
            "file": self.file,
            "passed": self.passed,
            "checks": [{"name": one.name, "result": one.result, "detail": one.detail} for one in self.checks],
            "adapter_bytes": self.adapter_bytes,
            "trainable_params": self.trainable_params,
            "seconds": round(self.seconds, 1),
        }


def judged(name: str, seen: Seen, declared: Mapping[str, str]) -> Check:
    """The result of a check. declared: what the method can't do, by check, each with its reason.

    A declared limit that is none is a failure too: what a file declares must stay true.
    """
    if seen.holds is None:
        return Check(name, "not_applicable", seen.detail)
    reason = declared.get(name)
    if seen.holds and reason is not None:
        return Check(name, "failed", f"holds, but the file declares that it does not ({reason}): take that out")
    if seen.holds:
        return Check(name, "passed", seen.detail, seen.noted)
    if reason is not None and seen.excusable:
        return Check(name, "declared", f"{reason} (seen: {seen.detail})", trace=seen.trace)
    return Check(name, "failed", seen.detail, trace=seen.trace)
