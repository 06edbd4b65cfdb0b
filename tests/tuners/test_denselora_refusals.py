"""What DenseLoRA can't do is refused in plain words, before a model is changed."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.activations import ACT2FN
from transformers.integrations.deepspeed import set_hf_deepspeed_config

from harness.tuners import DenseLoraConfig, MixedConfig

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
LINEARS = "down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj"


def config(**arguments: Any) -> DenseLoraConfig:
    return DenseLoraConfig(**{"r": 4, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


def mixture(*targets: str) -> MixedConfig:
    lora = LoraConfig(r=4, target_modules=["q_proj"])
    return MixedConfig(parts=[lora, config(target_modules=list(targets))], task_type="CAUSAL_LM")


def other_llama(**sizes: int) -> LlamaForCausalLM:
    defaults = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, num_attention_heads=4, **{**defaults, **sizes}))


def modules(model: nn.Module) -> list[tuple[str, type]]:
    return [(name, type(module)) for name, module in model.named_modules()]


@pytest.mark.parametrize("arguments", [
    {"target_modules": ["query", "fc1"]},
    {"target_modules": r"encoder\..*"},
    {"target_modules": ["q_proj"], "exclude_modules": ["q_proj"]},
    {"target_modules": ["q_proj"], "layers_to_transform": [7]},
])  # fmt: skip
def test_targets_that_match_nothing_are_answered_with_the_names_there_are(llama, arguments):
    before = modules(llama)
    with pytest.raises(ValueError, match=rf"odules.*Linear modules of the model: {LINEARS}\.$"):
        get_peft_model(llama, config(**arguments))
    assert modules(llama) == before


def test_a_part_of_a_mixture_that_matches_nothing_is_answered_with_the_names_there_are(llama):
    with pytest.raises(ValueError, match=rf"parts\[1\] \({{'fc1'}}\). Linear modules of the model: {LINEARS}\.$"):
        get_peft_model(llama, mixture("fc1"))


@pytest.mark.parametrize("make_config", [config, mixture])
@pytest.mark.parametrize("target", ["embed_tokens", "input_layernorm", "mlp"])
def test_a_module_that_is_not_linear_is_refused_before_another_is_adapted(llama, make_config, target):
    before = modules(llama)
    chosen = mixture("up_proj", target) if make_config is mixture else config(target_modules=["up_proj", target])
    with pytest.raises(TypeError, match=rf"can't adapt '[\w.]*{target}', a \w+: it adapts torch.nn.Linear and"):
        get_peft_model(llama, chosen)
    assert modules(llama) == before


def test_a_second_adapter_that_is_refused_leaves_the_first_as_it_was(llama, tokens):
    model = get_peft_model(llama, config(init_weights=False)).eval()
    before, expected = modules(model), model(tokens).logits
    for arguments in ({"target_modules": ["fc1"]}, {"target_modules": ["o_proj", "norm"]}):
        with pytest.raises((ValueError, TypeError)):
            model.add_adapter("other", config(**arguments))
    assert modules(model) == before
    assert list(model.peft_config) == ["default"]
    assert torch.equal(model(tokens).logits, expected)


def test_a_second_adapter_does_not_target_the_insides_of_the_first(llama):
    model = get_peft_model(llama, config())
    model.add_adapter("other", config(target_modules=r".*(q_proj|up_proj).*"))
    assert set(model.model.model.layers[0].mlp.up_proj.denselora_M) == {"default", "other"}


@pytest.mark.parametrize(("sizes", "message"), [
    ({"hidden_size": 64}, r"denselora_decoder.down_proj_48x32 and 1 more: the file has 32x4, the model none"),
    ({"intermediate_size": 96}, r"denselora_decoder.up_proj_32x48: the file has 48x4, the model none"),
    ({"num_hidden_layers": 2}, r" model.layers.2.\S*denselora_M and 4 more: the file has 4x4, the model none\.$"),
    ({"num_hidden_layers": 4}, r" model.layers.3.\S*denselora_M and 4 more: the file has none, the model 4x4\.$"),
])  # fmt: skip
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_adapter_of_another_base_is_refused(llama, tmp_path, sizes, message, low_cpu_mem_usage):
    get_peft_model(llama, config()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"does not fit adapter 'default' of this model: .*another base") as error:
        PeftModel.from_pretrained(other_llama(**sizes), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert re.search(message, str(error.value))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("make_config", [config, lambda **arguments: MixedConfig(
    parts=[LoraConfig(target_modules=["o_proj"], **arguments), config(**arguments)], task_type="CAUSAL_LM"
)])  # fmt: skip
def test_adapter_of_another_rank_is_refused_with_both_sizes(llama, make_llama, tmp_path, make_config):
    get_peft_model(llama, make_config(r=4)).save_pretrained(tmp_path)
    model = get_peft_model(make_llama(), make_config(r=6))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"does not fit adapter 'default'.*or another rank\.") as error:
        model.load_adapter(tmp_path, "default")
    for message in (
        r"denselora_encoder.k_proj_32x16 and \d more: the file has 4x32, the model 6x32",
        r"denselora_decoder.down_proj_48x32 and \d more: the file has 32x4, the model 32x6",
        r"mlp.down_proj.denselora_M and 14 more: the file has 4x4, the model 6x6",
    ):
        assert re.search(message, str(error.value))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_file_that_lacks_a_shared_tensor_is_refused(llama, make_llama, tmp_path):
    get_peft_model(llama, config()).save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    del tensors["base_model.denselora_decoder.up_proj_32x48"]
    save_file(tensors, file)
    with pytest.raises(ValueError, match=r"denselora_decoder.up_proj_32x48: the file has none, the model 48x4\.$"):
        PeftModel.from_pretrained(make_llama(), tmp_path)


IMPORTED_LATE = """
from peft import PeftConfig
try:
    PeftConfig.from_pretrained({path!r})
