"""The fields of an experiment file, checked strictly."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.catalog.apis import URLS, url_fault
from harness.catalog.data import FORMATS, fields_of
from harness.errors import nearest
from harness.spec.run import Api, Dtype, Measure, Quantization
from harness.spec.served import is_served

Positive = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
SCHEDULERS = (
    "linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt", "cosine_with_restarts",
    "cosine_with_min_lr", "warmup_stable_decay",
)  # fmt: skip
OPTIMIZERS = (
    "adamw", "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "paged_adamw", "adafactor", "sgd",
    "rmsprop", "adagrad", "lion", "lion_8bit",
)  # fmt: skip


def one_of(known: tuple[str, ...]) -> AfterValidator:
    """Refuses a name that is not known, with the nearest one."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"unknown value {value!r}, {nearest(value, known)}")
        return value

    return AfterValidator(check)


def in_field(name: str, message: str) -> PydanticCustomError:
    """A complaint about several fields together, told at one of them."""
    return PydanticCustomError("in_field", "{message}", {"field": name, "message": message})


class Strict(BaseModel):
    """A mapping of an experiment file: unknown keys are errors, values keep their YAML type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class BaseSpec(Strict):
    """The base model, whose weights are here, or which a server answers for (`api`)."""

    model: Annotated[
        str, Field(min_length=1, description="a catalog name, a local directory, or a hub id; an API's name for it")
    ]
    revision: Annotated[str | None, Field(description="a hub model's branch, tag or commit")] = None
    dtype: Annotated[Dtype | None, Field(description="of the base's weights; the model's own by default")] = None
    quantization: Annotated[Quantization, Field(description="of the base's weights (int8 and nf4: bitsandbytes)")] = (
        "none"
    )
    api: Annotated[Api | None, Field(description="the protocol of the server that answers for the model")] = None
    url: Annotated[str | None, Field(description="the server's address; OpenAI's by default")] = None
    timeout: Annotated[float | None, Field(gt=0, description="seconds that the server may keep silent")] = None
    max_retries: Annotated[
        int | None, Field(ge=0, lt=2**31, description="how often a request is repeated that got no answer")
    ] = None

    @model_validator(mode="after")
    def _here_or_there(self) -> BaseSpec:
        if self.api is None:
            asked = next((name for name in ("url", "timeout", "max_retries") if getattr(self, name) is not None), None)
            if asked:
                raise in_field(asked, f"belongs to a server: set base.api to {' or '.join(URLS)}")
            return self
        held = {"revision": self.revision, "dtype": self.dtype, "quantization": self.quantization}
        for name, value in held.items():
            if value not in (None, "none"):
                raise in_field(name, f"belongs to weights, which a model behind {self.api} has not here")
        if self.url is not None and (fault := url_fault(self.api, self.url)):
            raise in_field("url", fault)
        return self


def _hex(value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise ValueError(f"must be 64 hex digits, got {value!r}")
    return value and value.lower()


class PlaceSpec(Strict):
    """Where training data lies that is not in the catalog, and how its rows are read."""

    path: Annotated[str | None, Field(description="a json, jsonl, csv or parquet file")] = None
    url: Annotated[str | None, Field(description="the address of such a file")] = None
    sha256: Annotated[
        str | None, AfterValidator(_hex), Field(description="what the file of a url must have, in hex digits")
    ] = None
    hub: Annotated[str | None, Field(min_length=1, description="a data set's id on the hub")] = None
    revision: Annotated[str | None, Field(description="a hub data set's branch, tag or commit")] = None
    config: Annotated[str | None, Field(description="the name of a hub data set's configuration")] = None
    split: Annotated[str | None, Field(description="a hub data set's split; train by default")] = None
    format: Annotated[str, one_of(FORMATS), Field(description="how a row is read")] = "instruction"
    columns: Annotated[
        dict[str, str], Field(description="what the data calls the format's fields, where it has other names")
    ] = {}

    @model_validator(mode="after")
    def _of_one_place(self) -> PlaceSpec:
        alone = self.path is None and self.hub is None
        if alone and self.url is not None and not self.url.startswith(("http://", "https://")):
            raise in_field("url", f"must begin with http:// or https://, got {self.url!r}")
        owners = {"sha256": "url", "revision": "hub", "config": "hub", "split": "hub"}
        for name, owner in owners.items():
            if getattr(self, name) is not None and getattr(self, owner) is None:
                raise ValueError(f"{name} belongs to {owner}")
        for name in self.columns:
            if name not in fields_of(self.format):
                raise in_field("columns", f"unknown field {name!r}, {nearest(name, fields_of(self.format))}")
        return self


class PartSpec(PlaceSpec):
    """A part of a mixture: a data set of the catalog, or data of one's own."""

    train: Annotated[str | None, Field(description="a catalog name")] = None
    weight: Annotated[float, Field(gt=0, le=1e6, description="its share, in proportion to the others' weights")] = 1.0

    @model_validator(mode="after")
    def _one_source(self) -> PartSpec:
        if sum(place is not None for place in (self.train, self.path, self.url, self.hub)) != 1:
            raise ValueError("needs exactly one of train, path, url and hub")
        if self.train is not None and (self.columns or "format" in self.model_fields_set):
            raise in_field("format" if "format" in self.model_fields_set else "columns", "the catalog says it itself")
        return self


