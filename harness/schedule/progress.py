"""Live progress: a display on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, redirect_stderr
from typing import Any, Protocol

from harness.pipeline.classes import hushed
from harness.pipeline.execute import Result
from harness.spec.run import RunSpec

PLAIN_SECONDS = 30.0
"""Without a terminal, a line about the same stage at most this often."""

NEWS = ("changed", "again", "queued", "refused")
"""Events that stay on the screen."""


class Progress(Protocol):
    """Listens to a loop; a context manager."""

    def __call__(self, run: RunSpec, event: dict[str, Any]) -> None: ...
    def __enter__(self) -> Progress: ...
    def __exit__(self, *exception: object) -> None: ...


def progress(labels: dict[str, str], quiet: bool = False) -> Progress:
    """The display that fits where stderr goes. labels: run_id to label, of all runs of the experiment."""
    if quiet:
        return Silent()
    return Display(labels) if sys.stderr.isatty() else Lines(labels)


class Silent:
    """Says nothing but what failed, and lets no library of this process say anything at all."""

    def __init__(self) -> None:
        self._stderr, self._muted = sys.stderr, ExitStack()

    def __call__(self, run: RunSpec, event: dict[str, Any]) -> None:
        result = event.get("result")
        if isinstance(result, Result) and result.outcome in ("failed", "blocked"):
            kind = f" ({result.kind})" if result.kind else ""
            print(f"{run.run_id} {result.outcome}{kind}: {result.message}", file=self._stderr)

    def __enter__(self) -> Silent:
        self._muted.enter_context(redirect_stderr(self._muted.enter_context(open(os.devnull, "w"))))
        self._muted.enter_context(hushed())
        return self

    def __exit__(self, *exception: object) -> None:
        self._muted.close()


class Narrator:
    """Which run of how many, and what an event says in a few words. labels: may grow while runs are done."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.numbers = {run_id: number for number, run_id in enumerate(labels, start=1)}
        self.begun: dict[str, float] = {}

    def title(self, run: RunSpec) -> str:
        """`[2/6] lora (seed 0)`."""
        self.begun.setdefault(run.run_id, time.monotonic())
        seed = "" if run.seed is None else f" (seed {run.seed})"
        number = self.numbers.setdefault(run.run_id, len(self.numbers) + 1)
        return f"[{number}/{max(number, len(self.labels))}] {self.labels.get(run.run_id, run.run_id)}{seed}"

    def words(self, event: dict[str, Any]) -> str:
        """What a step, a task or a batch of items says."""
        kind = event["event"]
        if kind == "step":
            loss = "" if event.get("loss") is None else f", loss {event['loss']:.3f}"
            speed = event.get("tokens_per_second")
            pace = "" if not speed else f", {speed:,.0f} tokens/s"
            return f"train step {event['step']}/{event['steps']}{loss}{pace}"
        if kind == "changed":
            return f"memory is short; goes on with {event['setting']} {event['value']}"
        if kind == "again":
            result = event["result"]
            if result.outcome == "stopped":
                return "the cluster ends its job; it goes on in another"
            return f"{result.kind}: {result.message}; tried again" if result.kind else f"{result.message}; asked again"
        if kind == "refused":
            return f"{event['why']}; submitted again later"
        if kind == "queued":
            return f"handed over as {event['job']}"
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
        self.last: dict[str, float] = {}

    def __call__(self, run: RunSpec, event: dict[str, Any]) -> None:
        title, kind = self.narrator.title(run), event["event"]
        if kind == "end":
            print(self.narrator.end(run, event["result"]), file=sys.stderr, flush=True)
        elif kind in ("task", *NEWS) or (kind == "step" and self._due(run.run_id)):
            print(f"{title}: {self.narrator.words(event)}", file=sys.stderr, flush=True)

    def _due(self, run_id: str) -> bool:
        now = time.monotonic()
        if now - self.last.get(run_id, 0.0) < PLAIN_SECONDS:
            return False
        self.last[run_id] = now
        return True

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exception: object) -> None: ...


class Display:
    """A bar per run in hand with stage, step, loss, tokens/s and the time left; finished runs scroll by above."""

    def __init__(self, labels: dict[str, str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self.narrator = Narrator(labels)
        words = TextColumn("{task.description}", markup=False)  # a label is the user's text
        columns = (words, BarColumn(bar_width=20), TimeRemainingColumn(compact=True))
        self.bars = Bars(*columns, console=Console(stderr=True), transient=True)
        self.tasks: dict[str, Any] = {}

    def __call__(self, run: RunSpec, event: dict[str, Any]) -> None:
        title, kind = self.narrator.title(run), event["event"]
        if kind == "end":
            self.bars.console.print(self.narrator.end(run, event["result"]), markup=False, highlight=False)
            self._forget(run)
            return
        if kind in NEWS:
            self.bars.console.print(f"{title}: {self.narrator.words(event)}", markup=False, highlight=False)
        if kind == "again":
            self._forget(run)
            return
        if run.run_id not in self.tasks or kind in ("begin", "stage", "task"):
            self._forget(run)
            self.tasks[run.run_id] = self.bars.add_task(title, total=None)
        if kind == "step":
            words = f"{title}: {self.narrator.words(event)}"
            self.bars.update(self.tasks[run.run_id], description=words, completed=event["step"], total=event["steps"])
        elif kind == "items":
            self.bars.update(self.tasks[run.run_id], completed=event["done"], total=event["total"])
        elif kind in ("task", "stage"):
            self.bars.update(self.tasks[run.run_id], description=f"{title}: {self.narrator.words(event)}")

    def _forget(self, run: RunSpec) -> None:
        """Takes away the bar of a run, if it has one."""
        if run.run_id in self.tasks:
            self.bars.remove_task(self.tasks.pop(run.run_id))

    def __enter__(self) -> Display:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()
