"""What LoFiT computes, which heads it selects, what it trains and saves."""

from __future__ import annotations

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from harness.tuners import LofitConfig

from .formula import LLAMA_3_8B
from .lofit_models import config, llama_of, offsets, projections, selected


def assert_same_outputs_and_gradients(layer: nn.Module, expected: torch.Tensor, x: torch.Tensor) -> None:
    output = layer(x)
    trained = [x, *(weight for weight in layer.parameters() if weight.requires_grad)]
    towards = torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).sin()
    got, wanted = (torch.autograd.grad((each * towards).sum(), trained) for each in (output, expected))
    for ours, theirs in zip([output, *got], [expected, *wanted], strict=True):
        assert theirs.norm() > 0
        assert (ours - theirs).norm() < 1e-10 * theirs.norm()


def test_scales_multiply_what_each_head_gives_out(llama):
    model = get_peft_model(llama, config(init_weights=False)).double()
    layer = projections(model)[1]
    assert [(w.shape, w.requires_grad) for w in layer.parameters()] == [((32, 32), False), ((4, 8), True)]
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    z = x.reshape(2, 5, 4, 8)
    edited = torch.einsum("hd,bshd->bshd", 1 + layer.lofit_scale["default"], z).reshape(2, 5, 32)
    assert_same_outputs_and_gradients(layer, torch.einsum("oi,bsi->bso", layer.base_layer.weight, edited), x)


def test_offsets_are_added_to_the_selected_heads_only(llama):
    layer = next(layer for layer in projections(selected(llama).double()) if len(layer.lofit_heads["default"]) > 1)
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    z = x.reshape(2, 5, 4, 8).unbind(dim=2)
    heads = layer.lofit_heads["default"].tolist()
    added = {head: layer.lofit_offset["default"][place] for place, head in enumerate(heads)}
    edited = torch.stack([z[head] + added.get(head, 0) for head in range(4)], dim=2).reshape(2, 5, 32)
    assert_same_outputs_and_gradients(layer, torch.einsum("oi,bsi->bso", layer.base_layer.weight, edited), x)


def test_conv1d_computes_the_same(gpt2):
    layer = projections(get_peft_model(gpt2, config(init_weights=False)).double())[1]
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    edited = x * (1 + layer.lofit_scale["default"].reshape(32))
    base = torch.einsum("io,bsi->bso", layer.base_layer.weight, edited) + layer.base_layer.bias
    assert_same_outputs_and_gradients(layer, base, x)


def test_editing_heads_is_editing_their_values(tokens):
    """Attention is linear in the values: z = softmax(...) V, and the weights of a softmax add up to one."""
    base, scaled = llama_of(attention_bias=True).double(), llama_of(attention_bias=True).double()
    model = get_peft_model(base, config(init_weights=False)).eval().double()
    with torch.no_grad():
        for ours, theirs in zip(projections(model), scaled.model.layers, strict=True):
            factors = 1 + ours.lofit_scale["default"].flatten()
            theirs.self_attn.v_proj.weight.mul_(factors[:, None])
            theirs.self_attn.v_proj.bias.mul_(factors)
        assert (model(tokens).logits - scaled(tokens).logits).abs().max() < 1e-12
        model.base_model.select_heads("default")
        shifted = llama_of(attention_bias=True).double()
        for ours, theirs in zip(projections(model), shifted.model.layers, strict=True):
            theirs.self_attn.v_proj.bias.add_(offsets(ours).flatten())
        assert (model(tokens).logits - shifted(tokens).logits).abs().max() < 1e-12


def test_heads_of_gpt2_are_found_too(gpt2, make_gpt2, tokens):
    model, shifted = selected(gpt2).double(), make_gpt2().double()
    with torch.no_grad():
        for ours, theirs in zip(projections(model), shifted.transformer.h, strict=True):
            theirs.attn.c_attn.bias[64:].add_(offsets(ours).flatten())
        assert (model(tokens).logits - shifted(tokens).logits).abs().max() < 1e-12


@pytest.fixture
def make_gpt2(gpt2):
    def make() -> GPT2LMHeadModel:
        copy = GPT2LMHeadModel(gpt2.config).eval()
        copy.load_state_dict({name.replace(".base_layer", ""): w for name, w in gpt2.state_dict().items()}, False)
        return copy

    return make


def count(model: PeftModel) -> int:
    return model.get_nb_trainable_parameters()[0]


@pytest.mark.parametrize(("heads", "kept"), [(1, 1), (5, 5), (12, 12), (0.25, 3), (0.01, 1), (0.29, 3)])
def test_parameters_are_the_scales_of_all_heads_and_then_k_offsets(llama, heads, kept):
    model = get_peft_model(llama, config(heads=heads))
    assert count(model) == 3 * 4 * 8
    model.base_model.select_heads("default")
    assert count(model) == kept * 8


