"""The configuration of Residual Prompt Tuning and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field

from peft import PromptTuningConfig, PromptTuningInit, TaskType

from ..registration import extend_peft_type

RESIDUAL_PROMPT = extend_peft_type("RESIDUAL_PROMPT")


@dataclass
class ResidualPromptConfig(PromptTuningConfig):
    """Configuration of a [`ResidualPromptEncoder`]: `P' = P + LayerNorm(drop(W_up ReLU(W_down P)))`.

    P, P': (num_virtual_tokens, token_dim), W_down: (bottleneck_size, token_dim), W_up: (token_dim, bottleneck_size);
    the network is shared by the tokens of the prompt. Razdaibiedina et al., Findings of ACL 2023 ("Residual Prompt
    Tuning: Improving Prompt Tuning with Residual Reparameterization", arXiv 2305.03937), section 3.

    The prompt starts at the embeddings of tokens drawn from the vocabulary (`prompt_tuning_init="SAMPLE_VOCAB"`).

    Raises:
        ValueError: a value is out of its range, or the model is of the encoder-decoder kind, which PEFT gives prompts
            of its own types only.
    """

    num_virtual_tokens: int = field(default=10, metadata={"help": "The number of tokens of the prompt."})
    prompt_tuning_init: PromptTuningInit | str = field(
        default=PromptTuningInit.SAMPLE_VOCAB, metadata={"help": "How P starts: SAMPLE_VOCAB, TEXT or RANDOM."}
    )
    bottleneck_size: int = field(default=800, metadata={"help": "The width of the network's hidden layer."})
    dropout: float = field(default=0.0, metadata={"help": "Dropout after the up-projection."})
    projection_bias: bool = field(
        default=False,
        metadata={
            "help": (
                "Whether the two projections have biases, as in the released code; the paper's equations and its "
                "count of parameters have none."
            )
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = RESIDUAL_PROMPT
        for name in ("num_virtual_tokens", "bottleneck_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and less than 1, got {self.dropout!r}.")
        if self.task_type == TaskType.SEQ_2_SEQ_LM:
            raise ValueError("Residual prompts are not supported for SEQ_2_SEQ_LM: PEFT has a closed list there.")
