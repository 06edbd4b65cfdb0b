"""What a terminal shows while runs are done."""

from __future__ import annotations

from types import SimpleNamespace

from rich.console import Console

from harness.schedule.progress import Display


def test_a_label_that_looks_like_markup_is_shown_as_it_is() -> None:
    display = Display({"abc": "LoRA [/b]"})
    run = SimpleNamespace(run_id="abc", seed=1)
    display(0, run, {"event": "begin"})  # type: ignore[arg-type]
    display(0, run, {"event": "step", "step": 3, "steps": 9, "loss": 1.5})  # type: ignore[arg-type]

    console = Console(width=120)
    with console.capture() as shown:
        console.print(display.bars.make_tasks_table(display.bars.tasks))
    assert "[1/1] LoRA [/b] (seed 1): train step 3/9, loss 1.500" in shown.get()
