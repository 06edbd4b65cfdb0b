"""The equal-budget view: one row a method, under a cap on trainable parameters. No test score chooses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.figures import count
from harness.report.labels import labelled_rows
from harness.report.selection import Candidate, Selection
from harness.report.validation import mean_validation_loss
from harness.report.versions import task_versions
from harness.store.store import Store


@dataclass(frozen=True)
class Budget:
    """What of a board is left under a cap: its runs, how many rows have scores, what has to be said of the choice."""

    selection: Selection
    rows: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Option:
    label: str
    runs: tuple[Candidate, ...]

    @property
    def size(self) -> int | None:
        """Its trainable parameters."""
        first = self.runs[0]
        if first.spec.adapter.trains == "nothing" and first.spec.adapter.loads is None:
            return 0
        return next((run.run.training.trainable_params for run in self.runs if run.run.training is not None), None)


def within(store: Store, selection: Selection, cap: int) -> Budget:
    """The scored rows with at most `cap` trainable parameters, of each method one; runs without a score stay.

    Of a method's rows it takes the one with the lowest validation loss (mean over seeds); where that is not recorded
    of all of them, the one with the most parameters.
    """
    versions = task_versions(selection.candidates)
    scored = [run for run in selection.candidates if versions.main(run)]
    options = [_Option(label, tuple(runs)) for label, runs in labelled_rows(scored)]
    fitting = [option for option in options if option.size is not None and option.size <= cap]
    methods: dict[str, list[_Option]] = defaultdict(list)
    for option in fitting:
        methods[option.runs[0].run.method].append(option)
    chosen = {method: _chosen(store, found) for method, found in methods.items()}
    kept = {run.run.run_id for option, _ in chosen.values() for run in option.runs}
    dropped = {run.run.run_id for run in scored} - kept
    notes = [_cap_note(cap, [option.label for option in options if option not in fitting])]
    notes += [_choice_note(option, len(methods[method]), how) for method, (option, how) in chosen.items() if how]
    left = tuple(run for run in selection.candidates if run.run.run_id not in dropped)
    return Budget(Selection(left), len(chosen), tuple(notes))


def _chosen(store: Store, options: Sequence[_Option]) -> tuple[_Option, str]:
    """The option that stands for its method, and why; no reason where there is no choice."""
    if len(options) == 1:
        return options[0], ""
    losses = [mean_validation_loss(store, option.runs) for option in options]
    known = [loss for loss in losses if loss is not None]
    if len(known) == len(losses):
        best = min(range(len(options)), key=lambda i: known[i])
        return options[best], f"by validation loss, {known[best]:.4g}"
    largest = max(options, key=lambda option: option.size or 0)
    return largest, "as the largest: validation losses are not recorded of all"


def _cap_note(cap: int, above: Sequence[str]) -> str:
    left_out = f"; left out: {', '.join(above)}" if above else ""
    return f"At most {count(cap)} trainable parameters, one row a method{left_out}."


def _choice_note(option: _Option, number: int, how: str) -> str:
    return f"{option.label} was chosen of {number} rows of its method {how}."
