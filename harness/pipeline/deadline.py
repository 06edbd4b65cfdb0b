"""The time that one try at a run may take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from harness.errors import RunError
from harness.report.figures import duration


@dataclass(frozen=True)
class Deadline:
    """Counts from when it is made. seconds: None for as long as it takes."""

    seconds: float | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self.late(0.0)

    def late(self, seconds: float) -> bool:
        """Whether it has been over for so long."""
        return self.seconds is not None and time.monotonic() - self.begun >= self.seconds + seconds

    def error(self, ended: str) -> RunError:
        """What is recorded. ended: how the run was ended."""
        return RunError("timeout", f"took longer than {duration(self.seconds)}; {ended}")
