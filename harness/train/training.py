"""One training: a run's rows, its adapter on a base model, TRL's trainer, and what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainerCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from harness.errors import BatchTooLarge, RunError, is_out_of_memory
from harness.paths import RunPaths
from harness.spec.run import RunSpec
from harness.store.records import TrainResult
from harness.train.adapter import attach, counted, detach, in_steps, unpatch
from harness.train.arguments import sft_config
from harness.train.callbacks import (
    DivergenceCallback,
    Emit,
    Meter,
    MeterCallback,
    ProgressCallback,
    StopCallback,
)
from harness.train.checkpoints import CheckpointCallback, checkpoint, is_whole, last_complete
from harness.train.fingerprint import fingerprints
from harness.train.increments.measure import increments, trained
from harness.train.job import Job
from harness.train.lengths import context_of
from harness.train.outcome import outcome
from harness.train.reference import resolve
from harness.train.rows import Rows, prepare
from harness.train.saving import save_weights
from harness.train.state import whole_checkpoints
from harness.train.steps import total_steps


class Stopped(Exception):
    """The training was asked to stop; a checkpoint is written where the method can resume from one."""


def train(
    run: RunSpec,
    paths: RunPaths,
    base: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    emit: Emit,
    should_stop: Callable[[], bool],
    make_rows: Callable[..., Rows] = prepare,
    keep_checkpoints: bool = False,
    before_saving: Callable[[], object] = lambda: None,
) -> tuple[TrainResult, PreTrainedModel | PeftModel]:
    """Trains what `run` says on `base`, saves it, and returns the measurements and the model in evaluation mode.

    The model wraps `base`: give it to `adapter.detach` once it has been scored. After an exception `base` is
    detached already. A whole checkpoint of the same training is resumed from, and removed at the end, unless
    `keep_checkpoints` leaves that to a caller who has yet to record the training, and where it diverged.
    emit: called with progress events; should_stop: asked after every step; make_rows: `rows.prepare`, or what keeps
    its results; before_saving: called once it is trained. What these raise ends the training without another file.
    Raises Stopped, BatchTooLarge where memory ran out over a batch, and RunError of the kinds config, data, oom,
    diverged, and internal where training changed nothing.
    """
    if run.data is None or run.train is None or run.seed is None:
        raise RunError("config", f"{run.adapter.method} has nothing to train: data, train and seed are needed")
    rows = make_rows(run.data, run.prompt, run.train, run.seed, tokenizer, context_of(base.config))
    steps = total_steps(run.train, len(rows.train))
    size = base.num_parameters()
    model: PreTrainedModel | PeftModel = base
    try:
        model = attach(base, run.adapter, steps, run.seed)
        count, trainer = counted(model, size), resolve(run.adapter.trainer or "trl:SFTTrainer")
        job = Job(run, paths, run.data, run.train, run.seed, tokenizer, rows, steps, count, trainer, model)
        result = _fit(job, base, emit, should_stop, before_saving)
        if not keep_checkpoints:
            shutil.rmtree(paths.checkpoints, ignore_errors=True)
        return result, model
    except BaseException as error:
        detach(base, model)
        if isinstance(error, RunError) and error.kind == "diverged":
            shutil.rmtree(paths.checkpoints, ignore_errors=True)
        if is_out_of_memory(error):
            raise RunError("oom", f"{error}; a smaller micro_batch_size or gradient_checkpointing may help") from error
        raise


def _fit(
    job: Job, base: PreTrainedModel, emit: Emit, should_stop: Callable[[], bool], before_saving: Callable[[], object]
) -> TrainResult:
    resumed, meter = _resume_point(job, base.device)
    stop = StopCallback(should_stop, saves=job.resumable)
    trainer = _make_trainer(job, [*_callbacks(job, meter, emit), stop])
    start = _trained_weights(job.model)
    before = trained(job.model) if "increments" in job.run.measure else {}
    watch = meter.watch(job.model)
    try:
        with whole_checkpoints(job.model), _batches_of(trainer.args.per_device_train_batch_size):
            trainer.train(resume_from_checkpoint=resumed)
    finally:
        watch.remove()
        _let_go(trainer, job.model)
    if stop.stopped:
        raise Stopped(f"stopped at step {trainer.state.global_step} of {job.steps}")
    unpatch(base)
    job.model.eval()
    _prove_best(job, trainer.state.best_global_step)
    _prove_trained(job.model, start)
    before_saving()
    saved = _save(job)
    done = outcome(job, trainer, meter, start, saved, resumed)
    return replace(done, increments=increments(before, trained(job.model, before))) if before else done


def _resume_point(job: Job, device: torch.device) -> tuple[str | None, Meter]:
    """The checkpoint to resume from, and what was spent up to it; leftovers that are none are removed."""
    folder = job.paths.checkpoints
    found = last_complete(folder, job.run.train_id, job.steps, job.keeps_best) if job.resumable else None
    if found is None:
        shutil.rmtree(folder, ignore_errors=True)
        return None, Meter(device)
    path, mark = found
    return str(path), Meter(device, mark["seconds"], mark["tokens"], mark["peak"])


def _callbacks(job: Job, meter: Meter, emit: Emit) -> list[TrainerCallback]:
    every = job.settings.eval_steps if job.resumable and not job.keeps_best else 0
    own = [
        resolve(entry["class"])(**in_steps(entry.get("args", {}), job.steps)) for entry in job.run.adapter.callbacks
    ]
    return [
        *own,
        MeterCallback(meter),
        ProgressCallback(emit, meter),
        DivergenceCallback(),
        CheckpointCallback(every, job.run.train_id, meter),
    ]


def _make_trainer(job: Job, callbacks: list[TrainerCallback]) -> Trainer:
    adapter, model = job.run.adapter, job.model
    optimizer_args = in_steps(adapter.optimizer_args, job.steps)
    optimizer = resolve(adapter.optimizer)(model, job.run, **optimizer_args) if adapter.optimizer else None
    trainer = job.trainer(
        model=model,
        args=sft_config(
            job.settings,
            folder=job.paths.checkpoints,
            steps=job.steps,
            seed=job.seed,
            device=model.device,
            fp16=model.device.type == "cuda" and model.dtype == torch.float16,
            evaluates=len(job.rows.validation) > 0,
            keeps_best=job.keeps_best,
            gradient_checkpointing=job.gradient_checkpointing,
        ),
        data_collator=DataCollatorForLanguageModeling(pad_token_id=job.tokenizer.pad_token_id),
        train_dataset=job.rows.train,
        eval_dataset=job.rows.validation if len(job.rows.validation) else None,
        processing_class=job.tokenizer,
        callbacks=callbacks,
        optimizers=(optimizer, None),
    )
    # It prints every log line on stdout, which belongs to the command.
    trainer.remove_callback(PrinterCallback)
    return trainer


@contextmanager
def _batches_of(size: int) -> Iterator[None]:
    """Within: memory that runs out is for want of smaller micro-batches."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise BatchTooLarge(size, error) from error
        raise


