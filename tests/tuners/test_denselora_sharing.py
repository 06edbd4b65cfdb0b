"""A group's encoder and decoder are one tensor each, whatever is done to the model that holds them."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn

from harness.tuners import DenseLoraConfig, MixedConfig

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
SIZES = {"q_proj": (32, 32), "k_proj": (32, 16), "v_proj": (32, 16), "up_proj": (32, 48), "down_proj": (48, 32)}
TRAINABLE = 4 * sum(map(sum, SIZES.values())) + 15 * 16


def config(**arguments: Any) -> DenseLoraConfig:
    return DenseLoraConfig(**{"r": 4, "dropout": 0.0, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


def mixture(**arguments: Any) -> MixedConfig:
    lora = {"peft_type": "LORA", "r": 4, "target_modules": ["o_proj"]}
    dense = {"peft_type": "DENSELORA", "r": 4, "dropout": 0.0, "target_modules": QKVUD}
    return MixedConfig(parts=[lora, dense], task_type="CAUSAL_LM", **arguments)


def layers(model: nn.Module, name: str) -> list[nn.Module]:
    return [module for key, module in model.named_modules() if key.endswith(f".{name}")]


def assert_shared(model: PeftModel, adapter: str = "default") -> None:
    """Each group's layers read the tuner's tensors, by storage address; each layer has a matrix of its own."""
    matrices = set()
    for name, (inputs, outputs) in SIZES.items():
        for part in ("denselora_encoder", "denselora_decoder"):
            owned = getattr(model.base_model, part).get_submodule(f"{name}_{inputs}x{outputs}")[adapter]
            read = {getattr(layer, part)[adapter].data_ptr() for layer in layers(model, name)}
            assert read == {owned.data_ptr()}
        matrices |= {layer.denselora_M[adapter].data_ptr() for layer in layers(model, name)}
    assert len(matrices) == 15


@pytest.mark.parametrize("make_config", [config, mixture])
def test_a_shared_tensor_has_one_name_and_that_is_the_tuners(llama, make_config):
    model = get_peft_model(llama, make_config())
    assert_shared(model)
    shared = {
        f"base_model.denselora_{part}.{name}_{inputs}x{outputs}.default"
        for part in ("encoder", "decoder")
        for name, (inputs, outputs) in SIZES.items()
    }
    for names in (
        set(model.state_dict()),
        {name for name, _ in model.named_parameters(remove_duplicate=False)},
    ):
        assert {name for name in names if "denselora_encoder" in name or "denselora_decoder" in name} == shared


def pickled(model: PeftModel) -> PeftModel:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
@pytest.mark.parametrize("make_config", [config, mixture])
def test_a_copy_shares_among_its_own_layers_and_nothing_with_the_original(llama, tokens, make_config, copied):
    model = get_peft_model(llama, make_config(init_weights=False)).eval()
    before = model(tokens).logits
    twin = copied(model)
    assert_shared(twin)
    assert torch.equal(twin(tokens).logits, before)
    with torch.no_grad():
        for weight in twin.base_model.denselora_encoder.parameters():
            weight.add_(1.0)
    assert not torch.equal(twin(tokens).logits, before)
    assert torch.equal(model(tokens).logits, before)


@pytest.mark.parametrize("change", [
    lambda model: model.to(torch.float64),
    lambda model: model.half().float(),
    lambda model: model.to("meta").to_empty(device="cpu"),
    lambda model: model.requires_grad_(True).train(),
])  # fmt: skip
def test_moving_and_casting_the_model_keeps_the_layers_together(llama, change):
    model = get_peft_model(llama, config())
    change(model)
    assert_shared(model)


@pytest.mark.parametrize("arguments", [{}, {"train_encoder_decoder": False}, {"inference_mode": True}])
@pytest.mark.parametrize("make_config", [config, mixture])
def test_half_precision_base_has_float32_adapters_that_train_what_they_should(
    make_llama, tokens, make_config, arguments
):
    if make_config is mixture and "train_encoder_decoder" in arguments:
        pytest.skip("a mixture has no such argument of its own")
    wide = get_peft_model(make_llama(), make_config(**arguments))
    model = get_peft_model(make_llama().to(torch.bfloat16), make_config(**arguments))
    assert_shared(model)
    adapter = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    assert {weight.dtype for weight in adapter.values()} == {torch.float32}
    trained = {name for name, weight in wide.named_parameters() if weight.requires_grad}
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == trained
    assert model(tokens).logits.dtype == torch.bfloat16


def test_adapters_keep_the_bases_precision_where_that_is_asked_for(make_llama):
    model = get_peft_model(make_llama().to(torch.bfloat16), config(), autocast_adapter_dtype=False)
    assert_shared(model)
    assert {w.dtype for w in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("trainable", [False, True])
def test_loaded_adapters_are_shared_in_float32_and_trainable_on_request(
    llama, make_llama, tmp_path, low_cpu_mem_usage, dtype, trainable
):
    saved = get_peft_model(llama, config(init_weights=False))
    saved.save_pretrained(tmp_path)
    base = make_llama().to(dtype)
    model = PeftModel.from_pretrained(base, tmp_path, low_cpu_mem_usage=low_cpu_mem_usage, is_trainable=trainable)
    assert_shared(model)
    weights = {name: weight for name, weight in model.named_parameters() if "denselora" in name}
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert {weight.requires_grad for weight in weights.values()} == {trainable}
    for name, weight in saved.named_parameters():
        if "denselora" in name:
            assert torch.equal(weight.to(dtype).float(), weights[name].to(dtype).float())


def test_adding_an_adapter_leaves_a_frozen_one_frozen(llama, make_llama, tmp_path):
    get_peft_model(llama, config()).save_pretrained(tmp_path)
    model = PeftModel.from_pretrained(make_llama(), tmp_path)
    model.add_adapter("other", config(r=2))
    assert not any(weight.requires_grad for weight in model.parameters())
    model.set_adapter("other")
    assert_shared(model, "other")
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if name.endswith(".other")}
    model.load_adapter(tmp_path, "third", is_trainable=True)
    trained |= {name for name, _ in model.named_parameters() if name.endswith(".third")}
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == trained


def test_deleting_an_adapter_deletes_its_shared_tensors(llama):
    model = get_peft_model(llama, config())
    model.add_adapter("other", config(r=2))
    model.delete_adapter("default")
    assert not [name for name in model.state_dict() if name.endswith(".default")]
    assert_shared(model, "other")


def test_adapting_an_adapted_model_again_starts_anew_and_saves_everything(llama, tokens, tmp_path, make_llama):
    get_peft_model(llama, config(r=2, init_weights=False))
    with pytest.warns(UserWarning, match="second time"):
        model = get_peft_model(llama, config(init_weights=False)).eval()
    assert_shared(model)
    assert model.get_nb_trainable_parameters()[0] == TRAINABLE
    model.save_pretrained(tmp_path)
    assert torch.equal(PeftModel.from_pretrained(make_llama(), tmp_path)(tokens).logits, model(tokens).logits)


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_compiles_into_one_graph_with_the_same_outputs_and_gradients(make_llama, tokens, backend):
    results = []
    for compiled in (False, True):
        torch.manual_seed(1)
        model = get_peft_model(make_llama(), config(init_weights=False)).train()
        call: Callable[..., Any] = model
        if compiled:
            torch._dynamo.reset()
            call = torch.compile(model, fullgraph=True, backend=backend)
        output = call(input_ids=tokens, use_cache=False).logits
        output.square().mean().backward()
        gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
        results.append((output.detach(), gradients))
    torch.testing.assert_close(results[1], results[0])


def test_computes_the_same_under_inference_mode(llama, tokens):
    model = get_peft_model(llama, config(init_weights=False)).eval()
    with torch.inference_mode():
        inferred = model(tokens).logits
    assert torch.equal(inferred, model(tokens).logits)


def test_layers_on_another_device_than_their_pair_compute_there(llama):
    model = get_peft_model(llama, config(init_weights=False))
    first, last = (model.model.model.layers[i].mlp.up_proj for i in (0, 2))
    last.to("meta")
    assert first(torch.randn(1, 3, 32)).device.type == "cpu"
    assert last(torch.randn(1, 3, 32, device="meta")).device.type == "meta"
    assert {w.device.type for w in (*first.denselora_encoder.values(), *last.denselora_decoder.values())} == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_layers_of_a_group_on_two_devices_train_one_pair(make_llama):
    torch.manual_seed(1)
    model = get_peft_model(make_llama(), config(init_weights=False))
    pair = [model.base_model.get_parameter(f"denselora_{p}.up_proj_32x48.default") for p in ("encoder", "decoder")]
    x = torch.randn(2, 5, 32)
    gradients = []
    for device in ("cpu", "cuda"):
        last = model.model.model.layers[2].mlp.up_proj.to(device)
        y = last(x.to(device)).cpu() + model.model.model.layers[0].mlp.up_proj(x)
        gradients.append(torch.autograd.grad(y.square().sum(), pair))
    assert {weight.device.type for weight in pair} == {"cpu"}
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


def test_weights_start_with_the_papers_distribution(llama):
    """Kaiming-uniform with a = sqrt(5) is uniform within 1 / sqrt(fan_in); compared by Kolmogorov and Smirnov's D."""
    torch.manual_seed(0)
    model = get_peft_model(llama, config(r=64))
    for name, (inputs, _) in SIZES.items():
        for layer in layers(model, name):
            samples = {inputs: layer.denselora_encoder["default"], 64: layer.denselora_M["default"]}
            for fan_in, weight in samples.items():
                bound = 1 / math.sqrt(fan_in)
                assert weight.abs().max() <= bound
                ordered = ((weight.detach().double().flatten() / bound + 1) / 2).sort().values
                steps = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
                assert (ordered - steps).abs().max() < 1.95 / math.sqrt(len(ordered))
                assert weight.var().item() == pytest.approx(bound**2 / 3, rel=0.1)
            assert layer.denselora_decoder["default"].count_nonzero() == 0


def test_frozen_variant_starts_random_where_it_is_frozen_and_at_zero_where_it_learns(llama):
    torch.manual_seed(0)
    model = get_peft_model(llama, config(r=64, train_encoder_decoder=False))
    for name, (inputs, _) in SIZES.items():
        layer = layers(model, name)[0]
        for weight, fan_in in ((layer.denselora_encoder["default"], inputs), (layer.denselora_decoder["default"], 64)):
            assert 0.95 / math.sqrt(fan_in) < weight.abs().max() <= 1 / math.sqrt(fan_in)
            assert weight.var().item() == pytest.approx(1 / fan_in / 3, rel=0.1)
        assert layer.denselora_M["default"].count_nonzero() == 0
