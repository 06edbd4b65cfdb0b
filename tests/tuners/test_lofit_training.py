"""LoFiT under SFTTrainer: the penalty, the selection of the heads, the offsets' fresh optimizer, and exact resume."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers import PreTrainedTokenizerFast, TrainerCallback

from harness.tuners import LofitConfig
from harness.tuners.lofit import SelectHeads

ROW = [(7 * j) % 64 for j in range(12)]
BATCH = torch.tensor([ROW, ROW])


def config(**arguments: Any) -> LofitConfig:
    return LofitConfig(**{"heads": 5, "task_type": "CAUSAL_LM", "select_at": 3, **arguments})


def sft(base: nn.Module, settings: LofitConfig | None, output: Path, steps: int, callbacks: list, **arguments: Any):
    """SFTTrainer with a checkpoint after each step, on rows that are all the same unless told otherwise."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    resumed = arguments.pop("resume_from_checkpoint", None)
    rows = arguments.pop("rows", [ROW] * 8)
    training = SFTConfig(
        output_dir=str(output),
        max_steps=steps,
        save_steps=1,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        **{"per_device_train_batch_size": 2, "learning_rate": 1e-2, "gradient_checkpointing": False, **arguments},
    )
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(64)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1")
    data = Dataset.from_list([{"input_ids": row} for row in rows])
    trainer = SFTTrainer(
        base, args=training, train_dataset=data, peft_config=settings, processing_class=tokenizer, callbacks=callbacks
    )
    trainer.train(resume_from_checkpoint=resumed)
    return trainer.model


def adapter_file(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / f"checkpoint-{step}" / "adapter_model.safetensors")


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    named = model.named_parameters()
    return {name.removesuffix(".default"): weight for name, weight in named if weight.requires_grad}


def scales_by_hand(model: PeftModel, l1_lambda: float, rate: float, clip: float) -> dict[str, torch.Tensor]:
    """Two steps of plain gradient descent on the loss and the penalty, at a linearly falling rate."""
    scales = trained(model)
    for step in range(2):
        loss = model(BATCH, labels=BATCH).loss + l1_lambda * sum(scale.abs().sum() for scale in scales.values())
        gradients = torch.autograd.grad(loss, list(scales.values()))
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        factor = min(1.0, clip / norm.item()) if clip else 1.0
        with torch.no_grad():
            for scale, gradient in zip(scales.values(), gradients, strict=True):
                scale -= rate * (1 - step / 4) * factor * gradient
    return scales


@pytest.mark.parametrize(("l1_lambda", "accumulation", "clip", "checkpointing"), [
    (0.0, 1, 0.0, False),
    (0.05, 1, 0.0, False),
    (0.05, 4, 0.0, True),
    (0.05, 2, 0.1, False),
])  # fmt: skip
def test_penalty_is_in_the_gradients_once_a_step(make_llama, tmp_path, l1_lambda, accumulation, clip, checkpointing):
    settings = config(init_std=0.05, l1_lambda=l1_lambda, scale_rate=0.5)
    by_hand = get_peft_model(make_llama(), settings)
    sft(
        get_peft_model(make_llama(), settings),
        None,
        tmp_path,
        4,
        [SelectHeads()],
        optim="sgd",
        learning_rate=0.4,
        max_grad_norm=clip,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        gradient_checkpointing=checkpointing,
    )
    start = {name: scale.detach().clone() for name, scale in trained(by_hand).items()}
    expected, got = scales_by_hand(by_hand, l1_lambda, 0.2, clip), adapter_file(tmp_path, 2)
    assert expected.keys() == got.keys()
    for name, scale in expected.items():
        moved = (scale - start[name]).abs().max()
        assert moved > 1e-4
        torch.testing.assert_close(got[name], scale.detach(), rtol=0, atol=1e-4 * moved.item())


