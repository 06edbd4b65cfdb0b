"""Runs of the paper's own recipe, and its published rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.catalog.benchmarks import benchmarks
from harness.report.published.beside import BesideRow
from harness.report.published.comparison import comparison
from harness.spec.identity import identified
from harness.spec.run import Decoding, ModelRef, PromptRef, ScoreSettings, TrainSettings
from harness.store.published.shipped import publications
from harness.store.store import Store

from .database import Asked, Database, asked

LLAMA = "meta-llama/Meta-Llama-3-8B"
TASKS = benchmarks()["commonsense"].tasks
SEVEN = benchmarks()["commonsense_7"].tasks
PAPER = TrainSettings(
    epochs=2.0, learning_rate=3e-4, lr_scheduler="linear", warmup_steps=100, optimizer="adamw", batch_size=16,
    max_length=256, loss_on="all", eval_steps=80, checkpoint="best",
)  # fmt: skip
PRINTED = {"boolq": 74.3, "piqa": 88.0, "social_i_qa": 80.3, "hellaswag": 94.5, "winogrande": 86.0, "arc_easy": 89.7,
           "arc_challenge": 78.7, "openbookqa": 85.6}  # fmt: skip
"""DenseLoRA r=32 on LLaMA3-8B, Table 1: 84.6 on average."""
STDERR = 0.01
ONLY_MATRIX = {"activation": "identity", "decoder_activation": None, "train_encoder_decoder": True}
OF_THE_PAPER = ONLY_MATRIX | {"activation": "gelu"}
PAPERS = publications()[0]
TABLE = next(table for table in PAPERS.tables if (table.table, table.model) == ("Table 1", LLAMA))
PRINTED_ROW = next(row for row in TABLE.rows if row.scores == PRINTED)


def paper_run(method: str = "denselora", **params: Any) -> Asked:
    """A run of the paper's own recipe: DenseLoRA at r=32 on LLaMA3-8B unless the parameters say otherwise."""
    adapter = {"r": 32, "alpha": 64, "dropout": 0.05, "targets": "QKVUD"} | params
    run = asked(method, model=LLAMA, data="commonsense_170k", **adapter)
    return changed(
        run,
        model=ModelRef(name=LLAMA, content="hub:llama3", dtype="float16"),
        data=run.spec.data and run.spec.data.model_copy(update={"validation": 120}),
        train=run.spec.train and PAPER,
        prompt=PromptRef(name="llm_adapters_verbatim", train="{x}", score="{x}"),
        score=ScoreSettings(decoding=Decoding(beams=4)),
    )


def changed(run: Asked, **fields: Any) -> Asked:
    return replace(run, spec=identified(run.spec.model_copy(update=fields)))


def measured(
    database: Database, *runs: Asked, tasks: tuple[str, ...] = TASKS, benchmark: str = "commonsense", off: float = 0.0
) -> None:
    """Runs whose scores are the paper's, off by some points."""
    database.register(*runs, benchmark=benchmark, tasks=tasks)
    values = {task: ((PRINTED[task.removeprefix("llm_adapters_")] + off) / 100, STDERR) for task in tasks}
    for run in runs:
        database.complete(run, values)


def row(store: Store, label: str, table: str = "Table 1", model: str = LLAMA, source: str = "denselora") -> BesideRow:
    (found,) = (
        each
        for beside in comparison(store).tables
        for each in beside.rows
        if (beside.source.key, beside.table.table, beside.table.model, each.row.label) == (source, table, model, label)
    )
    return found
