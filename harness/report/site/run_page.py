"""One run's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.catalog.tasks import task_title
from harness.report.estimates import bare, scale
from harness.report.figures import MISSING, count, duration, memory
from harness.report.overlap import overlap_line
from harness.report.site.charts import loss
from harness.report.site.runs import Runs
from harness.store.records import AttemptRecord, RunRecord, Sample, TrainResult
from harness.store.store import Store

MOST = 5
"""Samples of a task that are shown, of the wrong and of the right ones."""
LONGEST = 2000
"""Characters of an output that are shown."""


def run_page(store: Store, runs: Runs, run_id: str, boards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the page of this run shows; boards: the summaries of those that it stands on."""
    run, place = runs.records[run_id], runs.places.get(run_id)
    attempts = store.attempts(run_id)
    overlap = runs.overlaps.get(run_id, {})
    tasks = dict.fromkeys(score.task for score in runs.scores[run_id])
    return {
        "boards": boards,
        "run_id": run_id,
        "label": place.label if place else run.method,
        "seed": "" if run.seed is None else f"seed {run.seed}",
        "status": run.status,
        "error": run.error,
        "summary": _summary(run, place.experiment if place else None),
        "scores": _scores(runs, run_id),
        "overlap": overlap_line(overlap, list(overlap)) if overlap else "",
        "loss": loss(run),
        "tasks": [told for task in tasks if (told := _task(task, store.samples(run_id, task)))],
        "most": MOST,
        "attempts": [{"told": _attempt(attempt), "traceback": attempt.traceback} for attempt in attempts],
        "provenance": _provenance(run, attempts),
    }


def _summary(run: RunRecord, experiment: str | None) -> list[tuple[str, str]]:
    facts = [("Method", run.method), ("Model", run.model)]
    if experiment:
        facts.append(("Experiment", experiment))
    if run.finished_at:
        facts.append(("Finished", run.finished_at))
    return facts + (_training(run.training) if run.training else [])


def _training(training: TrainResult) -> list[tuple[str, str]]:
    size = MISSING if training.adapter_bytes is None else memory(training.adapter_bytes)
    return [
        ("Trainable parameters", f"{training.trainable_params:,} ({training.trainable_percent:.4g} %)"),
        ("Training", f"{training.steps:,} steps in {duration(training.seconds)}"),
        ("Tokens", count(training.tokens)),
        ("Peak memory", memory(training.peak_memory_bytes)),
        ("Adapter", size),
        *((f"Examples {name}", f"{number:,}") for name, number in training.counts.items()),
    ]


def _scores(runs: Runs, run_id: str) -> list[dict[str, Any]]:
    return [
        {
            "task": task_title(score.task),
            "metric": bare(score.metric),
            "value": score.value * scale(score.metric),
            "stderr": None if score.stderr is None else score.stderr * scale(score.metric),
            "n": score.n,
            "version": score.version,
        }
        for score in runs.scores[run_id]
    ]


def _task(task: str, samples: Sequence[Sample]) -> dict[str, Any] | None:
    """A task's first wrong and right samples; None where none are recorded."""
    if not samples:
        return None
    wrong = [sample for sample in samples if sample.outcome < 1]
    right = [sample for sample in samples if sample.outcome >= 1]
    shown = [_sample(sample) for sample in (*wrong[:MOST], *right[:MOST])]
    told = f"{len(wrong):,} of {len(samples):,} items wrong"
    return {"title": task_title(task), "told": told, "shown": shown}


def _sample(sample: Sample) -> dict[str, Any]:
    output = sample.output
    if output is not None and len(output) > LONGEST:
        output = f"{output[:LONGEST]} … ({len(output) - LONGEST:,} more characters)"
    verdict = {0.0: "Wrong", 1.0: "Right"}.get(sample.outcome, f"Outcome {sample.outcome:g}")
    return vars(sample) | {"output": output, "right": sample.outcome >= 1, "verdict": verdict}


def _attempt(attempt: AttemptRecord) -> str:
    ended = f"{attempt.outcome or 'under way'}" + (f" ({attempt.kind})" if attempt.kind else "")
    told = f"{attempt.started_at} to {attempt.ended_at or MISSING} on {attempt.worker}, {attempt.device}: {ended}"
    settings = "".join(f", {name} {value}" for name, value in attempt.settings.items())
    return told + settings + (f". {attempt.message}" if attempt.message else "")


def _provenance(run: RunRecord, attempts: Sequence[AttemptRecord]) -> list[tuple[str, str]]:
    """What was asked, with what it was made, and what its training wrote down, as YAML."""
    import yaml

    made = next((attempt.provenance for attempt in reversed(attempts) if attempt.provenance), {})
    parts = {
        "Specification": run.spec,
        "Packages, commit and hardware": made,
        "Training": run.training.provenance if run.training else {},
    }
    return [
        (name, yaml.dump(part, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100))
        for name, part in parts.items()
        if part
    ]


def _dumper() -> Any:
    """libyaml's dumper where PyYAML was built with it: ten times as fast."""
    import yaml

    return getattr(yaml, "CSafeDumper", yaml.SafeDumper)
