"""Turning a validator's complaints into problems that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from harness.errors import AND_MORE, MOST_PROBLEMS, Problem, nearest
from harness.located import Located, Path_
from harness.spec.schema import ExperimentFile

KINDS = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "must be made of letters, digits, '.', '_' and '-'",
}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def problems_of(
    complaints: Sequence[ErrorDetails], located: Located, model: type[BaseModel], under: Path_ = ()
) -> list[Problem]:
    """Every complaint of a validator (`ValidationError.errors()`) at the place where the value was written.

    `under`: where in the document the validated value lies.
    """
    found: dict[Path_, str] = {}
    for complaint in complaints[:MOST_PROBLEMS]:
        place, branch = _place(complaint["loc"], located.data, under)
        if complaint["type"] == "in_field":
            place, branch = (*place, complaint["ctx"]["field"]), None
        if branch is not None and not _fits(branch, _at(located.data, place)):
            value = _at(located.data, place)
            found.setdefault(place, f"must be {_either(model, place[len(under) :])}, got {value!r}")
            continue
        found[place] = _message(complaint, model, place[len(under) :])
    more = {(*under, *complaint["loc"][:1]): AND_MORE for complaint in complaints[MOST_PROBLEMS : MOST_PROBLEMS + 1]}
    told = {place: message for place, message in found.items() if not _covered(place, found)}
    return [located.problem(place, message) for place, message in (*told.items(), *more.items())]


def _covered(place: Path_, found: dict[Path_, str]) -> bool:
    """Whether a more exact complaint lies below this one, which then is only about a union's other branch."""
    return found[place].startswith("must be ") and any(
        len(other) > len(place) and other[: len(place)] == place for other in found
    )


def _place(loc: tuple[Any, ...], data: Any, under: Path_) -> tuple[Path_, str | None]:
    """The document's place for a validator's location, without the names of union branches."""
    place, branch, value = list(under), None, _at(data, under)
    for index, part in enumerate(loc):
        known = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if not known and index < len(loc) - 1:
            branch = str(part)
            continue
        if not known and (not isinstance(value, dict) or _is_branch(part)):
            branch = str(part)
            continue
        place.append(part)
        value = value[part] if known else None
        branch = None
    return tuple(place), branch


def _is_branch(part: Any) -> bool:
    """Whether it names a branch of a union: `str`, `list[str]`, a specification, or one with a validator around it."""
    return str(part) in ("str", "list[str]") or "Spec" in str(part)


def _fits(branch: str, value: Any) -> bool:
    return isinstance(value, dict) if "Spec" in branch else isinstance(value, list) and branch.startswith("list")


def _at(data: Any, place: Path_) -> Any:
    for part in place:
        data = data[part] if isinstance(data, list) else data.get(part) if isinstance(data, dict) else None
    return data


def _either(model: type[BaseModel], place: Path_) -> str:
    """What a field of several types takes: its own description."""
    for part in place[:-1]:
        model = _model_in(model.model_fields[str(part)].annotation) or model
    return model.model_fields[str(place[-1])].description or "something else"


def _message(complaint: ErrorDetails, model: type[BaseModel], place: Path_) -> str:
    kind, context, got = complaint["type"], complaint.get("ctx", {}), complaint["input"]
    if kind == "extra_forbidden" and place in (("extends",), ("profiles",)):
        return "belongs at the top of a file"
    if kind == "extra_forbidden":
        return f"unknown field, {nearest(str(place[-1]), _fields_at(model, place[:-1]))}"
    if kind == "in_field":
        return context["message"]
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(",")]
        return f"unknown value {got!r}, {nearest(str(got), allowed)}"
    for bound, words in BOUNDS.items():
        if bound in context:
            return f"must be {words} {context[bound]:.10g}, got {got!r}"
    words = KINDS.get(kind)
    return f"{words}, got {got!r}" if words else f"{complaint['msg']}, got {got!r}"


def _fields_at(model: type[BaseModel], place: Path_) -> Iterator[str]:
    """The names of the fields of the mapping at `place`, those that are gone once a file is read among them."""
    if not place and model is ExperimentFile:
        return iter((*ExperimentFile.model_fields, "extends", "profiles"))
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return iter(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for option in getattr(annotation, "__args__", ()) if (found := _model_in(option))), None)
