"""Dropout masks that cost little to draw and to keep for the backward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch

# Above this, the positions of the dropped elements take longer to draw and more memory than masks of booleans.
SPARSE_UP_TO = 0.25


def draw_dropped(rows: int, widths: Sequence[int], device: torch.device, p: float) -> list[torch.Tensor]:
    """Draws for tensors of (rows, width) which elements are dropped, each with probability p and independently.

    Returns for each tensor the positions of its dropped elements when it is flattened, (dropped,) int32, where p is
    small and the tensors lie on a CPU: there PyTorch draws a full mask one element after the other, which takes longer
    than all else that DenseLoRA adds to a layer. Elsewhere it returns masks, (rows * width,) bool, true where an
    element is dropped. There are none, (), where p is 0.

    The distances between the dropped elements of independent trials are geometric: P(k) = (1 - p)^(k - 1) p.
    """
    if p == 0:
        return []
    sizes = [rows * width for width in widths]
    if device.type != "cpu" or p > SPARSE_UP_TO or sum(sizes) >= 2**30:
        return [torch.empty(size, dtype=torch.bool, device=device).bernoulli_(p) for size in sizes]
    ends = list(accumulate(sizes))
    reached = _walk(ends[-1], p)
    cuts = torch.searchsorted(reached, torch.tensor(ends, dtype=reached.dtype), right=True).tolist()
    parts = zip([0, *cuts], cuts, [0, *ends])
    return [reached[first:last] - (start + 1) for first, last, start in parts]


def _walk(count: int, p: float) -> torch.Tensor:
    """Returns where geometric steps lead from 0, until they lead to `count` or beyond. Element 0 is at 1."""
    expected = count * p
    steps = int(expected + 6 * math.sqrt(expected) + 16)
    # 1 - u lies in (0, 1]: no logarithm is infinite. Whole numbers cut off what follows the point.
    lengths = torch.rand(steps, device="cpu").neg_().log1p_().div_(math.log1p(-p)).to(torch.int32).add_(1)
    reached = torch.cumsum(lengths, 0, dtype=torch.int32)
    last = int(reached[-1])
    return reached if last >= count else torch.cat((reached, _walk(count - last, p) + last))


def drop_(values: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    """Sets the dropped elements of contiguous `values` to zero, in place, and returns it. Nothing is scaled."""
    flat = values.view(-1)
    if dropped.dtype is torch.bool:
        flat.masked_fill_(dropped, 0)
    else:
        flat.index_fill_(0, dropped.long(), 0)
    return values
