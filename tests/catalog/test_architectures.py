"""What the target letters mean."""

from __future__ import annotations

import pytest

from harness.catalog.architectures import is_letters, module_names


@pytest.mark.parametrize(
    ("model_type", "letters", "names"),
    [
        ("llama", "QKVUD", ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]),
        ("llama", "UQQ", ["up_proj", "q_proj"]),
        ("gpt2", "QKV", ["c_attn"]),
        ("gpt2", "OD", ["attn.c_proj", "mlp.c_proj"]),
        ("phi3", "GUD", ["gate_up_proj", "down_proj"]),
        ("gpt_neox", "QKVUD", ["query_key_value", "dense_h_to_4h", "dense_4h_to_h"]),
    ],
)
def test_letters_name_modules_each_once(model_type, letters, names):
    assert module_names(letters, model_type) == names


@pytest.mark.parametrize(
    ("model_type", "letters", "message"),
    [
        ("gpt2", "QV", "gpt2 keeps QKV in one module, c_attn: name all of them or none"),
        ("phi3", "UD", "phi3 keeps GU in one module"),
        ("gpt2", "GU", "gpt2 has no G; it has QKVOUD"),
        ("mamba", "Q", "have no meaning for the architecture 'mamba'; list module names"),
    ],
)
def test_letters_that_an_architecture_lacks(model_type, letters, message):
    with pytest.raises(ValueError, match=message):
        module_names(letters, model_type)


@pytest.mark.parametrize(("targets", "expected"), [("QKV", True), ("all-linear", False), ("", False), (["Q"], False)])
def test_what_is_written_in_letters(targets, expected):
    assert is_letters(targets) is expected
