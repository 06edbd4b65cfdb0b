"""MoSLoRA, MELoRA, NoRA and RoseLoRA as adapters: what all of them promise."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.tuners import MeLoraConfig, MosLoraConfig, NoraConfig, RoseLoraConfig
from harness.tuners.lowrank import LowRankConfig

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]

Make = Callable[..., LowRankConfig]


def maker(config_class: type[LowRankConfig], **own: int) -> Make:
    def make(**arguments: Any) -> LowRankConfig:
        return config_class(**{"r": 4, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **own, **arguments})

    return make


MAKERS = {
    "moslora": maker(MosLoraConfig),
    "melora": maker(MeLoraConfig, n=4),
    "nora": maker(NoraConfig, outer_r=8),
    "roselora": maker(RoseLoraConfig),
}
methods = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@pytest.fixture
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def adapter_weights(model: nn.Module, config: LowRankConfig) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if f".{config.method}_" in name}


@methods
def test_fresh_adapter_leaves_the_models_output_as_it_was(make_llama, tokens, make):
    base = make_llama()(tokens).logits
    assert torch.equal(get_peft_model(make_llama(), make()).train()(tokens).logits, base)


@methods
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_loaded_adapter_is_the_saved_one(make_llama, tokens, tmp_path, no_warnings, make, low_cpu_mem_usage):
    model = get_peft_model(make_llama(), make(init_weights=False)).eval()
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)
    assert not any(weight.requires_grad for weight in loaded.parameters())
    expected = adapter_weights(model, make())
    assert expected.keys() == adapter_weights(loaded, make()).keys()
    file = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in file.values()) == sum(weight.numel() for weight in expected.values())


@methods
@pytest.mark.parametrize("trainable", [False, True])
def test_loads_by_its_path_alone_to_be_used_or_trained_on(llama_dir, make_llama, tokens, tmp_path, make, trainable):
    model = get_peft_model(LlamaForCausalLM.from_pretrained(llama_dir), make(init_weights=False)).eval()
    model.save_pretrained(tmp_path)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path, is_trainable=trainable).eval()
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)
    trained = loaded.get_nb_trainable_parameters()[0]
    assert trained == (model.get_nb_trainable_parameters()[0] if trainable else 0)


@methods
def test_configuration_survives_saving(tmp_path, make):
    original = make(exclude_modules=["x"], layers_to_transform=[0], dropout=0.25)
    original.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == original.method.upper()
    assert PeftConfig.from_pretrained(tmp_path) == original


@methods
def test_file_of_another_rank_is_refused_with_what_differs(make_llama, tmp_path, make):
    get_peft_model(make_llama(), make()).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**written, "r": 2}))
    with pytest.raises(ValueError, match="does not fit adapter 'default' of this model"):
        PeftModel.from_pretrained(make_llama(), tmp_path)


@methods
def test_two_adapters_are_apart_and_can_be_switched_off_and_deleted(make_llama, tokens, make):
    base = make_llama()(tokens).logits
    model = get_peft_model(make_llama(), make(init_weights=False)).eval()
    first, count = model(tokens).logits, model.get_nb_trainable_parameters()[0]
    model.add_adapter("other", make(r=2, target_modules=["q_proj", "o_proj"], init_weights=False))
    model.eval()
    assert torch.equal(model(tokens).logits, first)
    assert model.get_nb_trainable_parameters()[0] == count
    model.set_adapter("other")
    second = model(tokens).logits
    assert (second - first).abs().max() > 1e-3
    assert {name.rsplit(".", 1)[1] for name, weight in model.named_parameters() if weight.requires_grad} == {"other"}
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, base)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)
    assert not [name for name in model.state_dict() if name.endswith(".other")]
    assert model.get_nb_trainable_parameters()[0] == count


@methods
def test_active_adapters_add_up(llama, make):
    model = get_peft_model(llama, make(init_weights=False)).eval()
    model.add_adapter("other", make(r=2, init_weights=False))
    model.base_model.set_adapter(["default", "other"])
    model.eval()
    layer, x = model.model.model.layers[1].mlp.up_proj, torch.randn(2, 5, 32)
    change = layer.get_delta_weight("default") + layer.get_delta_weight("other")
    torch.testing.assert_close(layer(x), layer.base_layer(x) + x @ change.T, rtol=0, atol=1e-5)


@methods
def test_merges_to_the_same_outputs_and_back(make_llama, tokens, make):
    model = get_peft_model(make_llama(), make(init_weights=False)).eval()
    base = make_llama()(tokens).logits
    with torch.no_grad():
        adapted = model(tokens).logits
        model.merge_adapter()
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=3e-6)
        weight = model.model.model.layers[0].mlp.up_proj.base_layer.weight
        assert (weight - make_llama().model.layers[0].mlp.up_proj.weight).abs().max() > 1e-3
        with model.disable_adapter():
            torch.testing.assert_close(model(tokens).logits, base, rtol=0, atol=3e-6)
        model.merge_adapter()
        model.unmerge_adapter()
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=3e-6)
        merged = model.merge_and_unload(safe_merge=True)
        torch.testing.assert_close(merged(tokens).logits, adapted, rtol=0, atol=3e-6)
    assert merged.state_dict().keys() == make_llama().state_dict().keys()


@methods
def test_conv1d_merges_to_the_same_outputs(gpt2, tokens, make):
    model = get_peft_model(gpt2, make(target_modules=["c_attn", "c_fc"], init_weights=False)).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        with model.disable_adapter():
            assert (model(tokens).logits - adapted).abs().max() > 1e-3
        torch.testing.assert_close(model.merge_and_unload()(tokens).logits, adapted, rtol=0, atol=3e-6)


@methods
@pytest.mark.parametrize("merge", [True, False])
def test_trained_tokens_are_merged_and_unloaded_with_the_adapter(make_llama, tokens, make, merge):
    model = get_peft_model(make_llama(), make(init_weights=False, trainable_token_indices=[3, 5])).eval()
    with torch.no_grad():
        model.get_input_embeddings().token_adapter.trainable_tokens_delta["default"].add_(1)
        adapted, base = model(tokens).logits, make_llama()(tokens).logits
        bare = model.merge_and_unload() if merge else model.unload()
        torch.testing.assert_close(bare(tokens).logits, adapted if merge else base, rtol=0, atol=3e-6)
    assert bare.state_dict().keys() == make_llama().state_dict().keys()


@methods
def test_two_adapters_merge_together(make_llama, tokens, make):
    model = get_peft_model(make_llama(), make(init_weights=False)).eval()
    model.add_adapter("second", make(target_modules=["up_proj"], init_weights=False))
    model.base_model.set_adapter(["default", "second"])
    model.eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        merged = model.merge_and_unload(adapter_names=["default", "second"])
        torch.testing.assert_close(merged(tokens).logits, adapted, rtol=0, atol=3e-6)


@methods
@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_quantized_weights_are_refused_before_any_layer_is_merged(llama, make, merge):
    model = get_peft_model(llama, make(init_weights=False))
    plain = model.model.model.layers[0].self_attn.q_proj.base_layer.weight
    before = plain.clone()
    packed = model.model.model.layers[2].mlp.down_proj.base_layer.weight
    packed.requires_grad_(False).data = torch.zeros(32, 48, dtype=torch.int8)
    with pytest.raises(NotImplementedError, match=r"can't be merged into quantized weights.*without quantization"):
        getattr(model, merge)()
    assert torch.equal(plain, before)


@methods
def test_broken_weights_are_not_merged_safely(llama, make):
    model = get_peft_model(llama, make(init_weights=False))
    next(iter(adapter_weights(model, make()).values())).data.fill_(torch.nan)
    with pytest.raises(ValueError, match="NaNs detected in the merged weights"):
        model.merge_and_unload(safe_merge=True)


@methods
def test_bfloat16_base_has_float32_adapters_and_is_rounded_once_in_a_merge(make_llama, tokens, make):
    count = get_peft_model(make_llama(), make()).get_nb_trainable_parameters()[0]
    model = get_peft_model(make_llama().to(torch.bfloat16), make(init_weights=False)).eval()
    assert {weight.dtype for weight in adapter_weights(model, make()).values()} == {torch.float32}
    assert model.get_nb_trainable_parameters()[0] == count
    assert model(tokens).logits.dtype == torch.bfloat16
    layer = model.model.model.layers[0].mlp.up_proj
    expected = (layer.base_layer.weight.float() + layer.get_delta_weight("default")).to(torch.bfloat16)
    assert torch.equal(model.merge_and_unload().model.layers[0].mlp.up_proj.weight, expected)


@methods
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
@pytest.mark.parametrize("trainable", [False, True])
def test_adapters_loaded_on_a_bfloat16_base_are_trained_only_where_asked_for(
    make_llama, tmp_path, make, low_cpu_mem_usage, trainable
):
    saved = get_peft_model(make_llama(), make())
    saved.save_pretrained(tmp_path)
    names = {name for name, weight in saved.named_parameters() if weight.requires_grad} if trainable else set()
    settings = {"low_cpu_mem_usage": low_cpu_mem_usage, "is_trainable": trainable}
    model = PeftModel.from_pretrained(make_llama().to(torch.bfloat16), tmp_path, **settings)
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == names
    assert {weight.dtype for weight in adapter_weights(model, make()).values()} == {torch.float32}


@methods
def test_dropout_is_on_the_input_and_only_in_training(make):
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(16, 12, bias=False)

    torch.manual_seed(0)
    settings = make(dropout=0.25, target_modules=["proj"], init_weights=False, task_type=None)
    model = get_peft_model(One(), settings).train()
    layer, x = model.model.proj, torch.randn(16)
    change = layer.get_delta_weight("default")
    with torch.no_grad():
        seen = layer(x.expand(40_000, 16)) - layer.base_layer(x)
        torch.testing.assert_close(seen.mean(dim=0), change @ x, rtol=0.03, atol=0.03)
        # Each input is kept with 3/4 and then divided by it: its variance is x² (1 - 3/4) / (3/4).
        torch.testing.assert_close(seen.var(dim=0), change.square() @ x.square() / 3, rtol=0.05, atol=0.01)
        torch.testing.assert_close(layer.eval()(x), layer.base_layer(x) + change @ x)


@methods
def test_learns_and_leaves_the_base_as_it_is(llama, make_llama, tokens, make):
    model = get_peft_model(llama, make(dropout=0.0))
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(15):
        loss = model(tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    assert torch.equal(
        model.model.model.layers[0].mlp.up_proj.base_layer.weight, make_llama().model.layers[0].mlp.up_proj.weight
    )


@methods
def test_gradient_checkpointing_changes_no_gradient(make_llama, tokens, make):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        model = get_peft_model(make_llama(), make(init_weights=False, dropout=0.0)).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(tokens, labels=tokens).loss.backward()
        gradients.append({name: w.grad for name, w in model.named_parameters() if w.requires_grad})
    torch.testing.assert_close(gradients[0], gradients[1])


@methods
def test_other_modules_biases_and_layers_are_as_asked_for(make_llama, gpt2, tokens, tmp_path, make):
    asked = {"exclude_modules": ["k_proj"], "layers_to_transform": [0, 2], "modules_to_save": ["lm_head"]}
    model = get_peft_model(make_llama(), make(init_weights=False, **asked)).eval()
    adapted = {name.partition(f".{make().method}_")[0] for name in adapter_weights(model, make())}
    layers = "base_model.model.model.layers"
    assert adapted == {
        f"{layers}.{i}.{'self_attn' if name[0] in 'qv' else 'mlp'}.{name}"
        for i in (0, 2)
        for name in QKVUD
        if name != "k_proj"
    }
    with torch.no_grad():
        model.model.lm_head.modules_to_save["default"].weight.add_(1)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)

    only = get_peft_model(gpt2, make(target_modules=["c_fc"], bias=f"{make().method}_only"))
    trained = {name for name, w in only.named_parameters() if w.requires_grad} - adapter_weights(only, make()).keys()
    assert trained == {f"base_model.model.transformer.h.{i}.mlp.c_fc.base_layer.bias" for i in (0, 1)}


@methods
def test_modules_that_can_not_be_adapted_are_refused_before_the_model_is_changed(llama, make):
    before = [(name, type(module)) for name, module in llama.named_modules()]
    with pytest.raises(TypeError, match=r"can't adapt 'model.embed_tokens', a Embedding: it adapts torch.nn.Linear"):
        get_peft_model(llama, make(target_modules=["q_proj", "embed_tokens"]))
    assert before == [(name, type(module)) for name, module in llama.named_modules()]
    with pytest.raises(ValueError, match=r"not found in the base model.*Linear modules of the model: down_proj, gate"):
        get_peft_model(llama, make(target_modules=["query"]))


@methods
def test_meta_model_can_be_adapted_outside_of_the_meta_context(make):
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2))
    assert all(weight.is_meta for weight in get_peft_model(model, make()).parameters())


@methods
@pytest.mark.parametrize(("arguments", "message"), [
    ({"r": 0}, r"`r` must be an integer of at least 1, got 0"),
    ({"r": 2.5}, r"`r` must be an integer of at least 1, got 2.5"),
    ({"alpha": 0}, r"`alpha` must be positive, got 0"),
    ({"dropout": 1.0}, r"`dropout` must be at least 0 and below 1, got 1.0"),
    ({"bias": "lora_only"}, r"`bias` must be one of none, all, \w+_only, got 'lora_only'"),
    ({"layers_pattern": "layers"}, r"`layers_to_transform` must also be specified"),
    ({"target_modules": ".*q_proj", "layers_to_transform": [0]}, r"`target_modules` to be a list of names"),
])  # fmt: skip
def test_values_that_can_not_work_are_refused_with_the_reason(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def sft(base: LlamaForCausalLM, config: LowRankConfig, output: Path, **arguments: str) -> dict[str, torch.Tensor]:
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
    trainer = SFTTrainer(base, args=settings, train_dataset=data, peft_config=config, processing_class=tokenizer)
    trainer.train(**arguments)
    return load_file(output / "checkpoint-3" / "adapter_model.safetensors")


@pytest.mark.parametrize("method", ["moslora", "melora", "nora"])
def test_interrupted_sft_run_resumes_exactly(make_llama, tmp_path, method):
    make = MAKERS[method]
    whole = sft(make_llama(), make(), tmp_path / "whole")
    checkpoint = str(tmp_path / "whole" / "checkpoint-1")
    torch.manual_seed(7)
    resumed = sft(make_llama(), make(), tmp_path / "resumed", resume_from_checkpoint=checkpoint)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    start = load_file(Path(checkpoint) / "adapter_model.safetensors")
    assert [key for key in whole if torch.equal(whole[key], start[key])] == [key for key in whole if "outer" in key]
