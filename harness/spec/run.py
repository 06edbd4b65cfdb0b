"""One run: a point of an experiment's grid, with everything that determines its result."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from harness.spec.fields import IDENTITY, LATER_IDENTITY, LATER_SCORING, RUNTIME, SCORING

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantization = Literal["none", "int8", "nf4"]
Api = Literal["openai-chat", "openai-completions"]
Measure = Literal["increments"]


class Frozen(BaseModel):
    """A strict, immutable piece of a specification."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ApiRef(Frozen):
    """A model's server: its protocol, its address, and how patiently it is asked.

    The address is identity, since a model's name means something only to the server that knows it: another
    server's scores must not be taken for this one's. timeout: seconds.
    """

    protocol: Annotated[Api, IDENTITY]
    url: Annotated[str, IDENTITY]
    timeout: Annotated[float, RUNTIME]
    max_retries: Annotated[int, RUNTIME]


class ModelRef(Frozen):
    """A base model: how it is found, and what fixes its weights.

    content: `sha256:...` of local files, `hub:name@revision`, or `api:name` where `api` answers for it.
    """

    name: Annotated[str, RUNTIME]
    revision: Annotated[str | None, RUNTIME] = None
    content: Annotated[str, IDENTITY] = ""
    dtype: Annotated[Dtype, IDENTITY] = "auto"
    quantization: Annotated[Quantization, IDENTITY] = "none"
    api: Annotated[ApiRef | None, LATER_IDENTITY] = None


class LoadedRef(Frozen):
    """An adapter that was trained before: how it is found, and what fixes it.

    path: a directory, or a hub id with its revision; content: see `catalog.trained.TrainedAdapter`, as for
    base_model and parameters.
    """

    path: Annotated[str, RUNTIME]
    revision: Annotated[str | None, RUNTIME] = None
    content: Annotated[str, IDENTITY] = ""
    base_model: Annotated[str | None, RUNTIME] = None
    parameters: Annotated[int | None, RUNTIME] = None


class AdapterRef(Frozen):
    """A method with its resolved arguments. `mixed` parts are AdapterRefs of their own."""

    method: Annotated[str, RUNTIME]
    trains: Annotated[Literal["adapter", "all", "nothing"], IDENTITY] = "adapter"
    config_class: Annotated[str | None, IDENTITY] = None
    config: Annotated[dict[str, Any], IDENTITY] = {}
    callbacks: Annotated[tuple[dict[str, Any], ...], IDENTITY] = ()
    trainer: Annotated[str | None, IDENTITY] = None
    optimizer: Annotated[str | None, IDENTITY] = None
    optimizer_args: Annotated[dict[str, Any], LATER_IDENTITY] = {}
    parts: Annotated[tuple[AdapterRef, ...], IDENTITY] = ()
    loads: Annotated[LoadedRef | None, LATER_IDENTITY] = None
    params: Annotated[dict[str, Any], RUNTIME] = {}
    mergeable: Annotated[bool | None, RUNTIME] = None


class WordingRef(Frozen):
    """The words in which a choice between two answers is asked (see `catalog.data.Wording`)."""

    instruction: Annotated[str, IDENTITY]
    answer: Annotated[str, IDENTITY]


class SourceRef(Frozen):
    """One file, address or hub data set of training examples: how it is found, and what fixes its content.

    content: `sha256:...` of a file, `url:address`, `hub:name@revision`, or `catalog:file` while a file of the
    catalog with no recorded SHA-256 is not at hand; wording: the words in which its multiple-choice
    questions are asked instead of in their own; columns: what it calls the format's fields, where it has other
    names; replace: patterns and what takes their place in the answer; config, split: of a hub data set.
    """

    kind: Annotated[Literal["catalog", "path", "url", "hub"], RUNTIME]
    location: Annotated[str, RUNTIME]
    name: Annotated[str, RUNTIME]
    format: Annotated[str, IDENTITY] = "instruction"
    revision: Annotated[str | None, RUNTIME] = None
    content: Annotated[str, IDENTITY] = ""
    wording: Annotated[WordingRef | None, LATER_IDENTITY] = None
    columns: Annotated[dict[str, str], LATER_IDENTITY] = {}
    replace: Annotated[tuple[tuple[str, str], ...], LATER_IDENTITY] = ()
    config: Annotated[str | None, LATER_IDENTITY] = None
    split: Annotated[str | None, LATER_IDENTITY] = None

    @property
    def sha256(self) -> str | None:
        """The SHA-256 that fixes its content, if one does."""
        return self.content.removeprefix("sha256:") if self.content.startswith("sha256:") else None


