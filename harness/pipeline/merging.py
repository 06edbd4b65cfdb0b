"""Whether a run's adapter is merged into the base while it is scored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.spec.run import RunSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from harness.train.live import Guard


@contextmanager
def as_scored(run: RunSpec, model: PreTrainedModel | PeftModel, guard: Guard) -> Iterator[None]:
    """Within: the adapter is merged where the run's settings, the method's file and the weights allow it.

    Afterwards, whatever happens, the base has its own weights again. Raises RunError("internal") as the guard does.
    """
    from harness.score.merging import Merge, may_merge

    if run.score.merge == "auto" and run.adapter.mergeable is True and may_merge(model):
        with guard.merged(Merge(model)):
            yield
    else:
        yield
