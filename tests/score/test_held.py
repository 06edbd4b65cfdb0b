"""What may change how a score is rounded stands beside it."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model


@pytest.fixture
def adapted(make_model):
    def adapted(merged, dtype):
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        model = get_peft_model(make_model(0).to(dtype), config)
        if merged:
            model.merge_adapter()
        return model

    return adapted


@pytest.mark.parametrize(("dtype", "types"), [("float32", ["float32"]), ("bfloat16", ["bfloat16", "float32"])])
@pytest.mark.parametrize("merged", [False, True])
def test_batch_size_padding_types_and_merging_are_recorded(make_run, adapted, scored, merged, dtype, types):
    model = adapted(merged, getattr(torch, dtype))
    generated, compared = scored(make_run(batch_size=3), model, "mine", "mine_likelihood")
    names = ("batch_size", "padding_side", "dtype", "merged")
    assert [generated.provenance[name] for name in names] == [3, "left", types, merged]
    assert [compared.provenance[name] for name in names] == [3, "right", types, merged]
