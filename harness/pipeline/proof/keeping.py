"""After training: what is saved, what a fresh process makes of it, and merging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.proof.probe import difference
from harness.pipeline.proof.subject import Subject, Trained
from harness.pipeline.proof.verdict import Seen

if TYPE_CHECKING:
    import torch

RELOADED = 1e-5
"""The largest difference of logits after reloading, and after merging, as a share of the largest logit."""
MERGED = 1e-4


def reloads(subject: Subject) -> Seen:
    """What a fresh process loads from the saved file answers as the trained model does."""
    trained = subject.needs_trained()
    probe = subject.base(trained.run).probe
    loaded = subject.fresh.logits(trained.run, trained.paths.adapter, probe)
    apart = difference(loaded, probe.logits(trained.model))
    if apart <= RELOADED:
        return Seen(True, f"logits differ by {apart:.0e}")
    return Seen(False, f"loaded in a fresh process, its logits differ by {apart:.2g} of the largest")


def size(subject: Subject) -> Seen:
    """Weights are saved; how large their file is."""
    result = subject.needs_trained().result
    if not result.adapter_bytes:
        return Seen(False, "no weights were saved")
    return Seen(True, f"{result.adapter_bytes:,} bytes for {result.trainable_params:,} trained parameters")


def merges(subject: Subject) -> Seen:
    """Merged into the base's weights it answers as before; where it refuses, it leaves the model as it was."""
    trained = subject.needs_trained()
    if trained.run.adapter.trains == "all":
        return Seen(None, "there is no adapter to merge")
    method, probe = subject.method, subject.base(trained.run).probe
    before = probe.logits(trained.model)
    try:
        merged = trained.model.merge_and_unload()
    except Exception as error:  # noqa: BLE001 - a tuner may refuse in any way
        return _refused(trained, _words(error), before, subject)
    apart = difference(probe.logits(merged), before)
    if apart <= MERGED:
        return Seen(True, f"logits differ by {apart:.0e}")
    promised = "" if method.mergeable is not False else "mergeable: false, but merging is not refused: "
    covered = method.mergeable is not False or "merges" in method.limits
    return Seen(False, f"{promised}merged, its logits differ by {apart:.2g} of the largest", excusable=covered)


def _words(error: Exception) -> str:
    """The first line of a refusal; most are NotImplementedErrors, and need not say so."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _refused(trained: Trained, why: str, before: torch.Tensor, subject: Subject) -> Seen:
    apart = difference(subject.base(trained.run).probe.logits(trained.model), before)
    if apart > 0:
        late = f"refuses ({why}) only after it changed logits by {apart:.2g} of the largest"
        return Seen(False, late, excusable=False)
    if subject.method.mergeable is None and "merges" not in subject.method.limits:
        return Seen(None, f"refuses: {why}")
    return Seen(False, f"refuses: {why}")
