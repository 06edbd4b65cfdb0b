"""Before training: the method's file, its adapter on the model, the number of its parameters, its first output."""

from __future__ import annotations

from harness.catalog.models import model_entry
from harness.pipeline.classes import class_problems
from harness.pipeline.prerequisites import obstacles
from harness.pipeline.proof.probe import difference
from harness.pipeline.proof.recipe import STEPS, micro_run
from harness.pipeline.proof.subject import Built, NotReached, Subject
from harness.pipeline.proof.verdict import Seen
from harness.spec.entries import method_file_problems

SAME_OUTPUT = 1e-4
"""Logits that differ by less of the largest are the same but for rounding (of a decomposed weight, say)."""


def schema(subject: Subject) -> Seen:
    """The file can be used, and the classes that it names can be imported and are what they must be."""
    found = [*method_file_problems(subject.method), *class_problems(subject.method)]
    if found:
        return Seen(False, "; ".join(map(str, found)))
    if not subject.method.loads:
        subject.run = micro_run(subject.method, subject.folder)
    return Seen(True)


def builds(subject: Subject) -> Seen:
    """It attaches to the model with its defaults, and something of it can be trained."""
    from harness.train.adapter import attach, counted

    run = subject.run
    if run is None:
        raise NotReached("it loads what an experiment names" if subject.method.loads else "its file can't be used")
    if missing := obstacles(run, ()):
        return Seen(False, "; ".join(obstacle.message for obstacle in missing))
    base = subject.base(run).copy()
    size = base.num_parameters()
    model = attach(base, run.adapter, STEPS, run.seed or 0)
    if run.adapter.trains == "nothing":
        model.requires_grad_(False)
    subject.built = Built(model, counted(model, size))
    if run.adapter.trains != "nothing" and not subject.built.count.trainable:
        return Seen(False, "nothing of it can be trained")
    return Seen(True)


def counts(subject: Subject) -> Seen:
    """The parameters that `harness plan` counts without weights are those that the model has."""
    from harness.train.adapter import count_parameters

    run, built = subject.needs_built()
    config = model_entry(run.model.name).config or {}
    planned, real = count_parameters(config, run.adapter), built.count
    if (planned.trainable, planned.base) == (real.trainable, real.base):
        return Seen(True, f"{real.trainable:,} trainable")
    seen = f"{planned.trainable:,} trainable of {planned.base:,} on the meta device"
    return Seen(False, f"{seen}, {real.trainable:,} of {real.base:,} on the model")


def starts_as_base(subject: Subject) -> Seen:
    """Untrained, it changes no output."""
    run, built = subject.needs_built()
    if run.adapter.trains == "nothing":
        return Seen(None, "nothing is attached")
    base = subject.base(run)
    apart = difference(base.probe.logits(built.model), base.logits)
    if apart <= SAME_OUTPUT:
        return Seen(True, f"logits differ by {apart:.0e}")
    return Seen(False, f"untrained, its logits differ from the base's by {apart:.2g} of the largest")
