"""A model card for trained weights: what they are, how to use them, what they score, how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.catalog.models import HUB_ID, model_title
from harness.catalog.tasks import task_title
from harness.report.estimates import bare, scale
from harness.report.figures import MISSING, duration, memory
from harness.report.in_words import decoding_in_words, items_in_words
from harness.report.overlap import overlap_line
from harness.store.records import MembershipRecord, RunRecord, ScoreRecord
from harness.store.store import Store

TEMPLATE = Path(__file__).with_name("card.md.jinja")
RUNTIME = {"micro_batch_size", "gradient_checkpointing"}
OURS = "harness.tuners:"


def model_card(store: Store, record: RunRecord, place: MembershipRecord, base: str | None, again: str) -> str:
    """The README.md of a run's weights, with the hub's metadata.

    base: what the adapter's configuration calls its base, None for a whole model; again: the command that trains it.
    """
    from huggingface_hub import ModelCard, ModelCardData

    scores = store.scores([record.run_id])
    name, spec = record.model, record.spec
    data = ModelCardData(
        base_model=name if HUB_ID.match(name) else None,
        library_name="peft" if base else "transformers",
        pipeline_tag="text-generation",
        tags=["peft-harness", record.method],
        datasets=[source["location"] for source in _sources(spec) if source["kind"] == "hub"] or None,
        model_name=place.label,
        eval_results=[_result(score) for score in scores] or None,
    )
    values = {
        "label": place.label,
        "title": model_title(name) or name,
        "record": record,
        "place": place,
        "base": base,
        "revision": spec["model"]["revision"],
        "dtype": (record.training.provenance if record.training else {}).get("dtype") or spec["model"]["dtype"],
        "imports": _imports(spec["adapter"]),
        "prompt": spec["prompt"],
        "scores": [_score(score) for score in scores],
        "protocol": f"{decoding_in_words(spec['score']['decoding'])}, {items_in_words(spec['score']['limit'])}",
        "overlap": _overlap(store, record, scores),
        "facts": _facts(record, place),
        "made_with": _made_with(store, record),
        "again": again,
    }
    return str(ModelCard.from_template(data, template_path=str(TEMPLATE), **values))


def _result(score: ScoreRecord) -> Any:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="text-generation",
        dataset_type=score.task,
        dataset_name=task_title(score.task),
        dataset_args={"version": score.version, "n": score.n},
        metric_type=bare(score.metric),
        metric_value=score.value,
        metric_args={"stderr": score.stderr},
    )


def _sources(spec: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return (spec.get("data") or {}).get("sources", ())


def _imports(adapter: dict[str, Any]) -> list[str]:
    """The modules that register with PEFT what PEFT itself does not have."""
    parts = adapter.get("parts") or [adapter]
    classes = [str(part["config_class"]) for part in parts if part.get("config_class")]
    if len(parts) > 1:
        classes.append(OURS)
    modules = [each.partition(":")[0] for each in classes]
    return list(dict.fromkeys(module for module in modules if module.partition(".")[0] != "peft"))


def _score(score: ScoreRecord) -> dict[str, Any]:
    by = scale(score.metric)
    return {
        "task": task_title(score.task),
        "version": score.version,
        "metric": bare(score.metric) + (", %" if by == 100 else ""),
        "n": score.n,
        "value": f"{score.value * by:.2f}",
        "stderr": MISSING if score.stderr is None else f"{score.stderr * by:.2f}",
    }


def _overlap(store: Store, record: RunRecord, scores: Sequence[ScoreRecord]) -> str:
    found = store.overlaps([record.run_id]).get(record.run_id, {})
    return overlap_line(found, list(dict.fromkeys(score.task for score in scores))) if found else ""


def _facts(record: RunRecord, place: MembershipRecord) -> list[tuple[str, Any]]:
    """The settings of the training and what it took, a row each."""
    training, spec = record.training, record.spec
    assert training is not None, "only trained weights have a card"
    data = spec["data"]
    drawn = {key: data[key] for key in ("fraction", "limit") if data[key] not in (None, 1.0)}
    share = "".join(f", {key} {value:g}" for key, value in drawn.items())
    used = training.counts.get("used")
    train = {key: value for key, value in spec["train"].items() if value is not None and key not in RUNTIME}
    return [
        ("method", record.method),
        *((key, value) for key, value in spec["adapter"]["params"].items() if value is not None),
        ("trainable parameters", f"{training.trainable_params:,} ({training.trainable_percent:.4g} %)"),
        ("data", f"{data['name']}{share}: {MISSING if used is None else f'{used:,}'} examples"),
        *train.items(),
        ("seed", record.seed),
        *((("departures", "; ".join(place.departures)),) if place.departures else ()),
        ("tokens", f"{training.tokens:,}"),
        ("time", duration(training.seconds)),
        ("peak memory", memory(training.peak_memory_bytes)),
    ]


def _made_with(store: Store, record: RunRecord) -> list[tuple[str, str]]:
    """Versions and hardware of the latest attempt that told them."""
    made = next((each.provenance for each in reversed(store.attempts(record.run_id)) if each.provenance), {})
    hardware = made.get("hardware", {})
    git = made.get("git") or {}
    commit = f"{git['commit']}{' (changed)' if git.get('dirty') else ''}" if git.get("commit") else None
    training = record.training.provenance if record.training else {}
    found = {
        **({"Python": made["python"]} if "python" in made else {}),
        **made.get("packages", {}),
        "commit of the harness": commit,
        "device": ", ".join(hardware.get("gpu") or ()) or hardware.get("cpu"),
        "fingerprint of the weights": training.get("saved"),
    }
    return [(name, str(value)) for name, value in found.items() if value]
