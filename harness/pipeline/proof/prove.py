"""Proving methods: each check of each method in order, and nothing left behind."""

from __future__ import annotations

import os
import random
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from harness.adapters.method import Method
from harness.errors import HarnessError, Problem
from harness.pipeline.classes import hushed, told
from harness.pipeline.proof.keeping import merges, reloads, size
from harness.pipeline.proof.learning import learns, resumes
from harness.pipeline.proof.probe import probe
from harness.pipeline.proof.process import FreshProcess
from harness.pipeline.proof.start import builds, counts, schema, starts_as_base
from harness.pipeline.proof.subject import Base, NotReached, Subject
from harness.pipeline.proof.verdict import Check, Proof, Seen, judged
from harness.spec.run import RunSpec

CHECKS: dict[str, Callable[[Subject], Seen]] = {
    "schema": schema,
    "builds": builds,
    "counts": counts,
    "starts_as_base": starts_as_base,
    "learns": learns,
    "reloads": reloads,
    "resumes": resumes,
    "size": size,
    "merges": merges,
}
"""In this order: merging may change the model, so it comes last."""

Listen = Callable[[Method, str], object]
"""Told of every check that begins."""


class Prover:
    """Proves one method after the other on the embedded model, on the CPU with one thread; a context manager.

    Writes into a temporary folder only, and puts random states, threads and the current directory back.
    """

    def __init__(self, listen: Listen = lambda method, check: None) -> None:
        self._listen = listen
        self._bases: dict[str, Base] = {}

    def __enter__(self) -> Prover:
        self._temporary = tempfile.TemporaryDirectory(prefix="harness-proof-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self._fresh = FreshProcess(self._folder)
        with hushed():
            import harness.train.training  # noqa: F401 - now, so that the first method's seconds are its own
        return self

    def __exit__(self, *exception: object) -> None:
        self._fresh.close()
        self._temporary.cleanup()

    def prove(self, method: Method) -> Proof:
        """Every check of a method. What goes wrong in one is a cross, not an exception."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._folder) as folder, _undisturbed():
            subject = Subject(method, Path(folder), self._fresh, self._base)
            checks = tuple(self._checked(name, subject) for name in CHECKS)
        return Proof(
            method=method.method,
            file=method.file,
            checks=checks,
            adapter_bytes=subject.trained.result.adapter_bytes if subject.trained else None,
            trainable_params=subject.built.count.trainable if subject.built else None,
            seconds=time.monotonic() - began,
        )

    def _checked(self, name: str, subject: Subject) -> Check:
        self._listen(subject.method, name)
        if name == "learns" and subject.method.trains != "nothing":
            self._fresh.start()
        with hushed(), open(self._folder / "log", "w", encoding="utf-8") as log, redirect_stderr(log):
            return judged(name, _seen(name, subject), declared(subject.method))

    def _base(self, run: RunSpec) -> Base:
        """The embedded model and the rows of the run; methods that learn from the same tokens share them."""
        key = f"{run.model.content} {run.train.loss_on if run.train else ''}"
        if key not in self._bases:
            self._bases[key] = _load(run)
        return self._bases[key]


def declared(method: Method) -> Mapping[str, str]:
    """What the method's file says that it can't do, with the reasons."""
    return {**({"merges": "mergeable: false"} if method.mergeable is False else {}), **method.limits}


def unusable(name: str, problems: Sequence[Problem]) -> Proof:
    """The proof of a file that holds no method: one cross."""
    first = Check("schema", "failed", "; ".join(map(str, problems)))
    return Proof(name, problems[0].file, (first, *(Check(check, "not_applicable") for check in list(CHECKS)[1:])))


def _seen(name: str, subject: Subject) -> Seen:
    try:
        return CHECKS[name](subject)
    except NotReached as error:
        return Seen(None, str(error))
    except HarnessError as error:
        return Seen(False, str(error).partition("\n")[0])
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a method's own code
        return Seen(False, told(error), trace="".join(traceback.format_exception(error)))


def _load(run: RunSpec) -> Base:
    import torch
    import transformers

    from harness.train.base_model import load_base
    from harness.train.rows import prepare

    transformers.utils.logging.disable_progress_bar()
    model, tokenizer = load_base(run.model, torch.device("cpu"))
    if run.data is None or run.train is None:
        rows = [{"input_ids": [tokenizer.eos_token_id], "labels": [tokenizer.eos_token_id]}]
    else:
        rows = list(prepare(run.data, run.prompt, run.train, run.seed or 0, tokenizer).train)
    asked = probe(rows, tokenizer.pad_token_id)
    return Base(model, tokenizer, asked, asked.logits(model))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Afterwards random states, PyTorch's threads and the current directory are what they were before."""
    import numpy as np
    import torch

    folder, threads = Path.cwd(), torch.get_num_threads()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        os.chdir(folder)
