"""Live progress: a display on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from harness.pipeline.execute import Result
from harness.spec.run import RunSpec

PLAIN_SECONDS = 30.0
"""Without a terminal, a line about the same stage at most this often."""


class Progress(Protocol):
    """Listens to an executor; a context manager."""

    def __call__(self, slot: int, run: RunSpec, event: dict[str, Any]) -> None: ...
    def __enter__(self) -> Progress: ...
    def __exit__(self, *exception: object) -> None: ...


def progress(labels: dict[str, str], quiet: bool = False) -> Progress:
    """The display that fits where stderr goes. labels: run_id to label, of all runs of the experiment."""
    if quiet:
        return Silent()
    return Display(labels) if sys.stderr.isatty() else Lines(labels)


class Silent:
    """Says nothing but what failed."""

    def __call__(self, slot: int, run: RunSpec, event: dict[str, Any]) -> None:
        result = event.get("result")
        if isinstance(result, Result) and result.outcome == "failed":
            print(f"{run.run_id} failed ({result.kind}): {result.message}", file=sys.stderr)

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exception: object) -> None: ...


class Narrator:
    """Which run of how many, and what an event says in a few words."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.numbers = {run_id: number for number, run_id in enumerate(labels, start=1)}
        self.begun: dict[str, float] = {}

    def title(self, run: RunSpec) -> str:
        """`[2/6] lora (seed 0)`."""
        self.begun.setdefault(run.run_id, time.monotonic())
        seed = "" if run.seed is None else f" (seed {run.seed})"
        return f"[{self.numbers[run.run_id]}/{len(self.labels)}] {self.labels.get(run.run_id, run.run_id)}{seed}"

    def words(self, event: dict[str, Any]) -> str:
        """What a step, a task or a batch of items says."""
        kind = event["event"]
        if kind == "step":
            loss = "" if event.get("loss") is None else f", loss {event['loss']:.3f}"
            speed = event.get("tokens_per_second")
            pace = "" if not speed else f", {speed:,.0f} tokens/s"
            return f"train step {event['step']}/{event['steps']}{loss}{pace}"
        if kind == "task":
            return f"score {event['task']} ({event['index']}/{event['of']})"
        return str(event.get("stage", kind))

    def end(self, run: RunSpec, result: Result) -> str:
        """How a run ended and how long it took."""
        seconds = time.monotonic() - self.begun.get(run.run_id, time.monotonic())
        if result.outcome == "complete":
            return f"{self.title(run)}: done in {clock(seconds)}"
        why = f" ({result.kind}): {result.message}" if result.kind else f": {result.message}" if result.message else ""
        return f"{self.title(run)}: {result.outcome}{why}"


def clock(seconds: float) -> str:
    """1:05, 2:03:04."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """One line when a run begins, enters a stage or a task, and ends; steps now and then."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.narrator = Narrator(labels)
        self.last: dict[int, float] = {}

    def __call__(self, slot: int, run: RunSpec, event: dict[str, Any]) -> None:
        title, kind = self.narrator.title(run), event["event"]
        if kind == "end":
            print(self.narrator.end(run, event["result"]), file=sys.stderr, flush=True)
        elif kind == "task" or (kind == "step" and self._due(slot)):
            print(f"{title}: {self.narrator.words(event)}", file=sys.stderr, flush=True)

    def _due(self, slot: int) -> bool:
        now = time.monotonic()
        if now - self.last.get(slot, 0.0) < PLAIN_SECONDS:
            return False
        self.last[slot] = now
        return True

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exception: object) -> None: ...


class Display:
    """A bar per worker with stage, step, loss, tokens/s and the time left; finished runs scroll by above."""

    def __init__(self, labels: dict[str, str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self.narrator = Narrator(labels)
        words = TextColumn("{task.description}", markup=False)  # a label is the user's text
        columns = (words, BarColumn(bar_width=20), TimeRemainingColumn(compact=True))
        self.bars = Bars(*columns, console=Console(stderr=True), transient=True)
        self.tasks: dict[int, Any] = {}

    def __call__(self, slot: int, run: RunSpec, event: dict[str, Any]) -> None:
        title, kind = self.narrator.title(run), event["event"]
        if kind == "end":
            self.bars.console.print(self.narrator.end(run, event["result"]), markup=False, highlight=False)
            self.bars.remove_task(self.tasks.pop(slot))
            return
        if slot not in self.tasks or kind in ("begin", "stage", "task"):
            if slot in self.tasks:
                self.bars.remove_task(self.tasks.pop(slot))
            self.tasks[slot] = self.bars.add_task(title, total=None)
        if kind == "step":
            words = f"{title}: {self.narrator.words(event)}"
            self.bars.update(self.tasks[slot], description=words, completed=event["step"], total=event["steps"])
        elif kind == "items":
            self.bars.update(self.tasks[slot], completed=event["done"], total=event["total"])
        elif kind in ("task", "stage"):
            self.bars.update(self.tasks[slot], description=f"{title}: {self.narrator.words(event)}")

    def __enter__(self) -> Display:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()
