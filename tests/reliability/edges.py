"""The edges of a run's stages, and a signal at one of them.

Installed in the command's process before it begins, and in the workers that it spawns (`edged_worker`): harness itself
knows nothing of it. `$AT` names the edge as `name:number:signal:whom`, `$AT_MARK` a file
that is made as the signal is sent, so that it is sent once; `$EDGES` a file to which every edge passed is written.
"""

from __future__ import annotations

import io
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

passed: Counter[str] = Counter()


def aimed(name: str) -> bool:
    """Whether the next time that this edge is passed is the one."""
    edge, number, *_ = os.environ.get("AT", "none:0").split(":")
    return edge == name and int(number) == passed[name] + 1 and not Path(os.environ["AT_MARK"]).exists()


def reach(name: str) -> None:
    """Passes an edge."""
    if threading.current_thread() is not threading.main_thread():
        return  # the heart: when it beats is no edge
    hit = aimed(name)
    passed[name] += 1
    if "EDGES" in os.environ:
        with open(os.environ["EDGES"], "a") as file:
            file.write(f"{name}:{passed[name]}\n")
    if hit:
        Path(os.environ["AT_MARK"]).touch()
        _, _, number, whom = os.environ["AT"].split(":")
        send(int(number), whom)


def send(number: int, whom: str) -> None:
    """Sends the signal to this process, to its parent, or to both."""
    if whom in ("parent", "family"):
        os.kill(os.getppid(), number)
    if whom in ("worker", "family"):
        os.kill(os.getpid(), number)
    if number == signal.SIGKILL and whom == "family":
        signal.pause()


def install() -> None:
    """Edges of commits from now on, those of stages once a run is begun here."""
    from harness.schedule.runner import Runner
    from harness.store.store import Store

    writing, run = Store._writing, Runner.run

    @contextmanager
    def committed(store: Store) -> Iterator[Any]:
        with writing(store) as session:
            yield session
            session.flush()
            reach("to be committed")
        reach("committed")

    def begun(*arguments: Any) -> Any:
        _install_stages()
        reach("begun")
        return run(*arguments)

    Store._writing, Runner.run = committed, begun  # type: ignore[method-assign]


def _install_stages() -> None:
    import torch

    from harness.pipeline import execute, ready
    from harness.store.store import Store
    from harness.train import base_model, saving, training
    from harness.train.checkpoints import CheckpointCallback

    if hasattr(torch.save, "edge"):
        return
    _around(Store, "claim", after="claimed")
    _around(base_model, "load_base", after="model loaded")
    _around(CheckpointCallback, "on_step_end", after="step")
    _around(CheckpointCallback, "on_save", before="checkpoint to be marked", after="checkpoint marked")
    _around(training, "train", after="trained")
    _around(training, "save_weights", after="adapter saved")
    _around(saving, "_replace", before="adapter written")
    _around(ready, "rmtree", before="checkpoints to be removed", after="checkpoints removed")
    _around(execute.Work, "record_task", before="task scored", after="task recorded")
    _around(execute, "_begin_scoring", before="scoring to begin")
    torch.save = _half_written(torch.save)


def _around(owner: Any, name: str, before: str | None = None, after: str | None = None) -> None:
    inner = getattr(owner, name)

    def outer(*arguments: Any, **named: Any) -> Any:
        if before:
            reach(before)
        result = inner(*arguments, **named)
        if after:
            reach(after)
        return result

    setattr(owner, name, outer)


def _half_written(save: Callable[..., None]) -> Callable[..., None]:
    """Leaves half of the file behind where it is killed there."""
    name = "file of a checkpoint half written"

    def half(content: Any, file: Any, *arguments: Any, **named: Any) -> None:
        if aimed(name) and os.environ["AT"].split(":")[2] == str(int(signal.SIGKILL)):
            whole = io.BytesIO()
            save(content, whole, *arguments, **named)
            Path(file).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
        reach(name)
        save(content, file, *arguments, **named)

    half.edge = name  # type: ignore[attr-defined]
    return half
