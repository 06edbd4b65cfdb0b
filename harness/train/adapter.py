"""Adapters on a base model: built, attached, loaded, counted, and taken off again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, set_seed

import harness.tuners
from harness.errors import RunError
from harness.spec.run import AdapterRef
from harness.train.reference import resolve
from harness.train.targets import check_targets

SHARE_OF_STEPS = re.compile(r"(\d*\.?\d*)steps")
STEPS_FOR_COUNTING = 1000


@dataclass(frozen=True)
class ParameterCount:
    """trainable: parameters that training changes; base: those of the bare model; percent: PEFT's, in %."""

    trainable: int
    base: int
    percent: float


class Uncountable(RunError):
    """A method that decides by the weights' values what it trains. base: the bare model's parameters."""

    def __init__(self, message: str, base: int) -> None:
        super().__init__("config", message)
        self.base = base


def build_config(ref: AdapterRef, total_steps: int) -> PeftConfig:
    """The PEFT configuration of an adapter that is trained for `total_steps` optimizer steps.

    An argument written as a share of the steps (`0.15steps`, `steps`) becomes that number of steps.
    Raises RunError("config") with what the configuration class objects to.
    """
    if ref.parts:
        arguments: dict[str, Any] = {"parts": [build_config(part, total_steps) for part in ref.parts]}
        return _construct(harness.tuners.MixedConfig, arguments, ref.method)
    return _construct(resolve(ref.config_class or ""), in_steps(ref.config, total_steps), ref.method)


def _construct(config_class: type[PeftConfig], arguments: dict[str, Any], method: str) -> PeftConfig:
    try:
        config = config_class(**arguments)
    except (TypeError, ValueError) as error:
        raise RunError("config", f"{method}: {error}") from error
    if config.task_type is None:
        config.task_type = TaskType.CAUSAL_LM
    return config


def in_steps(arguments: dict[str, Any], total_steps: int) -> dict[str, Any]:
    """Arguments in which a share of the steps (`0.15steps`, `steps`) is that number of steps."""
    return {key: _resolved(value, total_steps) for key, value in arguments.items()}


def _resolved(value: Any, total_steps: int) -> Any:
    share = SHARE_OF_STEPS.fullmatch(value) if isinstance(value, str) else None
    return round(float(share[1] or 1) * total_steps) if share else value


def attach(base: PreTrainedModel, ref: AdapterRef, total_steps: int, seed: int) -> PreTrainedModel | PeftModel:
    """`base` made ready for training: with a freshly initialised adapter, or with all weights trainable.

    The same seed gives the same adapter bit for bit. `base` itself is changed; `detach` undoes an adapter.
    """
    if ref.trains == "nothing":
        return base
    if ref.trains == "all":
        return _all_trainable(base)
    config = build_config(ref, total_steps)
    set_seed(seed)
    try:
        return get_peft_model(base, config)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise RunError("config", f"{ref.method}: {error}") from error


def _all_trainable(base: PreTrainedModel) -> PreTrainedModel:
    if any(parameter.dtype not in (torch.bfloat16, torch.float32) for parameter in base.parameters()):
        raise RunError("config", "full fine-tuning needs weights in bfloat16 or float32: set dtype, no quantization")
    return base.requires_grad_(True)


def load_adapter(base: PreTrainedModel, directory: Path, ref: AdapterRef) -> PreTrainedModel | PeftModel:
    """`base` with the adapter saved in `directory`, in evaluation mode.

    Where a whole fine-tuned model was saved there, that model, on the device and in the dtype of `base`.
    Raises RunError("config") for an adapter of a type that PEFT does not know.
    """
    if (directory / "adapter_config.json").is_file():
        if ref.config_class is not None:
            resolve(ref.config_class)
        try:
            return PeftModel.from_pretrained(base, str(directory)).eval()
        except KeyError as error:
            raise RunError(
                "config",
                f"{directory} holds an adapter of type {error.args[0]}, which PEFT does not know; name the class that "
                "registers it as the method's config_class (for our own types, `import harness.tuners` does)",
            ) from error
    return type(base).from_pretrained(directory, dtype=base.dtype).to(base.device).eval()


