"""Adapters where they are used: generation, lm-eval's `peft=`, loading by a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from harness.tuners import DenseLoraConfig, MixedConfig


def dense(**arguments: Any) -> DenseLoraConfig:
    arguments = {"target_modules": ["q_proj", "v_proj", "up_proj", "down_proj"], **arguments}
    return DenseLoraConfig(r=4, alpha=32, init_weights=False, task_type="CAUSAL_LM", **arguments)


def mixed(**arguments: Any) -> MixedConfig:
    lora = LoraConfig(r=4, target_modules=["q_proj", "k_proj", "v_proj"], **arguments)
    mlp = dense(target_modules=["up_proj", "down_proj"])
    return MixedConfig(parts=[lora, mlp], init_weights=False, task_type="CAUSAL_LM")


def mixed_with_dora() -> MixedConfig:
    return mixed(use_dora=True)


methods = pytest.mark.parametrize("make_config", [dense, mixed, mixed_with_dora])


@methods
def test_generates_the_same_with_and_without_cache(make_llama, tokens, make_config):
    model = get_peft_model(make_llama(), make_config()).eval()
    settings = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": None}
    cached, plain = (model.generate(input_ids=tokens, use_cache=use, **settings) for use in (True, False))
    assert torch.equal(cached, plain)
    chosen = tokens
    for _ in range(12):
        chosen = torch.cat([chosen, model(chosen).logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    assert torch.equal(cached, chosen)
    assert not torch.equal(cached, make_llama().generate(input_ids=tokens, **settings))


@pytest.fixture(scope="module")
def base_dir(llama_dir: str) -> str:
    """The base model with a tokenizer whose words, but the first two, are called by their ids: w2 to w63."""
    ids = {"<pad>": 0, "<eos>": 1, **{f"w{i}": i for i in range(2, 64)}}
    words = Tokenizer(WordLevel(ids, unk_token="<pad>"))
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>").save_pretrained(llama_dir)
    return llama_dir


def saved(base_dir: str, make_config: Callable[[], PeftConfig], path: Path) -> PeftModel:
    torch.manual_seed(1)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base_dir), make_config()).eval()
    model.save_pretrained(path)
    return model


@methods
def test_lm_eval_scores_the_adapted_model(base_dir, tmp_path, make_config):
    model = saved(base_dir, make_config, tmp_path)
    context, continuation = "w5 w7 w11", " w13 w17"
    request = Instance("loglikelihood", {}, (context, continuation), 0)
    settings = {"pretrained": base_dir, "device": "cpu", "dtype": "float32", "batch_size": 1}
    score, base_score = (
        HFLM(**settings, **adapter).loglikelihood([request], disable_tqdm=True)[0][0]
        for adapter in ({"peft": str(tmp_path)}, {})
    )
    log_probs = model(torch.tensor([[5, 7, 11, 13, 17]])).logits.double().log_softmax(dim=-1)[0]
    assert score == pytest.approx((log_probs[2, 13] + log_probs[3, 17]).item(), abs=1e-5)
    assert abs(score - base_score) > 1e-3


@methods
def test_lm_eval_generates_with_the_adapted_model(base_dir, tmp_path, make_config):
    model = saved(base_dir, make_config, tmp_path)
    wanted = {"until": ["w1 "], "max_gen_toks": 5, "do_sample": False}
    request = Instance("generate_until", {}, ("w5 w7 w11", wanted), 0)
    scored = HFLM(pretrained=base_dir, peft=str(tmp_path), device="cpu", dtype="float32", batch_size=1)
    (text,) = scored.generate_until([request], disable_tqdm=True)
    expected = model.generate(torch.tensor([[5, 7, 11]]), max_new_tokens=5, do_sample=False, pad_token_id=0)[0, 3:]
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    assert text.split() == tokenizer.decode(expected, skip_special_tokens=True).split()
    assert text.split()


@methods
@pytest.mark.parametrize("trainable", [False, True])
def test_loads_by_its_path_alone_to_be_used_or_trained_on(base_dir, tmp_path, tokens, make_config, trainable):
    model = saved(base_dir, make_config, tmp_path)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path, is_trainable=trainable)
    assert torch.equal(loaded.eval()(tokens).logits, model(tokens).logits)
    trained = loaded.get_nb_trainable_parameters()[0]
    assert trained == (model.get_nb_trainable_parameters()[0] if trainable else 0)
