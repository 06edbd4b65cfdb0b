"""Floating-point operations of a training.

A product of a token with a weight is 2 operations (multiply, add). Forward, each token meets every weight of the
layers and of the output embedding; attention adds, for every layer, products with the keys and the values of the
padded row (Kaplan et al. 2020, "Scaling Laws for Neural Language Models", table 1; Hoffmann et al. 2022, "Training
Compute-Optimal Large Language Models", appendix F, for the whole row, as PyTorch computes it). Backward, the gradient
of the activations costs as much again, and that of the weights once more, for those that are trained only: so 2 + 2
for a frozen base, 2 + 4 for what is trained (Hoffmann et al.), and 8 for attention's products, whose both operands
have gradients. Gradient checkpointing repeats the layers' forward pass (Chen et al. 2016; Korthikanti et al. 2022,
"Reducing Activation Recomputation in Large Transformer Models"); TRL's loss repeats the output embedding's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.pipeline.estimate.adapted import Adapted
from harness.pipeline.estimate.decoder import Decoder


@dataclass(frozen=True)
class Task:
    """What is trained: everything (`full`), or `trainable` numbers of adapters (`parts`) on a frozen base."""

    decoder: Decoder
    parts: Sequence[Adapted]
    trainable: int
    full: bool
    checkpointing: bool


def flops(task: Task, tokens: float, length: float, passes: float) -> float:
    """Operations of training on so many tokens, padding included, in `passes` micro-batches of rows of `length`."""
    layers = task.decoder.layers * task.decoder.layer_weights
    attention = 2 * task.decoder.layers * task.decoder.attention * length
    own = _own(task)
    forward = 2 * (layers + attention + own)
    weights = 2 * (layers + task.decoder.head_weights if task.full else own)
    backward = 2 * (layers + 2 * attention + own) + weights
    repeated = forward if task.checkpointing else 0.0
    head = 3 * 2 * task.decoder.head_weights
    norms = sum(part.decompositions for part in task.parts) * (2 if task.checkpointing else 1)
    return tokens * (forward + backward + repeated + head) + 2 * passes * norms


def _own(task: Task) -> int:
    """The adapter's weights that a token is multiplied with: for a method of unknown form, each trained one once."""
    found = [part.products for part in task.parts]
    known = [products for products in found if products is not None]
    return 0 if task.full else sum(known) if known and len(known) == len(found) else task.trainable