def test_default_on_llama3_8b_keeps_the_papers_32_heads():
    with torch.device("meta"):
        model = get_peft_model(LlamaForCausalLM(LLAMA_3_8B), LofitConfig(task_type="CAUSAL_LM"))
    assert count(model) == 32 * 32 * 128 == 131_072
    assert model.peft_config["default"].selected_of(32 * 32) == 32


def test_heads_may_be_wider_than_their_share_of_the_hidden_size():
    model = get_peft_model(llama_of(head_dim=16, num_key_value_heads=2), config())
    assert [layer.lofit_scale["default"].shape for layer in projections(model)] == [(4, 16)] * 3


def test_heads_with_the_largest_norms_over_all_layers_are_selected(llama):
    model = get_peft_model(llama, config())
    torch.manual_seed(3)
    scales = torch.randn(3, 4, 8) ** 5
    for layer, scale in zip(projections(model), scales, strict=True):
        layer.lofit_scale["default"].data.copy_(scale)
    places = [(layer, head) for layer in range(3) for head in range(4)]
    best, by_sums = (
        sorted(sorted(places, key=lambda at: sum(abs(float(x)) ** power for x in scales[at]), reverse=True)[:5])
        for power in (2, 1)
    )
    assert best != by_sums
    chosen = model.base_model.select_heads("default")
    assert [(int(name.split(".")[2]), head) for name, heads in chosen.items() for head in heads] == best
    assert [layer.lofit_heads["default"].tolist() for layer in projections(model)] == [
        [head for at, head in best if at == layer] for layer in range(3)
    ]


def test_of_equal_heads_the_first_are_selected(llama):
    model = get_peft_model(llama, config())
    for layer in projections(model):
        nn.init.constant_(layer.lofit_scale["default"], -2.0)
    assert list(model.base_model.select_heads("default").values()) == [[0, 1, 2, 3], [0]]
    with pytest.raises(ValueError, match="'default' has no scales to select heads by"):
        model.base_model.select_heads("default")


def test_scales_and_offsets_start_with_the_papers_spread():
    base = llama_of(hidden_size=512, num_attention_heads=16)
    model = get_peft_model(base, config(heads=48))
    for part in ("lofit_scale", "lofit_offset"):
        start = torch.cat([getattr(layer, part)["default"].detach().flatten() for layer in projections(model)])
        assert len(start) == 48 * 32
        assert start.std().item() == pytest.approx(1e-3, rel=0.1)
        assert start.mean().abs() < 1e-4
        if part == "lofit_scale":
            model.base_model.select_heads("default")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_spread_the_models_output_is_the_bases_in_both_phases(make_llama, tokens, dtype):
    model = get_peft_model(make_llama().to(dtype), config(init_std=0.0))
    expected = make_llama().to(dtype)(tokens).logits
    assert torch.equal(model(tokens).logits, expected)
    model.base_model.select_heads("default")
    assert torch.equal(model(tokens).logits, expected)
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}


@pytest.mark.parametrize("phase", ["scales", "offsets"])
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_saved_adapter_is_loaded_in_its_phase(make_llama, tokens, tmp_path, phase, low_cpu_mem_usage):
    model = selected(make_llama()) if phase == "offsets" else get_peft_model(make_llama(), config(init_weights=False))
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    numbers = sum(tensor.numel() for name, tensor in saved.items() if "lofit_heads" not in name)
    assert numbers == (5 * 8 if phase == "offsets" else 3 * 32)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert torch.equal(loaded(tokens).logits, model.eval()(tokens).logits)
    assert count(loaded) == 0
    assert count(PeftModel.from_pretrained(make_llama(), tmp_path, is_trainable=True)) == numbers


def test_base_and_adapter_are_loaded_by_the_adapters_directory(llama_dir, tokens, tmp_path):
    model = selected(LlamaForCausalLM.from_pretrained(llama_dir))
    model.save_pretrained(tmp_path)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)


def test_an_adapter_of_either_phase_is_loaded_over_one_of_the_other(make_llama, tokens, tmp_path):
    first, second = get_peft_model(make_llama(), config(init_weights=False)).eval(), selected(make_llama())
    first.save_pretrained(tmp_path / "first")
    second.save_pretrained(tmp_path / "second")
    expected = {"first": first(tokens).logits, "second": second(tokens).logits}
    for name in ("second", "first", "second"):
        first.load_adapter(tmp_path / name, "default", is_trainable=True)
        assert torch.equal(first(tokens).logits, expected[name])
        assert count(first) == {"first": 96, "second": 40}[name]


