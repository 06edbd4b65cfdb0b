"""The sweep of `sweep.py`: its data and task in one folder, as one experiment and as pairs of commands."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalog.prompts import prompts, render
from harness.paths import PACKAGE

MICRO = PACKAGE / "catalog" / "micro"
MODULES = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
BATCH, LENGTH, SCORING_BATCH, TASK = 4, 128, 50, "sweep_two_way"
GRID = [(r, rate) for r in (2, 4, 8, 16, 32) for rate in (3e-3, 1e-2)]

EXPERIMENT = """\
name: sweep
base: {{model: micro-llama, dtype: float32}}
data: {{train: {{path: train.jsonl, format: prompt_completion}}}}
train:
  steps: {steps}
  learning_rate: 1.0e-3
  batch_size: {batch}
  max_length: {length}
  loss_on: completion
score: {{batch_size: {scoring_batch}}}
adapters:
{adapters}
tasks_path: tasks
tasks: [{task}]
"""
ENTRY = "  - {{method: lora, r: {r}, alpha: 2r, dropout: 0.05, train: {{learning_rate: {rate}}}}}"
TASK_FILE = """\
task: {task}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: answer
generation_kwargs: {{until: [], max_gen_toks: 32, do_sample: false}}
num_fewshot: 0
filter_list:
  - name: first_match
    filter:
      - {{function: regex, regex_pattern: "solution1|solution2", group_select: 0, fallback: ""}}
      - {{function: take_first}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0, suite: sweep}}
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time, and of CPU time (user and system) of a command and all its children."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.wall * times, self.cpu * times)


class Sweep:
    """A folder with what both sides need. grid: rank and learning rate of each run."""

    def __init__(self, folder: Path, grid: list[tuple[int, float]], steps: int, items: int) -> None:
        self.folder, self.grid, self.steps = folder, grid, steps
        (folder / "tasks").mkdir()
        test = folder / "test.jsonl"
        _write(test, [_asked(row) for row in _rows("two_way/test.json")[:items]])
        (folder / "tasks" / "two_way.yaml").write_text(TASK_FILE.format(task=TASK, test=test))
        _write(folder / "train.jsonl", [_example(row) for row in _rows("train.json")])
        entries = "\n".join(ENTRY.format(r=r, rate=rate) for r, rate in grid)
        sizes = {"steps": steps, "batch": BATCH, "length": LENGTH, "scoring_batch": SCORING_BATCH, "task": TASK}
        (folder / "sweep.yaml").write_text(EXPERIMENT.format(adapters=entries, **sizes))
        self._draw()

    def _draw(self) -> None:
        """The training rows in the order in which a run takes them: the trainer shuffles what it is given."""
        from harness import expand, load_experiment
        from harness.train.examples import draw, read

        run = expand(load_experiment(self.folder / "sweep.yaml"))[0]
        assert run.data is not None and run.seed is not None
        used, _ = draw(read(run.data), run.data, run.seed)
        self.seed = run.seed
        (self.folder / "trl").mkdir()
        rows = [{"prompt": example.instruction, "completion": example.output} for example in used]
        _write(self.folder / "trl" / "train.jsonl", rows)

    def ours(self) -> Cost:
        """The one command."""
        return timed([sys.executable, "-m", "harness", "--db", "sweep.db", "run", "sweep.yaml"], self.folder)

    def theirs(self, r: int, rate: float) -> tuple[Cost, Cost]:
        """The two commands of one run."""
        return timed(self._sft(r, rate), self.folder), timed(self._lm_eval(r, rate), self.folder)

    def adapter(self, r: int, rate: float) -> Path:
        """Where `trl sft` leaves the run's adapter."""
        return self.folder / "out" / f"{r}-{rate:g}"

    def _sft(self, r: int, rate: float) -> list[str]:
        options = {
            **{"model_name_or_path": MICRO / "model", "dtype": "float32", "dataset_name": self.folder / "trl"},
            **{"use_peft": True, "lora_r": r, "lora_alpha": 2 * r, "lora_dropout": 0.05},
            **{"max_steps": self.steps, "learning_rate": rate, "lr_scheduler_type": "linear", "warmup_steps": 0},
            **{"per_device_train_batch_size": BATCH, "gradient_accumulation_steps": 1, "optim": "adamw_torch"},
            **{"weight_decay": 0.0, "max_grad_norm": 1.0, "max_length": LENGTH, "completion_only_loss": True},
            **{"seed": self.seed, "data_seed": self.seed, "bf16": False, "use_cpu": True},
            **{"gradient_checkpointing": False, "report_to": "none", "save_strategy": "no", "logging_steps": 1},
            "output_dir": self.adapter(r, rate),
        }
        named = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return [_script("trl"), "sft", *named, "--lora_target_modules", *MODULES]

    def _lm_eval(self, r: int, rate: float) -> list[str]:
        model = f"pretrained={MICRO / 'model'},peft={self.adapter(r, rate)},dtype=float32"
        return [
            *(_script("lm_eval"), "run", "--model", "hf", "--model_args", model, "--device", "cpu"),
            *("--tasks", TASK, "--include_path", str(self.folder / "tasks")),
            *("--batch_size", str(SCORING_BATCH), "--output_path", str(self.adapter(r, rate) / "scores")),
        ]

    def their_score(self, r: int, rate: float) -> float:
        """The accuracy that lm_eval wrote down."""
        (file,) = (self.adapter(r, rate) / "scores").rglob("results_*.json")
        return json.loads(file.read_text())["results"][TASK]["exact_match,first_match"]

    def our_results(self) -> dict[tuple[int, float], tuple[float, Path]]:
        """The accuracy and the adapter of each run, as they are recorded."""
        from harness.store.store import open_store

        with open_store(f"sqlite:///{self.folder / 'sweep.db'}", read_only=True) as store:
            runs = {run.run_id: run for run in store.runs()}
            found = {}
            for score in (each for each in store.scores(list(runs)) if each.position == 0):
                run = runs[score.run_id]
                key = (run.spec["adapter"]["config"]["r"], run.spec["train"]["learning_rate"])
                found[key] = (score.value, self.folder / ".harness" / "adapters" / run.train_id)
        return found


def timed(command: list[str], folder: Path) -> Cost:
    """Runs a command in a folder. Raises RuntimeError with the end of what it said where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    environment = kept | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(PACKAGE.parent)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def _script(name: str) -> str:
    """A command of this environment, which need not be activated."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name) or name


def _rows(name: str) -> list[dict[str, Any]]:
    return json.loads((MICRO / "data" / name).read_text())


def _prompt(row: dict[str, Any]) -> str:
    return render(prompts()["llm_adapters"].score, row["instruction"], row["input"])


def _asked(row: dict[str, Any]) -> dict[str, str]:
    return {"prompt": _prompt(row), "answer": row["answer"]}


def _example(row: dict[str, Any]) -> dict[str, str]:
    return {"prompt": _prompt(row), "completion": row["output"]}


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
