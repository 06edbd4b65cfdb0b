"""How the rows of an experiment are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.spec.run import AdapterRef, Decoding, RunSpec

if TYPE_CHECKING:
    from harness.spec.expansion import Point
    from harness.spec.experiment import ExperimentSpec


def labelled(points: tuple[Point, ...], experiment: ExperimentSpec) -> tuple[Point, ...]:
    """The points with a label each: the given one, else the method and the fields in which rows differ."""
    known: dict[int, dict[str, Any]] = {}
    facts = [_facts(point.run, known) for point in points]
    axes = _axes(experiment)
    differing = {
        title: _differing(
            [fact for fact, point in zip(facts, points, strict=True) if _title(point.run.adapter) == title]
        )
        for title in {_title(point.run.adapter) for point in points}
    }
    result = []
    for point, fact in zip(points, facts, strict=True):
        title = _title(point.run.adapter)
        shown = [key for key in fact if key in differing[title] or ("." in key and key in axes)]
        shown = [key for key in shown if fact[key] is not None]
        detail = " ".join(f"{key.rpartition('.')[2]}={fact[key]}" for key in shown)
        result.append(replace(point, label=_joined(point.label or title, detail, bool(point.label), axes, fact)))
    return tuple(result)


def _joined(title: str, detail: str, given: bool, axes: Sequence[str], fact: dict[str, Any]) -> str:
    """A given label stands alone unless a matrix makes several rows of it."""
    if given:
        detail = " ".join(f"{key.rpartition('.')[2]}={fact[key]}" for key in axes if key in fact)
    return f"{title} {detail}".strip()


def _title(adapter: AdapterRef) -> str:
    return "+".join(part.method for part in adapter.parts) if adapter.parts else adapter.method


def _facts(run: RunSpec, known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """What may tell two rows apart: the adapter's parameters, and settings as `section.field`.

    known: those of hyper-parameters that other runs share, by their object's id.
    """
    facts: dict[str, Any] = {}
    for part in run.adapter.parts or (run.adapter,):
        for key, value in part.params.items():
            facts[key] = f"{facts[key]}/{value}" if key in facts else _short(value)
    if run.data is not None:
        data = run.data
        facts |= {"data.train": data.name, "data.fraction": _short(data.fraction)}
        facts |= {"data.limit": data.limit, "data.validation": data.validation}
    if run.train is not None:
        if id(run.train) not in known:
            known[id(run.train)] = {f"train.{key}": _short(value) for key, value in run.train.model_dump().items()}
        facts |= known[id(run.train)]
    facts |= {"score.decoding": _decoding(run.score.decoding), "score.limit": run.score.limit}
    model = {"base.model": run.model.name, "base.revision": run.model.revision, "base.dtype": run.model.dtype}
    return facts | model | {"base.quantization": run.model.quantization, "prompt": run.prompt.name}


def _decoding(decoding: Decoding) -> str:
    if decoding.sample is not None:
        sample = decoding.sample
        return f"sampled({sample.temperature:g}, {sample.top_p:g}, {sample.top_k})"
    return "greedy" if decoding.beams == 1 else f"{decoding.beams} beams"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _differing(facts: list[dict[str, Any]]) -> set[str]:
    keys = {key for fact in facts for key in fact}
    differing = {key for key in keys if len({str(fact.get(key)) for fact in facts}) > 1}
    if "r" in differing and len({_ratio(fact) for fact in facts}) == 1:
        differing.discard("alpha")
    return differing


def _ratio(fact: dict[str, Any]) -> Any:
    """alpha / r: where it is the same for all rows, r says it all."""
    alpha, r = fact.get("alpha"), fact.get("r")
    return alpha / r if isinstance(alpha, (int, float)) and isinstance(r, (int, float)) else (alpha, r)


def _axes(experiment: ExperimentSpec) -> list[str]:
    """The matrix's axes as facts are called."""
    matrix = experiment.file.matrix
    zipped = [key for group in matrix.get("zip", ()) for key in group]
    return [key.removeprefix("adapter.") for key in (*matrix, *zipped) if key not in ("zip", "exclude")]
