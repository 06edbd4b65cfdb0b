"""Texts and files that no one should write, and ways to spoil those that are good."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import yaml

SMALL = "name: small\nbase: {model: micro-llama}\ndata: {train: micro}\nadapters: [{method: lora}]\ntasks: micro\n"
LORA = SMALL.replace("lora}", "lora, %s}")
MANY = ",".join(map(str, range(100)))
TENTHS = [share / 100 for share in range(1, 101)]
BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)
MERGES = "a: &a {k: 1, l: 2, m: 3}\n" + "".join(
    f"{name}: &{name} {{<<: [{','.join(['*' + before] * 10)}], {name}: 1}}\n"
    for before, name in zip("abcdefgh", "bcdefghi")
)
TEXTS: dict[str, str | bytes] = {
    "nothing": "",
    "a text": "hello",
    "a list": "- 1\n",
    "an alias bomb": BOMB,
    "an alias bomb in a tag": BOMB + "task: !f [*i, *i]\n",
    "a merge key bomb": MERGES,
    "a chain of merge keys": SMALL + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 900)),
    "deep lists": "a: " + "[" * 10_000,
    "deep mappings": "a: " + "{a: " * 10_000,
    "deep blocks": "".join("  " * depth + "a:\n" for depth in range(400)),
    "deep enough": SMALL + "matrix: " + "{a: " * 90 + "1" + "}" * 90,
    "a list in itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}\n" + SMALL,
    "a mapping merged into itself": "a: &a {<<: *a}\n" + SMALL,
    "a merge of a number": "<<: 3\n" + SMALL,
    "an alias of nothing": "a: *b",
    "a huge number": LORA % "r: 1e999",
    "infinity": SMALL + "train: {learning_rate: .inf}\n",
    "not a number": LORA % "alpha: .nan",
    "a whole number of 4,000 digits": SMALL + f"seeds: [{'9' * 4000}]\n",
    "a whole number of 9,000 digits": SMALL + f"seeds: [{'9' * 9000}]\n",
    "a rate of 400 digits": SMALL + f"train: {{learning_rate: {'9' * 400}}}\n",
    "hexadecimal of 100,000 digits": SMALL + f"seeds: [0x{'f' * 100_000}]\n",
    "a multiple of 4,000 digits": LORA % f"alpha: '{'9' * 4000}r'",
    "a python object": "a: !!python/object/apply:os.system [ls]\n" + SMALL,
    "a python object by another name": "%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system [ls]\n",
    "an unknown tag": SMALL + "seeds: !foo [1]\n",
    "a set": SMALL + "seeds: !!set {a, b}\n",
    "a date": SMALL + "seeds: [!!timestamp 2020-01-01]\n",
    "no date": LORA % "targets: !!timestamp x",
    "no truth": "keep: !!bool maybe\n",
    "bytes": LORA % "targets: !!binary aGVsbG8=",
    "no bytes": "name: !!binary a\n",
    "base 60": SMALL + "seeds: [1:30]\n",
    "yes and no": SMALL + "keep: yes\nsame_recipe: no\n",
    "a null byte": "name: \0\n",
    "an escaped null byte": 'tasks_path: "a\\0b"\n' + SMALL,
    "half a character": f'{SMALL}"\\ud800": 1\n',
    "colours and line ends": f'{SMALL}"\\e[31mred\\r\\u2028": 1\n',
    "UTF-16": SMALL.encode("utf-16"),
    "UTF-32": SMALL.encode("utf-32"),
    "Latin": SMALL.encode() + b"prompt: \xe9\n",
    "any bytes": bytes(range(256)) * 40,
    "tabs": "a:\n\t- b\n",
    "keys twice": SMALL + SMALL,
    "keys of all kinds": SMALL + "1: 2\ntrue: 3\nnull: 4\n1.5: 3\n'': 5\n",
    "a key that is a list": SMALL + "? [a, b]\n: 1\n",
    "two documents": SMALL + "---\n" + SMALL,
    "another YAML": "%YAML 9.9\n---\n" + SMALL,
    "a scalar of 50 megabytes": "name: " + "x" * 50_000_000,
    "a scalar of half a megabyte": "name: " + "x" * 490_000,
    "a million values": "seeds: [" + "1," * 1_000_000 + "1]\n" + SMALL,
    "20,000 seeds": SMALL + "seeds: [" + ",".join(map(str, range(20_000))) + "]\n",
    "5,000 unknown fields": SMALL + "".join(f"k{n}: 1\n" for n in range(5000)),
    "3,000 unknown methods": SMALL.replace("[{method: lora}]", "[" + "{method: lroa}," * 3000 + "]"),
    "300 unknown tasks": SMALL.replace(": micro\n", ": [" + ",".join(f"xx_{n}" for n in range(300)) + "]\n"),
    "a long name in many places": f"x: &x {'y' * 400_000}\n{SMALL}matrix: {{base.model: [{'*x,' * 3000}]}}\n",
    "billions of points": f"{SMALL}matrix: {{adapter.r: [{MANY}], score.limit: [{MANY}], train.batch_size: [{MANY}], "
    f"train.learning_rate: {TENTHS}, data.fraction: {TENTHS}}}\n".replace("[0,", "["),
    "5,000 rules": SMALL + "matrix: {adapter.r: [1,2], exclude: [" + "{adapter.r: 3}," * 4000 + "]}\n",
    "60 profiles": SMALL + "profiles: {" + ",".join(f"p{n}: {{}}" for n in range(60)) + "}\n",
}


def _pipe(path: Path) -> None:
    os.mkfifo(path)


FILES: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a pipe": _pipe,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("gone.yaml"),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "what none may read": lambda path: (path.write_text(SMALL), path.chmod(0)),
}
"""Makes something at a path that is no file, or none that can be read."""

EXPERIMENT = """\
# Why?
name: small
extends: [_part.yaml]
base: {model: micro-llama, dtype: float32, quantization: none}
data: {train: micro, fraction: 0.5, limit: 10, validation: 2}
train: {steps: 3, learning_rate: 1e-3, micro_batch_size: 2, optimizer: adamw, loss_on: completion}
prompt: llm_adapters
score: {decoding: {beams: 2}, limit: 3}
adapters:
  - {method: lora, r: 4, alpha: 2r, targets: QKV, label: Mine, train: {epochs: 2}}
  - mixed: [{method: lora, targets: Q}, {method: denselora, targets: UD}]
  - {method: mine, size: 3}
