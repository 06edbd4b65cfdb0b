"""Adaptive AdaMSS freezes subspaces while a run trains, and is begun again after an interruption."""

from __future__ import annotations

import pytest

from harness.adapters.catalogue import find_methods
from harness.adapters.params import resolve_config, resolve_params
from harness.spec.run import AdapterRef
from harness.train.training import Stopped, train

from .runs import run_of


def silent(event):
    pass


def never():
    return False


def adaptive(**given) -> AdapterRef:
    method = find_methods().method("adamss_adaptive")
    config = resolve_config(method, resolve_params(method, {"r": 8, "targets": "QV", **given}), "llama")
    return AdapterRef(
        method=method.method,
        config_class=method.config_class,
        config=config,
        callbacks=method.callbacks,
        trainer=method.trainer,
    )


def trained_subspaces(model) -> int:
    return sum(parameter.requires_grad for name, parameter in model.named_parameters() if "adamss_A" in name)


def test_subspaces_are_frozen_down_to_the_target(base, tokenizer, data, paths):
    run = run_of(data, adaptive(subspaces=3, target_subspaces=5), steps=20)
    counts = []

    def count_and_go_on():
        counts.append(trained_subspaces(base))
        return False

    train(run, paths, base, tokenizer, emit=silent, should_stop=count_and_go_on)

    assert counts[0] == 4 * 3  # two layers, query and value, three subspaces each
    assert sorted(counts, reverse=True) == counts
    assert counts[11] == counts[-1]
    assert counts[-1] in (4, 5)  # PEFT freezes the one whose importance is the threshold too


def test_after_an_interruption_it_is_begun_again(fresh_base, tokenizer, data, paths):
    run = run_of(data, adaptive(subspaces=3, target_subspaces=5), steps=20)
    asked = iter([False] * 11 + [True])
    with pytest.raises(Stopped):
        train(run, paths, fresh_base(), tokenizer, emit=silent, should_stop=lambda: next(asked))
    result, _ = train(run, paths, fresh_base(), tokenizer, emit=silent, should_stop=never)

    assert (result.provenance["resumed_from"], result.steps) == (None, 20)