def test_adapter_of_a_model_with_other_heads_is_refused(make_llama, tmp_path):
    selected(make_llama()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has offsets of the heads \[.*, and the layer has 2 heads"):
        PeftModel.from_pretrained(llama_of(num_attention_heads=2), tmp_path)


def test_two_adapters_of_different_phases_are_kept_apart(make_llama, tokens, tmp_path):
    model = selected(make_llama())
    alone = model(tokens).logits
    model.add_adapter("other", config(init_weights=False))
    assert torch.equal(model(tokens).logits, alone)
    model.set_adapter("other")
    other = model(tokens).logits
    assert not torch.allclose(other, alone)
    assert count(model) == 96
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path / "other", "other")
    loaded.load_adapter(tmp_path, "default")
    for name, expected in (("other", other), ("default", alone)):
        loaded.set_adapter(name)
        assert torch.equal(loaded(tokens).logits, expected)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, alone)


def test_active_adapters_edit_one_after_the_other(llama):
    model = selected(llama).double()
    model.add_adapter("other", config(init_weights=False))
    model.base_model.set_adapter(["default", "other"])
    layer = projections(model.double())[0]
    x = torch.randn(1, 3, 32, dtype=torch.float64)
    edited = (x + offsets(layer).flatten()) * (1 + layer.lofit_scale["other"].flatten())
    torch.testing.assert_close(layer(x), F.linear(edited, layer.base_layer.weight))


def test_disabling_and_unloading_give_the_base_back(make_llama, tokens):
    expected = make_llama()(tokens).logits
    model = selected(make_llama())
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, expected)
    assert not torch.equal(model(tokens).logits, expected)
    assert torch.equal(model.unload()(tokens).logits, expected)


def test_only_the_named_layers_are_edited_and_modules_to_save_are_trained(llama):
    model = get_peft_model(llama, config(heads=8, layers_to_transform=[0, 2], modules_to_save=["lm_head"]))
    assert [hasattr(block.self_attn.o_proj, "lofit_scale") for block in llama.model.layers] == [True, False, True]
    assert count(model) == 2 * 32 + 64 * 32


@pytest.mark.parametrize("phase", ["scales", "offsets"])
def test_training_lowers_the_loss_and_leaves_the_base(llama, tokens, phase):
    model = selected(llama) if phase == "offsets" else get_peft_model(llama, config())
    before = [layer.base_layer.weight.clone() for layer in projections(model)]
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=5e-2)
    losses = []
    for _ in range(15):
        loss = model(tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02
    assert all(torch.equal(w, layer.base_layer.weight) for w, layer in zip(before, projections(model), strict=True))


@pytest.mark.parametrize(("targets", "reason"), [
    (["q_proj"], r"'model.layers.0.self_attn.q_proj': it edits what attention heads give out.*the input of o_proj"),
    (["down_proj"], r"can't adapt 'model.layers.0.mlp.down_proj'"),
    (["self_attn"], r"a LlamaAttention: it adapts torch.nn.Linear"),
])  # fmt: skip
def test_a_module_that_is_no_output_projection_is_refused(llama, targets, reason):
    with pytest.raises(TypeError, match=reason):
        get_peft_model(llama, config(target_modules=targets))
    assert not any(hasattr(module, "lofit_scale") for module in llama.modules())


def test_the_mlp_of_an_unknown_architecture_is_refused_by_its_size(gpt2):
    gpt2.config.model_type = "unknown"
    with pytest.raises(TypeError, match=r"'transformer.h.0.mlp.c_proj', which has 128 inputs: .* 4 heads x 8 = 32"):
        get_peft_model(gpt2, config(target_modules=["c_proj"]))


def test_more_heads_than_there_are_and_a_model_without_heads_are_refused(llama):
    with pytest.raises(ValueError, match=r"`heads` must be at most 12, the heads of the 3 targeted layers, got 13"):
        get_peft_model(llama, config(heads=13))
    with pytest.raises(ValueError, match="LoFiT needs a model whose configuration says `num_attention_heads`"):
        get_peft_model(nn.Sequential(nn.Linear(4, 4)), LofitConfig(target_modules=["0"]))


@pytest.mark.parametrize(("arguments", "reason"), [
    ({"heads": 0}, "`heads` must be a whole number, or a share above 0 and below 1, got 0"),
    ({"heads": 2.5}, "`heads` must be a whole number, or a share above 0 and below 1, got 2.5"),
    ({"heads": True}, "`heads` must be a whole number"),
    ({"select_at": 0}, "`select_at` must be an integer of at least 1, got 0"),
    ({"select_at": 2.0}, "`select_at` must be an integer of at least 1, got 2.0"),
    ({"l1_lambda": -1}, "`l1_lambda` must be at least 0, got -1"),
    ({"scale_rate": 0}, "`scale_rate` must be above 0 and at most 1, got 0"),
    ({"init_std": -1}, "`init_std` must be at least 0, got -1"),
    ({"bias": "lora_only"}, "`bias` must be one of none, all, lofit_only"),
])  # fmt: skip
def test_values_that_can_not_be_are_refused_with_the_reason(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        config(**arguments)