class PartRef(Frozen):
    """A part of a mixture: its weight, and how many of the sources, in their order, belong to it."""

    weight: Annotated[float, IDENTITY]
    sources: Annotated[int, IDENTITY]


class DataRef(Frozen):
    """The training examples: their sources in order, and which share of them is drawn.

    mix: the parts of a mixture, drawn in proportion to their weights; without it, all sources are one.
    """

    name: Annotated[str, RUNTIME]
    sources: Annotated[tuple[SourceRef, ...], IDENTITY]
    fraction: Annotated[float, IDENTITY] = 1.0
    limit: Annotated[int | None, IDENTITY] = None
    validation: Annotated[int, IDENTITY] = 0
    mix: Annotated[tuple[PartRef, ...], LATER_IDENTITY] = ()

    @property
    def owners(self) -> tuple[int, ...]:
        """The part of the mixture that each source belongs to; 0 where all are one."""
        parts = tuple(index for index, part in enumerate(self.mix) for _ in range(part.sources))
        return parts or (0,) * len(self.sources)


class PromptRef(Frozen):
    """The template of training and scoring; its text, not its name, is what counts.

    answer_after, max_tokens: see `catalog.prompts.Prompt`.
    """

    name: Annotated[str, RUNTIME]
    train: Annotated[str, IDENTITY]
    score: Annotated[str, SCORING]
    answer_after: Annotated[str | None, LATER_SCORING] = None
    max_tokens: Annotated[int | None, LATER_SCORING] = None


class TrainSettings(Frozen):
    """Hyper-parameters of fine-tuning, resolved for one run."""

    epochs: Annotated[float | None, IDENTITY] = None
    steps: Annotated[int | None, IDENTITY] = None
    learning_rate: Annotated[float, IDENTITY] = 3e-4
    lr_scheduler: Annotated[str, IDENTITY] = "linear"
    warmup_steps: Annotated[float, IDENTITY] = 0
    optimizer: Annotated[str, IDENTITY] = "adamw"
    weight_decay: Annotated[float, IDENTITY] = 0.0
    max_grad_norm: Annotated[float, IDENTITY] = 1.0
    batch_size: Annotated[int, IDENTITY] = 16
    max_length: Annotated[int, IDENTITY] = 256
    loss_on: Annotated[Literal["all", "completion"], IDENTITY] = "all"
    eval_steps: Annotated[int, IDENTITY] = 80
    checkpoint: Annotated[Literal["best", "last"], IDENTITY] = "last"
    micro_batch_size: Annotated[int | None, RUNTIME] = None
    gradient_checkpointing: Annotated[bool, RUNTIME] = False


class Sampling(Frozen):
    """Sampling instead of the most likely token."""

    temperature: Annotated[float, SCORING] = 1.0
    top_p: Annotated[float, SCORING] = 1.0
    top_k: Annotated[int, SCORING] = 50


class Decoding(Frozen):
    """How answers are generated: greedy (one beam), beam search, or sampling."""

    beams: Annotated[int, SCORING] = 1
    sample: Annotated[Sampling | None, SCORING] = None


class ScoreSettings(Frozen):
    """The scoring protocol."""

    decoding: Annotated[Decoding, SCORING] = Decoding()
    limit: Annotated[int | None, SCORING] = None
    batch_size: Annotated[int, RUNTIME] = 16
    tasks_path: Annotated[str | None, RUNTIME] = None
    store_outputs: Annotated[Literal["wrong", "all", "none"], RUNTIME] = "wrong"
    merge: Annotated[Literal["auto", "never"], RUNTIME] = "auto"


class RunSpec(Frozen):
    """One run, complete: a worker needs nothing else to train and score it.

    `data`, `train` and `seed` are None where nothing is trained (method `none`). measure: what is measured of a
    training beside its loss.
    """

    model: Annotated[ModelRef, IDENTITY]
    adapter: Annotated[AdapterRef, IDENTITY]
    data: Annotated[DataRef | None, IDENTITY] = None
    train: Annotated[TrainSettings | None, IDENTITY] = None
    prompt: Annotated[PromptRef, IDENTITY]
    score: Annotated[ScoreSettings, SCORING] = ScoreSettings()
    seed: Annotated[int | None, IDENTITY] = None
    keep: Annotated[bool, RUNTIME] = False
    measure: Annotated[tuple[Measure, ...], RUNTIME] = ()
    tasks: Annotated[tuple[str, ...], RUNTIME] = ()
    train_id: Annotated[str, RUNTIME] = ""
    run_id: Annotated[str, RUNTIME] = ""
