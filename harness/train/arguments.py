"""A run's hyper-parameters in the trainer's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import SFTConfig

from harness.errors import RunError
from harness.spec.run import TrainSettings
from harness.train.steps import micro_batch

LOG_LINES = 200
"""About how many points a loss curve has; a short training logs every step."""


def smaller_micro_batch(settings: TrainSettings, size: int) -> TrainSettings:
    """The same training in micro-batches of half of `size` at most: as exactly as many rows make a batch as before."""
    halved = settings.model_copy(update={"micro_batch_size": max(1, size // 2)})
    return halved.model_copy(update={"micro_batch_size": micro_batch(halved)})


def sft_config(
    settings: TrainSettings, *, folder: Path, steps: int, seed: int, device: torch.device, fp16: bool, evaluates: bool,
    keeps_best: bool, gradient_checkpointing: bool,
) -> SFTConfig:  # fmt: skip
    """The trainer's arguments. Raises RunError("config") with what transformers objects to."""
    size = micro_batch(settings)
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.lr_scheduler,
        "warmup_steps": settings.warmup_steps,
        "optim": _optimizer(settings.optimizer, device),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": size,
        "per_device_eval_batch_size": size,
        "gradient_accumulation_steps": settings.batch_size // size,
        "activation_checkpointing": gradient_checkpointing,
        "eval_strategy": "steps" if evaluates else "no",
        "eval_steps": settings.eval_steps,
        "save_strategy": "steps" if keeps_best else "no",
        "save_steps": settings.eval_steps,
        "load_best_model_at_end": keeps_best,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "prediction_loss_only": True,
        "logging_steps": max(1, steps // LOG_LINES),
        # Otherwise a loss that is no number is logged as the average of those before it.
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "seed": seed,
        "data_seed": seed,
        "use_cpu": device.type == "cpu",
        "dataloader_pin_memory": device.type == "cuda",
        # The adapter is float32 whatever the base is, and computes in it: no autocast but for float16's gradients.
        "bf16": False,
        "fp16": fp16,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }
    try:
        return SFTConfig(**arguments)
    except ValueError as error:
        raise RunError("config", f"train: {error}") from error


def _optimizer(name: str, device: torch.device) -> str:
    """transformers' name of an optimizer; `adamw` is PyTorch's, fused where that is faster."""
    if name == "adamw":
        return "adamw_torch_fused" if device.type == "cuda" else "adamw_torch"
    return name
