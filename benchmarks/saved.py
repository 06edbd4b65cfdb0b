"""The memory that a forward pass leaves behind for the backward pass."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile


class _Saved:
    """What autograd keeps in the place of a saved tensor; it lives as long as the graph needs the tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


def saved_bytes(model: nn.Module, forward: Callable[[], torch.Tensor]) -> int:
    """Returns the bytes of the tensors that autograd keeps when `forward` has returned the loss.

    A storage is counted whole and once, however many tensors and views of it are saved. The model's parameters and
    buffers are left out: they are there anyway.
    """
    seen: list[weakref.ref[_Saved]] = []

    def pack(tensor: torch.Tensor) -> _Saved:
        # Detached, because a layer's output that led back to the graph which saves it would never be freed.
        saved = _Saved(tensor.detach())
        seen.append(weakref.ref(saved))
        return saved

    with saved_tensors_hooks(pack, lambda saved: saved.tensor):
        loss = forward()
    # Parts of the graph that the loss does not need are gone by now, and so are their references.
    storages = [saved.tensor.untyped_storage() for saved in (reference() for reference in seen) if saved is not None]
    found = {storage.data_ptr(): storage.nbytes() for storage in storages}
    del loss
    for resident in itertools.chain(model.parameters(), model.buffers()):
        found.pop(resident.untyped_storage().data_ptr(), None)
    return sum(found.values())


def held_bytes(forward: Callable[[], torch.Tensor], device: str) -> int:
    """Returns the bytes that `forward` allocated and did not free while its loss is alive.

    It checks `saved_bytes` from outside: a tensor that a layer keeps behind autograd's back shows here only. Beside
    what is saved it holds the loss and, for the frozen base, the embeddings, which are a leaf of the graph.
    """
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        loss = forward()
        return torch.cuda.memory_allocated() - before
    # The profiler reports each start and stop on stderr, at level 5.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        loss = forward()
    del loss
    return sum(event.self_cpu_memory_usage for event in events.key_averages())
