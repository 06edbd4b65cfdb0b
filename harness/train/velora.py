"""What VeLoRA needs so that a resumed training goes on as it was."""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class KeepProjections(TrainerCallback):
    """Keeps projections that a checkpoint brought; PEFT would take them from the next batch once more.

    A projection that is not taken yet is all zeros, a taken one has length 1 (arXiv 2405.17991).
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Called once the checkpoint's weights are there."""
        assert model is not None
        for module in model.modules():
            if projections := getattr(module, "lora_velora_embed", None):
                for name, projection in projections.items():
                    module.lora_velora_initialized[name] = bool(projection.any())
