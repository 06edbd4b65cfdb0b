"""Increments of an adapter that was trained before: its kept weights less its start, drawn anew."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from harness.errors import RunError
from harness.spec.run import RunSpec
from harness.store.increments.records import Increment
from harness.store.records import TrainResult
from harness.train.adapter import attach, detach, load_adapter
from harness.train.fingerprint import fingerprints, joined
from harness.train.increments.measure import Weights, increments, trained
from harness.train.live import prove_same

DEVIATIONS = 5.0
"""By which the kept weights have to resemble the start, in units of what chance gives."""


def remeasure(run: RunSpec, training: TrainResult, adapter: Path, base: PreTrainedModel) -> tuple[Increment, ...]:
    """What `training` changed: the weights kept in `adapter` less those that `run` starts with on `base`.

    The start is that of the run's seed, drawn on the device of `base`, and proved to be the one that was trained from:
    by the recorded fingerprint, or, of a training that is older than those, by its resemblance to the end. `base` is
    given back as it was. Raises RunError where the start can't be made again, or the file holds not all that was
    trained (a prompt without the network that made it, pruned ranks).
    """
    if run.seed is None or run.adapter.trains != "adapter":
        raise RunError("config", f"{run.adapter.method} trains no adapter")
    start, found = _start(run, run.seed, training.steps, base)
    end = _end(run, training, adapter, base, start)
    lost = [name for name, weight in start.items() if name not in end or end[name].shape != weight.shape]
    if lost:
        raise RunError("config", f"what is kept holds not all that was trained: {lost[0]} and {len(lost) - 1} others")
    _prove_start(run, training, found, start, end)
    return increments(start, end)


def _start(run: RunSpec, seed: int, steps: int, base: PreTrainedModel) -> tuple[dict[str, torch.Tensor], str]:
    """The weights as they are initialised, and their fingerprint."""
    model = attach(base, run.adapter, steps, seed)
    try:
        weights = ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
        return trained(model), joined(fingerprints(weights))
    finally:
        detach(base, model)


def _end(
    run: RunSpec, training: TrainResult, adapter: Path, base: PreTrainedModel, names: Weights
) -> dict[str, torch.Tensor]:
    model: PreTrainedModel | PeftModel = base
    try:
        model = load_adapter(base, adapter, run.adapter)
        prove_same(model, training.provenance.get("saved"))
        return trained(model, names)
    finally:
        detach(base, model)


def _prove_start(run: RunSpec, training: TrainResult, found: str, start: Weights, end: Weights) -> None:
    recorded = training.provenance.get("start")
    if recorded is not None:
        if recorded != found:
            raise RunError("config", "its start can't be made again here: another device or version draws otherwise")
    elif run.adapter.trainer is not None or not _alike(start, end):
        raise RunError("config", "its start was not recorded, and what is drawn here is not shown to be it")


def _alike(start: Weights, end: Weights) -> bool:
    """Whether the end is nearer to this start than to any other: their cosine is beyond what chance gives.

    Of independent weights it has mean 0 and deviation 1/√n. Weights that start at a constant say nothing, and where
    all do, any seed starts so.
    """
    drawn = [name for name, weight in start.items() if weight.numel() > 1 and weight.std() > 0]
    if not drawn:
        return True
    before, after = (torch.cat([weights[name].flatten().double() for name in drawn]) for weights in (start, end))
    cosine = torch.dot(before, after) / (before.norm() * after.norm())
    return bool(cosine > DEVIATIONS / len(before) ** 0.5)
