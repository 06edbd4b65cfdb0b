"""Times `harness plan` on an experiment of ten thousand runs, as a whole process.

python benchmarks/planning.py                    10,000 runs: 4 methods, 10 learning rates, 25 fractions, 10 seeds
python benchmarks/planning.py --form table       the table for people instead of JSON
python benchmarks/planning.py --seeds 1 --fresh  1,000 runs, with nothing remembered from earlier commands

The first command counts parameters and tokenises examples, for which it loads torch; later ones remember.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 5.0
EXPERIMENT = """name: many
base: {{model: micro-llama}}
data: {{train: micro}}
train: {{steps: 10}}
adapters: [{{method: lora, r: 8}}, {{method: dora, r: 8}}, {{method: denselora, r: 8}}, {{method: vera}}]
tasks: micro
seeds: {seeds}
matrix:
  train.learning_rate: {rates}
  data.fraction: {fractions}
"""


def main() -> None:
    """Plans several times and prints the seconds of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="1,000 runs each; default: 10")
    parser.add_argument("--repeat", type=int, default=2, help="default: 2")
    parser.add_argument("--form", choices=["json", "table"], default="json")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier commands found")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "many.yaml")
        rates, fractions = [n / 10_000 for n in range(1, 11)], [n / 25 for n in range(1, 26)]
        spec.write_text(EXPERIMENT.format(seeds=list(range(options.seeds)), rates=rates, fractions=fractions))
        environment = {**os.environ, "HARNESS_HOME": folder, "HARNESS_CACHE": folder}
        command = [sys.executable, "-m", "harness", "--db", f"sqlite:///{folder}/none.db", "plan", str(spec)]
        found = []
        for number in range(options.repeat + 1):
            if options.fresh:
                environment["HARNESS_CACHE"] = str(Path(folder, str(number)))
            found.append(_timed([*command, *(["--json"] if options.form == "json" else [])], environment))
            print(f"{'first' if not number else 'again'}: {found[-1]}", file=sys.stderr)
    print(json.dumps({"runs": 1000 * options.seeds, "target": TARGET, "seconds": found}))


def _timed(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Wall time and CPU time of a command, in seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": round(wall, 2), "cpu": round(cpu, 2)}


if __name__ == "__main__":
    main()
