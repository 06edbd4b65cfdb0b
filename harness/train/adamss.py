"""What adaptive AdaMSS needs of a training."""

from __future__ import annotations

from trl import SFTTrainer


class AdaptiveTrainer(SFTTrainer):
    """SFTTrainer that begins an interrupted training again.

    A checkpoint of adaptive AdaMSS holds neither which subspaces are frozen nor what their importance was.
    """

    resumable = False
