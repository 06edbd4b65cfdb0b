"""Injects RED into a model."""

from __future__ import annotations

from torch import nn

from ..placement import PlacedModel
from .config import RedConfig
from .layer import Linear, RedLayer


class RedModel(PlacedModel):
    """A model whose representations are edited (see `RedConfig` for the equation and the paper).

    In a Llama block the edited representation is the output of `down_proj`, before it is added to the residual
    stream (released code). Trainable parameters: 2 out for each adapted layer.
    """

    title: str = "RED"
    prefix: str = "red_edit_"
    tuner_layer_cls = RedLayer

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: RedConfig) -> Linear:
        return Linear(target, adapter_name, peft_config)

    def _check_mergeable(self, adapter_names: list[str] | None) -> None:
        """Refuses a merge before any layer is touched (see `RedLayer.check_mergeable`)."""
        for module in self.model.modules():
            if isinstance(module, RedLayer):
                module.check_mergeable(adapter_names)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Edits weights and biases instead of outputs, in place.

        Raises:
            NotImplementedError: an adapted layer has no bias, its weights are quantized, or a scaling is zero.
        """
        self._check_mergeable(adapter_names)
        super().merge_adapter(adapter_names=adapter_names, safe_merge=safe_merge)

    def _unload_and_optionally_merge(
        self,
        merge: bool = True,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
    ) -> nn.Module:
        if merge:
            self._check_mergeable(adapter_names)
        return super()._unload_and_optionally_merge(merge, progressbar, safe_merge, adapter_names)
