"""The fresh process, as seen from the one that trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import RunError
from harness.pipeline.proof.probe import COMPARED, Probe
from harness.spec.run import RunSpec

if TYPE_CHECKING:
    import torch

QUIET = {"TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


class FreshProcess:
    """A Python process that has trained nothing; one loads the adapters of many methods."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._log = folder / "fresh.log"

    def start(self) -> subprocess.Popen[str]:
        """Starts it where it does not run yet: it imports its libraries while something else is done."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            # The modules that can be imported here, and no others: the current directory is none of them by itself.
            code = f"import sys; sys.path[:] = {sys.path!r}; from harness.pipeline.proof.fresh import main; main()"
            with open(self._log, "w", encoding="utf-8") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **QUIET},
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the command, which ends it
                )
        return self._process

    def logits(self, run: RunSpec, adapter: Path, probe: Probe) -> torch.Tensor:
        """What the model with the saved adapter answers. Raises RunError with why it can't."""
        import numpy as np
        import torch

        output = self.folder / "fresh.npy"
        order = {
            "adapter": run.adapter.model_dump(mode="json"),
            "model": run.model.model_dump(mode="json"),
            "folder": str(adapter),
            "ids": probe.ids[:COMPARED].tolist(),
            "mask": probe.mask[:COMPARED].tolist(),
            "output": str(output),
        }
        if error := self._answer(order)["error"]:
            raise RunError("internal", error)
        return torch.from_numpy(np.load(output))

    def _answer(self, order: dict[str, Any]) -> dict[str, Any]:
        process = self.start()
        try:
            print(json.dumps(order), file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise RunError("crashed", f"the fresh process ended with {process.wait()}: {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None