seeds: [0, 1]
tasks: [micro_two_way, riddles]
tasks_path: own
matrix: {adapter.r: [2, 4], zip: [{train.learning_rate: [1, 2], score.limit: [3, 4]}], exclude: [{seed: 1}]}
profiles: {tiny: {extends: [_part.yaml], score: {limit: 1}}}
"""
PART = "train: {batch_size: 4}\nscore: {batch_size: 2}\n"
METHOD = """\
method: mine
title: Mine
summary: what it does
paper: {title: "x", arxiv: "1234.5678", year: 2020}
config_class: peft:LoraConfig
params: {size: {default: 8, min: 1, max: 64, type: int}, alpha: 2size, targets: QKVUD, k: {default: a, choices: [a]}}
config: {r: "${size}", lora_alpha: "${alpha}", target_modules: "${targets}"}
train: {learning_rate: 1e-3}
callbacks: [{class: "a.b:C", args: {every: "${size}"}}]
optimizer: {class: "a.b:make", args: {ratio: 2}}
mergeable: true
family: low-rank
limits: {merges: no reason}
notes: none
"""
BENCHMARKS = "mine:\n  title: my own\n  tasks: {riddles: 2, micro_two_way: 1}\n"
TASK = """\
task: riddles
include: shared.yaml
output_type: generate_until
generation_kwargs: {until: [stop]}
doc_to_text: !function riddles.text
metadata: {suite: mine, version: 1.0, title: Riddles, file: riddles.json, sha256: x}
"""
PROJECT = {
    "x.yaml": EXPERIMENT,
    "_part.yaml": PART,
    "adapters/mine.yaml": METHOD,
    "own/benchmarks.yaml": BENCHMARKS,
    "own/riddles.yaml": TASK,
    "own/shared.yaml": "fewshot_delimiter: x\n",
}
"""A valid experiment, with a file of each kind that it may lead to."""

ODD = """
null ~ true yes .inf .nan 1e999 -1 0 0.5 1e-300 9999999999999999999 0x1f 1:30 2020-01-01 2r 0r 0.1steps QKV QX
micro lora denselora none greedy all-linear ${size} ${gone} [] {} [1] {a:1} !!binary !!python/name:os !f x.yaml
_part.yaml ../x.yaml / . .. '' "" "\\0" ☃ *a &a <<
"""
WORDS = ODD.split()
CHARACTERS = "\0\t\n\r :-[]{}&*!|>'\"%@`#,?~$\\/.0129eEaZé☃\ufeff\u2028"


def mutated(text: str, random: random.Random) -> bytes:
    """The text after a few changes of the kind that fingers, editors and broken disks make."""
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        at = random.randrange(len(text) + 1)
        to = min(len(text), at + random.choice((0, 1, 2, 8, 40)))
        new = random.choice((_word, _character, _copied, _nothing))(text, random)
        text = text[:at] + new + text[to:]
    content = text.encode("utf-8", "surrogatepass")
    if random.random() < 0.1:
        at = random.randrange(len(content) + 1)
        content = content[:at] + random.randbytes(3) + content[at:]
    return content


def _word(text: str, random: random.Random) -> str:
    return random.choice(("", " ", ": ", "\n")) + random.choice(WORDS) + random.choice(("", " ", ", ", "\n"))


def _character(text: str, random: random.Random) -> str:
    return random.choice(CHARACTERS) * random.choice((1, 1, 2, 300))


def _copied(text: str, random: random.Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[at : at + random.choice((5, 40, 400))]


def _nothing(text: str, random: random.Random) -> str:
    return ""


def wrong_types(text: str, random: random.Random) -> bytes:
    """The document of the text, valid YAML still, with a few of its values and keys replaced by others."""
    document = yaml.load(text.replace("!function ", ""), Loader=yaml.SafeLoader)
    for _ in range(random.choice((1, 1, 2, 5))):
        holder = document
        while True:
            key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if isinstance(holder[key], (dict, list)) and holder[key] and random.random() < 0.7:
                holder = holder[key]
                continue
            break
        if isinstance(holder, dict) and random.random() < 0.2:
            holder[_value(random, 0) if random.random() < 0.1 else random.choice(WORDS)] = holder.pop(key)
        else:
            holder[key] = _value(random, 3)
    return yaml.safe_dump(document, default_flow_style=random.choice((None, True, False)), allow_unicode=True).encode()


def _value(random: random.Random, depth: int) -> object:
    kind = random.randrange(12 if depth else 9)
    plain = (
        None,
        True,
        random.choice((-1, 0, 1, 2, 7, 2**31, 2**32, 10**30)),
        random.choice((-0.5, 0.0, 1e-9, 1e300)),
    )
    special = (float("inf"), float("nan"), "", "x" * random.choice((1, 300)), random.choice(WORDS))
    if kind < 9:
        return (*plain, *special)[kind]
    if kind == 9:
        return [_value(random, depth - 1) for _ in range(random.choice((0, 1, 3)))]
    return {random.choice(WORDS): _value(random, depth - 1) for _ in range(random.choice((0, 1, 3)))}


FIELDS = """
name base.model base.dtype data.train data.fraction train train.steps train.learning_rate train.lr prompt score.limit
score.decoding adapters adapters.0.r seeds tasks tasks_path matrix matrix.adapter.r matrix.zip extends profiles keep
x a.b.c .. =
"""
PATHS = [*FIELDS.split(), "", " ", "a" * 300, ".".join("a" * 300), "\0", "train .steps"]
"""What `--set` may be asked to change."""


def assignment(random: random.Random) -> str:
    """An argument of `--set`, mostly a wrong one."""
    value = mutated(random.choice(("1", "[1, 2]", "{beams: 4}", "micro", "a: 1\nb: 2", "&a [*a]")), random)
    return random.choice(PATHS) + random.choice(("=", "=", "=", "==", "")) + value.decode("utf-8", "replace")
