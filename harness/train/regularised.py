"""Trainers of methods that add a term of their own to the loss, which SFTTrainer would leave out."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora.monteclora import MontecloraSampler
from torch import nn
from trl import SFTTrainer


class RegularisedTrainer(SFTTrainer):
    """Adds `penalty` to the training loss, once an optimizer step whatever the micro-batch."""

    def penalty(self, model: PeftModel) -> torch.Tensor | float:
        """The method's term, a scalar."""
        raise NotImplementedError

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """SFTTrainer's loss, with the method's term while training."""
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if not model.training:
            return result
        extra = self.penalty(self.accelerator.unwrap_model(model))
        if num_items_in_batch is not None:
            # The sum over the micro-batches of a step must count the term once.
            extra = extra / self.current_gradient_accumulation_steps
        return (result[0] + extra, result[1]) if return_outputs else result + extra


class KasaTrainer(RegularisedTrainer):
    """Adds KaSA's beta ‖ΔΣ‖² + gamma (‖Bᵀ B − I‖ + ‖A Aᵀ − I‖), summed over layers (arXiv 2412.06071, eq. 9-12)."""

    def penalty(self, model: PeftModel) -> torch.Tensor | float:
        """As PEFT computes it."""
        return model.base_model._get_kasa_loss()


class MonteCloraTrainer(RegularisedTrainer):
    """Adds MonteCLoRA's divergence of the samplers from their priors, the mean over layers (arXiv 2411.04358).

    With a `buffer_size` of 1 every forward pass draws from the state of the random numbers, which a checkpoint
    holds: samples drawn ahead would be lost with the process.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for module in self.model.modules():
            if isinstance(module, MontecloraSampler):
                module.sampler.index = module.sampler.buffer_size

    def penalty(self, model: PeftModel) -> torch.Tensor | float:
        """As PEFT computes it."""
        return model.base_model._get_monteclora_loss()
