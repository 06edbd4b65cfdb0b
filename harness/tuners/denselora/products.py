"""Products with the adapter's narrow matrices."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a: (rows, n), b: (columns, n) -> a bᵀ: (rows, columns). Not differentiable.

    On a CPU, oneDNN multiplies float32 matrices: `F.linear` asks MKL, which leaves half of the vector units of other
    makers' processors idle (measured on AMD Zen 5: 105 against 230 GFLOP/s for r = 32). Where PyTorch lacks oneDNN or
    it is switched off (`torch.backends.mkldnn`), it is `F.linear`.
    """
    narrow = a.dtype is b.dtype is torch.float32 and a.device.type == b.device.type == "cpu" and a.shape[0] > 1
    if narrow and _onednn() and torch.backends.mkldnn.enabled:
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return F.linear(a, b)


@cache
def _onednn() -> bool:
    """Whether this PyTorch multiplies plain matrices with oneDNN, as code that `torch.compile` makes does."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
