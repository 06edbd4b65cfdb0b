"""What a terminal shows while runs are done."""

from __future__ import annotations

import logging
import sys
import warnings
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.pipeline.execute import Result
from harness.schedule.progress import Display, Lines, progress


def test_a_label_that_looks_like_markup_is_shown_as_it_is() -> None:
    display = Display({"abc": "LoRA [/b]"})
    run = SimpleNamespace(run_id="abc", seed=1)
    display(run, {"event": "begin"})  # type: ignore[arg-type]
    display(run, {"event": "step", "step": 3, "steps": 9, "loss": 1.5})  # type: ignore[arg-type]

    console = Console(width=120)
    with console.capture() as shown:
        console.print(display.bars.make_tasks_table(display.bars.tasks))
    assert "[1/1] LoRA [/b] (seed 1): train step 3/9, loss 1.500" in shown.get()


def test_quiet_lets_nothing_but_failures_through(capsys: pytest.CaptureFixture[str]) -> None:
    run, failed = SimpleNamespace(run_id="abc", seed=1), Result("abc", "failed", "diverged", "the loss is nan")
    with progress({"abc": "LoRA"}, quiet=True) as listen:
        print("a method's own words")
        print("a bar of some library", file=sys.stderr)
        warnings.warn("is deprecated", FutureWarning, stacklevel=1)
        logging.getLogger("lm_eval").warning("custom kwargs can be passed")
        listen(run, {"event": "begin"})  # type: ignore[arg-type]
        listen(run, {"event": "end", "result": failed})  # type: ignore[arg-type]

    assert tuple(capsys.readouterr()) == ("", "abc failed (diverged): the loss is nan\n")


def test_what_a_run_goes_on_with_is_told_as_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    lines, run = Lines({"abc": "LoRA"}), SimpleNamespace(run_id="abc", seed=1)
    died = Result("abc", "failed", "crashed", "the worker was killed by signal 9")
    lines(run, {"event": "changed", "setting": "micro_batch_size", "value": 2})  # type: ignore[arg-type]
    lines(run, {"event": "again", "result": died})  # type: ignore[arg-type]

    assert capsys.readouterr().err.splitlines() == [
        "[1/1] LoRA (seed 1): memory is short; goes on with micro_batch_size 2",
        "[1/1] LoRA (seed 1): crashed: the worker was killed by signal 9; tried again",
    ]
