"""DenseLoRA over bitsandbytes' 8- and 4-bit weights, where bitsandbytes is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from harness.tuners import DenseLoraConfig, MixedConfig

pytest.importorskip("bitsandbytes")

EIGHT = {"load_in_8bit": True}
FOUR = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
# Its packed weights have a floating dtype.
FOUR_STORED_AS_FLOAT = {**FOUR, "bnb_4bit_quant_storage": torch.bfloat16}


@pytest.fixture(scope="module")
def wide_llama_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sizes that the 4-bit kernels for CPUs accept: multiples of 64."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2}
    path = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)).save_pretrained(path)
    return str(path)


@pytest.fixture(params=[EIGHT, FOUR, FOUR_STORED_AS_FLOAT], ids=["int8", "nf4", "nf4 stored as bfloat16"])
def make_quantized(request: pytest.FixtureRequest, wide_llama_dir: str) -> Callable[[], PreTrainedModel]:
    settings = BitsAndBytesConfig(**request.param)
    return partial(
        AutoModelForCausalLM.from_pretrained, wide_llama_dir, quantization_config=settings, dtype=torch.float32
    )


@pytest.fixture
def quantized(make_quantized: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    return make_quantized()


def packed_bytes(model: PeftModel) -> torch.Tensor:
    return model.model.model.layers[0].mlp.up_proj.base_layer.weight.data.view(torch.uint8).clone()


def config(**arguments: Any) -> DenseLoraConfig:
    arguments = {"target_modules": ["q_proj", "up_proj"], "init_weights": False, **arguments}
    return DenseLoraConfig(r=4, alpha=8, dropout=0.0, task_type="CAUSAL_LM", **arguments)


def test_trains_in_float32_over_weights_that_stay_packed(quantized, tokens):
    model = get_peft_model(prepare_model_for_kbit_training(quantized), config()).train()
    packed = packed_bytes(model)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert model.get_nb_trainable_parameters()[0] == 4 * ((128 + 128) + (128 + 192)) + 4 * 16
    assert {weight.dtype for weight in trained} == {torch.float32}
    model(tokens, labels=tokens).loss.backward()
    assert all(weight.grad.abs().max() > 0 for weight in trained)
    torch.optim.SGD(trained, lr=0.1).step()
    assert torch.equal(packed_bytes(model), packed)


def test_adds_the_papers_formula_to_what_the_packed_layer_computes(quantized):
    layer = get_peft_model(quantized, config()).eval().model.model.layers[1].mlp.up_proj
    x = torch.randn(2, 5, 128)
    E, M, D = (getattr(layer, f"denselora_{part}")["default"] for part in ("encoder", "M", "decoder"))
    gelu = torch.nn.functional.gelu
    expected = layer.base_layer(x.clone()) + 2 * gelu(gelu(x @ E.T) @ M.T @ D.T)
    torch.testing.assert_close(layer(x.clone()), expected)


@pytest.mark.parametrize("make_config", [config, lambda **arguments: MixedConfig(
    parts=[LoraConfig(target_modules=["v_proj"]), config(**arguments)], task_type="CAUSAL_LM"
)])  # fmt: skip
def test_is_saved_and_loaded_over_packed_weights(make_quantized, tokens, tmp_path, make_config):
    model = get_peft_model(make_quantized(), make_config()).eval()
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_quantized(), tmp_path)
    # Without gradients both take the same 4-bit kernel; the one that is used with gradients rounds otherwise.
    with torch.no_grad():
        assert torch.equal(loaded(tokens).logits, model(tokens).logits)


@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_merging_into_packed_weights_is_refused_before_they_are_touched(quantized, merge):
    model = get_peft_model(quantized, config(activation="identity"))
    packed = packed_bytes(model)
    with pytest.raises(NotImplementedError, match=r"can't be merged into quantized weights\. Load the base"):
        getattr(model, merge)()
    assert torch.equal(packed_bytes(model), packed)
