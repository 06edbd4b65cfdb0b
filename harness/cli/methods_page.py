"""The page of methods, docs/methods.md, made from their files: `python -m harness.cli.methods_page`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness.adapters.catalogue import Catalogue, find_methods
from harness.adapters.families import FAMILIES
from harness.adapters.method import Method
from harness.catalog.models import model_entry
from harness.cli.methods import YES_NO, allowed, by_family, named, source, year
from harness.cli.options import dash

MODEL = "llama3-8b"
Counts = Mapping[str, tuple[int, str]]
"""By method: its trainable parameters and what that is of the model, in percent."""
HEAD = """\
# Methods

Made from the files in `adapters/` by `make docs`. In an experiment, `- {{method: lora, r: 8}}` is an adapter.
`harness adapters list` shows also your own, `harness adapters show METHOD` explains one, and
`harness adapters check METHOD` proves it on the embedded model. [Writing a method](writing-a-method.md) says how to
add one.

There are {count}. *Trainable* is counted from {title}'s configuration with the method's defaults; it is – where the
method looks at the weights to decide what it trains. *Merges*: into the base's weights, so that it costs nothing at
inference.
"""
FOOT = """
## Left out

What PEFT 0.21 ships beside these, and why no file names it:

- X-LoRA and Arrow mix or route between adapters that were trained before; Poly and multitask prompt tuning ask for a
  task id with every example: none of them is one fine-tuning of one model.
- CorDA and LoRA-GA look at data before they are attached and change the base's weights, so that a saved adapter does
  not fit the base that others have. EVA, which looks at data too, is above.
- LoftQ and QA-LoRA need quantized bases on a GPU.
- aLoRA starts at tokens that a tokenizer must have; CPT asks for labelled examples in its context.
- A cartridge is distilled from a long text; without that it is a prefix.
- ShadowPEFT, in PEFT 0.21, leaves a model changed when it refuses to merge.
- MiSS's variants "bat" and "mini" and DEFT's PaRa are settings of methods above.
"""
CANT = {
    "builds": "Does not fit every model",
    "counts": "Can't be counted without weights",
    "starts_as_base": "Does not start as the base",
    "reloads": "Can't be reloaded",
    "resumes": "Can't be resumed",
    "merges": "Can't be merged",
}
COUNTED = re.compile(r"^\| \[`(?P<name>[\w-]+)`\].*\| (?P<count>[\d,]+) \| (?P<percent>[\d.e-]+) \|", re.MULTILINE)


def page(methods: Iterable[Method], counts: Counts) -> str:
    """All methods as one Markdown page."""
    found = list(methods)
    parts = [HEAD.format(count=len(found), title="LLaMA3-8B")]
    for family, members in by_family(found):
        parts += [f"\n## {family.capitalize()}\n", FAMILIES.get(family, ""), "", *_table(members, counts), ""]
        parts += [line for method in members for line in _section(method)]
    return "\n".join(parts).rstrip() + "\n" + FOOT


def read_counts(text: str) -> Counts:
    """The counts that a page holds."""
    return {
        found["name"]: (int(found["count"].replace(",", "")), found["percent"]) for found in COUNTED.finditer(text)
    }


def counted(catalogue: Catalogue) -> Counts:
    """Each method's trainable parameters on the page's model, without those that can't be counted."""
    from harness.errors import NotFoundError, RunError
    from harness.pipeline.classes import hushed
    from harness.spec.resolve import resolve_adapter
    from harness.train.adapter import count_parameters

    config = model_entry(MODEL).config or {}
    found = {}
    for name in catalogue.methods:
        try:
            adapter = resolve_adapter({"method": name}, catalogue, config["model_type"])
            with hushed():
                count = count_parameters(config, adapter)
        except (RunError, NotFoundError):  # a method that loads an adapter has none to load here
            continue
        found[name] = (count.trainable, f"{count.percent:.3g}")
    return found


def _table(methods: Iterable[Method], counts: Counts) -> Iterator[str]:
    yield "| method | title | changes | year | trainable | % | merges |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- |"
    for method in methods:
        count, percent = counts.get(method.method, (None, "–"))
        cells = [f"[`{method.method}`](#{method.method})", method.title, method.summary]
        cells += [dash(year(method)), dash(count, ","), percent, YES_NO[method.mergeable]]
        yield "| " + " | ".join(map(_cell, cells)) + " |"


def _section(method: Method) -> Iterator[str]:
    yield f"### {method.method}\n"
    yield " ".join(filter(None, [f"**{method.title}.**", method.summary, _linked(method)])) + "\n"
    if method.params:
        yield "| parameter | default | allowed | |"
        yield "| --- | --- | --- | --- |"
        for param in method.params.values():
            cells = (f"`{param.name}`", f"`{dash(param.default)}`", allowed(param), param.help)
            yield "| " + " | ".join(map(_cell, cells)) + " |"
        yield ""
    facts = [("class", method.config_class)] if method.config_class else []
    facts += named(method)
    facts += [(f"train.{key}", str(value)) for key, value in method.train.items()]
    if facts:
        yield " · ".join(f"{field} `{value}`" for field, value in facts) + "\n"
    for check, reason in method.limits.items():
        yield f"- {CANT[check]}: {reason.strip()}."
    if method.limits:
        yield ""
    if method.notes:
        yield method.notes.strip() + "\n"


def _linked(method: Method) -> str:
    text = source(method)
    number = method.paper.get("arxiv")
    return text.replace(f"arXiv {number}", f"[arXiv {number}](https://arxiv.org/abs/{number})") + "." if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def built_in() -> Catalogue:
    """The methods that this repository ships."""
    return find_methods(Path(__file__).resolve().parents[2] / "adapters")


if __name__ == "__main__":
    shipped = built_in()
    print(page(shipped.methods.values(), counted(shipped)), end="")
