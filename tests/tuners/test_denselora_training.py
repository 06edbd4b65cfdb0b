"""DenseLoRA learns: by hand, frozen, under gradient checkpointing, and resumed under SFTTrainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.tuners import DenseLoraConfig, MixedConfig

PARTS = [
    {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj", "k_proj", "v_proj"]},
    {"peft_type": "DENSELORA", "r": 4, "target_modules": ["up_proj", "down_proj"]},
]


def config(**arguments: Any) -> DenseLoraConfig:
    arguments = {"target_modules": ["q_proj", "v_proj", "up_proj"], **arguments}
    return DenseLoraConfig(r=4, task_type="CAUSAL_LM", **arguments)


def train(model: PeftModel, tokens: torch.Tensor, steps: int = 12) -> list[float]:
    """Plain AdamW on one batch; returns the losses."""
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(steps):
        loss = model(tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def weights(model: PeftModel, part: str) -> dict[str, torch.Tensor]:
    return {name: w.detach().clone() for name, w in model.named_parameters() if part in name}


def changed(before: dict[str, torch.Tensor], model: PeftModel, part: str) -> list[bool]:
    return [not torch.equal(before[name], weight) for name, weight in weights(model, part).items()]


def test_encoder_decoder_and_matrices_learn_and_the_base_does_not(llama, tokens):
    model = get_peft_model(llama, config(dropout=0.0))
    before = {part: weights(model, part) for part in ("denselora_", "base_layer")}
    losses = train(model, tokens)
    assert losses[-1] < losses[0] - 0.1
    assert all(changed(before["denselora_"], model, "denselora_"))
    assert not any(changed(before["base_layer"], model, "base_layer"))


def test_frozen_encoder_and_decoder_stay_while_the_matrices_learn(llama, tokens):
    model = get_peft_model(llama, config(train_encoder_decoder=False, dropout=0.0))
    assert model.get_nb_trainable_parameters()[0] == 9 * 4 * 4
    frozen = {**weights(model, "denselora_encoder"), **weights(model, "denselora_decoder")}
    assert frozen
    assert all(weight.abs().sum() > 0 for weight in frozen.values())
    losses = train(model, tokens)
    assert losses[-1] < losses[0] - 0.01
    assert not any(changed(frozen, model, "denselora_encoder") + changed(frozen, model, "denselora_decoder"))


def test_frozen_weights_stay_frozen_through_switching_loading_and_saving(llama, make_llama, tmp_path):
    model = get_peft_model(llama, config(train_encoder_decoder=False))
    model.add_adapter("other", config())
    model.set_adapter("other")
    model.set_adapter("default")
    with model.disable_adapter():
        pass
    assert model.get_nb_trainable_parameters()[0] == 9 * 4 * 4
    model.save_pretrained(tmp_path, selected_adapters=["default"])
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path, is_trainable=True)
    assert loaded.get_nb_trainable_parameters()[0] == 9 * 4 * 4
    encoder = load_file(tmp_path / "adapter_model.safetensors")["base_model.denselora_encoder.up_proj_32x48"]
    assert torch.equal(encoder, loaded.model.model.layers[0].mlp.up_proj.denselora_encoder["default"])


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(llama, make_llama, tokens, use_reentrant):
    gradients = []
    for base, checkpointing in ((llama, False), (make_llama(), True)):
        torch.manual_seed(1)
        model = get_peft_model(base, config(init_weights=False, dropout=0.0)).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
        model(tokens, labels=tokens).loss.backward()
        gradients.append({name: w.grad for name, w in model.named_parameters() if w.requires_grad})
    torch.testing.assert_close(gradients[0], gradients[1])


def sft(base: LlamaForCausalLM, peft_config: PeftConfig, output: Path, **arguments: str) -> dict[str, torch.Tensor]:
    """Three steps of SFTTrainer on token ids, with a checkpoint after each; returns the last checkpoint's adapter."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(
        output_dir=str(output),
        max_steps=3,
        save_steps=1,
        per_device_train_batch_size=2,
        learning_rate=1e-2,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
    )
    data = Dataset.from_list([{"input_ids": [(7 * i + j) % 64 for j in range(12)]} for i in range(8)])
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(64)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1")
    trainer = SFTTrainer(base, args=settings, train_dataset=data, peft_config=peft_config, processing_class=tokenizer)
    trainer.train(**arguments)
    return load_file(output / "checkpoint-3" / "adapter_model.safetensors")


@pytest.mark.parametrize("make_config", [config, lambda: MixedConfig(parts=PARTS, task_type="CAUSAL_LM")])
def test_interrupted_sft_run_resumes_exactly(make_llama, tmp_path, make_config):
    whole = sft(make_llama(), make_config(), tmp_path / "whole")
    checkpoint = str(tmp_path / "whole" / "checkpoint-1")
    resumed = sft(make_llama(), make_config(), tmp_path / "resumed", resume_from_checkpoint=checkpoint)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    start = load_file(Path(checkpoint) / "adapter_model.safetensors")
    assert not any(torch.equal(whole[key], start[key]) for key in whole)
