"""Registers prompt encoders with PEFT from outside of PEFT's source.

A PEFT model asks an encoder for the embeddings that it puts before the text, and all that it does with them is open to
any encoder: training, generation, saving, loading. Only the method that makes the encoder
(`PeftModel._setup_prompt_encoder`, PEFT 0.21) has a closed list of types and refuses every other one. It is wrapped
once, at import; for PEFT's own types it does what it did.
"""

from __future__ import annotations

from functools import wraps

from peft import PeftModel, PeftType, PromptEmbedding, PromptTuningConfig

from .registration import register_tuner

_encoders: dict[PeftType, type[PromptEmbedding]] = {}


def register_prompt_encoder(
    name: str, config_cls: type[PromptTuningConfig], encoder_cls: type[PromptEmbedding]
) -> None:
    """Makes `get_peft_model` and every loader of PEFT know the prompt-learning method `name` (lower case).

    encoder_cls is called with the configuration and the base model's word embeddings, as PEFT's `PromptEmbedding`.
    Registering the same config class again does nothing.

    Raises:
        KeyError: another method has this name already.
    """
    register_tuner(name, config_cls, encoder_cls)
    if not _encoders:
        _open_setup()
    _encoders[PeftType[name.upper()]] = encoder_cls


def _open_setup() -> None:
    setup = PeftModel._setup_prompt_encoder

    @wraps(setup)
    def setup_any(self: PeftModel, adapter_name: str) -> None:
        config = self.peft_config[adapter_name]
        encoder_cls = _encoders.get(config.peft_type)
        if encoder_cls is None:
            setup(self, adapter_name)
            return
        # PEFT freezes the base and finds its word embeddings as for prompt tuning; then the encoder is replaced.
        own_type, config.peft_type = config.peft_type, PeftType.PROMPT_TUNING
        try:
            setup(self, adapter_name)
        finally:
            config.peft_type = own_type
        self.prompt_encoder[adapter_name] = encoder_cls(config, self.word_embeddings).to(self.device)

    PeftModel._setup_prompt_encoder = setup_any
