"""The pytest plugin that runs PEFT's tests on one of our tuners."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable

import pytest

from harness.tuners import MixedConfig

from .cases import CASES, CONFIGS, mixture
from .expected import NEEDS_HUB
from .rules import set_rules

# Tests of no method in particular that our registration could break: one makes a configuration of each type there is.
WITHOUT_METHOD = ("::test_from_peft_type", "::TestGetPeftModel::", *NEEDS_HUB)


class Substitution:
    """Puts our configurations where PEFT's tests name all methods, and leaves out tests of single other methods."""

    def __init__(self, tuner: str) -> None:
        self.cases = CASES[tuner]()
        self.config_cls = CONFIGS[tuner]

    def pytest_configure(self) -> None:
        pytest.register_assert_rewrite("tests.testing_common")

    @pytest.fixture(autouse=True)
    def _mandatory_parts(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """`test_from_peft_type` gives AdaLoRA and CPT what they can't be made without; here MIXED gets it, too."""
        if request.node.name == "test_from_peft_type":
            init = functools.partialmethod(MixedConfig.__init__, **mixture(["a"], ["b"]))
            monkeypatch.setattr(MixedConfig, "__init__", init)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        set_rules(metafunc.module)
        if "tests.testing_common" in sys.modules:
            set_rules(sys.modules["tests.testing_common"])
        file = metafunc.module.__name__.rpartition("test_")[2]
        # By identity: a decorator holds the very list that the module names.
        ours = {id(getattr(metafunc.module, name)): rows for (of, name), rows in self.cases.items() if of == file}
        metafunc.definition.own_markers[:] = substituted(metafunc.definition.own_markers, ours)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        others = [item for item in items if not self._is_ours(item)]
        items[:] = [item for item in items if self._is_ours(item)]
        config.hook.pytest_deselected(items=others)
        for item in items:
            if item.nodeid.removeprefix("tests/") in NEEDS_HUB:
                item.add_marker(pytest.mark.xfail(reason="needs the hub", strict=True))

    def _is_ours(self, item: pytest.Item) -> bool:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        return any(p is self.config_cls for p in parameters) or any(name in item.nodeid for name in WITHOUT_METHOD)


def substituted(marks: Iterable[pytest.Mark], ours: dict[int, list]) -> list[pytest.Mark]:
    """Returns the marks, where those that go through a list of methods go through ours."""
    return [
        pytest.mark.parametrize(mark.args[0], ours[id(mark.args[1])], **mark.kwargs).mark
        if mark.name == "parametrize" and id(mark.args[1]) in ours
        else mark
        for mark in marks
    ]
