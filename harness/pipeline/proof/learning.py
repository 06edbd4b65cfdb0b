"""Training: the loss falls, and an interruption changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.errors import RunError
from harness.pipeline.proof.recipe import STEPS, micro_run
from harness.pipeline.proof.subject import Subject, Trained
from harness.pipeline.proof.verdict import Seen

if TYPE_CHECKING:
    from torch import nn

FALL = 0.01
"""By this share of itself, at least, the loss falls. On the same rows and without dropout it does not vary."""
FACTORS = (1, 10, 100)
"""A learning rate made for a large model may be too low for a small one within 20 steps. What was needed is told."""
STOP_AT = STEPS // 2


def learns(subject: Subject) -> Seen:
    """The loss over the training rows falls in 20 steps, at the method's own learning rate or a multiple of it."""
    run, built = subject.needs_built()
    if run.train is None:
        return Seen(None, "nothing is trained")
    probe, own = subject.base(run).probe, run.train.learning_rate
    before, tried = probe.loss(built.model), []
    for factor in FACTORS:
        rated = run if factor == 1 else micro_run(subject.method, subject.folder, learning_rate=own * factor)
        try:
            trained = subject.train(rated, subject.new_paths(rated))
        except RunError as error:
            if factor == 1:
                raise
            tried.append(f"{own * factor:g}: {error}")
            continue
        after = probe.loss(trained.model)
        tried.append(f"{own * factor:g}: loss {before:.4g} to {after:.4g}")
        if subject.trained is None or after < before:
            subject.trained = trained
        if after <= (1 - FALL) * before:
            steps = f"loss {before:.4g} to {after:.4g} in {STEPS} steps at learning rate {own * factor:g}"
            return Seen(True, steps + (f", {factor} times its own" if factor > 1 else ""), noted=factor > 1)
    return Seen(False, f"in {STEPS} steps at learning rate " + "; ".join(tried))


def resumes(subject: Subject) -> Seen:
    """Stopped after half of the steps and begun again, a training ends where a straight one does, bit for bit."""
    straight = subject.needs_trained()
    again, stopped_at = _interrupted(subject, straight)
    if not stopped_at:
        return Seen(False, f"does not stop at step {STOP_AT} when it is asked to")
    resumed = again.result.provenance["resumed_from"]
    if _resumable(straight) and resumed != stopped_at:
        return Seen(False, f"begun again from {resumed or 'the start'}, not from its checkpoint at step {stopped_at}")
    if differing := sorted(_differing(straight.model, again.model)):
        first = "; ".join(differing[:2])
        return Seen(False, f"ends elsewhere than straight training: {first} ({len(differing)} in all)")
    return Seen(True, f"from step {resumed}" if resumed else "begins again at the start, as its trainer says")


def _interrupted(subject: Subject, straight: Trained) -> tuple[Trained, int | None]:
    """The same training with an interruption, and the step after which it stopped; None where it did not."""
    from harness.train.training import Stopped

    run, paths = straight.run, subject.new_paths(straight.run)
    asked = _Counter(STOP_AT)
    with suppress(Stopped):
        return subject.train(run, paths, asked), None
    return subject.train(run, paths), asked.count


class _Counter:
    """Asks for a stop at the n-th time of being asked."""

    def __init__(self, limit: int) -> None:
        self.count, self.limit = 0, limit

    def __call__(self) -> bool:
        self.count += 1
        return self.count >= self.limit


def _resumable(trained: Trained) -> bool:
    from harness.train.reference import resolve

    return getattr(resolve(trained.run.adapter.trainer or "trl:SFTTrainer"), "resumable", True)


def _differing(ours: nn.Module, theirs: nn.Module) -> Iterator[str]:
    """The names of weights and buffers that are not equal bit for bit."""
    import torch

    one, other = ours.state_dict(), theirs.state_dict()
    for name in one.keys() | other.keys():
        if name not in one or name not in other:
            yield f"{name} is missing"
        elif not torch.equal(one[name], other[name]):
            yield f"{name} differs"
