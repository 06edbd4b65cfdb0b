"""Which tokens of a prompt are edited."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

PATTERN = re.compile(r"f([1-9]\d*)(?:\+l([1-9]\d*))?|l([1-9]\d*)")
EVERYWHERE = "all"


@dataclass(frozen=True)
class Positions:
    """The first and the last tokens of the prompt, so many each, or every token there is."""

    first: int = 0
    last: int = 0
    everywhere: bool = False

    @classmethod
    def parse(cls, text: str) -> Positions:
        """Reads 'f7+l7', 'f7', 'l7' or 'all'.

        Raises:
            ValueError: it is none of these.
        """
        if text == EVERYWHERE:
            return cls(everywhere=True)
        found = PATTERN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f"`positions` must be such as 'f7+l7', 'f7', 'l7' or 'all', got {text!r}.")
        first, last, only_last = found.groups()
        return cls(first=int(first or 0), last=int(last or only_last or 0))

    def ends(self, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the first and the last tokens as two masks without a token in common.

        prompt: (batch, seq), which tokens are the prompt's. Of a prompt of n < first + last tokens, the first are at
        most floor(n / 2) and the last at most ceil(n / 2) (section 4.1).
        """
        rank, length = prompt.cumsum(1) - 1, prompt.sum(1, keepdim=True)
        short = length < self.first + self.last
        first = torch.where(short, (length // 2).clamp(max=self.first), self.first)
        last = torch.where(short, (length - length // 2).clamp(max=self.last), self.last)
        return prompt & (rank < first), prompt & (rank >= length - last)
