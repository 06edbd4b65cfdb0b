"""Trainings that find too little memory, or gradients that are no numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from harness.errors import BatchTooLarge, RunError, is_out_of_memory
from harness.paths import RunPaths
from harness.spec.run import DataRef, RunSpec, TrainSettings
from harness.train.arguments import smaller_micro_batch
from harness.train.fingerprint import weights_fingerprint
from harness.train.steps import micro_batch
from harness.train.training import train

from .runs import lora, run_of

CPU = "[enforce fail at alloc_cpu.cpp:116] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
Fit = Callable[[RunSpec, PreTrainedModel], Any]


@pytest.fixture
def fit(paths: RunPaths, tokenizer: PreTrainedTokenizerBase) -> Fit:
    def fit(run: RunSpec, base: PreTrainedModel) -> Any:
        return train(run, paths, base, tokenizer, emit=lambda event: None, should_stop=lambda: False)

    return fit


def fits(base: nn.Module, most: int, error: BaseException) -> None:
    """From now on `base` reads no more than `most` rows at a time."""

    def refuse(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(kwargs["input_ids"]) > most:
            raise error

    base.register_forward_pre_hook(refuse, with_kwargs=True)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), RuntimeError(f"{CPU} 8 bytes"),
     RuntimeError("MPS backend out of memory"), MemoryError("std::bad_alloc")],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_told_with_its_size_and_frees_the_base(
    error: BaseException, fit: Fit, data: DataRef, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    base = fresh_base()
    fits(base, 2, error)
    with pytest.raises(BatchTooLarge, match="micro-batches of 4 don't fit: ") as it:
        fit(run_of(data, micro_batch_size=4), base)
    assert (it.value.size, it.value.kind) == (4, "oom")
    assert weights_fingerprint(base) == weights_fingerprint(fresh_base())


def test_other_errors_are_no_want_of_memory() -> None:
    assert not any(
        map(is_out_of_memory, [RuntimeError("CUDA error: misaligned address"), ValueError("out of memory")])
    )


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [(16, [16, 8, 4, 2, 1]), (12, [12, 6, 3, 1]), (6, [6, 3, 1]), (15, [15, 5, 1]), (7, [7, 1]), (10, [10, 5, 2, 1])],
)
def test_halving_keeps_the_effective_batch_exactly(batch: int, sizes: list[int]) -> None:
    settings = TrainSettings(steps=1, batch_size=batch)
    found = [micro_batch(settings)]
    while found[-1] > 1:
        settings = smaller_micro_batch(settings, found[-1])
        found.append(micro_batch(settings))
    assert found == sizes
    assert all(batch % size == 0 for size in found)
    assert settings.batch_size == batch


class Spoil(TrainerCallback):
    """Makes one gradient a NaN before a step's end; the loss stays as it is."""

    def __init__(self, at: int, value: float) -> None:
        self.at, self.value = at, value

    def on_train_begin(self, args: Any, state: Any, control: Any, model: PeftModel, **kwargs: Any) -> None:
        weight = next(weight for weight in model.parameters() if weight.requires_grad)
        weight.register_hook(
            lambda grad: torch.full_like(grad, self.value) if state.global_step + 1 == self.at else grad
        )


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_gradient_that_is_no_number_stops_the_run_at_its_step_with_the_losses_before(
    value: str, fit: Fit, data: DataRef, fresh_base: Callable[[], PreTrainedModel], paths: RunPaths
) -> None:
    plain, _ = fit(run_of(data, lora(lora_dropout=0.0)), fresh_base())
    losses = [line["loss"] for line in plain.loss if "loss" in line][:4]
    spoil = {"class": f"{__name__}:Spoil", "args": {"at": 5, "value": float(value)}}
    spoilt = lora(lora_dropout=0.0).model_copy(update={"callbacks": (spoil,)})
    with pytest.raises(RunError) as it:
        fit(run_of(data, spoilt, eval_steps=2), fresh_base())
    assert it.value.kind == "diverged"
    assert str(it.value).startswith("the gradient is ")
    assert "at step 5 (last losses: " + ", ".join(f"{loss:.4g}" for loss in losses[1:]) in str(it.value)
    assert not paths.checkpoints.exists(), "nothing goes on from a training that diverged"