def unpatch(base: PreTrainedModel) -> None:
    """Takes back what a trainer left on the base: its forward, gradient checkpointing, and no cache.

    Left in place, TRL's forward grows by a layer a run, and a deep copy would run the original's weights.
    """
    base.__dict__.pop("forward", None)
    base.activation_checkpointing_disable()
    base.disable_input_require_grads()
    base.config.use_cache = True


def detach(base: PreTrainedModel, model: PreTrainedModel | PeftModel) -> None:
    """Gives `base` back as it was before `attach`, for the next run.

    It can't undo what changed the base weights themselves (full fine-tuning, trained biases, merging):
    compare `weights_fingerprint` before and after, and load the base anew where they differ.
    """
    if isinstance(model, PeftModel):
        _take_off(model)
    unpatch(base)
    for left in ("_hf_peft_config_loaded", "peft_config"):
        base.__dict__.pop(left, None)
    base.eval()


def _take_off(model: PeftModel) -> None:
    """Puts the base's own modules back where a tuner's stand; a prompt stands beside the base."""
    if model.active_peft_config.is_adaption_prompt:
        model.base_model.disable_adapter_layers()
    elif not model.active_peft_config.is_prompt_learning:
        model.unload()


def counted(model: PreTrainedModel | PeftModel, base_parameters: int) -> ParameterCount:
    """What is trainable in a model made by `attach` on a base of `base_parameters`."""
    if isinstance(model, PeftModel):
        trainable, everything = model.get_nb_trainable_parameters()
    else:
        trainable, everything = model.num_parameters(only_trainable=True), base_parameters
    return ParameterCount(trainable, base_parameters, 100 * trainable / everything)


def count_parameters(config: dict[str, Any], ref: AdapterRef) -> ParameterCount:
    """The parameters of a method on an architecture, counted without weights or memory for them.

    config: transformers' configuration as a mapping, with `model_type`.
    Raises RunError("config") for an architecture that is none of a causal language model, and where the method
    doesn't fit it; Uncountable where the method looks at the weights' values (BOFT, SHiRA).
    """
    with torch.device("meta"):
        base = _bare_model(config)
        size = base.num_parameters()
        if ref.trains == "nothing":
            return loaded_count(ref, size)
        check_targets(base, ref)
        try:
            return counted(attach(base, ref, STEPS_FOR_COUNTING, seed=0), size)
        except (RunError, RuntimeError) as error:
            if _asks_for_weights(error.__cause__ if isinstance(error, RunError) else error):
                raise Uncountable(f"{ref.method} can't be counted without weights: {error}", size) from error
            raise


def loaded_count(ref: AdapterRef, base_parameters: int) -> ParameterCount:
    """The parameters of an adapter that was trained before, as many as its file holds; none for the bare base.

    Raises Uncountable where the file was not read yet.
    """
    if ref.loads is None:
        return ParameterCount(0, base_parameters, 0.0)
    if ref.loads.parameters is None:
        raise Uncountable(f"{ref.loads.path} is counted once it is loaded", base_parameters)
    found = ref.loads.parameters
    return ParameterCount(found, base_parameters, 100 * found / (base_parameters + found))


def _asks_for_weights(error: BaseException | None) -> bool:
    """Whether PyTorch refused an operation because a tensor on the meta device has no values."""
    return isinstance(error, RuntimeError) and "meta" in str(error).lower()


def _bare_model(config: dict[str, Any]) -> PreTrainedModel:
    fields = {key: value for key, value in config.items() if key != "model_type"}
    try:
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(config.get("model_type", ""), **fields))
    except ValueError as error:
        raise RunError("config", f"model_type {config.get('model_type')!r}: {error}") from error