class SourceSpec(PlaceSpec):
    """Training data that is not in the catalog, or a mixture."""

    mix: Annotated[list[PartSpec] | None, Field(min_length=1, description="several sources with weights")] = None

    @model_validator(mode="after")
    def _one_place(self) -> SourceSpec:
        places = sum(place is not None for place in (self.path, self.url, self.hub))
        if self.mix is not None and places:
            raise in_field("mix", "excludes path, url and hub: name them as parts of it")
        if self.mix is None and places != 1:
            raise ValueError("needs exactly one of path, url and hub")
        if self.mix is not None and (self.columns or "format" in self.model_fields_set):
            raise in_field("format" if "format" in self.model_fields_set else "columns", "belongs to each part of mix")
        return self


class DataSpec(Strict):
    """The training data."""

    train: Annotated[str | SourceSpec, Field(description="a catalog name, or {path | url | hub | mix, format}")]
    fraction: Annotated[float, Field(gt=0, le=1, description="share of the training examples, nested for a seed")] = (
        1.0
    )
    limit: Annotated[Positive | None, Field(description="at most so many training examples")] = None
    validation: Annotated[
        int, Field(ge=0, lt=2**31, description="examples kept from training for the validation loss")
    ] = 0


class TrainSpec(Strict):
    """Hyper-parameters of fine-tuning, with the built-in defaults."""

    epochs: Annotated[float | None, Field(gt=0, description="passes over the data; or steps (default: 1 epoch)")] = (
        None
    )
    steps: Annotated[Positive | None, Field(description="optimizer steps; or epochs")] = None
    learning_rate: Annotated[float, Field(gt=0, description="the highest of the schedule")] = 3e-4
    lr_scheduler: Annotated[str, one_of(SCHEDULERS), Field(description="transformers' name")] = "linear"
    warmup_steps: Annotated[float, Field(ge=0, description="steps; below 1, a share of all steps")] = 0
    optimizer: Annotated[str, one_of(OPTIMIZERS), Field(description="adamw, or transformers' name")] = "adamw"
    weight_decay: Annotated[float, Field(ge=0, description="of the optimizer")] = 0.0
    max_grad_norm: Annotated[float, Field(ge=0, description="gradients are clipped to it")] = 1.0
    batch_size: Annotated[Positive, Field(description="effective: examples per optimizer step")] = 16
    micro_batch_size: Annotated[Positive | None, Field(description="examples at once; changes no result")] = None
    max_length: Annotated[Positive, Field(description="tokens per example, the rest is cut")] = 256
    loss_on: Annotated[Literal["all", "completion"], Field(description="which tokens are learned")] = "all"
    gradient_checkpointing: Annotated[bool, Field(description="less memory for more time")] = False
    eval_steps: Annotated[Positive, Field(description="steps between two validation losses")] = 80
    checkpoint: Annotated[Literal["best", "last"], Field(description="by validation loss, or the last")] = "last"

    @model_validator(mode="after")
    def _consistent(self) -> TrainSpec:
        if self.epochs is not None and self.steps is not None:
            raise in_field("steps", "excludes epochs: set one of them")
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise in_field(
                "micro_batch_size", f"must divide batch_size {self.batch_size}, got {self.micro_batch_size}"
            )
        return self


