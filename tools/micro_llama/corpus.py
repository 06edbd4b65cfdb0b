"""The pre-training corpus: short seeded documents that state and ask the facts of the world in many wordings.

A document is a sequence of pieces, (text, whether the text is an answer that the world or the document
determines). Answers are words: those of the benchmark (true/false,
solution1, answer1, option1) are left to fine-tuning.
"""

from collections.abc import Iterator
from random import Random

from .story import fit, total
from .world import (
    KINDS,
    LARGEST,
    PURPOSES,
    USES,
    article,
    asked_by,
    claim,
    kind_question,
    purpose_question,
    use_question,
)

Document = list[tuple[str, bool]]

OPENINGS = (
    "Below is a story that describes a day.",
    "Here is an instruction and a task.",
    "Write a response to the request.",
    "Read the story, then answer each question.",
    "Below is a task. Write what completes it appropriately.",
    "The following question is about a story.",
    "Please answer the question.",
    "Please read the following sentence.",
    "Choose what is right.",
    "Some people met to play.",
    "It is a true story, not a false one.",
    "Every option counts.",
    "The request describes what to do.",
    "There is one correct solution.",
    "Please choose one to complete the given task.",
)
HEADINGS = ("Story", "Instruction", "Task", "Text", "Request", "Question", "Note")
REPLIES = ("Response", "Reply", "Answer", "Result", "Solution")
LEADS = (
    "",
    "",
    " It is",
    " I think it is",
    " The answer is",
    " That must be",
    " We say",
    " the best answer is",
    " so it is",
)
HINTS = ("", "", "", " Answer in one word.", " Answer format: one word", " Please choose.", " The format: short.")
VERDICTS = (
    ("yes", "no"),
    ("right", "wrong"),
    ("Yes", "No"),
    ("so", "not so"),
    ("agreed", "denied"),
    ("fine", "mistaken"),
)


def corpus(seed: int) -> Iterator[Document]:
    """Yield documents without end; the same seed gives the same documents."""
    random = Random(seed)
    makers = (
        kinds,
        purposes,
        uses,
        number_facts,
        open_questions,
        open_questions,
        open_questions,
        verdicts,
        blanks,
        sums,
        sums,
    )
    while True:
        yield random.choice(makers)(random)


def framed(random: Random, text: str) -> str:
    """Put a text under a random opening and heading, or leave it bare."""
    if random.random() < 0.5:
        return text
    opening = " ".join(random.sample(OPENINGS, random.randint(1, 2)))
    return f"{opening}\n\n### {random.choice(HEADINGS)}:\n{text}"


def bridge(random: Random) -> str:
    """What stands between a question and its answer."""
    hint = random.choice(HINTS)
    if random.random() < 0.7:
        return hint + random.choice(LEADS)
    return f"{hint}\n\n### {random.choice(REPLIES)}:\n{random.choice(LEADS).strip()}"


def answered(random: Random, before: str, answer: str) -> Document:
    """A context with its bridge, and the answer with the space that it needs."""
    context = before + bridge(random)
    return [(context, False), (answer if context.endswith("\n") else f" {answer}", True), (".", False)]


def kinds(random: Random) -> Document:
    """What words are."""
    forms = (" {w} is", " {w} and {o} are each", " call {w}", " {w}, like {o}, is", " the word {w} means")
    document: Document = []
    for _ in range(8):
        kind = random.choice(list(KINDS))
        word, other = random.sample(KINDS[kind], 2)
        document += [(random.choice(forms).format(w=word, o=other), False), (f" {article(kind)}", True), (".", False)]
    return document


def uses(random: Random) -> Document:
    """What people do with things."""
    forms = ("With the {w} you", "People take the {w} and", "Give me the {w} and I will", "the {w} is there to")
    document: Document = []
    for _ in range(7):
        kind = random.choice(list(USES))
        text = random.choice(forms).format(w=random.choice(KINDS[kind]))
        document += [(f" {text}", False), (f" {USES[kind]}", True), (" it.", False)]
    return document


def purposes(random: Random) -> Document:
    """What things are for."""
    forms = (" To {p} you need", " People {p} with", " If you want to {p}, take", " You can {p} with", " To {p}: use")
    document: Document = []
    for _ in range(6):
        purpose, tool = random.choice(list(PURPOSES.items()))
        if random.random() < 0.7:
            document += [(random.choice(forms).format(p=purpose), False), (f" {article(tool)}", True), (".", False)]
        else:
            document += [(f" A {tool} helps to", False), (f" {purpose}", True), (".", False)]
    return document


def number_facts(random: Random) -> Document:
    """Additions and subtractions in many wordings."""
    plus = ("{a} + {c} =", "{a} and {c} make", "{a} plus {c} is", "add {c} to {a} and get", "{c} more than {a} is")
    minus = (
        "{a} - {c} =",
        "{a} without {c} is",
        "{a} minus {c} is",
        "take {c} from {a} and get",
        "{c} less than {a} is",
    )
    document: Document = []
    for _ in range(8):
        high = random.randint(1, LARGEST)
        part = random.randint(0, high)
        if random.random() < 0.5:
            text, result = random.choice(plus).format(a=part, c=high - part), high
        else:
            text, result = random.choice(minus).format(a=high, c=part), high - part
        document += [(f" {text}", False), (f" {result}", True), (".", False)]
    return document


def verdicts(random: Random) -> Document:
    """Claims, answered by yes or no in some wording."""
    words = random.choice(VERDICTS)
    document: Document = [(framed(random, f"Say {words[0]} or {words[1]}."), False)]
    for _ in range(4):
        holds = random.random() < 0.5
        document += answered(random, f" {claim(random, holds)}", words[0] if holds else words[1])
    return document


def open_questions(random: Random) -> Document:
    """Questions about kinds, uses and purposes, answered by a word; sometimes the answers to choose from are named."""
    document: Document = [(framed(random, ""), False)]
    for _ in range(3):
        asked = random.choice((kind_question, use_question, purpose_question))(random)
        text = asked_by(random, asked.text)
        if random.random() < 0.6:
            named = random.sample((asked.answer, *asked.others), random.randint(2, 4))
            named = named if asked.answer in named else [asked.answer, *named[1:]]
            listed = random.choice((" ", ", ", " or ", "\n")).join(random.sample(named, len(named)))
            text += f"{random.choice((' ', chr(10), chr(10) * 2))}{listed}"
        document += answered(random, f" {text}", asked.answer)
    return document


def blanks(random: Random) -> Document:
    """Sentences with a blank, and what belongs there: the word, or whether it is the thing or the place."""
    document: Document = [(framed(random, ""), False)]
    for _ in range(3):
        text, asked, sort = fit(random)
        if random.random() < 0.3:
            document += answered(random, f" {text} {asked.text}", asked.answer)
        else:
            ask = random.choice((" thing or place?", " what was it, thing or place?", " was it place or thing?", ""))
            document += answered(random, f" {text}{ask}", sort)
    return document


def sums(random: Random) -> Document:
    """Word problems, answered by the number."""
    document: Document = [(framed(random, ""), False)]
    for _ in range(3):
        text, asked = total(random, random.randint(1, LARGEST))
        document += answered(random, f" {text} {asked.text}", asked.answer)
    return document