def test_strong_penalty_makes_the_scales_small(make_llama, tmp_path):
    norms = []
    for l1_lambda in (0.0, 10.0):
        model = get_peft_model(make_llama(), config(init_std=0.05, l1_lambda=l1_lambda))
        sft(model, None, tmp_path / str(l1_lambda), 4, [SelectHeads()])
        norms.append(sum(scale.abs().sum().item() for scale in adapter_file(tmp_path / str(l1_lambda), 2).values()))
    assert norms[1] < 0.95 * norms[0]


def test_penalty_is_scaled_as_the_loss_is_under_half_precision(llama):
    model = get_peft_model(llama, config(init_std=0.05, l1_lambda=0.1))
    scales = list(trained(model).values())
    loss = model(BATCH, labels=BATCH).loss
    expected = torch.autograd.grad(loss + 0.1 * sum(scale.abs().sum() for scale in scales), scales)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizer = AcceleratedOptimizer(torch.optim.SGD(scales, lr=1.0), scaler=scaler)
    SelectHeads().on_step_begin(None, None, None, model=model, optimizer=optimizer)
    scaler.scale(model(BATCH, labels=BATCH).loss).backward()
    scaler.unscale_(optimizer.optimizer)
    torch.testing.assert_close([scale.grad for scale in scales], list(expected))


class Watch(TrainerCallback):
    """Notes the scales of each step's end, and what the optimizer has to train after it; stands before and behind."""

    def __init__(self) -> None:
        self.scales: dict[int, dict[str, torch.Tensor]] = {}
        self.optimized: dict[int, tuple[list[nn.Parameter], int]] = {}
        self.wanted: dict[int, list[nn.Parameter]] = {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.scales[state.global_step] = {name: scale.detach().clone() for name, scale in trained(model).items()}

    def on_log(self, args, state, control, model=None, optimizer=None, **kwargs):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.optimized[state.global_step] = (weights, len(optimizer.state))
        self.wanted[state.global_step] = list(trained(model).values())


def test_training_changes_over_to_fresh_offsets_of_the_strongest_heads(make_llama, tmp_path):
    watch = Watch()
    model = sft(make_llama(), config(), tmp_path, 6, [watch, SelectHeads()], logging_steps=1, seed=3)
    assert {name.rpartition(".")[2] for name in adapter_file(tmp_path, 2)} == {"lofit_scale"}
    norms = {
        (name.replace("lofit_scale", "lofit_heads"), head): scale[head].norm().item()
        for name, scale in watch.scales[3].items()
        for head in range(4)
    }
    best = set(sorted(norms, key=norms.get, reverse=True)[:5])
    for step in (3, 4, 6):
        file = adapter_file(tmp_path, step)
        chosen = {name: heads.tolist() for name, heads in file.items() if name.endswith("lofit_heads")}
        assert {(name, head) for name, heads in chosen.items() for head in heads} == best
    generator = torch.Generator().manual_seed(3)
    file = adapter_file(tmp_path, 3)
    for layer in range(3):
        offset = file[f"base_model.model.model.layers.{layer}.self_attn.o_proj.lofit_offset"]
        torch.testing.assert_close(offset, 1e-3 * torch.randn(len(offset), 8, generator=generator))
    assert model.get_nb_trainable_parameters()[0] == 5 * 8
    for step, (weights, states) in watch.optimized.items():
        assert [id(weight) for weight in weights] == [id(weight) for weight in watch.wanted[step]]
        assert states == (0 if step == 3 else sum(weight.numel() > 0 for weight in weights))


def test_offsets_are_trained_by_an_optimizer_without_the_scales_moments(make_llama, tmp_path):
    sft(make_llama(), config(l1_lambda=5.0), tmp_path, 6, [SelectHeads()], max_grad_norm=0.0)
    by_hand = PeftModel.from_pretrained(make_llama(), tmp_path / "checkpoint-3", is_trainable=True)
    weights = {name: weight for name, weight in trained(by_hand).items() if weight.numel()}
    optimizer = torch.optim.AdamW(weights.values(), weight_decay=0.0)
    for step in (3, 4):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 6)
        by_hand(BATCH, labels=BATCH).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    file = adapter_file(tmp_path, 5)
    for name, weight in weights.items():
        torch.testing.assert_close(file[name], weight.detach(), rtol=0, atol=1e-5)


