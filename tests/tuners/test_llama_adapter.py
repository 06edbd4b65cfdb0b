"""LLaMA-Adapter on PEFT's adaption prompts: its equation, its layers, and its loss under SFTTrainer."""

from __future__ import annotations

import re

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from harness.tuners import LlamaAdapterConfig

WIDTH, HEADS, GROUPS = 32, 4, 2


def config(**arguments):
    return LlamaAdapterConfig(**{"adapter_len": 5, "task_type": "CAUSAL_LM", **arguments})


def shaken(model):
    torch.manual_seed(3)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight)
    return model


def attention(adapted, x, cosine, sine):
    """The gated attention to the prompt, by loops over heads."""
    base, prompt, size = adapted.model, adapted.adaption_prompt[0], WIDTH // HEADS
    query, key, value = base.q_proj(x), base.k_proj(prompt), base.v_proj(prompt)
    heads = []
    for head in range(HEADS):
        group = head * GROUPS // HEADS
        q = query[..., head * size : (head + 1) * size]
        turned = torch.cat([-q[..., size // 2 :], q[..., : size // 2]], dim=-1)
        q = q * cosine + turned * sine
        k, v = (part[:, group * size : (group + 1) * size] for part in (key, value))
        heads.append((q @ k.T / size**0.5).softmax(dim=-1) @ v)
    return adapted.adaption_gate * base.o_proj(torch.cat(heads, dim=-1))


def test_an_adapted_layer_adds_gated_attention_to_its_prompt_with_its_gradients(llama):
    model = shaken(get_peft_model(llama.double(), config()).double())
    adapted = model.base_model.model.model.layers[2].self_attn
    x = torch.randn(2, 7, WIDTH, dtype=torch.float64, requires_grad=True)
    cosine, sine = llama.model.rotary_emb(x, torch.arange(7)[None])
    given = {"hidden_states": x, "position_embeddings": (cosine, sine), "attention_mask": None}
    found = adapted(**given)[0]
    expected = adapted.model(**given)[0] + attention(adapted, x, cosine, sine)
    towards = torch.arange(found.numel(), dtype=found.dtype).reshape(found.shape).sin()
    trained = [x, adapted.adaption_prompt, adapted.adaption_gate]
    got, wanted = (torch.autograd.grad((each * towards).sum(), trained) for each in (found, expected))
    for ours, theirs in zip([found, *got], [expected, *wanted], strict=True):
        # PEFT takes the softmax in float32.
        assert (ours - theirs).norm() < 1e-6 * theirs.norm()


def test_it_starts_as_the_base_and_trains_only_its_prompts_and_gates(llama, make_llama, tokens):
    model = get_peft_model(llama, config())
    assert torch.equal(model(tokens).logits, make_llama()(tokens).logits)
    names = {name.rpartition(".")[2] for name, weight in model.named_parameters() if weight.requires_grad}
    assert names == {"adaption_prompt", "adaption_gate"}


@pytest.mark.parametrize(("layers", "asked", "adapted"), [(1, None, 1), (2, None, 1), (5, None, 3), (5, 5, 5)])
def test_the_top_layers_are_adapted_and_counted(layers, asked, adapted):
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8, hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=layers, num_attention_heads=HEADS
        )
    )
    model = get_peft_model(base, config(adapter_layers=asked))
    assert model.get_nb_trainable_parameters()[0] == adapted * (5 * WIDTH + 1)
    has = [hasattr(layer.self_attn, "adaption_prompt") for layer in base.model.layers]
    assert has == [False] * (layers - adapted) + [True] * adapted


def test_the_papers_parameters_on_llama_7b_are_counted_without_weights():
    shape = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **shape))
        model = get_peft_model(base, LlamaAdapterConfig(task_type="CAUSAL_LM"))
    # The paper: 1.2M.
    assert model.get_nb_trainable_parameters()[0] == 30 * (10 * 4096 + 1)


def test_the_base_models_forward_of_now_is_called(llama, tokens):
    model = get_peft_model(llama, config())
    llama.forward = lambda input_ids, **arguments: (input_ids, arguments["mark"])
    assert model(tokens, mark=3)[1] == 3


def test_a_saved_adapter_is_pefts_and_answers_as_the_trained_one(llama, make_llama, tokens, tmp_path):
    llama.save_pretrained(tmp_path / "base")
    llama.name_or_path = str(tmp_path / "base")
    model = shaken(get_peft_model(llama, config())).eval()
    model.save_pretrained(tmp_path / "adapter")
    read = PeftConfig.from_pretrained(tmp_path / "adapter")
    assert (read.peft_type, read.adapter_layers) == ("ADAPTION_PROMPT", 1)
    asked = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "max_new_tokens": 5, "do_sample": False}
    for other in (
        PeftModel.from_pretrained(make_llama(), tmp_path / "adapter").eval(),
        AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter").eval(),
    ):
        assert torch.equal(other(tokens).logits, model(tokens).logits)
        assert torch.equal(other.generate(**asked), model.generate(**asked))


def test_two_adapters_stand_apart_and_can_be_switched_off(llama, make_llama, tokens):
    model = shaken(get_peft_model(llama, config())).eval()
    first = model(tokens).logits
    model.add_adapter("other", config(adapter_layers=2))
    model.set_adapter("other")
    shaken(model)
    second = model(tokens).logits
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, make_llama()(tokens).logits)
    model.set_adapter("other")
    assert torch.equal(model(tokens).logits, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"adapter_len": 0}, "`adapter_len` must be a whole number of at least 1, got 0"),
        ({"adapter_layers": 1.5}, "`adapter_layers` must be a whole number of at least 1, got 1.5"),
        ({"adapter_layers": 9}, "more adapter layers '9' than the model has '3'"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(llama, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        get_peft_model(llama, config(**arguments))
