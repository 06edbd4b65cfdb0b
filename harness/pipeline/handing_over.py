"""Trained weights as files for others: found, proved to be those that were recorded, and copied."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from pathlib import Path

from harness.errors import NotFoundError, PrerequisiteError
from harness.paths import RunPaths, home
from harness.store.records import MembershipRecord, RunRecord

WHOLE = "config.json"
"""What a fully fine-tuned model has and an adapter has not."""


def kept_weights(record: RunRecord, place: MembershipRecord) -> Path:
    """The folder in which the run's trained weights are kept.

    Raises NotFoundError for a run that trained nothing, with what to do; for weights that are no longer here, with the
    commands that make them again.
    """
    adapter = record.spec["adapter"]
    if adapter.get("loads"):
        raise NotFoundError(f"run {record.run_id} scores {adapter['loads']['path']} as it is: copy that")
    if adapter["trains"] == "nothing":
        raise NotFoundError(f"run {record.run_id} scores the bare base: there is no adapter to export")
    if record.training is None:
        raise NotFoundError(
            f"run {record.run_id} is {record.status} and has no trained weights yet: {again(record, place)}"
        )
    folder = RunPaths(home(), record.train_id, record.run_id).adapter
    if not folder.is_dir():
        run = again(record, place, "--db again.db ")
        raise NotFoundError(
            f"the weights of run {record.run_id} are not kept in {folder}; to train them again, into a database of "
            f"their own: {run}; then: harness --db again.db export {record.run_id} DIR. What --set changed then "
            "has to be set again"
        )
    return folder


def again(record: RunRecord, place: MembershipRecord, db: str = "") -> str:
    """The command that does this run alone, of the experiment's file as it was named. db: the option `--db`."""
    limit, whole = record.spec["score"]["limit"], record.spec["adapter"]["trains"] == "all"
    options = ["--profile", place.profile, "--only", record.run_id, *(("--limit", str(limit)) if limit else ())]
    options += ["--set", "keep=true"] if whole and not record.spec.get("keep") else []
    return f"harness {db}run {shlex.join([place.path, *options])}"


def prove_kept(folder: Path, saved: str | None) -> None:
    """Raises PrerequisiteError where the weights in `folder` are not those whose fingerprint was recorded.

    saved: None for trainings of versions that recorded none; then nothing is compared.
    """
    from safetensors import SafetensorError

    if saved is None:
        return
    try:
        same = _fingerprint(folder) == saved
    except (OSError, ValueError, SafetensorError) as error:
        raise PrerequisiteError(f"{folder} can't be read: {str(error).partition(chr(10))[0]}") from error
    if not same:
        raise PrerequisiteError(f"{folder} holds other weights than those that were trained and recorded")


def _fingerprint(folder: Path) -> str:
    """As `train.live.saved_fingerprint`, from the files."""
    from safetensors.torch import load_file

    from harness.train.fingerprint import fingerprints, joined, weights_fingerprint

    if not (folder / WHOLE).is_file():
        return joined(fingerprints(sorted(load_file(folder / "adapter_model.safetensors").items())))
    from transformers import AutoModelForCausalLM

    return weights_fingerprint(AutoModelForCausalLM.from_pretrained(folder, dtype="auto"))


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a whole model and no adapter."""
    return (folder / WHOLE).is_file()


def base_of(folder: Path) -> str | None:
    """The base that an adapter's configuration names: a hub id, or where its files lie on this machine."""
    path = folder / "adapter_config.json"
    return json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path") if path.is_file() else None


def hand_over(folder: Path, target: Path, card: str, tokenizer_of: tuple[str, str | None] | None = None) -> list[str]:
    """Copies the weights into `target`, whole or not at all, with `card` as README.md; returns the files' names.

    tokenizer_of: the model and revision whose tokenizer goes along. Raises PrerequisiteError where `target` is there
    and not empty, or can't be written, and where there is no such tokenizer.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PrerequisiteError(f"{target} is there already: name a folder that is new or empty")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as made:
            part = Path(made) / target.name
            shutil.copytree(folder, part)
            (part / "README.md").write_text(card, encoding="utf-8")
            if tokenizer_of is not None:
                from harness.train.base_model import load_tokenizer

                load_tokenizer(*tokenizer_of).save_pretrained(part)
            part.replace(target)
    except OSError as error:
        raise PrerequisiteError(f"{target} can't be written: {error.strerror or error}") from error
    return sorted(file.name for file in target.iterdir())