DECODINGS = "greedy, {beams: N} or {sample: {temperature, top_p, top_k}}"


class SampleSpec(Strict):
    """Sampling parameters, as in transformers' generation."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, lt=2**31)] = 50


def _defaults(value: Any) -> Any:
    return {} if value is True else value


class DecodingSpec(Strict):
    """Beam search or sampling."""

    beams: Positive | None = None
    sample: Annotated[SampleSpec | None, BeforeValidator(_defaults)] = None

    @model_validator(mode="after")
    def _one_way(self) -> DecodingSpec:
        if (self.beams is None) == (self.sample is None):
            raise ValueError(f"must be {DECODINGS}")
        return self


def _greedy(value: Any) -> Any:
    if value == "greedy":
        return {"beams": 1}
    if not isinstance(value, dict):
        raise ValueError(f"must be {DECODINGS}, got {value!r}")
    return value


class ScoreSpec(Strict):
    """The scoring protocol."""

    decoding: Annotated[DecodingSpec, BeforeValidator(_greedy), Field(description="how answers are generated")] = (
        DecodingSpec(beams=1)
    )
    limit: Annotated[Positive | None, Field(description="test items a task, a seeded choice")] = None
    batch_size: Annotated[Positive, Field(description="prompts at once")] = 16
    store_outputs: Annotated[Literal["wrong", "all", "none"], Field(description="which answers are kept whole")] = (
        "wrong"
    )
    merge: Annotated[
        Literal["auto", "never"], Field(description="whether adapters that merge are merged to be scored, in float32")
    ] = "auto"


class SelectSpec(Strict):
    """Tuning: each adapter's best point on validation examples, which then runs with the experiment's seeds."""

    over: Annotated[
        dict[str, Any], Field(min_length=1, description="what is tuned: train.x and adapter.x, crossed (and zip)")
    ]
    by: Annotated[
        Literal["validation_loss", "validation_accuracy"],
        Field(description="what decides, on the validation examples"),
    ] = "validation_loss"
    seeds: Annotated[
        list[Seed], Field(min_length=1, description="of the trainings that tune; none of the experiment's own")
    ] = [100]


class ExperimentFile(Strict):
    """A whole experiment file after merging.

    `adapters`, `matrix` and `select.over` are checked against the methods they name.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the experiment's name")]
    base: BaseSpec
    data: Annotated[DataSpec | None, Field(description="the training data; not needed behind an API")]
    train: TrainSpec = TrainSpec()
    prompt: Annotated[str, Field(description="the template of training and scoring")] = "llm_adapters"
    score: ScoreSpec = ScoreSpec()
    adapters: Annotated[list[dict[str, Any]], Field(min_length=1, description="the methods that are compared")]
    seeds: Annotated[list[Seed], Field(min_length=1, description="one training each")] = [0]
    tasks: Annotated[str | list[str], Field(description="a benchmark, or a list of task names")]
    tasks_path: Annotated[str | None, Field(description="a folder of your own lm-eval task files")] = None
    matrix: Annotated[dict[str, Any], Field(description="values that are crossed with all else")] = {}
    select: Annotated[SelectSpec | None, Field(description="hyper-parameters chosen on validation examples")] = None
    same_recipe: Annotated[bool, Field(description="ignore what a method's own file says of training")] = False
    keep: Annotated[bool, Field(description="keep the weights of full fine-tuning")] = False
    measure: Annotated[
        list[Annotated[Measure, one_of(get_args(Measure))]], Field(description="what is measured of each training")
    ] = []

    @model_validator(mode="before")
    @classmethod
    def _untrained(cls, raw: Any) -> Any:
        """A model behind an API is never trained, so that its experiment may have no data."""
        return {"data": None} | raw if is_served(raw) else raw

    @model_validator(mode="after")
    def _trained(self) -> ExperimentFile:
        if self.data is None and self.base.api is None:
            raise in_field("data", "must be a mapping, got None")
        return self
