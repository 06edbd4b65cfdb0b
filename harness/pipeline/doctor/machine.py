"""The machine: cores, memory, and GPUs as the driver and as torch see them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

from harness.pipeline.doctor.finding import Finding
from harness.pipeline.gpus import gpus, visible_gpus
from harness.pipeline.main_memory import available, is_shared_with_gpu, total


def machine() -> Iterator[Finding]:
    """Everything about the machine; `packages` has imported torch, where that can be."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("machine", "ok", f"{platform.platform()}, {usable} of {os.cpu_count()} cores may be used")
    memory = f"{_gib(available())} of {_gib(total())} are free"
    yield Finding("memory", "ok", f"{memory}, shared with the GPU" if is_shared_with_gpu() else memory)
    yield from _gpus()


def _gpus() -> Iterator[Finding]:
    named = visible_gpus()
    for name, gpu in zip(named, gpus(named), strict=True):
        if gpu is None:
            yield Finding("GPU", "wrong", f"the driver knows no GPU {name!r}", "see $CUDA_VISIBLE_DEVICES")
        else:
            free, size = _gib(gpu.free), _gib(gpu.total)
            yield Finding("GPU", "ok", f"{name}: {gpu.model}, {free} of {size} are free")
    yield _torch(len(named))


def _torch(seen: int) -> Finding:
    """Whether torch computes on the GPUs that the driver shows."""
    try:
        import torch
    except Exception:  # noqa: BLE001 - what is wrong with it is told of the imports
        return Finding("torch", "note", "can't be asked for its devices")
    count = torch.cuda.device_count()
    if count < seen:
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        advice = "install a build of torch for the driver's CUDA: https://pytorch.org/get-started/locally"
        return Finding("torch", "wrong", f"sees {count} of {seen} GPUs; it was built for {built}", advice)
    if count:
        half = "with" if torch.cuda.is_bf16_supported() else "without"
        return Finding("torch", "ok", f"computes on {count} GPUs, {half} bfloat16")
    if torch.backends.mps.is_available():
        return Finding("torch", "ok", "computes on Apple's GPU (mps)")
    return Finding("torch", "note", f"computes on the CPU, with {torch.get_num_threads()} threads by default")


def _gib(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**30:.1f} GiB"
