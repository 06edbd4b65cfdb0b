"""A method file as JSON Schema. `harness adapters check` has the last word; nothing that it takes is refused."""

from __future__ import annotations

from harness.adapters.declared import RESERVED, TYPES
from harness.adapters.families import FAMILIES
from harness.adapters.shape import CLASS_PATH, LIMITS
from harness.spec.editor.shapes import DRAFT, Schema, closed
from harness.spec.schema import TrainSpec

TEXT: Schema = {"type": "string"}
CLASS: Schema = {"type": "string", "pattern": CLASS_PATH.pattern}
NUMBER: Schema = {"type": ["number", "null"]}


def method_schema() -> Schema:
    """The schema of method files."""
    train = TrainSpec.model_json_schema()["properties"]
    called = closed({"class": CLASS, "args": {"type": ["object", "null"]}}) | {"required": ["class"]}
    named = {"anyOf": [CLASS, called], "description": "module:Class, or {class: module:Class, args: {...}}"}
    fields: dict[str, Schema] = {
        "method": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$", "description": "what experiments call it"},
        "title": TEXT | {"description": "what it is called in full"},
        "summary": TEXT | {"description": "what it changes, in a line"},
        "notes": TEXT | {"description": "where its defaults come from, and what to know"},
        "paper": closed({"title": TEXT, "arxiv": TEXT, "venue": TEXT, "year": {"type": "integer"}}),
        "family": {"enum": list(FAMILIES), "description": "under which it is listed"},
        "config_class": CLASS | {"description": "module:Class of a peft.PeftConfig; importing it registers its tuner"},
        "trains": {"enum": ["adapter", "all", "nothing"], "default": "adapter"},
        "params": {
            "type": "object",
            "description": "what an experiment may set",
            "propertyNames": {"not": {"enum": sorted(RESERVED)}},
            "additionalProperties": {"anyOf": [_declared(), {"not": {"type": "object"}}]},
        },
        "config": {"type": "object", "description": "the arguments of config_class, with ${param} references"},
        "train": closed(train) | {"description": "hyper-parameters that the method needs; shown and recorded"},
        "callbacks": {"type": "array", "items": named, "description": "callbacks of transformers"},
        "trainer": CLASS | {"description": "module:Class in the place of SFTTrainer"},
        "optimizer": named,
        "mergeable": {"type": "boolean", "description": "whether its weights can be merged into the base's"},
        "limits": closed({check: TEXT | {"minLength": 1} for check in LIMITS})
        | {"description": "what it can't do and why, by the checks of harness adapters check"},
        "loads": closed({"path": TEXT, "revision": {"type": ["string", "null"]}}) | {"required": ["path"]},
    }
    return {
        "$schema": DRAFT,
        "title": "peft-harness method",
        **closed({name: _nullable(name, field) for name, field in fields.items()}),
        "required": ["method"],
    }


def _declared() -> Schema:
    """A parameter that is more than its default."""
    fields: dict[str, Schema] = {
        "default": {},
        "min": NUMBER,
        "max": NUMBER,
        "choices": {"type": ["array", "null"]},
        "type": {"enum": [*TYPES, None]},
        "help": {},
        "follows": {"type": ["string", "null"], "description": "the parameter whose value it has while it is null"},
    }
    return closed(fields) | {"required": ["default"]}


def _nullable(name: str, field: Schema) -> Schema:
    """A field that is there without a value says nothing."""
    return field if name in ("method", "trains") else {"anyOf": [field, {"type": "null"}]}
