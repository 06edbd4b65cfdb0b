"""Whether the classes that a method names can be imported and are what they must be."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from harness.adapters.method import Method
from harness.errors import Problem, RunError
from harness.spec.run import AdapterRef


def class_problems(method: Method) -> list[Problem]:
    """What is wrong with the classes of a method's file, at their lines. Imports them."""
    reference = AdapterRef(
        method=method.method,
        config_class=method.config_class,
        callbacks=method.callbacks,
        trainer=method.trainer,
        optimizer=method.optimizer,
    )
    with hushed():
        faults = list(class_faults(reference))
    return [Problem(method.file, method.class_lines.get(field, 1), field, message) for field, message in faults]


@contextmanager
def hushed() -> Iterator[None]:
    """What libraries have to say while they are imported and models are counted is no news, and no result."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def class_faults(adapter: AdapterRef) -> Iterator[tuple[str, str]]:
    """The fields that name what can't be used, each with why. Imports what they name."""
    named = {"config_class": adapter.config_class, "trainer": adapter.trainer, "optimizer": adapter.optimizer}
    named |= {f"callbacks[{index}]": entry["class"] for index, entry in enumerate(adapter.callbacks)}
    for field, name in named.items():
        if name is not None and (fault := _fault(field, name)):
            yield field, fault
    for part in adapter.parts:
        yield from class_faults(part)


def _fault(field: str, name: str) -> str | None:
    from harness.train.reference import resolve

    try:
        found = resolve(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may do anything while it is imported
        return told(error) if name in str(error) else f"{name} can't be imported: {told(error)}"
    if field == "config_class":
        return None if _is_config(found) else f"{name} is no peft.PeftConfig"
    return None if callable(found) else f"{name} can't be called"


def _is_config(found: object) -> bool:
    from peft import PeftConfig

    return isinstance(found, type) and issubclass(found, PeftConfig)


def told(error: BaseException) -> str:
    """An error's message in one line, its type before it where that says more."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    speaks = bool(first) and isinstance(error, (RunError, ImportError, ValueError))
    return first if speaks else f"{type(error).__name__}: {first}"
