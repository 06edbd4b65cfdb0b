"""Where DenseLoRA can't be trained."""

from __future__ import annotations

from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled


def check_placement() -> None:
    """Refuses DeepSpeed's ZeRO-3.

    Raises:
        NotImplementedError: ZeRO-3 is configured.
    """
    if is_deepspeed_zero3_enabled():
        raise NotImplementedError(
            "DenseLoRA can't be trained under DeepSpeed ZeRO-3: it gathers a parameter for the forward pass of the "
            "module that owns it, and DenseLoRA's encoders and decoders are read by every layer of a group. Use "
            "ZeRO-1, ZeRO-2, DDP or FSDP."
        )
