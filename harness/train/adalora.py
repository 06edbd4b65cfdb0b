"""What AdaLoRA needs of a training and transformers' trainers leave out: its budget and its regulariser."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.train.regularised import RegularisedTrainer


class AllocateBudget(TrainerCallback):
    """Prunes the ranks by AdaLoRA's schedule. Without it AdaLoRA stays at its initial rank."""

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Called after the optimizer's step while the gradients, from which importance is taken, are still there."""
        if model is not None:
            model.base_model.update_and_allocate(state.global_step + 1)


class AdaLoraTrainer(RegularisedTrainer):
    """Adds AdaLoRA's orthogonal regulariser to the loss.

    PEFT adds it to the model's own loss, which SFTTrainer doesn't use. An AdaLoRA training can't be resumed:
    a checkpoint holds the pruned ranks, and not the importance averages.
    """

    resumable = False

    def penalty(self, model: PeftModel) -> torch.Tensor:
        """AdaLoRA's equation 4."""
        return orthogonality(model)


def orthogonality(model: PeftModel) -> torch.Tensor:
    """`orth_reg_weight` times the mean of ‖P Pᵀ − I‖ over all P and Q (AdaLoRA, equation 4), a scalar."""
    tuner = model.base_model
    name = tuner.trainable_adapter_name
    penalties = []
    for parameter_name, parameter in tuner.model.named_parameters():
        if name not in parameter_name or not ("lora_A" in parameter_name or "lora_B" in parameter_name):
            continue
        gram = parameter @ parameter.T if "lora_A" in parameter_name else parameter.T @ parameter
        penalties.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device, dtype=gram.dtype)))
    return model.peft_config[name].orth_reg_weight * torch.stack(penalties).mean()
