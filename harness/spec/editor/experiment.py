"""An experiment file as JSON Schema.

What `extends` or a profile may supply is not required here, and what several fields must be together is not said:
`harness validate` has the last word. Nothing that it takes is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from harness.adapters.method import Method
from harness.catalog.benchmarks import benchmarks
from harness.catalog.data import FORMATS, data_sets
from harness.catalog.models import model_names
from harness.catalog.prompts import prompts
from harness.spec.editor.adapters import entry_schema
from harness.spec.editor.axes import matrix_schema, over_schema
from harness.spec.editor.shapes import DRAFT, Schema, closed
from harness.spec.run import Measure
from harness.spec.schema import OPTIMIZERS, SCHEDULERS, ExperimentFile

AT = "#/definitions/"
EXTENDS = {
    "description": "files whose fields this one takes over, from left to right",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def experiment_schema(methods: Sequence[Method]) -> Schema:
    """The schema of experiment files that may name these methods."""
    found = ExperimentFile.model_json_schema(ref_template=AT + "{model}")
    definitions: dict[str, Any] = found.pop("$defs")
    for schema in definitions.values():
        _loosen(schema)
    _fill(definitions)
    fields = found["properties"]
    fields["adapters"] |= {"items": entry_schema(methods, {"$ref": AT + "TrainSpec"})}
    fields["matrix"] |= matrix_schema(methods, definitions)
    fields["measure"]["items"] = {"enum": list(get_args(Measure))}
    fields["prompt"]["enum"] = list(prompts())
    fields["tasks"]["examples"] = list(benchmarks())
    definitions["SelectSpec"]["properties"]["over"] |= over_schema(methods, definitions)
    for name, field in fields.items():
        _untitle(field)
        definitions[f"field_{name}"] = field
    shared = {name: {"$ref": f"{AT}field_{name}"} for name in fields} | {"extends": EXTENDS}
    profiles = {
        "type": "object",
        "description": "versions of the experiment, chosen with --profile or $HARNESS_PROFILE",
        "additionalProperties": closed(shared),
    }
    return {
        "$schema": DRAFT,
        "title": "peft-harness experiment",
        **closed({**shared, "profiles": profiles}),
        "definitions": definitions,
    }


def _loosen(schema: Schema) -> None:
    """Any field may come from another file."""
    schema.pop("required", None)
    schema.pop("title", None)
    for field in schema["properties"].values():
        _untitle(field)


def _untitle(field: Schema) -> None:
    field.pop("title", None)


def _fill(definitions: dict[str, Any]) -> None:
    """What pydantic can't know of validators that are functions."""
    base, data, train = (definitions[name]["properties"] for name in ("BaseSpec", "DataSpec", "TrainSpec"))
    base["model"]["examples"] = model_names()
    data["train"]["examples"] = list(data_sets())
    train["lr_scheduler"]["enum"], train["optimizer"]["enum"] = list(SCHEDULERS), list(OPTIMIZERS)
    for name in ("SourceSpec", "PartSpec"):
        definitions[name]["properties"]["format"]["enum"] = list(FORMATS)
    decoding = definitions["ScoreSpec"]["properties"]["decoding"]
    described = {"description": decoding["description"], "default": "greedy"}
    definitions["ScoreSpec"]["properties"]["decoding"] = {
        "anyOf": [{"const": "greedy"}, {"$ref": AT + "DecodingSpec"}],
        **described,
    }
    sample = definitions["DecodingSpec"]["properties"]
    sample["sample"] = {"anyOf": [{"const": True}, {"$ref": AT + "SampleSpec"}, {"type": "null"}]}
