"""Trainings: what they change, what they leave, how they stop, resume and fail."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import AdapterRef, DataRef, RunSpec
from harness.store.records import TrainResult
from harness.train.adapter import detach, load_adapter
from harness.train.fingerprint import weights_fingerprint
from harness.train.live import prove_live
from harness.train.rows import prepare
from harness.train.training import Stopped, train

from .runs import METHODS, adapter, lora, run_of

FULL = AdapterRef(method="full", trains="all")
Train = Callable[..., tuple[TrainResult, Any]]


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def fit(paths: RunPaths, tokenizer: PreTrainedTokenizerBase, events: list[dict[str, Any]]) -> Train:
    """Trains a run; `stop_after=n` asks it to stop after n steps."""

    def fit(
        run: RunSpec, base: PreTrainedModel, stop_after: int | None = None, into: RunPaths = paths
    ) -> tuple[TrainResult, Any]:
        step = count(1)
        return train(run, into, base, tokenizer, emit=events.append, should_stop=lambda: next(step) == stop_after)

    return fit


def overfitting(data: DataRef, **train: Any) -> RunSpec:
    """60 steps on two answers, which are learnt by heart: what is said of the other animals gets worse."""
    few = data.model_copy(update={"validation": 8, "limit": 2})
    long = {"learning_rate": 0.05, "lr_scheduler": "constant", "eval_steps": 5, "loss_on": "completion"}
    return run_of(few, **long | {"steps": 60, "checkpoint": "best"} | train)


def saved(paths: RunPaths) -> dict[str, torch.Tensor]:
    return load_file(paths.adapter / "adapter_model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_is_live_and_is_saved(
    method: str, fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
) -> None:  # fmt: skip
    result, model = fit(run_of(data, METHODS[method]), fresh_base())
    prove_live(model, tokenizer)
    assert not model.training
    assert result.steps == 6
    assert result.adapter_bytes
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids).logits, load_adapter(fresh_base(), paths.adapter, METHODS[method])(ids).logits)


def test_training_lowers_the_loss_and_reports_its_progress(
    fit: Train, data: DataRef, base: PreTrainedModel, events: list[dict[str, Any]]
) -> None:
    result, _ = fit(run_of(data, steps=None, epochs=2), base)
    losses = [line["loss"] for line in result.loss if "loss" in line]
    assert len(losses) == result.steps == 20
    assert losses[-1] < losses[0]
    assert [event["step"] for event in events] == list(range(1, 21))
    assert events[-1]["steps"] == 20
    assert events[-1]["tokens"] == result.tokens
    assert json.loads(json.dumps(result.loss)) == list(result.loss)


def test_the_result_says_what_was_trained_on(
    fit: Train, data: DataRef, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    run = run_of(data.model_copy(update={"validation": 8, "fraction": 0.5}), steps=None, epochs=1)
    result, _ = fit(run, base)
    rows = prepare(run.data, run.prompt, run.train, run.seed, tokenizer)
    assert result.counts == {
        "read": 40, "used": 16, "validation": 8, "truncated": 0, "dropped": 0, "prefix_mismatch": 0,
        "duplicates": 0, "empty_outputs": 0,
    }  # fmt: skip
    assert result.tokens == sum(len(row["input_ids"]) for row in rows.train)
    assert result.provenance["data"].keys() == {"animals.json"}
    assert result.seconds > 0
    assert result.peak_memory_bytes
    assert result.provenance["peft_config"]["peft_type"] == "LORA"
    assert json.dumps(result.provenance)


def test_every_method_sees_the_same_examples(data: DataRef, tokenizer: PreTrainedTokenizerBase) -> None:
    runs = [run_of(data.model_copy(update={"fraction": 0.5}), ref) for ref in METHODS.values()]
    seen = [prepare(run.data, run.prompt, run.train, run.seed, tokenizer).train["input_ids"][:] for run in runs]
    assert all(rows == seen[0] for rows in seen)


def test_a_second_run_on_a_shared_base_equals_one_on_a_fresh_base(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    shared, before = fresh_base(), weights_fingerprint(fresh_base())
    for method in ("dora", "denselora"):
        _, model = fit(run_of(data, METHODS[method], gradient_checkpointing=True), shared)
        detach(shared, model)
        assert weights_fingerprint(shared) == before
    fit(run_of(data), shared)
    after_others = saved(paths)
    fit(run_of(data), fresh_base())
    assert same(after_others, saved(paths))


def test_the_seed_decides_the_weights(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    results = []
    for seed in (0, 0, 1):
        fit(run_of(data, seed=seed), fresh_base())
        results.append(saved(paths))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_micro_batches_do_not_change_the_effective_batch(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    whole, _ = fit(run_of(data, lora(lora_dropout=0.0)), fresh_base())
    weights = saved(paths)
    parts, _ = fit(run_of(data, lora(lora_dropout=0.0), micro_batch_size=3), fresh_base())
    assert parts.provenance["micro_batch_size"] == 2
    assert (parts.steps, parts.tokens) == (whole.steps, whole.tokens)
    for name, value in saved(paths).items():
        torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["denselora", "lora", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_a_stopped_training_resumes_to_bit_identical_weights(
    method: str, checkpoint: str, fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    ref = FULL if method == "full" else METHODS[method]
    data = data.model_copy(update={"validation": 4})
    run = run_of(data, ref, eval_steps=2, checkpoint=checkpoint, steps=7)
    straight, model = fit(run, fresh_base(), into=replace(paths, root=paths.root / "other"))
    base = fresh_base()
    with pytest.raises(Stopped):
        fit(run, base, stop_after=3)
    resumed, again = fit(run, fresh_base())
    assert resumed.provenance["resumed_from"] == 3
    assert straight.provenance["resumed_from"] is None
    assert same(dict(model.state_dict()), dict(again.state_dict()))
    assert resumed.tokens == straight.tokens
    assert resumed.seconds > 0
    losses = [[line["loss"] for line in result.loss if "loss" in line] for result in (straight, resumed)]
    assert losses[0] == losses[1]
    assert not paths.checkpoints.exists()


def test_a_crashed_training_resumes_from_its_last_whole_checkpoint(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    run = run_of(data, eval_steps=2)
    fit(run, fresh_base())
    expected = saved(paths)
    with pytest.raises(Stopped):
        fit(run, fresh_base(), stop_after=5)
    (paths.checkpoints / "checkpoint-5" / "optimizer.pt").unlink()
    result, _ = fit(run, fresh_base())
    assert result.provenance["resumed_from"] == 4
    assert same(expected, saved(paths))


@pytest.mark.parametrize(
    "lost", [pytest.param(True, marks=pytest.mark.slow, id="lost"), pytest.param(False, id="changed")]
)
def test_a_best_checkpoint_that_is_not_whole_is_not_taken_for_the_best(
    lost: bool, fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    run = overfitting(data)
    straight, _ = fit(run, fresh_base())
    expected, best = saved(paths), straight.provenance["checkpoint_step"]
    with pytest.raises(Stopped):
        fit(run, fresh_base(), stop_after=best + 7)
    kept = {f"checkpoint-{best}", f"checkpoint-{best + 7}"}
    assert {path.name for path in paths.checkpoints.glob("checkpoint-*")} == kept
    weights = paths.checkpoints / f"checkpoint-{best}" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    if lost:
        weights.unlink()
    result, _ = fit(run, fresh_base())
    assert result.provenance["resumed_from"] is None
    assert same(expected, saved(paths))


@pytest.mark.slow
def test_a_best_checkpoint_that_changes_while_it_is_trained_ends_the_run(
    fit: Train,
    data: DataRef,
    paths: RunPaths,
    tokenizer: PreTrainedTokenizerBase,
    fresh_base: Callable[[], PreTrainedModel],
) -> None:
    run = overfitting(data)
    best = fit(run, fresh_base())[0].provenance["checkpoint_step"]

    def spoil(event: dict[str, Any]) -> None:
        if event.get("step") == 59:
            (paths.checkpoints / f"checkpoint-{best}" / "adapter_model.safetensors").unlink()

    with pytest.raises(RunError, match=f"the best checkpoint .step {best}. was lost or changed"):
        train(run, paths, fresh_base(), tokenizer, emit=spoil, should_stop=lambda: False)


def test_a_clock_that_was_set_back_costs_no_checkpoint(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    run = run_of(data, eval_steps=2)
    straight, _ = fit(run, fresh_base())
    expected = saved(paths)
    with pytest.raises(Stopped):
        fit(run, fresh_base(), stop_after=3)
    for path in paths.checkpoints.iterdir():
        os.utime(path, (time.time() + 3600,) * 2)
    result, _ = fit(run, fresh_base())
    assert (result.provenance["resumed_from"], result.steps) == (3, straight.steps)
    assert same(expected, saved(paths))


def test_a_checkpoint_of_another_training_is_not_resumed_from(
    fit: Train, data: DataRef, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    run = run_of(data)
    with pytest.raises(Stopped):
        fit(run, fresh_base(), stop_after=2)
    result, _ = fit(run.model_copy(update={"train_id": "other"}), fresh_base())
    assert result.provenance["resumed_from"] is None


def test_the_best_checkpoint_is_the_one_with_the_lowest_validation_loss(
    fit: Train, data: DataRef, fresh_base: Callable[[], PreTrainedModel], paths: RunPaths
) -> None:
    result, _ = fit(overfitting(data), fresh_base())
    losses = {line["step"]: line["eval_loss"] for line in result.loss if "eval_loss" in line}
    best = min(losses, key=losses.__getitem__)
    assert len(losses) == 12
    assert best < 60
    assert (result.provenance["checkpoint"], result.provenance["checkpoint_step"]) == ("best", best)
    weights = saved(paths)
    fit(overfitting(data, steps=best, checkpoint="last"), fresh_base())
    assert same(weights, saved(paths))


def test_full_fine_tuning_changes_the_weights_and_is_saved_only_when_kept(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    base, before = fresh_base(), weights_fingerprint(fresh_base())
    result, model = fit(run_of(data, FULL), base)
    assert weights_fingerprint(model) != before
    assert result.trainable_percent == 100
    assert result.adapter_bytes is None
    assert not paths.adapter.exists()
    result, model = fit(run_of(data, FULL).model_copy(update={"keep": True}), fresh_base())
    assert result.adapter_bytes
    assert (paths.adapter / "tokenizer.json").is_file()
    loaded = load_adapter(fresh_base(), paths.adapter, FULL)
    assert same(dict(model.state_dict()), dict(loaded.state_dict()))


def test_training_again_replaces_the_adapter(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    paths.adapter.mkdir(parents=True)
    (paths.adapter / "leftover").touch()
    fit(run_of(data), fresh_base())
    assert {file.name for file in paths.adapter.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert not (paths.adapter / "leftover").exists()
    assert [*paths.adapter.parent.iterdir()] == [paths.adapter]


def test_a_loss_that_is_no_number_is_a_diverged_run(
    fit: Train, data: DataRef, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    base = fresh_base()
    with pytest.raises(RunError, match=r"the gradient is nan at step 2 \(last losses: 5\.99") as it:
        fit(run_of(data, steps=40, learning_rate=1e30, max_grad_norm=0.0), base)
    assert it.value.kind == "diverged"
    assert weights_fingerprint(base) == weights_fingerprint(fresh_base())


class HungryTrainer:
    def __init__(self, **arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_running_out_of_memory_has_its_own_kind_and_frees_the_base(
    fit: Train, data: DataRef, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    base = fresh_base()
    hungry = lora().model_copy(update={"trainer": f"{__name__}:HungryTrainer"})
    with pytest.raises(RunError, match="a smaller micro_batch_size") as it:
        fit(run_of(data, hungry), base)
    assert it.value.kind == "oom"
    assert weights_fingerprint(base) == weights_fingerprint(fresh_base())


@pytest.mark.parametrize("setting", [{"lr_scheduler": "lineal"}, {"optimizer": "adamm"}])
def test_an_unknown_scheduler_or_optimizer_is_a_config_failure(
    setting: dict[str, str], fit: Train, data: DataRef, base: PreTrainedModel
) -> None:
    with pytest.raises(RunError) as it:
        fit(run_of(data, **setting), base)
    assert it.value.kind == "config"


def slow_sgd(model: PeftModel, run: RunSpec) -> torch.optim.Optimizer:
    assert run.train is not None
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=run.train.learning_rate)


def test_a_method_may_bring_its_optimizer(
    fit: Train, data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    fit(run_of(data), fresh_base())
    adamw = saved(paths)
    result, _ = fit(run_of(data, lora().model_copy(update={"optimizer": f"{__name__}:slow_sgd"})), fresh_base())
    assert not same(adamw, saved(paths))
    assert result.provenance["optimizer"].endswith(":slow_sgd")


def test_prompt_tuning_trains_even_with_gradient_checkpointing_asked(
    fit: Train, data: DataRef, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    for config, arguments in (("PromptTuningConfig", {}), ("PrefixTuningConfig", {})):
        soft = adapter("soft", f"peft:{config}", num_virtual_tokens=4, **arguments)
        result, model = fit(run_of(data, soft, gradient_checkpointing=True), base)
        prove_live(model, tokenizer)
        detach(base, model)
        assert result.steps == 6


def test_nothing_is_printed(fit: Train, data: DataRef, base: PreTrainedModel, capsys: pytest.CaptureFixture) -> None:
    fit(run_of(data.model_copy(update={"validation": 4}), eval_steps=2), base)
    assert capsys.readouterr().out == ""