def _let_go(trainer: Trainer, model: PreTrainedModel | PeftModel) -> None:
    """Undoes the trainer's mixed precision and frees the optimizer's memory for scoring."""
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    trainer.optimizer = trainer.lr_scheduler = None
    if model.device.type != "cpu":
        trainer.accelerator.free_memory()


def _trained_weights(model: PreTrainedModel | PeftModel) -> dict[str, str]:
    """The fingerprints of what is trained, by name."""
    return fingerprints((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def _prove_best(job: Job, step: int | None) -> None:
    """Raises RunError where the best checkpoint isn't there as it was written: the trainer only warns of that."""
    if job.keeps_best and step and not is_whole(checkpoint(job.paths.checkpoints, step), job.run.train_id, job.steps):
        message = f"the best checkpoint (step {step}) was lost or changed before it could be loaded; train again"
        raise RunError("internal", message)


def _prove_trained(model: PreTrainedModel | PeftModel, start: dict[str, str]) -> None:
    """Raises RunError where training left every weight as it was. Some rightly stay, so that one change is enough."""
    now = fingerprints((name, weight) for name, weight in model.named_parameters() if name in start)
    if now == start:
        raise RunError("internal", "training changed nothing: every trained weight is as it was initialised")


def _save(job: Job) -> int | None:
    """Saves the adapter, or with `keep` a fully fine-tuned model, and returns the weights' bytes."""
    if job.run.adapter.trains == "all" and not job.run.keep:
        return None
    return save_weights(job.model, job.tokenizer, job.paths.adapter)
