"""Makes RoseLoRA's matrices sparse in the course of a training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .config import RoseLoraConfig
from .layer import RoseLoraLayer
from .model import rose_layers


class Sparsify(TrainerCallback):
    """Follows the sensitivities, and prunes after every step to the density of the schedule (paper, section 4)."""

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Checks that a resumed training has what it needs.

        Raises:
            ValueError: the checkpoint has no sensitivities.
        """
        if state.global_step == 0:
            return
        for name, layer, adapter, _ in _trained(model):
            if adapter not in layer.sensitivity:
                raise ValueError(
                    f"RoseLoRA can't resume at step {state.global_step}: the checkpoint has no sensitivities of "
                    f"{name!r}, by which it prunes. Train from the start, or from a checkpoint that was made while "
                    "the callback Sparsify ran."
                )

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Takes the sensitivities while the weights are those of the gradients."""
        for _, layer, adapter, config in _trained(model):
            layer.update_sensitivity(adapter, config.beta)

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Prunes what the optimizer has updated."""
        for _, layer, adapter, config in _trained(model):
            density = config.density_at(state.global_step)
            if density < 1:
                layer.prune(adapter, density)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Forgets the sensitivities, so that the adapter is saved without them."""
        for _, layer in rose_layers(model):
            layer.sensitivity.clear()


def _trained(model: PeftModel) -> Iterator[tuple[str, RoseLoraLayer, str, RoseLoraConfig]]:
    """Yields every trained adapter: its layer's name, the layer, its own name and its configuration."""
    for name, layer in rose_layers(model):
        for adapter in layer.active_adapters:
            if adapter in layer.roselora_A and layer.roselora_A[adapter].requires_grad:
                yield name, layer, adapter, model.peft_config[adapter]
