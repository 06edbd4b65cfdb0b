"""What a run needs that may be missing here, found before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.catalog.lm_eval_tasks import lm_eval_task
from harness.catalog.models import ModelEntry, fetch_config, model_entry
from harness.catalog.prompts import CHAT
from harness.catalog.tasks import Task, beams_fault, tasks, tasks_in
from harness.catalog.trained import fetch_trained, trained_adapter
from harness.errors import HarnessError, NotFoundError
from harness.paths import PACKAGE
from harness.pipeline.servers import server_obstacles, unanswerable
from harness.pipeline.task_data import check_test_file
from harness.pipeline.training_data import data_faults
from harness.spec.run import LoadedRef, RunSpec

WEIGHTS = (".safetensors", ".bin", ".gguf")
TOKENIZERS = ("tokenizer", "vocab", "spiece", "sentencepiece")


@dataclass(frozen=True)
class Obstacle:
    """Something that is missing here, and the field of the experiment that asks for it."""

    field: str
    message: str


def obstacles(run: RunSpec, missing: Sequence[str], training: bool = True) -> list[Obstacle]:
    """Everything that stands in the way of training the run (if it must) and scoring its missing tasks."""
    found = [*_model_obstacles(run), *_loaded_obstacles(run)]
    if training:
        found += [*_full_obstacles(run), *_optimizer_obstacles(run), *_data_obstacles(run)]
    return list(dict.fromkeys([*found, *_task_obstacles(run, missing)]))


def _model_obstacles(run: RunSpec) -> Iterator[Obstacle]:
    if run.model.api is not None:
        yield from (Obstacle(field, message) for field, message in server_obstacles(run.model.api))
        return
    try:
        entry = model_entry(run.model.name, run.model.revision)
    except NotFoundError as error:  # a directory that was there when the run was planned
        yield Obstacle("base.model", str(error))
        return
    for package in entry.requires:
        if not _installed(package):
            needed = f"{entry.name} needs the package {package}: pip install {' '.join(entry.requires)}"
            yield Obstacle("base.model", needed)
    if run.model.quantization != "none" and not _installed("bitsandbytes"):
        needed = f"quantization {run.model.quantization} needs bitsandbytes: pip install bitsandbytes"
        yield Obstacle("base.quantization", needed)
    if entry.config is None and entry.source == "hub":
        unknown = f"the configuration of {entry.name} could not be fetched; is the name right, are you online?"
        yield Obstacle("base.model", unknown)
    if entry.source == "local":
        yield from _directory_obstacles(Path(entry.location))
    folder = {"local": Path(entry.location), "embedded": PACKAGE / "catalog" / entry.location}.get(entry.source)
    if folder and CHAT in run.prompt.score and not _has_chat_template(folder):
        yield Obstacle("prompt", f"{run.prompt.name} needs a tokenizer with a chat template; {entry.name}'s has none")


def _loaded_obstacles(run: RunSpec) -> Iterator[Obstacle]:
    if run.adapter.loads is None:
        return
    path = run.adapter.loads.path
    try:
        found = trained_adapter(path, run.adapter.loads.revision)
    except NotFoundError as error:  # a directory that was there when the run was planned
        yield Obstacle("adapters", str(error))
        return
    if not found.fetched:
        unknown = f"{path} is no directory here, and no adapter of this name could be fetched; are you online?"
        yield Obstacle("adapters", unknown)


def _has_chat_template(folder: Path) -> bool:
    settings = folder / "tokenizer_config.json"
    written = settings.is_file() and "chat_template" in settings.read_text(encoding="utf-8", errors="replace")
    return written or any(folder.glob("chat_template*"))


def _directory_obstacles(folder: Path) -> Iterator[Obstacle]:
    """A model's directory without what `save_pretrained` of model and tokenizer write."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if not any(path.suffix in WEIGHTS for path in files):
        yield Obstacle("base.model", f"{folder} holds no weights ({', '.join(WEIGHTS)})")
    if not any(path.name.startswith(TOKENIZERS) or path.suffix == ".model" for path in files):
        yield Obstacle("base.model", f"{folder} holds no tokenizer; save it there with its save_pretrained")


def _full_obstacles(run: RunSpec) -> Iterator[Obstacle]:
    """A base whose weights are held in a form that can't be trained as a whole."""
    held = {"base.quantization": run.model.quantization, "base.dtype": run.model.dtype}
    for field, form in held.items() if run.adapter.trains == "all" else ():
        if form in ("int8", "nf4", "float16"):
            yield Obstacle(field, f"{run.adapter.method} trains all weights, which it can't in {form}")


def _optimizer_obstacles(run: RunSpec) -> Iterator[Obstacle]:
    optimizer = run.train.optimizer if run.train else ""
    if ("8bit" in optimizer or "paged" in optimizer) and not _installed("bitsandbytes"):
        yield Obstacle("train.optimizer", f"optimizer {optimizer} needs bitsandbytes: pip install bitsandbytes")


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _data_obstacles(run: RunSpec) -> Iterator[Obstacle]:
    for fault in data_faults(run.data) if run.data else ():
        yield Obstacle("data.train", f"training data: {fault}")


def _task_obstacles(run: RunSpec, missing: Sequence[str]) -> Iterator[Obstacle]:
    own = tasks_in(Path(run.score.tasks_path)) if run.score.tasks_path else {}
    known = [task for name in missing if (task := tasks().get(name) or own.get(name) or lm_eval_task(name))]
    if run.model.api is not None:
        yield from (Obstacle(field, message) for field, message in unanswerable(run.model.api, known))
    yield from _decoding_obstacles(run, known)
    for task in known:
        try:
            if task.file is not None:
                task.file.check(task.name)
                check_test_file(task.file, built_in=task.name in tasks())
        except HarnessError as error:
            yield Obstacle("tasks", f"test data of {task.name}: {error}")


def _decoding_obstacles(run: RunSpec, known: Sequence[Task]) -> Iterator[Obstacle]:
    """Beam search over batches of a task with stop strings, which lm-eval gets wrong: see `score.decoding`."""
    if run.score.decoding.beams > 1 and run.score.batch_size > 1:
        for task in known:
            if task.stops:
                yield Obstacle("score.decoding", beams_fault(task.name, task.stops))


def fetch_adapters(loaded: Iterable[LoadedRef]) -> bool:
    """Fetches the configurations of hub adapters and says whether any came; what fails stays unknown."""
    came = False
    for adapter in dict.fromkeys(loaded):
        if adapter.revision is not None and not trained_adapter(adapter.path, adapter.revision).fetched:
            with suppress(Exception):  # any way in which a hub can't be reached; the plan names the obstacle
                fetch_trained(adapter.path, adapter.revision)
                came = True
    return came


def fetch_configs(names: Sequence[tuple[str, str | None]]) -> bool:
    """Fetches the configurations of hub models that the catalog doesn't hold, as `fetch_adapters` does."""
    came = False
    for name, revision in dict.fromkeys(names):
        entry: ModelEntry = model_entry(name, revision)
        if entry.source == "hub" and entry.config is None:
            with suppress(Exception):  # any way in which a hub can't be reached; the plan names the obstacle
                fetch_config(name, revision)
                came = True
    return came
