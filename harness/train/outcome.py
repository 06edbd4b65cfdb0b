"""What came of a training, as it is recorded."""

from __future__ import annotations

import json
from typing import Any

import torch
from peft import PeftModel
from transformers import Trainer

from harness.store.records import TrainResult
from harness.train.callbacks import Meter
from harness.train.examples import data_fingerprints
from harness.train.fingerprint import joined, weights_fingerprint
from harness.train.job import Job
from harness.train.live import saved_fingerprint


def outcome(
    job: Job, trainer: Trainer, meter: Meter, start: dict[str, str], saved: int | None, resumed: str | None
) -> TrainResult:
    """The measurements and the provenance of a training that is done and saved.

    start: fingerprints of what is trained, as it was initialised; saved: the bytes of the weights, if they were;
    resumed: the checkpoint from which it went on, if it did.
    """
    state = trainer.state
    best = state.best_global_step if job.keeps_best else None
    return TrainResult(
        seconds=meter.seconds,
        steps=state.global_step,
        tokens=meter.tokens,
        peak_memory_bytes=meter.peak_memory_bytes,
        trainable_params=job.count.trainable,
        base_params=job.count.base,
        trainable_percent=job.count.percent,
        adapter_bytes=saved,
        loss=tuple(_plain(line) for line in state.log_history),
        counts=job.rows.counts,
        provenance={
            "peft_config": _saved_config(job),
            "data": data_fingerprints(job.data),
            **job.rows.quality,
            "seed": job.seed,
            "checkpoint": "last" if best is None else "best",
            "checkpoint_step": state.global_step if best is None else best,
            "resumed_from": None if resumed is None else int(resumed.rpartition("-")[2]),
            "micro_batch_size": trainer.args.per_device_train_batch_size,
            "gradient_checkpointing": job.gradient_checkpointing,
            "optimizer": job.run.adapter.optimizer or str(trainer.args.optim.value),
            "device": _device_name(job.model.device),
            "dtype": _name(job.model.dtype),
            "trained_dtype": sorted({_name(p.dtype) for p in job.model.parameters() if p.requires_grad}),
            "threads": torch.get_num_threads(),
            "start": joined(start),
            "weights": weights_fingerprint(job.model),
            "saved": saved_fingerprint(job.model),
        },
    )


def _plain(line: dict[str, Any]) -> dict[str, int | float]:
    """A log line as JSON holds it."""
    return {key: value if isinstance(value, int) else float(value) for key, value in line.items()}


def _saved_config(job: Job) -> dict[str, Any] | None:
    if not isinstance(job.model, PeftModel):
        return None
    return json.loads((job.paths.adapter / "adapter_config.json").read_text(encoding="utf-8"))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
