"""Optimizers that are part of a method; each factory takes the model to train and the run."""

from __future__ import annotations

import torch
from peft import LoraConfig, PeftModel
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer, create_riemannian_optimizer

from harness.errors import RunError
from harness.spec.run import RunSpec


def lora_plus(model: PeftModel, run: RunSpec, *, ratio: float) -> torch.optim.Optimizer:
    """AdamW with a learning rate for B that is `ratio` times the run's, which A has.

    Weight decay is the run's. Source: LoRA+ (Hayou, Ghosh and Yu 2024, arXiv 2402.12354), as PEFT builds it.
    """
    rate, decay = _settings(run)
    return create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=rate, loraplus_lr_ratio=ratio, loraplus_weight_decay=decay
    )


def lora_fa(model: PeftModel, run: RunSpec) -> torch.optim.Optimizer:
    """Adam on B's gradient times (A Aᵀ)⁻¹ / scaling²; A is frozen.

    Among all changes of B the step is then the one that brings B A nearest to a full gradient's step.
    Weight decay is the run's. Source: LoRA-FA (Zhang et al. 2023, arXiv 2308.03303), as PEFT builds it.
    """
    rate, decay = _settings(run)
    config = model.active_peft_config
    assert isinstance(config, LoraConfig)
    return create_lorafa_optimizer(model, config.r, config.lora_alpha, rate, decay)


def riemannian(model: PeftModel, run: RunSpec, *, damping: float) -> torch.optim.Optimizer:
    """AdamW on gradients that are preconditioned: A's by (Bᵀ B + damping I)⁻¹, B's by (A Aᵀ + damping I)⁻¹.

    Learning rate and weight decay are the run's. Source: Riemannian preconditioned LoRA, "scaled AdamW" (Zhang
    and Pilanci 2024, arXiv 2402.02347), as PEFT builds it.
    """
    rate, decay = _settings(run)
    return create_riemannian_optimizer(model, torch.optim.AdamW, lr=rate, reg=damping, weight_decay=decay)


def _settings(run: RunSpec) -> tuple[float, float]:
    """The run's learning rate and weight decay. Raises RunError("config") where it asks for another optimizer."""
    assert run.train is not None
    if run.train.optimizer != "adamw":
        message = f"brings its own optimizer: train.optimizer must be adamw, got {run.train.optimizer}"
        raise RunError("config", f"{run.adapter.method} {message}")
    return run.train.learning_rate, run.train.weight_decay