ROWS = [[(7 * i + j) % 64 for j in range(12)] for i in range(8)]


@pytest.mark.parametrize("at", [1, pytest.param(3, marks=pytest.mark.slow), 4])
@pytest.mark.parametrize("arguments", [{}, pytest.param({"modules_to_save": ["lm_head"]}, marks=pytest.mark.slow)])
def test_interrupted_training_resumes_exactly_in_both_phases(make_llama, tmp_path, at, arguments):
    settings = config(**arguments)
    whole = tmp_path / "whole"
    sft(make_llama(), config(**arguments), whole, 5, [SelectHeads()], rows=ROWS, weight_decay=0.1)
    torch.manual_seed(7)
    checkpoint = str(whole / f"checkpoint-{at}")
    resumed = tmp_path / "resumed"
    more = {"rows": ROWS, "weight_decay": 0.1, "resume_from_checkpoint": checkpoint}
    sft(make_llama(), settings, resumed, 5, [SelectHeads()], **more)
    for step in range(at + 1, 6):
        expected, got = adapter_file(whole, step), adapter_file(resumed, step)
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[name], got[name]) for name in expected)
    optimizers = [torch.load(run / "checkpoint-5" / "optimizer.pt")["state"] for run in (whole, resumed)]
    torch.testing.assert_close(optimizers[0], optimizers[1], rtol=0, atol=0)


def test_heads_are_selected_after_half_of_the_steps_if_nothing_is_said(make_llama, tmp_path):
    sft(make_llama(), config(select_at=None), tmp_path, 5, [SelectHeads()])
    kinds = [{name.rpartition(".")[2] for name in adapter_file(tmp_path, step)} for step in (1, 2)]
    assert kinds == [{"lofit_scale"}, {"lofit_heads", "lofit_offset"}]


def test_selected_adapter_is_trained_further_without_another_selection(make_llama, tmp_path):
    sft(make_llama(), config(), tmp_path / "first", 4, [SelectHeads()])
    model = PeftModel.from_pretrained(make_llama(), tmp_path / "first" / "checkpoint-4", is_trainable=True)
    sft(model, None, tmp_path / "second", 4, [SelectHeads()])
    before, after = adapter_file(tmp_path / "first", 4), adapter_file(tmp_path / "second", 4)
    for name, weight in before.items():
        assert torch.equal(weight, after[name]) == (name.endswith("lofit_heads") or not weight.numel())


@pytest.mark.parametrize("steps", [2, 3])
def test_training_that_ends_before_the_offsets_is_refused(make_llama, tmp_path, steps):
    with pytest.raises(ValueError, match=f"selects its heads after step 3, which must be within the {steps} steps"):
        sft(make_llama(), config(), tmp_path, steps, [SelectHeads()])


def test_checkpoint_without_heads_is_not_resumed_from_behind_the_selection(make_llama, tmp_path):
    sft(make_llama(), config(), tmp_path, 4, [])
    checkpoint = str(tmp_path / "checkpoint-3")
    with pytest.raises(ValueError, match=r"can't resume at step 3: it selects its heads after step 3"):
        sft(make_llama(), config(), tmp_path / "on", 5, [SelectHeads()], resume_from_checkpoint=checkpoint)


def test_training_in_several_processes_is_refused(llama):
    with pytest.raises(NotImplementedError, match="LoFiT trains in one process"):
        SelectHeads().on_train_begin(SimpleNamespace(world_size=2), None, None, model=get_peft_model(llama, config()))
