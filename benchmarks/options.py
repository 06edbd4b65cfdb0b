"""The command line of `adapter_step.py`."""

from __future__ import annotations

import argparse
from pathlib import Path

from contenders import CONTENDERS
from measure import CLOCKS
from shapes import DTYPES, SHAPES

TARGETS = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]


def parse(description: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; what is wrong in it ends the program with exit code 2."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {"type": lambda text: text.split(","), "metavar": "A,B"}
    parser.add_argument("--sizes", default=["small", "medium"], help=f"of {', '.join(SHAPES)}", **names)
    parser.add_argument("--model", metavar="DIR", help="a model's directory, in the place of --sizes")
    parser.add_argument("--dtypes", default=list(DTYPES), help=f"the base's: of {', '.join(DTYPES)}", **names)
    parser.add_argument("--dropouts", default=[0.05, 0.0], type=_numbers, metavar="A,B", help="default: 0.05,0")
    parser.add_argument("--contenders", default=list(CONTENDERS), help=f"of {', '.join(CONTENDERS)}", **names)
    parser.add_argument("--only", choices=["step", "memory", "inference"])
    parser.add_argument("--targets", default=TARGETS, help=f"modules to adapt, default: {','.join(TARGETS)}", **names)
    parser.add_argument("--rank", type=int, default=32, help="default: 32; alpha is twice the rank")
    parser.add_argument("--batch", type=int, default=4, help="default: 4")
    parser.add_argument("--length", type=int, default=128, help="default: 128")
    parser.add_argument("--new-tokens", type=int, default=32, help="after a prompt of 8 tokens; default: 32")
    parser.add_argument("--optimizer", action="store_true", help="a step includes AdamW's")
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    parser.add_argument("--warmup", type=int, default=2, help="rounds that are not counted; default: 2")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu is steadier on a busy machine")
    parser.add_argument("--seed", type=int, default=0)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print the tables as docs/performance.md has them")
    options = parser.parse_args(arguments)
    options.sizes = [options.model] if options.model else options.sizes
    _check(parser, options)
    return options


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    for field, known in (("contenders", CONTENDERS), ("dtypes", DTYPES)):
        if unknown := [name for name in getattr(options, field) if name not in known]:
            parser.error(f"--{field}: {', '.join(unknown)} is none of {', '.join(known)}")
    if unknown := [size for size in options.sizes if size not in SHAPES and not Path(size).is_dir()]:
        parser.error(f"{', '.join(unknown)} is neither a directory nor one of {', '.join(SHAPES)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.device == "cuda" and options.clock == "cpu":
        parser.error("--clock cpu says nothing about a GPU")