except KeyError as error:
    print(error)
import harness.tuners
print(type(PeftConfig.from_pretrained({path!r})).__name__)
"""


def test_peft_knows_the_type_once_the_tuners_are_imported(tmp_path):
    config().save_pretrained(tmp_path)
    code = IMPORTED_LATE.format(path=str(tmp_path))
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines() == ["'DENSELORA'", "DenseLoraConfig"]


class DeepSpeed:
    """What transformers keeps of a DeepSpeed configuration, where DeepSpeed itself is not installed."""

    def __init__(self, stage: int):
        self.stage = stage

    def is_zero3(self) -> bool:
        return self.stage == 3


@pytest.mark.parametrize("make_config", [config, lambda: mixture("up_proj")])
def test_deepspeed_zero_3_is_refused_with_the_reason(make_llama, make_config):
    second, third = DeepSpeed(2), DeepSpeed(3)
    set_hf_deepspeed_config(second)
    get_peft_model(make_llama(), make_config())
    set_hf_deepspeed_config(third)
    model = make_llama()
    before = modules(model)
    with pytest.raises(NotImplementedError, match=r"ZeRO-3: it gathers a parameter for .* Use ZeRO-1, ZeRO-2, DDP"):
        get_peft_model(model, make_config())
    assert modules(model) == before
    del third
    get_peft_model(model, make_config())


def learns_from_zero(name: str) -> bool:
    """Whether a zero matrix D before the activation changes nothing at first and then gets a gradient."""
    if name == "identity":
        return True
    D = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    y = ACT2FN[name](D @ torch.tensor([[0.7, -1.3], [0.4, 2.0]], dtype=torch.float64))
    (y - 1).square().sum().backward()
    return bool((y == 0).all()) and bool((D.grad != 0).any())


@pytest.mark.parametrize("name", ["identity", *sorted(ACT2FN)])
def test_every_activation_is_accepted_where_it_can_learn_from_a_zero_decoder(name):
    if name != "identity" and list(ACT2FN[name].parameters()):
        with pytest.raises(ValueError, match="has trainable parameters of its own"):
            config(activation=name)
    elif learns_from_zero(name):
        assert config(activation=name).decoder_activation_name == name
    else:
        with pytest.raises(ValueError, match=rf"can't learn with '{name}' after the decoder: f'?\(0\) = "):
            config(decoder_activation=name)
        assert config(activation=name, decoder_activation="gelu").activation == name
