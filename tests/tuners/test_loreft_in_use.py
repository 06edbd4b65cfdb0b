"""LoReFT adapters saved, loaded, switched and taken away; trained under checkpointing and SFTTrainer, and resumed."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from harness.tuners import LoReftConfig

tied_or_not = pytest.mark.parametrize("tied", [True, False])


def config(**arguments: Any) -> LoReftConfig:
    return LoReftConfig(**{"r": 3, "positions": "f3+l2", "task_type": "CAUSAL_LM", **arguments})


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if "loreft_" in name}


@pytest.fixture
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@tied_or_not
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_loaded_adapter_is_the_saved_one(llama, make_llama, tokens, tmp_path, no_warnings, tied, low_cpu_mem_usage):
    model = get_peft_model(llama, config(tied=tied, layers_to_transform=[0, 2])).eval()
    model.save_pretrained(tmp_path)
    file = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in file.values()) == model.get_nb_trainable_parameters()[0]
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    saved, back = adapter_weights(model), adapter_weights(loaded)
    assert saved.keys() == back.keys()
    assert all(torch.equal(saved[name], back[name]) for name in saved)
    # Weights at another alignment in memory give other roundings.
    torch.testing.assert_close(loaded(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)
    assert not torch.allclose(loaded(tokens).logits, make_llama()(tokens).logits, atol=1e-3)


FRESH = """
import sys
import torch
from safetensors.torch import save_file
import harness.tuners
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1])
tokens = torch.arange(20).reshape(2, 10)
text = model.generate(input_ids=tokens, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0)
save_file({"logits": model(tokens).logits.detach(), "text": text}, sys.argv[2])
"""


@pytest.mark.slow
def test_adapter_answers_the_same_in_a_fresh_process(llama_dir, tokens, tmp_path):
    model = get_peft_model(LlamaForCausalLM.from_pretrained(llama_dir), config()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(tmp_path / "adapter")
    command = [sys.executable, "-c", FRESH, str(tmp_path / "adapter"), str(tmp_path / "fresh.safetensors")]
    subprocess.run(command, check=True, capture_output=True)
    fresh = load_file(tmp_path / "fresh.safetensors")
    assert torch.equal(fresh["logits"], model(tokens).logits)
    settings = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    assert torch.equal(fresh["text"], model.generate(input_ids=tokens, **settings))


def test_configuration_survives_saving_and_pickling(tmp_path):
    original = config(exclude_modules=["lm_head"], layers_to_transform=[0, 2], tied=False)
    original.save_pretrained(tmp_path)
    for other in (PeftConfig.from_pretrained(tmp_path), pickle.loads(pickle.dumps(original))):
        assert type(other) is LoReftConfig
        assert other.to_dict() == original.to_dict()


def test_adapter_of_another_base_is_refused_with_both_sizes(llama, tmp_path):
    get_peft_model(llama, config()).save_pretrained(tmp_path)
    other = LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=3)
    with pytest.raises(ValueError, match="does not fit adapter 'default' of this model"):
        PeftModel.from_pretrained(LlamaForCausalLM(other), tmp_path)


def test_two_adapters_on_different_layers_and_positions_are_apart(llama, make_llama, tokens, tmp_path):
    model = get_peft_model(llama, config(layers_to_transform=[0, 1])).eval()
    first = model(tokens).logits
    model.add_adapter("other", config(layers_to_transform=[1, 2], positions="f2+l4", tied=False))
    assert torch.equal(model.eval()(tokens).logits, first)
    model.set_adapter("other")
    second = model(tokens).logits
    assert not torch.allclose(first, second, atol=1e-3)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(trained) == 2 * 3
    assert all("other" in name.split(".") for name in trained)
    model.save_pretrained(tmp_path)
    assert torch.equal(PeftModel.from_pretrained(make_llama(), tmp_path / "other")(tokens).logits, second)
    model.base_model.set_adapter(["default", "other"])
    both = model(tokens).logits
    assert not torch.allclose(both, first, atol=1e-3)
    assert not torch.allclose(both, second, atol=1e-3)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)
    assert not any("other" in name.split(".") for name in model.state_dict())


def test_adapter_can_be_switched_off_and_taken_away_and_put_on_again(llama, make_llama, tokens):
    base = make_llama()(tokens).logits
    model = get_peft_model(llama, config()).eval()
    adapted = model(tokens).logits
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, base)
    assert not torch.allclose(model(tokens).logits, base, atol=1e-3)
    other = copy.deepcopy(model)
    unloaded = model.unload()
    assert torch.equal(unloaded(tokens).logits, base)
    assert unloaded.state_dict().keys() == make_llama().state_dict().keys()
    # A part of the model can be run again: nothing waits for a prompt.
    unloaded.model(tokens)
    assert torch.equal(other(tokens).logits, adapted)
    assert not torch.allclose(get_peft_model(unloaded, config()).eval()(tokens).logits, base, atol=1e-3)


def test_wholly_trained_modules_and_tokens_are_saved_too(llama, make_llama, tokens, tmp_path, no_warnings):
    whole = {"modules_to_save": ["lm_head"], "trainable_token_indices": [3, 5]}
    model = get_peft_model(llama, config(**whole)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path)
    torch.testing.assert_close(loaded(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)
    assert model.unload().state_dict().keys() == make_llama().state_dict().keys()


def labelled(tokens: torch.Tensor) -> torch.Tensor:
    """The tokens as labels, of which the first six, the prompt, do not count."""
    return tokens.masked_fill(torch.arange(tokens.shape[1]) < 6, -100)


def test_bfloat16_base_has_float32_adapters_and_bfloat16_outputs(llama, tokens):
    model = get_peft_model(llama.to(torch.bfloat16), config(tied=False))
    model.add_adapter("other", config())
    assert {weight.dtype for weight in adapter_weights(model).values()} == {torch.float32}
    output = model(tokens, labels=labelled(tokens), output_hidden_states=True)
    assert {h.dtype for h in (output.logits, *output.hidden_states)} == {torch.bfloat16}
    output.loss.backward()
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert trained == {name for name in adapter_weights(model) if "default" in name.split(".")}


def test_adapter_learns_and_the_base_does_not(llama, tokens):
    model = get_peft_model(llama, config(tied=False)).train()
    adapter = adapter_weights(model)
    base = {name: w.detach().clone() for name, w in model.named_parameters() if name not in adapter}
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2, weight_decay=0)
    losses = []
    for _ in range(15):
        loss = model(tokens, labels=labelled(tokens)).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.1
    after = dict(model.named_parameters())
    assert all(not torch.equal(after[name], weight) for name, weight in adapter.items())
    assert all(torch.equal(after[name], weight) for name, weight in base.items())


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(make_llama, tokens, use_reentrant):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        model = get_peft_model(make_llama(), config(dropout=0.2)).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
        torch.manual_seed(2)
        model(tokens, labels=labelled(tokens)).loss.backward()
        gradients.append({name: w.grad for name, w in model.named_parameters() if w.requires_grad})
    assert len(gradients[0]) == 9
    torch.testing.assert_close(gradients[0], gradients[1])


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(64)}, unk_token="w0"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1")


def sft(base: LlamaForCausalLM, output: Path, prompts: bool = True, **arguments: str) -> dict[str, torch.Tensor]:
    """Three steps of SFTTrainer on rows of several lengths; returns the last checkpoint's adapter."""
    settings = SFTConfig(
        output_dir=str(output),
        max_steps=3,
        save_steps=1,
        per_device_train_batch_size=2,
        learning_rate=1e-2,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    rows = []
    for i in range(8):
        ids, prompt = [(7 * i + j) % 62 + 2 for j in range(9 + i)], 4 + i % 3 if prompts else 0
        rows.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    trainer = SFTTrainer(
        base,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        peft_config=config(dropout=0.1),
        processing_class=tokenizer(),
    )
    trainer.train(**arguments)
    return load_file(output / "checkpoint-3" / "adapter_model.safetensors")


def test_interrupted_sft_run_resumes_exactly(make_llama, tmp_path):
    whole = sft(make_llama(), tmp_path / "whole")
    checkpoint = tmp_path / "whole" / "checkpoint-1"
    resumed = sft(make_llama(), tmp_path / "resumed", resume_from_checkpoint=str(checkpoint))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    start = load_file(checkpoint / "adapter_model.safetensors")
    assert not any(torch.equal(whole[key], start[key]) for key in whole)


def test_sft_with_the_loss_on_all_tokens_stops_with_the_reason(make_llama, tmp_path):
    with pytest.raises(ValueError, match="`loss_on: completion`; in TRL `completion_only_loss`"):
        sft(make_llama(), tmp_path, prompts=False)
