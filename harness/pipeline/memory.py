"""Training in smaller micro-batches where those that were planned don't fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import BatchTooLarge

if TYPE_CHECKING:
    from harness.pipeline.execute import Work


def within_memory(work: Work, do: Callable[[Work], None]) -> None:
    """Does the work, and does it again with half the micro-batch and twice the accumulation while memory is short.

    The effective batch stays as it is. Training goes on from its last checkpoint, and each micro-batch that was come
    down to is noted on the attempt. Raises BatchTooLarge where single rows don't fit.
    """
    while (size := _too_large(work, do)) is not None:
        work = _halved(work, size)


def _too_large(work: Work, do: Callable[[Work], None]) -> int | None:
    """The micro-batch for which memory was short, if it was.

    What held the memory is free once this has returned: the frames of the error's traceback are gone.
    """
    try:
        do(work)
    except BatchTooLarge as error:
        if error.size == 1:
            raise
        return error.size
    return None


def _halved(work: Work, size: int) -> Work:
    from harness.train.arguments import smaller_micro_batch

    work.bench.spare()
    work.bench.verify()  # a base that was trained as a whole is loaded anew
    assert work.run.train is not None
    settings = smaller_micro_batch(work.run.train, size)
    work.note("micro_batch_size", settings.micro_batch_size)
    return replace(work, run=work.run.model_copy(update={"train": settings}))
