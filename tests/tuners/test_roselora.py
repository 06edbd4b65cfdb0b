"""RoseLoRA: rows of A and columns of B become sparse by sensitivity, on a schedule, also where training is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from harness.tuners import RoseLoraConfig
from harness.tuners.roselora import Sparsify

from .formula import LARGE, LLAMA_3_8B, QKVUD, SMALL, assert_computes


def config(**arguments: Any) -> RoseLoraConfig:
    return RoseLoraConfig(**{"r": 4, "alpha": 12, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


@pytest.mark.parametrize("name", ["q_proj", "up_proj", "down_proj"])
def test_layer_computes_the_papers_formula_and_its_gradients(llama, name):
    model = get_peft_model(llama, config(init_weights=False)).eval().double()
    block = model.model.model.layers[1]
    layer = getattr(block.self_attn if name == "q_proj" else block.mlp, name)
    A, B = layer.roselora_A["default"], layer.roselora_B["default"]
    x = torch.randn(2, 5, A.shape[1], dtype=torch.float64, requires_grad=True)
    expected = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)
    assert_computes(layer, x, [A, B], expected + 12 / 4 * torch.einsum("or,ri,bsi->bso", B, A, x))


def test_conv1d_computes_the_same_formula(gpt2):
    model = get_peft_model(gpt2, config(target_modules=["c_fc"], init_weights=False)).eval().double()
    layer = model.model.transformer.h[0].mlp.c_fc
    A, B = layer.roselora_A["default"], layer.roselora_B["default"]
    assert [A.shape, B.shape] == [(4, 32), (128, 4)]
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    base = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
    assert_computes(layer, x, [A, B], base + 3 * torch.einsum("or,ri,bsi->bso", B, A, x))


@pytest.mark.parametrize(("model", "sizes", "layers"), [("small", SMALL, 3), ("large", LARGE, 32)])
@pytest.mark.parametrize("r", [1, 16])
def test_trains_as_many_parameters_as_lora(llama, model, sizes, layers, r):
    if model == "large":
        with torch.device("meta"):
            llama = AutoModelForCausalLM.from_config(LLAMA_3_8B)
    trained = get_peft_model(llama, config(r=r)).get_nb_trainable_parameters()[0]
    assert trained == layers * sum(r * (inputs + outputs) for inputs, outputs in sizes)


def test_density_falls_cubically_from_all_to_the_budget():
    schedule = config(density=0.2, dense_until=10, sparse_from=30)
    assert [schedule.density_at(step) for step in (0, 9, 10, 30, 1000)] == [1, 1, 1, 0.2, 0.2]
    for step, left in ((15, 27 / 64), (20, 1 / 8), (25, 1 / 64)):
        assert schedule.density_at(step) == pytest.approx(0.2 + 0.8 * left)


@pytest.mark.parametrize(("density", "kept_of_32", "kept_of_48"), [(0.5, 16, 24), (0.3, 9, 14), (0.001, 1, 1)])
def test_pruning_keeps_the_most_sensitive_entries_of_each_row_and_column(llama, density, kept_of_32, kept_of_48):
    layer = get_peft_model(llama, config(init_weights=False)).model.model.layers[0].mlp.up_proj
    A, B = layer.roselora_A["default"], layer.roselora_B["default"]
    before = A.detach().clone(), B.detach().clone()
    layer.sensitivity["default"] = (torch.rand(4, 32), torch.rand(48, 4))
    layer.prune("default", density)
    rows = zip(A, before[0], layer.sensitivity["default"][0], strict=True)
    columns = zip(B.T, before[1].T, layer.sensitivity["default"][1].T, strict=True)
    for kept, vectors in ((kept_of_32, rows), (kept_of_48, columns)):
        for now, was, sensitivity in vectors:
            order = sorted(range(len(now)), key=lambda i: -sensitivity[i].item())
            assert [now[i].item() for i in order] == [was[i].item() for i in order[:kept]] + [0] * (len(order) - kept)


def test_share_of_a_whole_number_of_entries_is_that_number():
    """In floating point, 0.29 · 100 is 28.999999999999996."""
    settings = config(target_modules=["0"], task_type=None, init_weights=False)
    layer = get_peft_model(nn.Sequential(nn.Linear(100, 100)), settings).model[0]
    layer.sensitivity["default"] = (torch.rand(4, 100), torch.rand(100, 4))
    layer.prune("default", 0.29)
    for weight in (layer.roselora_A["default"], layer.roselora_B["default"]):
        assert weight.count_nonzero() == 4 * 29


def test_sensitivity_is_the_smoothed_product_of_weight_and_gradient(llama):
    layer = get_peft_model(llama, config(init_weights=False)).model.model.layers[0].mlp.up_proj
    expected = None
    for _ in range(3):
        products: list[torch.Tensor] = []
        for weight in (layer.roselora_A["default"], layer.roselora_B["default"]):
            weight.grad = torch.randn_like(weight)
            products.append(abs(weight.detach() * weight.grad))
        layer.update_sensitivity("default", beta=0.7)
        expected = (
            products if expected is None else [0.7 * e + 0.3 * p for e, p in zip(expected, products, strict=True)]
        )
    torch.testing.assert_close(layer.sensitivity["default"], tuple(expected))


def test_step_that_overflowed_leaves_the_order_of_the_sensitivities(llama):
    layer = get_peft_model(llama, config(init_weights=False)).model.model.layers[0].mlp.up_proj
    for weight in (layer.roselora_A["default"], layer.roselora_B["default"]):
        weight.grad = torch.randn_like(weight)
    layer.update_sensitivity("default", beta=0.8)
    before = layer.sensitivity["default"]
    for weight in (layer.roselora_A["default"], layer.roselora_B["default"]):
        weight.grad.fill_(torch.inf).view(-1)[0] = torch.nan
    layer.update_sensitivity("default", beta=0.8)
    torch.testing.assert_close(layer.sensitivity["default"], tuple(0.8 * old for old in before))


def sft(
    model: nn.Module, settings: RoseLoraConfig | None, output: Path, steps: int, callbacks: list, **arguments: Any
):
    """SFTTrainer on token ids, with a checkpoint after each step; returns the trained model."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    training = SFTConfig(
        output_dir=str(output),
        max_steps=steps,
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
    trainer = SFTTrainer(
        model,
        args=training,
        train_dataset=data,
        peft_config=settings,
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.train(**arguments)
    return trainer.model


class Watch(TrainerCallback):
    """Works out from weights and gradients which entries must be left after each step, and compares."""

    def __init__(self, beta: float, kept: list[dict[int, int]]) -> None:
        self.beta, self.kept, self.known, self.compared = beta, kept, {}, 0

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                product = (weight.detach() * weight.grad).abs()
                old = self.known.get(name, product)
                self.known[name] = self.beta * old + (1 - self.beta) * product

    def on_step_end(self, args, state, control, model=None, **kwargs):
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                vectors, scores = (t if "roselora_A" in name else t.T for t in (weight.detach(), self.known[name]))
                kept = self.kept[state.global_step - 1][vectors.shape[1]]
                for vector, score in zip(vectors, scores, strict=True):
                    least = score.sort(descending=True).values[kept - 1]
                    assert torch.equal(vector != 0, score >= least)
                    self.compared += 1


def test_training_prunes_after_every_step_to_the_schedule(make_llama, tmp_path):
    torch.manual_seed(0)
    settings = config(init_weights=False, density=0.25, dense_until=1, sparse_from=4, beta=0.6)
    densities = [1, 1, 0.25 + 0.75 * (2 / 3) ** 3, 0.25 + 0.75 * (1 / 3) ** 3, 0.25, 0.25]
    kept = [{size: int(density * size) for size in (16, 32, 48)} for density in densities]
    watch = Watch(0.6, kept)
    model = sft(make_llama(), settings, tmp_path, 6, [Sparsify(), watch])
    assert watch.compared == 6 * 15 * 2 * 4
    left = sum(weight.count_nonzero().item() for weight in model.parameters() if weight.requires_grad)
    assert left == 3 * 4 * sum(inputs // 4 + outputs // 4 for inputs, outputs in SMALL)


def test_sparse_product_has_no_more_entries_than_the_papers_bound(make_llama, tmp_path):
    """Of each rank one term, a share of density² at most; over r terms r times that."""
    settings = config(r=2, density=0.125, dense_until=0, sparse_from=2)
    model = sft(make_llama(), settings, tmp_path, 3, [Sparsify()])
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    delta = layer.get_delta_weight("default")
    assert 0 < delta.count_nonzero() <= 2 * (32 // 8) * (48 // 8)


def schedule(**arguments: Any) -> RoseLoraConfig:
    return config(dropout=0.05, density=0.1, dense_until=1, sparse_from=4, **arguments)


def adapter_file(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("at", [1, 3])
def test_interrupted_training_resumes_exactly_in_weights_and_sensitivities(make_llama, tmp_path, at):
    whole = sft(make_llama(), schedule(), tmp_path / "whole", 5, [Sparsify()])
    torch.manual_seed(7)
    checkpoint = str(tmp_path / "whole" / f"checkpoint-{at}")
    sft(make_llama(), schedule(), tmp_path / "resumed", 5, [Sparsify()], resume_from_checkpoint=checkpoint)
    expected, got = (adapter_file(tmp_path / run / "checkpoint-5") for run in ("whole", "resumed"))
    assert expected.keys() == got.keys()
    assert len([key for key in expected if "sensitivity" in key]) == 15 * 2
    assert all(torch.equal(expected[key], got[key]) for key in expected)
    whole.save_pretrained(tmp_path / "final")
    assert {key for key in expected if "sensitivity" not in key} == adapter_file(tmp_path / "final").keys()


def test_checkpoint_without_sensitivities_is_not_resumed_from(make_llama, tmp_path):
    sft(make_llama(), schedule(), tmp_path / "whole", 2, [Sparsify()])
    checkpoint = tmp_path / "whole" / "checkpoint-1"
    weights = {key: value for key, value in adapter_file(checkpoint).items() if "sensitivity" not in key}
    save_file(weights, checkpoint / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"can't resume at step 1: the checkpoint has no sensitivities"):
        sft(make_llama(), schedule(), tmp_path / "on", 2, [Sparsify()], resume_from_checkpoint=str(checkpoint))


def test_checkpoint_of_a_training_is_an_adapter_like_any_other(make_llama, tokens, tmp_path):
    sft(make_llama(), schedule(), tmp_path, 2, [Sparsify()])
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path / "checkpoint-2")
    file = adapter_file(tmp_path / "checkpoint-2")
    for name, weight in loaded.named_parameters():
        if "roselora" in name:
            assert torch.equal(weight, file[name.removesuffix(".default")])
    assert not torch.equal(loaded(tokens).logits, make_llama()(tokens).logits)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"density": 0}, r"`density` must be above 0 and at most 1, got 0"),
    ({"density": 1.5}, r"`density` must be above 0 and at most 1, got 1.5"),
    ({"beta": 1}, r"`beta` must be at least 0 and below 1, got 1"),
    ({"dense_until": -1}, r"`dense_until` must be an integer of at least 0, got -1"),
    ({"dense_until": 9, "sparse_from": 3}, r"`sparse_from` must be an integer of at least `dense_until`"),
])  # fmt: skip
def test_schedule_that_can_not_be_is_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)
