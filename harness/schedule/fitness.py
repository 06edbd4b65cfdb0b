"""What runs need of the machine that does them and of the hub, found in seconds and before any weight is fetched."""

from __future__ import annotations

from collections.abc import Iterator

from harness.catalog.hub import weights_fault
from harness.catalog.models import ModelEntry, model_entry
from harness.errors import NotFoundError
from harness.pipeline.estimate.decoder import decoder_of
from harness.pipeline.estimate.memory import WIDTHS, weights
from harness.pipeline.plan import Plan
from harness.pipeline.prerequisites import Obstacle
from harness.schedule.devices import Devices
from harness.spec.run import ModelRef, RunSpec

LARGE = 1_000_000_000
"""Parameters of a base that nobody trains an adapter of without a GPU, beyond a few steps."""
FEW_STEPS = 100
GB = 1e9


def shortfalls(plan: Plan, devices: Devices | None, asks_hub: bool = True) -> list[Obstacle]:
    """What the machine or the hub lacks for the runs that are to be done or that something else blocks, each once.

    Weights that fit into no device; a large base that is to be trained without a GPU; a hub model that is gated, that
    there is not, or that can't be reached. How much memory training takes is estimated by `harness plan`, not here.
    devices: None where they are not known, the runs being done elsewhere; asks_hub: without, the hub is left alone.
    """
    asked = (planned.run for planned in plan.runs if planned.action in ("train", "score") or planned.obstacles)
    found: dict[Obstacle, None] = {}
    looked_at: dict[tuple[object, ...], None] = {}
    for run in asked:
        key = (run.model.name, run.model.revision, run.model.dtype, run.model.quantization, _is_long(run))
        if run.model.api is None and key not in looked_at:
            looked_at[key] = None
            found |= dict.fromkeys(_shortfalls(run, devices, asks_hub))
    return list(found)


def _shortfalls(run: RunSpec, devices: Devices | None, asks_hub: bool) -> Iterator[Obstacle]:
    try:
        entry = model_entry(run.model.name, run.model.revision)
    except NotFoundError:  # told as an obstacle of the run itself
        return
    if devices is not None and (count := parameters(entry)) is not None:
        yield from _room(run.model, entry, count, devices)
        if count > LARGE and not devices.gpus and _is_long(run):
            yield Obstacle("base.model", _needs_gpu(entry, count))
    if asks_hub and entry.source == "hub" and (fault := weights_fault(entry.name, entry.revision)):
        yield Obstacle("base.model", f"{entry.name} {fault}")


def _is_long(run: RunSpec) -> bool:
    return run.train is not None and (run.train.steps is None or run.train.steps > FEW_STEPS)


def parameters(entry: ModelEntry) -> int | None:
    """The base's parameters but for norms and biases; None where its configuration does not tell them."""
    decoder = decoder_of(entry.config)
    if decoder is None or entry.config is None:
        return None
    embeddings = 1 if entry.config.get("tie_word_embeddings") else 2
    return decoder.layers * decoder.layer_weights + embeddings * decoder.head_weights


def _room(model: ModelRef, entry: ModelEntry, count: int, devices: Devices) -> Iterator[Obstacle]:
    dtype = entry.dtype if model.dtype == "auto" else model.dtype
    decoder, width = decoder_of(entry.config), WIDTHS.get(dtype)
    if decoder is None or width is None or devices.largest is None:
        return
    size = weights(decoder, count, width, model.quantization)
    if size > devices.largest:
        form = dtype if model.quantization == "none" else model.quantization
        where = "the largest GPU here has" if devices.gpus else "there is no GPU, and this machine has"
        needs = f"{entry.name}'s weights alone take {size / GB:.1f} GB in {form}"
        yield Obstacle("base.model", f"{needs}; {where} {devices.largest / GB:.1f} GB")


def _needs_gpu(entry: ModelEntry, count: int) -> str:
    return (
        f"training on {entry.name} ({count / LARGE:.1f} billion parameters) for more than {FEW_STEPS} steps needs a "
        f"GPU; found none (--set train.steps={FEW_STEPS} is tried without one)"
    )
