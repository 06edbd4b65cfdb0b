"""Tiny random models in folders that are named as the models on the hub which PEFT's tests load."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    LlamaConfig,
    OPTConfig,
    Qwen2Config,
    RobertaConfig,
    T5Config,
)

TOKENS = {"vocab_size": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDTHS = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GROUPED = {**WIDTHS, "num_key_value_heads": 2, "head_dim": 4}
# OpenAI's and T5's models name the same sizes in their own ways.
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64}
SEQ2SEQ = {"decoder_start_token_id": 0, "d_model": 16}
BART = {
    f"{half}_{size}": value
    for half in ("encoder", "decoder")
    for size, value in {"layers": 2, "attention_heads": 4, "ffn_dim": 32}.items()
}

MODELS = {
    AutoModelForCausalLM: {
        "peft-internal-testing/tiny-random-OPTForCausalLM": OPTConfig(
            **TOKENS, **WIDTHS, ffn_dim=32, word_embed_proj_dim=16
        ),
        "peft-internal-testing/tiny-random-GPT2LMHeadModel": GPT2Config(**TOKENS, **GPT),
        "peft-internal-testing/tiny-random-GPTJForCausalLM": GPTJConfig(**TOKENS, **GPT, rotary_dim=4),
        "trl-internal-testing/tiny-random-LlamaForCausalLM": LlamaConfig(**TOKENS, **GROUPED),
        "peft-internal-testing/tiny-dummy-qwen2": Qwen2Config(**TOKENS, **GROUPED),
        "hf-internal-testing/tiny-random-Gemma3ForCausalLM": Gemma3TextConfig(**TOKENS, **GROUPED),
    },
    AutoModelForSeq2SeqLM: {
        "peft-internal-testing/tiny-random-T5ForConditionalGeneration-calibrated": T5Config(
            **TOKENS, **SEQ2SEQ, d_kv=4, d_ff=32, num_layers=2, num_heads=4
        ),
        "peft-internal-testing/tiny-random-BartForConditionalGeneration": BartConfig(
            **TOKENS, **SEQ2SEQ, **BART, max_position_embeddings=64
        ),
    },
    AutoModel: {
        "peft-internal-testing/tiny-random-BertModel": BertConfig(**TOKENS, **WIDTHS),
        "peft-internal-testing/tiny-random-RobertaModel": RobertaConfig(**TOKENS, **WIDTHS),
        "peft-internal-testing/tiny-random-DebertaModel": DebertaConfig(**TOKENS, **WIDTHS),
        "peft-internal-testing/tiny-random-DebertaV2Model": DebertaV2Config(**TOKENS, **WIDTHS),
    },
    AutoModelForSequenceClassification: {
        "peft-internal-testing/tiny-random-BertForSequenceClassification": BertConfig(**TOKENS, **WIDTHS),
        "peft-internal-testing/tiny-random-RobertaForSequenceClassification": RobertaConfig(**TOKENS, **WIDTHS),
        "trl-internal-testing/tiny-LlamaForSequenceClassification-3.2": LlamaConfig(**TOKENS, **GROUPED),
    },
}
LORA_ADAPTER = "peft-internal-testing/tiny-opt-lora-revision"


def write_models(folder):
    """Writes every model and one LoRA adapter below `folder`.

    transformers and PEFT prefer a folder to the hub, so tests that run in `folder` find these by their hub names.
    """
    torch.manual_seed(0)
    for auto_class, configs in MODELS.items():
        for name, config in configs.items():
            auto_class.from_config(config).save_pretrained(Path(folder) / name)
    opt = AutoModelForCausalLM.from_config(OPTConfig(**TOKENS, **WIDTHS, ffn_dim=32, word_embed_proj_dim=16))
    get_peft_model(opt, LoraConfig(task_type="CAUSAL_LM")).save_pretrained(Path(folder) / LORA_ADAPTER)
