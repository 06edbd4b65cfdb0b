"""The run with which a method is proved: 20 steps on the embedded model, by the method's own hyper-parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.adapters.catalogue import Catalogue
from harness.adapters.method import Method
from harness.paths import builtin_dir
from harness.spec.files import PAPER
from harness.spec.grid import expand
from harness.spec.load import load_experiment
from harness.spec.run import RunSpec

STEPS = 20
EXAMPLES = 32
"""Two and a half passes in 20 batches of 4: step 10 lies within a pass."""
SCALE = {"steps": STEPS, "batch_size": 4, "micro_batch_size": 4, "max_length": 128, "warmup_steps": 0.06}
"""What a method's own file may not decide here: it is made for longer trainings of larger models."""


def micro_run(method: Method, folder: Path, learning_rate: float | None = None) -> RunSpec:
    """The method with its defaults on `experiments/_micro.yaml`, reduced to 20 steps of 4 out of 32 examples.

    learning_rate: another than the method's own, else the recipe's. Writes its experiment into `folder`.
    Raises SpecError with what is wrong with the method's file.
    """
    scale = SCALE if learning_rate is None else {**SCALE, "learning_rate": learning_rate}
    train = scale if method.trains != "nothing" else {}
    experiment: dict[str, Any] = {
        "name": "proof",
        "extends": [str(builtin_dir("experiments") / "_micro.yaml")],
        "data": {"limit": EXAMPLES},
        "keep": True,
        "adapters": [{"method": method.method, "train": train}],
    }
    file = folder / "proof.yaml"
    file.write_text(json.dumps(experiment), encoding="utf-8")
    (run,) = expand(load_experiment(file, PAPER, (), Catalogue({method.method: method})))
    return run
