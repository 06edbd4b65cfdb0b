"""Residual Prompt Tuning: its equation, its parameters, its start, and the finished prompt in use."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from datasets import Dataset
from peft import (
    AutoPeftModelForCausalLM,
    PeftConfig,
    PeftModel,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from harness.tuners import ResidualPromptConfig

WIDTH, TOKENS, BOTTLENECK = 32, 6, 12


def config(**arguments):
    shape = {"num_virtual_tokens": TOKENS, "bottleneck_size": BOTTLENECK, "task_type": "CAUSAL_LM"}
    return ResidualPromptConfig(**{**shape, **arguments})


def trained(model):
    return {name.removeprefix("prompt_encoder.default."): weight for name, weight in parts(model)}


def parts(model):
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def shaken(model):
    torch.manual_seed(3)
    for _, weight in parts(model):
        torch.nn.init.normal_(weight)
    return model


def prompt(weights):
    """P + LayerNorm(W_up ReLU(W_down P)), written out."""
    start = weights["embedding.weight"]
    hidden = (start @ weights["network.down.weight"].T + weights.get("network.down.bias", 0)).clamp(min=0)
    raised = hidden @ weights["network.up.weight"].T + weights.get("network.up.bias", 0)
    centred = raised - raised.mean(dim=1, keepdim=True)
    normed = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    return start + normed * weights["network.norm.weight"] + weights["network.norm.bias"]


@pytest.mark.parametrize("bias", [False, True])
def test_output_and_all_gradients_are_those_of_the_papers_equation(llama, tokens, bias):
    model = shaken(get_peft_model(llama.double(), config(projection_bias=bias)).double()).eval()
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in trained(model).items()}
    embedded = torch.cat([prompt(weights).expand(2, -1, -1), llama.model.embed_tokens(tokens)], dim=1)
    expected = llama(inputs_embeds=embedded).logits
    found = model(tokens).logits
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    cotangent = torch.randn_like(expected)
    (expected * cotangent).sum().backward()
    (found * cotangent).sum().backward()
    for name, weight in trained(model).items():
        difference = (weight.grad - weights[name].grad).norm() / weights[name].grad.norm()
        assert difference < 1e-10, name


def test_the_loss_is_that_of_the_text_behind_the_prompt(llama, tokens):
    model = shaken(get_peft_model(llama, config())).eval()
    mask = torch.ones_like(tokens)
    mask[1, -3:] = 0
    labels = tokens.masked_fill(mask == 0, -100)
    logits = model(tokens, attention_mask=mask).logits[:, TOKENS - 1 : -1]
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100)
    torch.testing.assert_close(model(tokens, attention_mask=mask, labels=labels).loss, expected)


@pytest.mark.parametrize(("bias", "extra"), [(False, 0), (True, BOTTLENECK + WIDTH)])
def test_the_trained_parameters_are_the_prompt_the_projections_and_the_norm(llama, bias, extra):
    model = get_peft_model(llama, config(projection_bias=bias))
    expected = WIDTH * TOKENS + 2 * WIDTH * BOTTLENECK + 2 * WIDTH + extra
    assert model.get_nb_trainable_parameters()[0] == expected


def test_the_parameters_on_llama3_8b_are_counted_without_weights():
    shape = {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256,
    }  # fmt: skip
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **shape))
        model = get_peft_model(base, ResidualPromptConfig(task_type="CAUSAL_LM"))
    assert model.get_nb_trainable_parameters()[0] == 4096 * 10 + 2 * 4096 * 800 + 2 * 4096


def test_the_prompt_starts_at_tokens_of_the_vocabulary(llama):
    start = trained(get_peft_model(llama, config()))["embedding.weight"]
    vocabulary = llama.model.embed_tokens.weight
    assert all((vocabulary == token).all(dim=1).any() for token in start)
    assert len(start.unique(dim=0)) > 1
    drawn = trained(get_peft_model(llama, config(prompt_tuning_init="RANDOM")))["embedding.weight"]
    assert not any((vocabulary == token).all(dim=1).any() for token in drawn)


def test_dropout_acts_in_training_and_never_on_what_is_saved(llama, tokens, tmp_path):
    model = shaken(get_peft_model(llama, config(dropout=0.5)))
    expected = prompt({name: weight.detach() for name, weight in trained(model).items()})
    model.train()
    assert not torch.equal(model(tokens).logits, model(tokens).logits)
    state = torch.get_rng_state()
    model.save_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert saved.keys() == {"prompt_embeddings"}
    torch.testing.assert_close(saved["prompt_embeddings"], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_finished_prompt_answers_as_the_trained_one(make_llama, tokens, tmp_path, dtype):
    llama = make_llama().to(dtype)
    llama.save_pretrained(tmp_path / "base")
    llama.name_or_path = str(tmp_path / "base")
    model = shaken(get_peft_model(llama, config())).eval()
    assert all(weight.dtype == torch.float32 for _, weight in parts(model))
    model.save_pretrained(tmp_path / "adapter")
    asked = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "max_new_tokens": 5, "do_sample": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        loaded = PeftModel.from_pretrained(make_llama().to(dtype), tmp_path / "adapter")
        auto = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter", dtype=dtype)
    for other in (loaded, auto):
        assert torch.equal(other(tokens).logits, model(tokens).logits)
        assert torch.equal(other.generate(**asked), model.generate(**asked))
        assert other.prompt_encoder["default"].network is None
    loaded.save_pretrained(tmp_path / "again")
    files = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("adapter", "again")]
    assert torch.equal(files[0]["prompt_embeddings"], files[1]["prompt_embeddings"])
    read = PeftConfig.from_pretrained(tmp_path / "adapter")
    assert (type(read), read.bottleneck_size, read.num_virtual_tokens) == (ResidualPromptConfig, BOTTLENECK, TOKENS)


def test_two_prompts_stand_apart_and_can_be_switched_off(llama, make_llama, tokens):
    model = shaken(get_peft_model(llama, config())).eval()
    first = model(tokens).logits
    model.add_adapter("other", config(num_virtual_tokens=3))
    model.set_adapter("other")
    assert model.eval()(tokens).logits.shape[1] == tokens.shape[1] + 3
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, make_llama()(tokens).logits)
    assert torch.equal(model(tokens).logits, first)


def test_pefts_own_prompts_are_made_as_before(make_llama):
    for own in (PromptTuningConfig, PromptEncoderConfig):
        arguments = {"num_virtual_tokens": TOKENS, "task_type": "CAUSAL_LM"}
        if own is PromptEncoderConfig:
            arguments["encoder_hidden_size"] = BOTTLENECK
        model = get_peft_model(make_llama(), own(**arguments))
        assert type(model.peft_config["default"]) is own
        assert type(model.prompt_encoder["default"]).__module__.startswith("peft.")


def test_training_under_sfttrainer_lowers_the_loss_and_changes_only_the_prompt(llama, make_llama, tmp_path):
    settings = SFTConfig(
        output_dir=str(tmp_path), max_steps=12, per_device_train_batch_size=4, learning_rate=1e-2, logging_steps=1,
        use_cpu=True, bf16=False, save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    data = Dataset.from_list([{"input_ids": [(7 * i + j) % 64 for j in range(12)]} for i in range(4)])
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(64)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1")
    trainer = SFTTrainer(llama, args=settings, train_dataset=data, peft_config=config(), processing_class=tokenizer)
    before = {name: weight.detach().clone() for name, weight in trained(trainer.model).items()}
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert losses[-1] < losses[0] - 0.01
    assert not any(torch.equal(before[name], weight) for name, weight in trained(trainer.model).items())
    fresh = make_llama().state_dict()
    assert all(torch.equal(weight, fresh[name]) for name, weight in llama.state_dict().items())


def test_a_finished_prompt_is_not_trained_on(llama, make_llama, tmp_path):
    model = get_peft_model(llama, config())
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="the network that made it was discarded"):
        get_peft_model(make_llama(), config()).load_adapter(tmp_path, "default", is_trainable=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_virtual_tokens": 0}, "`num_virtual_tokens` must be a whole number of at least 1, got 0"),
        ({"bottleneck_size": 0}, "`bottleneck_size` must be a whole number of at least 1, got 0"),
        ({"bottleneck_size": 1.5}, "got 1.5"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and less than 1, got 1.0"),
        ({"task_type": "SEQ_2_SEQ_LM"}, "not supported for SEQ_2_SEQ_LM"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        config(**arguments)
