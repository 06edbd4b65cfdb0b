"""The configuration of LLaMA-Adapter and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field

from peft import AdaptionPromptConfig

from ..registration import extend_peft_type

LLAMA_ADAPTER = extend_peft_type("LLAMA_ADAPTER")


@dataclass
class LlamaAdapterConfig(AdaptionPromptConfig):
    """Configuration of a [`LlamaAdapterModel`]: `y = o(attention(x)) + g o(softmax(q(x) k(P)^T / sqrt(h)) v(P))`.

    x, y: (batch, seq, d); P: (adapter_len, d), learned, one for each of the top layers; g: a learned number, zero at
    the start; h: the size of a head. Zhang et al., ICLR 2024 ("LLaMA-Adapter: Efficient Fine-tuning of Language Models
    with Zero-init Attention", arXiv 2303.16199), as PEFT has it: one gate a layer.

    Raises:
        ValueError: a value is less than one.
    """

    adapter_len: int = field(default=10, metadata={"help": "The number of prompt tokens of a layer."})
    adapter_layers: int | None = field(
        default=None,
        metadata={"help": "How many layers, from the top, have a prompt. If not given, all but the lowest two."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = LLAMA_ADAPTER
        for name in ("adapter_len", "adapter_layers"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}.")
