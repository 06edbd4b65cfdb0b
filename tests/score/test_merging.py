"""Adapters that are merged to be scored: the same answers, and afterwards the base's own weights, bit for bit."""

from __future__ import annotations

import pytest
import torch
from peft import IA3Config, LNTuningConfig, LoraConfig, PromptTuningConfig, get_peft_model

from harness.score.merging import Merge, may_merge
from harness.score.reuse import reuses_cache
from harness.train.adapter import detach
from harness.train.fingerprint import weights_fingerprint
from harness.train.live import Guard
from harness.tuners import DenseLoraConfig

LAYERS = {"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], "task_type": "CAUSAL_LM"}
METHODS = {
    "lora": LoraConfig(**LAYERS),
    "dora": LoraConfig(use_dora=True, **LAYERS),
    "only matrix": DenseLoraConfig(activation="identity", **LAYERS),
}
TASKS = ("mine", "mine_likelihood")


def trained(base, config):
    torch.manual_seed(0)
    model = get_peft_model(base, config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
    return model.eval()


@pytest.fixture
def adapted(make_model):
    return lambda method: trained(make_model(0), METHODS[method])


@pytest.mark.parametrize("method", METHODS)
def test_a_merged_model_gives_the_same_answers_and_the_base_is_itself_again(
    method, adapted, make_model, make_run, scored, tokenizer
):
    run, model = make_run(store_outputs="all"), adapted(method)
    before = weights_fingerprint(model)
    apart = scored(run, model, *TASKS)
    with Guard(model, tokenizer).merged(Merge(model)) as merged:
        assert merged
        assert weights_fingerprint(model) != before
        assert reuses_cache(model)
        within = scored(run, model, *TASKS)

    assert [result.provenance["merged"] for result in (*apart, *within)] == [False, False, True, True]
    for one, other in zip(apart, within, strict=True):
        assert one.samples
        assert one.samples == other.samples
        assert [(score.metric, score.value) for score in one.scores] == [
            (score.metric, score.value) for score in other.scores
        ]
    assert weights_fingerprint(model) == before
    base = model.get_base_model()
    detach(base, model)
    assert weights_fingerprint(base) == weights_fingerprint(make_model(0))


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_scoring_the_base_is_itself_again(end, adapted, tokenizer):
    model = adapted("dora")
    before = weights_fingerprint(model)
    guard = Guard(model, tokenizer)
    with pytest.raises(end), guard.merged(Merge(model)):
        raise end
    assert weights_fingerprint(model) == before
    guard.prove()


def test_an_interruption_amid_merging_leaves_the_base_as_it_was(adapted, tokenizer, monkeypatch):
    model = adapted("lora")
    before, last = weights_fingerprint(model), model.get_base_model().model.layers[1].mlp.down_proj

    def interrupted(**named):
        raise KeyboardInterrupt

    monkeypatch.setattr(last, "merge", interrupted)
    with pytest.raises(KeyboardInterrupt), Guard(model, tokenizer).merged(Merge(model)):
        pytest.fail("it was merged")
    assert weights_fingerprint(model) == before


def test_weights_that_are_tied_stay_tied(make_model, tokenizer):
    base = make_model(0)
    base.lm_head.weight = base.model.embed_tokens.weight
    model = trained(base, LoraConfig(r=2, target_modules=["lm_head", "q_proj"], task_type="CAUSAL_LM"))
    before = weights_fingerprint(model)
    with Guard(model, tokenizer).merged(Merge(model)):
        pass
    assert base.lm_head.base_layer.weight is base.model.embed_tokens.weight
    assert weights_fingerprint(model) == before


def test_without_the_adapter_a_merged_model_is_the_bare_base(adapted, make_model, tokenizer):
    model, ids = adapted("dora"), torch.arange(9)[None]
    merge = Merge(model)
    assert merge.begin()
    merged = weights_fingerprint(model)
    with merge.without(), torch.no_grad():
        bare = model(input_ids=ids).logits
    with torch.no_grad():
        assert torch.equal(bare, make_model(0).eval()(input_ids=ids).logits)
    assert weights_fingerprint(model) == merged


@pytest.mark.parametrize("fault", ["nothing is added", "something else is added"])
def test_a_merge_that_changes_the_answers_is_taken_back(fault, adapted, make_run, scored, tokenizer, monkeypatch):
    model = adapted("lora")
    before, layer = weights_fingerprint(model), model.get_base_model().model.layers[0].mlp.down_proj
    factor = 0.0 if fault == "nothing is added" else 1.1
    monkeypatch.setattr(layer, "get_delta_weight", lambda name: factor * type(layer).get_delta_weight(layer, name))
    with Guard(model, tokenizer).merged(Merge(model)) as merged:
        assert not merged
        assert weights_fingerprint(model) == before
        (result,) = scored(make_run(), model, "mine")
    assert result.provenance["merged"] is False


def test_an_adapter_that_refuses_is_scored_as_it_is(make_model, make_run, scored, tokenizer):
    model = trained(make_model(0), DenseLoraConfig(**LAYERS))
    before = weights_fingerprint(model)
    with Guard(model, tokenizer).merged(Merge(model)) as merged:
        assert not merged
        (result,) = scored(make_run(), model, "mine")
    assert result.provenance["merged"] is False
    assert weights_fingerprint(model) == before


def test_a_method_that_puts_its_own_layers_in_the_base_s_place_is_scored_as_it_is(
    make_model, make_run, scored, tokenizer
):
    """LayerNorm tuning, whose merge exchanges the trained norm and the base's."""
    model = trained(make_model(0), LNTuningConfig(task_type="CAUSAL_LM"))
    before = weights_fingerprint(model)
    with Guard(model, tokenizer).merged(Merge(model)) as merged:
        assert not merged
        (result,) = scored(make_run(), model, "mine")
    assert result.provenance["merged"] is False
    assert weights_fingerprint(model) == before
    base = model.get_base_model()
    detach(base, model)
    assert weights_fingerprint(base) == weights_fingerprint(make_model(0))


def test_where_memory_is_short_nothing_is_merged_and_another_error_is_told(adapted, tokenizer, monkeypatch):
    model = adapted("lora")
    before = weights_fingerprint(model)
    for error, merges in ((MemoryError(), False), (RuntimeError("broken"), None)):

        def fail(error=error, **named):
            raise error

        monkeypatch.setattr(model.get_base_model().model.layers[1].self_attn.q_proj, "merge", fail)
        if merges is None:
            with pytest.raises(RuntimeError, match="broken"):
                Merge(model).begin()
        else:
            assert not Merge(model).begin()
        assert weights_fingerprint(model) == before


def test_only_adapters_of_layers_in_float32_may_be_merged(make_model, adapted):
    assert all(may_merge(adapted(method)) for method in METHODS)
    assert may_merge(trained(make_model(0), IA3Config(target_modules=["k_proj"], feedforward_modules=[])))
    assert not may_merge(make_model(0))
    assert not may_merge(trained(make_model(0).to(torch.bfloat16), METHODS["dora"]))
    assert not may_merge(trained(make_model(0), LoraConfig(modules_to_save=["lm_head"], **LAYERS)))
    assert not may_merge(trained(make_model(0), LoraConfig(trainable_token_indices=[1, 2], **LAYERS)))
    assert not may_merge(trained(make_model(0), PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")))
