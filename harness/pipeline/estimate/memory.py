"""The most memory that a training holds at once.

Weights, gradients and the optimizer's moments of what is trained, and what the layers keep for the backward pass of
one micro-batch: counted by hand for a Llama layer with fused attention, and held against measurement
(benchmarks/estimates.py). With gradient checkpointing each layer keeps its input alone, and one layer all of it
(Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.pipeline.estimate.decoder import Decoder
from harness.pipeline.estimate.work import Task

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""
QUANTIZED = {"int8": 1.0, "nf4": 0.516}
"""Of a quantised weight: nf4 has 4 bits, and 0.127 for scales that are quantised too (Dettmers et al. 2023, QLoRA)."""
MOMENTS = {"sgd": 0.0, "adafactor": 0.0, "adamw_8bit": 0.5, "adamw_bnb_8bit": 0.5, "paged_adamw_8bit": 0.5}
"""Numbers of the trained type that an optimizer keeps for each trained one; AdamW's two where it is none of these."""
OVERHEAD = 1.45
"""What forward and backward held, of what is counted of activations and logits: attention under a padding mask, the
backward pass's own tensors, and freed memory that the allocator keeps. Measured on a CPU."""
HOLES = 2.1
"""The same on a CPU where DenseLoRA is trained: what little it keeps lies between large tensors that are freed, and
the C library's heap keeps the holes. Measured over 125 steps."""
FLOAT = 4
TILE = (4096, 32768)
"""Tokens and vocabulary entries of which TRL's loss has logits at once."""


@dataclass(frozen=True)
class Batch:
    """A micro-batch: its tokens, padding included, on a GPU or not."""

    tokens: float
    cuda: bool


def peak(task: Task, base: int, dtype: str, quantization: str, optimizer: str, batch: Batch) -> int | None:
    """Bytes in the middle of a micro-batch; None for a type that isn't known.

    base: the base model's parameters. What the process and its libraries take is not in it.
    """
    width = WIDTHS.get(dtype)
    if width is None:
        return None
    own = (0 if task.full else 1) + 1 + MOMENTS.get(optimizer, 2.0)  # weights beside the base's, gradients, moments
    states = task.trainable * own * (width if task.full else FLOAT)
    passing = batch.tokens * kept(task, width, batch.cuda) + _logits(task.decoder, batch, width)
    overhead = HOLES if not batch.cuda and any(part.dense for part in task.parts) else OVERHEAD
    return round(weights(task.decoder, base, width, quantization) + states + overhead * passing)


def weights(decoder: Decoder, base: int, width: int, quantization: str) -> float:
    """Bytes of the base: the layers' projections quantised, all else as it is."""
    if quantization == "none":
        return base * width
    projections = decoder.layers * decoder.layer_weights
    return projections * QUANTIZED[quantization] + max(0, base - projections) * width


def kept(task: Task, width: int, cuda: bool) -> float:
    """Bytes that a token leaves for the backward pass, in all layers."""
    decoder, mask = task.decoder, 1 if cuda else FLOAT
    layer = _layer(decoder, width, task.full)
    own = sum(part.layers * part.kept(width, mask) for part in task.parts)
    if task.checkpointing:
        return decoder.layers * decoder.hidden * width + layer + own / decoder.layers
    return decoder.layers * layer + own


def _layer(decoder: Decoder, width: int, full: bool) -> float:
    """One layer's: the norms' inputs in float32, queries, keys and values for all heads, attention's output, and the
    three factors of the MLP's gated product; where its weights are trained, also what each of them is multiplied with.
    """
    norms = 2 * decoder.hidden * FLOAT
    attention = 4 * decoder.attention * width
    mlp = (3 if "G" in decoder.letters else 2) * decoder.inner * width
    inputs = (4 * decoder.hidden + decoder.attention + decoder.inner) * width if full else 0
    return norms + attention + mlp + inputs


def _logits(decoder: Decoder, batch: Batch, width: int) -> float:
    """A tile of logits, and without a GPU three float32 copies of it; hidden states and their gradients."""
    tile = min(batch.tokens, TILE[0]) * min(decoder.vocabulary, TILE[1])
    return tile * (width + (0 if batch.cuda else 3 * FLOAT)) + 2 * batch.tokens * decoder.hidden * FLOAT
