"""What the tuners that read a linear layer's output have in common: where they go, how they are kept and trained."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from harness.tuners import BottleneckConfig, CompacterConfig, RedConfig


def series(**arguments: Any) -> BottleneckConfig:
    return BottleneckConfig(**{"r": 4, "target_modules": ["o_proj", "down_proj"], **arguments}, task_type="CAUSAL_LM")


def parallel(**arguments: Any) -> BottleneckConfig:
    targets = ["up_proj", "down_proj"]
    return BottleneckConfig(
        **{"r": 4, "variant": "parallel", "target_modules": targets, **arguments}, task_type="CAUSAL_LM"
    )


def compacter(**arguments: Any) -> CompacterConfig:
    return CompacterConfig(**{"target_modules": ["o_proj", "down_proj"], **arguments}, task_type="CAUSAL_LM")


def red(**arguments: Any) -> RedConfig:
    return RedConfig(**{"target_modules": ["o_proj", "down_proj"], **arguments}, task_type="CAUSAL_LM")


methods = pytest.mark.parametrize("make_config", [series, parallel, compacter, red])
MakeConfig = Callable[..., PeftConfig]


@pytest.fixture
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    prefix = model.base_model.prefix
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if prefix in name}


@methods
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_loaded_adapter_is_the_saved_one(
    llama, make_llama, tokens, tmp_path, no_warnings, make_config, low_cpu_mem_usage
):
    model = get_peft_model(llama, make_config(init_weights=False)).eval()
    model.save_pretrained(tmp_path)
    file = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in file.values()) == model.get_nb_trainable_parameters()[0]
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)
    assert not torch.allclose(loaded(tokens).logits, make_llama()(tokens).logits, atol=1e-3)


@methods
def test_adapter_is_loaded_by_its_path_alone(llama_dir, tokens, tmp_path, no_warnings, make_config):
    model = get_peft_model(LlamaForCausalLM.from_pretrained(llama_dir), make_config(init_weights=False)).eval()
    model.save_pretrained(tmp_path)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)


@methods
def test_configuration_survives_saving_and_pickling(tmp_path, make_config):
    original = make_config(exclude_modules=["lm_head"], layers_to_transform=[0, 2])
    original.save_pretrained(tmp_path)
    for copy in (PeftConfig.from_pretrained(tmp_path), pickle.loads(pickle.dumps(original))):
        assert type(copy) is type(original)
        assert copy.to_dict() == original.to_dict()


@methods
def test_two_adapters_are_apart(llama, make_llama, tokens, tmp_path, make_config):
    model = get_peft_model(llama, make_config(init_weights=False)).eval()
    first = model(tokens).logits
    model.add_adapter("other", make_config(init_weights=False))
    model.set_adapter("other")
    second = model.eval()(tokens).logits
    assert not torch.allclose(first, second, atol=1e-3)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("other" in name.split(".") for name in trained)
    model.save_pretrained(tmp_path)
    assert torch.equal(PeftModel.from_pretrained(make_llama(), tmp_path / "other")(tokens).logits, second)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)
    assert not any("other" in name.split(".") for name in model.state_dict())


@methods
def test_deleted_adapters_name_can_be_used_again(llama, make_llama, tokens, make_config):
    model = get_peft_model(llama, make_config(init_weights=False))
    model.delete_adapter("default")
    model.add_adapter("default", make_config())
    model.set_adapter("default")
    torch.testing.assert_close(model.eval()(tokens).logits, make_llama()(tokens).logits, rtol=0, atol=1e-6)


@methods
def test_adapter_can_be_switched_off_and_taken_away(llama, make_llama, tokens, make_config):
    model = get_peft_model(llama, make_config(init_weights=False)).eval()
    base = make_llama()(tokens).logits
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, base)
    assert not torch.allclose(model(tokens).logits, base, atol=1e-3)
    unloaded = model.unload()
    assert torch.equal(unloaded(tokens).logits, base)
    assert unloaded.state_dict().keys() == make_llama().state_dict().keys()


@methods
@pytest.mark.parametrize("merge", ["merge_adapter", "merge_and_unload"])
def test_merging_into_a_llama_is_refused_with_the_reason_before_a_weight_is_touched(llama, make_config, merge):
    model = get_peft_model(llama, make_config(init_weights=False))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(NotImplementedError, match=r"non-linearity lies between its two projections|has no bias"):
        getattr(model, merge)()
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@methods
def test_bfloat16_base_has_float32_adapters_and_bfloat16_outputs(llama, tokens, make_config):
    model = get_peft_model(llama.to(torch.bfloat16), make_config(init_weights=False))
    model.add_adapter("other", make_config())
    assert {weight.dtype for weight in adapter_weights(model).values()} == {torch.float32}
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {name for name in adapter_weights(model) if "default" in name.split(".")}
    output = model(tokens, labels=tokens)
    assert output.logits.dtype == torch.bfloat16
    output.loss.backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


@methods
def test_adapts_only_the_layers_that_are_asked_for(llama, make_config):
    model = get_peft_model(llama, make_config(layers_to_transform=[1], exclude_modules=["up_proj", "o_proj"]))
    places = {name.partition(f".{model.base_model.prefix}")[0] for name in adapter_weights(model)}
    assert places - {"base_model"} == {"base_model.model.model.layers.1.mlp.down_proj"}


@methods
def test_targets_default_to_the_mlps_last_layer(llama, gpt2, make_config):
    for model, place in ((llama, "mlp.down_proj"), (gpt2, "mlp.c_proj")):
        adapted = get_peft_model(model, make_config(target_modules=None))
        names = [name for name, module in adapted.named_modules() if hasattr(module, "update_layer")]
        assert names
        assert all(name.endswith(place) for name in names)


@methods
def test_wholly_trained_modules_and_tokens_are_saved_too(
    llama, make_llama, tokens, tmp_path, no_warnings, make_config
):
    whole = {"modules_to_save": ["lm_head"], "trainable_token_indices": [3, 5]}
    model = get_peft_model(llama, make_config(init_weights=False, **whole)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path)
    torch.testing.assert_close(loaded(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)


@methods
def test_trained_tokens_are_unloaded_with_the_adapter(llama, make_llama, tokens, make_config):
    model = get_peft_model(llama, make_config(init_weights=False, trainable_token_indices=[3, 5])).eval()
    with torch.no_grad():
        model.get_input_embeddings().token_adapter.trainable_tokens_delta["default"].add_(1)
        bare = model.unload()
        torch.testing.assert_close(bare(tokens).logits, make_llama()(tokens).logits, rtol=0, atol=1e-6)
    assert bare.state_dict().keys() == make_llama().state_dict().keys()


@methods
def test_biases_of_the_adapted_layers_can_be_trained_with_it(gpt2, make_config):
    own = make_config().peft_type.value.lower()
    model = get_peft_model(gpt2, make_config(target_modules=["c_fc"], bias=f"{own}_only"))
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    base = {name for name in trained if "base_layer" in name}
    assert base == {f"base_model.model.transformer.h.{i}.mlp.c_fc.base_layer.bias" for i in range(2)}
    assert trained - base == set(adapter_weights(model))


@methods
def test_a_module_that_is_not_linear_is_refused_before_another_is_adapted(llama, make_config):
    names = [name for name, _ in llama.named_modules()]
    with pytest.raises(TypeError, match=r"can't adapt 'model.layers.0.input_layernorm', a LlamaRMSNorm"):
        get_peft_model(llama, make_config(target_modules=["down_proj", "input_layernorm"]))
    assert [name for name, _ in llama.named_modules()] == names


@methods
def test_targets_that_match_nothing_are_answered_with_the_names_there_are(llama, make_config):
    with pytest.raises(ValueError, match=r"Linear modules of the model: down_proj, gate_proj, .*up_proj"):
        get_peft_model(llama, make_config(target_modules=["fc_out"]))


@methods
def test_adapter_of_another_base_is_refused_with_both_sizes(llama, tmp_path, make_config):
    get_peft_model(llama, make_config()).save_pretrained(tmp_path)
    other = LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4
    )
    with pytest.raises(ValueError, match="does not fit adapter 'default' of this model"):
        PeftModel.from_pretrained(LlamaForCausalLM(other), tmp_path)


@methods
def test_adapter_learns_and_the_base_does_not(llama, tokens, make_config):
    model = get_peft_model(llama, make_config()).train()
    adapter = adapter_weights(model)
    base = {name: w.detach().clone() for name, w in model.named_parameters() if name not in adapter}
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2, weight_decay=0)
    losses = []
    for _ in range(15):
        loss = model(tokens, labels=tokens).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.1
    after = dict(model.named_parameters())
    assert all(not torch.equal(after[name], weight) for name, weight in adapter.items())
    assert all(torch.equal(after[name], weight) for name, weight in base.items())


def sft(base: LlamaForCausalLM, config: PeftConfig, output: Path, **arguments: str) -> dict[str, torch.Tensor]:
    """Three steps of SFTTrainer with a checkpoint after each; returns the last checkpoint's adapter."""
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
    )
    data = Dataset.from_list([{"input_ids": [(7 * i + j) % 64 for j in range(12)]} for i in range(8)])
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(64)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1")
    trainer = SFTTrainer(base, args=settings, train_dataset=data, peft_config=config, processing_class=tokenizer)
    trainer.train(**arguments)
    return load_file(output / "checkpoint-3" / "adapter_model.safetensors")


@methods
def test_interrupted_sft_run_resumes_exactly(make_llama, tmp_path, make_config):
    dropout = {"dropout": 0.1} if hasattr(make_config(), "dropout") else {}
    whole = sft(make_llama(), make_config(**dropout), tmp_path / "whole")
    checkpoint = tmp_path / "whole" / "checkpoint-1"
    resumed = sft(make_llama(), make_config(**dropout), tmp_path / "resumed", resume_from_checkpoint=str(checkpoint))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    start = load_file(checkpoint / "adapter_model.safetensors")
    assert not any(torch.equal(whole[key], start[key]) for key in whole)
