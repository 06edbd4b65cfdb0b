"""What makes two runs the same: the canonical form of a run, and its ids."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from pydantic import BaseModel

from harness.spec.fields import FieldClass
from harness.spec.run import RunSpec

IDENTITY_VERSION = 1
ID_LENGTH = 12


@cache
def field_class(model: type[BaseModel], name: str) -> FieldClass:
    """The class that a specification's field is marked with.

    Raises TypeError for an unmarked field: mark it IDENTITY, SCORING or RUNTIME (harness/spec/fields.py).
    """
    marks = [mark for mark in model.model_fields[name].metadata if isinstance(mark, FieldClass)]
    if len(marks) != 1:
        raise TypeError(f"{model.__name__}.{name} must be marked once as IDENTITY, SCORING or RUNTIME")
    return marks[0]


def canonical(value: Any, roles: frozenset[str]) -> Any:
    """The part of a specification whose fields have one of these roles, as plain JSON values."""
    if isinstance(value, BaseModel):
        found = (
            (name, _field(getattr(value, name), mark, default, roles)) for name, mark, default in _fields(type(value))
        )
        return {name: form for name, form in found if form is not _LEFT_OUT}
    if isinstance(value, dict):
        return {str(key): canonical(child, roles) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(child, roles) for child in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


_LEFT_OUT = object()


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, FieldClass, Any], ...]:
    """A model's fields: name, class, default."""
    return tuple((name, field_class(model, name), field.default) for name, field in model.model_fields.items())


def _field(value: Any, mark: FieldClass, default: Any, roles: frozenset[str]) -> Any:
    if mark.role not in roles and not isinstance(value, BaseModel):
        return _LEFT_OUT
    if mark.since > 1 and value == default:
        return _LEFT_OUT
    form = canonical(value, roles)
    return _LEFT_OUT if isinstance(value, BaseModel) and not form else form


def digest(form: Any) -> str:
    """The first 12 hex digits of the SHA-256 of a canonical form."""
    return _hashed(_text(form) or "")


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


class Forms:
    """The canonical forms of runs' parts as JSON: a part that several runs share is written once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[BaseModel, str | None]] = {}
        self._runs: dict[tuple[int, str], tuple[RunSpec, dict[str, str]]] = {}

    def of(self, run: RunSpec, role: str) -> dict[str, str]:
        """The texts of the run's fields that have this role, by name."""
        key = id(run), role
        if key not in self._runs:
            fields = _fields(RunSpec)
            texts = {name: self._text(getattr(run, name), mark, default, role) for name, mark, default in fields}
            self._runs[key] = run, {name: text for name, text in texts.items() if text is not None}
        return self._runs[key][1]

    def _text(self, value: Any, mark: FieldClass, default: Any, role: str) -> str | None:
        if not isinstance(value, BaseModel):
            return _text(_field(value, mark, default, frozenset({role})))
        key = id(value), role
        if key not in self._known:  # with the value, lest another gets its id
            self._known[key] = value, _text(_field(value, mark, default, frozenset({role})))
        return self._known[key][1]


def _text(form: Any) -> str | None:
    return None if form is _LEFT_OUT else json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _joined(texts: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{texts[name]}' for name in sorted(texts)) + "}"


def identified(run: RunSpec) -> RunSpec:
    """The run with its `train_id` and `run_id`.

    `train_id` covers what determines the adapter; `run_id` covers that and the scoring protocol, but not the
    task list. Where nothing is trained, data, hyper-parameters, template and seed determine nothing (a seed
    still determines sampled answers).
    """
    return seeded(run, run.seed, Forms())


def seeded(run: RunSpec, seed: int | None, forms: Forms) -> RunSpec:
    """The run with another seed, and its ids. forms: of this run and of others that share parts with it."""
    version = {"identity_version": str(IDENTITY_VERSION)}
    trained = forms.of(run, "identity") | {"seed": json.dumps(seed)}
    if run.adapter.trains == "nothing":
        trained = {"model": trained["model"], "adapter": trained["adapter"]}
    train_id = _hashed(_joined(version | trained))
    scored = forms.of(run, "scoring")
    if run.score.decoding.sample is not None:
        scored = scored | {"seed": json.dumps(seed)}
    run_id = _hashed(_joined(version | {"train_id": f'"{train_id}"'} | scored))
    return run.model_copy(update={"seed": seed, "train_id": train_id, "run_id": run_id})
