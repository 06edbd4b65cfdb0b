"""The network that makes the prompt."""

from __future__ import annotations

import torch
from peft import PeftModel, PromptEmbedding
from torch import nn
from torch.nn import functional as F

from .config import ResidualPromptConfig


class ResidualPromptEncoder(PromptEmbedding):
    """Turns a learned prompt into the one that the model sees (see `ResidualPromptConfig` for the equation).

    `embedding.weight` is P. With d the model's width, n tokens and a bottleneck of m, d n + 2 d m + 2 d parameters
    are trained: P, the two projections, LayerNorm's gain and shift. With `projection_bias`, m + d more.

    After training only P' is needed: it is all that is saved, and an encoder made for inference has no network.
    """

    prefix: str = "residual_prompt_"

    def __init__(self, config: ResidualPromptConfig, word_embeddings: nn.Module) -> None:
        super().__init__(config, word_embeddings)
        self.network = None if config.inference_mode else _Network(config)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """indices: (..., n) -> (..., n, d)."""
        prompt = self.embedding(indices)
        return prompt if self.network is None else prompt + self.network(prompt)

    @torch.no_grad()
    def prompt(self) -> torch.Tensor:
        """P' as it is used after training, (n, d): without dropout."""
        prompt = self.embedding.weight
        return prompt.clone() if self.network is None else prompt + self.network(prompt, final=True)

    @classmethod
    def _get_adapter_state_dict(
        cls,
        model: PeftModel,
        config: ResidualPromptConfig,
        adapter_name: str,
        state_dict: dict[str, torch.Tensor],
        unwanted_adapter_names: list[str],
    ) -> dict[str, torch.Tensor]:
        return {"prompt_embeddings": model.prompt_encoder[adapter_name].prompt().cpu()}

    def _load_adapter_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        if self.network is not None:
            raise ValueError(
                "A saved residual prompt is the finished one: the network that made it was discarded, and it can't be "
                "trained further. Load it with `PeftModel.from_pretrained` to use it."
            )
        super()._load_adapter_state_dict(state_dict)


class _Network(nn.Module):
    """`LayerNorm(drop(W_up ReLU(W_down P)))`, for each token on its own."""

    def __init__(self, config: ResidualPromptConfig) -> None:
        super().__init__()
        self.down = nn.Linear(config.token_dim, config.bottleneck_size, bias=config.projection_bias)
        self.up = nn.Linear(config.bottleneck_size, config.token_dim, bias=config.projection_bias)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.token_dim)

    def forward(self, prompt: torch.Tensor, final: bool = False) -> torch.Tensor:
        raised = self.up(F.relu(self.down(prompt)))
        return self.norm(raised if final else self.dropout(raised))
