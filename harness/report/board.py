"""What a leaderboard is, as Python, JSON and pandas see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from harness.report.groups import Matrix, OpenPair
from harness.report.in_words import in_words
from harness.report.rows import Row

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Leaderboard:
    """One benchmark, one base model, one scoring protocol, one training-data setting; the best row first.

    weights: the tasks' shares in the average, empty where all weigh the same; title: the benchmark's, None where it
    was not recorded; server: the host that answers for the model, None where it was loaded; limit: test items a task,
    None for all; data: None where no row was trained; metrics: each task's main metric; accuracies are percentages.
    failures names the failed runs, unfinished counts those that wait or work; others are the settings of the other
    boards that match; overlap: by task, how much of it stands in the training data (`Store.overlaps`), where measured;
    detectable, open_pair, matrix: what the comparisons of the rows say (see `Groups`), None where none were made;
    weights_matrix: makes the comparisons of the rows of one seed (see weights.py), which a site alone shows;
    budget: what was left out under a cap on parameters, and how the rest was chosen.
    """

    benchmark: str
    weights: dict[str, float]
    title: str | None
    model: str
    server: str | None
    revision: str | None
    dtype: str
    quantization: str
    limit: int | None
    data: dict[str, Any] | None
    prompt: str
    decoding: dict[str, Any]
    tasks: tuple[str, ...]
    metrics: dict[str, str]
    rows: tuple[Row, ...]
    failed: int
    failures: tuple[dict[str, Any], ...]
    unfinished: int
    notes: tuple[str, ...]
    overlap: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: tuple[dict[str, Any], ...] = ()
    others: tuple[dict[str, Any], ...] = ()
    detectable: float | None = None
    open_pair: OpenPair | None = None
    matrix: Matrix | None = None
    weights_matrix: Callable[[], Matrix | None] = field(default=lambda: None, compare=False)
    budget: tuple[str, ...] = ()

    def setting(self) -> dict[str, Any]:
        """What tells this board from others, as plain JSON values."""
        names = (
            "benchmark",
            "weights",
            "model",
            "server",
            "limit",
            "data",
            "revision",
            "dtype",
            "quantization",
            "prompt",
            "decoding",
        )
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        """The board as plain JSON values."""
        return {
            **self.setting(),
            "title": self.title,
            "tasks": list(self.tasks),
            "metrics": self.metrics,
            "rows": [row.to_json() for row in self.rows],
            "failed": self.failed,
            "failures": list(self.failures),
            "unfinished": self.unfinished,
            "notes": [*self.budget, *self.notes],
            "overlap": self.overlap,
            "published": list(self.published),
            "others": list(self.others),
            "detectable": self.detectable,
            "open_pair": None if self.open_pair is None else asdict(self.open_pair),
        }

    def columns(self) -> list[str]:
        """The names of the columns of `records`."""
        ends = ("", "_stderr", "_n", "_ci_low", "_ci_high")
        per_task = [f"{task}{end}" for task in self.tasks for end in ends]
        first = ["rank", "group", "label", "method", "model", "trainable_params", "trainable_percent", "seeds"]
        average = ["average", "average_stderr", "average_ci_low", "average_ci_high"]
        costs = ["train_seconds", "peak_memory_bytes", "adapter_bytes", "tokens"]
        return [*first, *per_task, *average, *costs, "departures", "tuned_points", "run_ids", "others"]

    def records(self) -> Iterator[dict[str, Any]]:
        """One flat mapping a row, None where there is no number; others: the boards beside this one, in words."""
        others = "; ".join(map(in_words, self.others)) or None
        for row in self.rows:
            plain = row.to_json()
            for task in self.tasks:
                score = plain["scores"].get(task, {})
                plain[task] = score.get("value")
                plain |= {f"{task}_{key}": score.get(key) for key in ("stderr", "n", "ci_low", "ci_high")}
            average = plain["average"] or {}
            plain |= {f"average_{key}": average.get(key) for key in ("stderr", "ci_low", "ci_high")}
            plain |= {"average": average.get("value"), "departures": "; ".join(row.departures)}
            plain["tuned_points"] = row.tuned["points"] if row.tuned else None
            plain |= {"run_ids": " ".join(row.run_ids), "others": others}
            yield {name: plain[name] for name in self.columns()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The records, so that `pandas.DataFrame(board)` is one line a row."""
        return self.records()

    def to_dataframe(self) -> pandas.DataFrame:
        """One line a row. Needs pandas."""
        import pandas

        return pandas.DataFrame(list(self.records()), columns=self.columns())
