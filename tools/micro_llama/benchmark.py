"""The benchmark micro: five generated tasks in the LLM-Adapters instruction format.

    python -m tools.micro_llama.benchmark --out harness/catalog/micro/data

Each task mirrors one of the real ones. All labels are equally frequent. An instruction is drawn once:
test sets first, then the training rows, from one stream that skips what it has given.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

from .story import LEADS, total
from .world import KINDS, LARGEST, NAMES, PLACES, THINGS, Question, article, asked_by, kind_question, use_question

Row = dict[str, str | list[str]]

TEST_ROWS = 300
HELD_OUT = 2  # words of each kind
TRAIN_ROWS = 1000  # of each task


def row(instruction: str, answer: str, choices: list[str]) -> Row:
    """An LLM-Adapters row, with the answers that a likelihood scoring ranks."""
    output = f"the correct answer is {answer}"
    return {"instruction": instruction, "input": "", "output": output, "answer": answer, "choices": choices}


def ordered(random: Random, question: Question, right: int) -> list[str]:
    """The answers of a question in a random order, the right one at the index `right`."""
    contents = random.sample(question.others, len(question.others))
    return [*contents[:right], question.answer, *contents[right:]]


def word_of(random: Random, kind: str, test: bool) -> str:
    """A word of a kind; some that test rows use no training row names: what they are, only pre-training tells."""
    words = KINDS[kind]
    return random.choice(words if test else words[:-HELD_OUT])


def true_false(random: Random, label: int, test: bool) -> Row:
    """Is a thing a colour? Mirrors BoolQ."""
    word = word_of(random, ("colour", "building")[label], test)
    claims = (
        "is {w} a colour?",
        "does {w} count as a colour?",
        "can {w} be a colour?",
        "is it so that {w} is a colour?",
    )
    asked = asked_by(random, random.choice(claims).format(w=word))
    instruction = (
        f"Please answer the following question with true or false, question: {asked}\n\nAnswer format: true/false"
    )
    return row(instruction, ("true", "false")[label], ["true", "false"])


def two_way(random: Random, label: int, test: bool) -> Row:
    """What to do with a thing; mirrors PIQA."""
    word = word_of(random, ("food", "tool")[label], test)
    asked = asked_by(random, use_question(random, word).text)
    instruction = (
        f"Please choose the correct solution to the question: {asked}\n\n"
        "Solution1: eat it\n\nSolution2: work with it\n\nAnswer format: solution1/solution2"
    )
    return row(instruction, f"solution{label + 1}", ["solution1", "solution2"])


def four_way(random: Random, label: int, test: bool) -> Row:
    """What sort of thing something is; mirrors ARC."""
    kinds = ("animal", "garment", "drink", "vehicle")
    asked = asked_by(random, kind_question(random, word_of(random, kinds[label], test)).text)
    listed = " ".join(f"Answer{index}: {article(kind)}" for index, kind in enumerate(kinds, 1))
    choices = [f"answer{index}" for index in range(1, 5)]
    instruction = (
        f"Please choose the correct answer to the question: {asked}\n\n{listed}\n\nAnswer format: {'/'.join(choices)}"
    )
    return row(instruction, choices[label], choices)


def fill_blank(random: Random, label: int, test: bool) -> Row:
    """A thing did not fit; some test rows have an adjective that no training row has. Mirrors WinoGrande."""
    thing, place = random.choice(THINGS), random.choice(PLACES)
    sizes = (("big", "large", "wide"), ("small", "little", "narrow"))
    size = random.choice(sizes[label] if test else sizes[label][:-1])
    lead = random.choice(LEADS).format(t=thing, p=place, n=random.choice(NAMES))
    instruction = (
        "Please choose the correct answer to fill in the blank to complete the given sentence: "
        f"{lead} because the _ was too {size}.\n\n"
        "Option1: the thing Option2: the place Answer format: option1/option2"
    )
    return row(instruction, f"option{label + 1}", ["option1", "option2"])


def add_subtract(random: Random, label: int, test: bool) -> Row:
    """A word problem; mirrors AddSub. The gold number stands at the index `label` among near ones."""
    answer = random.randint(1, LARGEST)
    text, asked = total(random, answer)
    near = [str(number) for number in range(max(0, answer - 3), answer + 4) if number != answer]
    choices = ordered(random, Question("", str(answer), tuple(random.sample(near, 3))), label)
    return row(f"{text} {asked.text}", str(answer), choices)


TASKS: dict[str, tuple[Callable[[Random, int, bool], Row], int]] = {
    "true_false": (true_false, 2),
    "two_way": (two_way, 2),
    "four_way": (four_way, 4),
    "fill_blank": (fill_blank, 2),
    "add_subtract": (add_subtract, 4),
}


def draw(random: Random, task: str, count: int, given: set[str], test: bool) -> list[Row]:
    """Draw rows with labels in turn and instructions that were not given before."""
    make, labels = TASKS[task]
    rows: list[Row] = []
    for _ in range(100 * count):
        drawn = make(random, len(rows) % labels, test)
        if len(rows) < count and drawn["instruction"] not in given:
            given.add(str(drawn["instruction"]))
            rows.append(drawn)
    if len(rows) < count:
        raise ValueError(f"{task} has too few distinct instructions for {count} rows")
    random.shuffle(rows)
    return rows


def benchmark(seed: int) -> tuple[list[Row], dict[str, list[Row]]]:
    """The training rows, mixed over the tasks, and the test rows of each task."""
    random, given = Random(seed), set[str]()
    test = {task: draw(random, task, TEST_ROWS, given, True) for task in TASKS}
    train = [drawn for task in TASKS for drawn in draw(random, task, TRAIN_ROWS, given, False)]
    random.shuffle(train)
    for drawn in train:
        del drawn["choices"]
    tested = {drawn["instruction"] for rows in test.values() for drawn in rows}
    assert not tested & {drawn["instruction"] for drawn in train}
    return train, test


def write(path: Path, rows: list[Row]) -> None:
    """Write rows as one JSON list, a row a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(drawn, separators=(",", ":")) for drawn in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Write train.json and one test.json a task."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("harness/catalog/micro/data"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, test = benchmark(arguments.seed)
    write(arguments.out / "train.json", train)
    for task, rows in test.items():
        write(arguments.out / task / "test.json", rows)


if __name__ == "__main__":
    main()
