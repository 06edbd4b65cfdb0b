"""Registers tuners with PEFT from outside of PEFT's source.

PEFT 0.21 has no entry point for tuners: `register_peft_method` accepts a method only if its name is a member of the
enum `PeftType`, and an enum that has members can neither be subclassed nor extended. Everything in PEFT and in
transformers that loads an adapter goes through this enum (`PeftConfig.from_pretrained`, `AutoPeftModel*`, `.value` in
transformers' integration), so a new tuner adds a member to it once, at import.
"""

from __future__ import annotations

from peft import PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import register_peft_method


def extend_peft_type(name: str) -> PeftType:
    """Returns the member of `PeftType` called `name`, which it creates if there is none.

    The new member behaves as one that was written into the enum: it is found by name and by value, is equal to and
    hashes as its string, and survives pickling (in a process that has imported the tuner).
    """
    if name in PeftType.__members__:
        return PeftType[name]
    member = str.__new__(PeftType, name)
    member._name_ = member._value_ = name
    member.__objclass__ = PeftType
    member._sort_order_ = len(PeftType._member_names_)
    # EnumMeta refuses to set a name that the member map has, so the attribute comes first.
    setattr(PeftType, name, member)
    PeftType._member_map_[name] = member
    PeftType._member_names_.append(name)
    PeftType._value2member_map_[name] = member
    return member


def register_tuner(name: str, config_cls: type[PeftConfig], model_cls: type[BaseTuner]) -> None:
    """Makes `get_peft_model` and every loader of PEFT know the method `name` (lower case).

    Registering the same config class again does nothing.

    Raises:
        KeyError: another method has this name already.
    """
    registered = PEFT_TYPE_TO_CONFIG_MAPPING.get(extend_peft_type(name.upper()))
    if registered is not config_cls:
        register_peft_method(name=name, config_cls=config_cls, model_cls=model_cls, prefix=model_cls.prefix)
