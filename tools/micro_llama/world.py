"""The little world that corpus and benchmark talk about: what things are and what they are for.

Corpus and benchmark share this world and nothing else: the corpus states and asks its facts in many
wordings, the benchmark in those of its tasks, with answer words that the corpus never uses as answers.
"""

from dataclasses import dataclass
from random import Random

KINDS = {
    "animal": ("cow", "dog", "cat", "goat", "duck", "bear", "fox", "sheep"),
    "colour": ("red", "blue", "green", "black", "white", "brown", "pink", "grey"),
    "food": ("bread", "cheese", "rice", "soup", "cake", "pie", "corn", "ham"),
    "tool": ("saw", "axe", "drill", "rake", "file", "clamp", "chisel", "plane"),
    "garment": ("hat", "shirt", "coat", "sock", "glove", "scarf", "shoe", "belt"),
    "building": ("barn", "church", "school", "hotel", "bank", "castle", "mill", "shop"),
    "drink": ("water", "milk", "tea", "juice", "coffee", "cocoa", "wine", "beer"),
    "vehicle": ("car", "bus", "train", "ship", "bike", "truck", "tram", "van"),
}
USES = {"food": "eat", "tool": "work", "drink": "drink", "garment": "wear", "vehicle": "ride"}
PURPOSES = {
    "cut a rope": "knife", "drive a nail": "hammer", "dig a hole": "spade", "sweep the floor": "broom",
    "eat the stew": "spoon", "open the lock": "key", "dry the plates": "towel", "write a letter": "pen",
    "light the room": "lamp", "wash the hands": "soap", "tie a parcel": "string", "cross the river": "bridge",
    "stop the rain": "umbrella", "measure the table": "ruler", "tell the time": "clock", "carry the coals": "bucket",
}  # fmt: skip
NAMES = ("Ada", "Ben", "Cora", "Dan", "Eva", "Finn", "Hugo", "Ida", "Leo", "Mia", "Nick", "Rosa")
THINGS = ("ball", "book", "coin", "cup", "drum", "doll", "map", "ring", "rope", "stone", "toy", "vase")
PLACES = ("box", "bag", "jar", "chest", "trunk", "tent", "shed", "drawer")
LARGEST = 12  # the largest number of the world


@dataclass(frozen=True)
class Question:
    """A question, its answer, and wrong answers."""

    text: str
    answer: str
    others: tuple[str, ...]


def article(word: str) -> str:
    """The word with its indefinite article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def asked_by(random: Random, question: str) -> str:
    """The question, mostly asked by somebody."""
    forms = (
        "{q}",
        "{n} asks: {q}",
        "{n} wants to know: {q}",
        "{n} asked {f}: {q}",
        "{q} asks {n}",
        "{n} and {f} ask: {q}",
    )
    name, friend = random.sample(NAMES, 2)
    return random.choice(forms).format(n=name, f=friend, q=question)


def kind_question(random: Random, word: str | None = None) -> Question:
    """What is a word?"""
    word = word or random.choice([word for words in KINDS.values() for word in words])
    asks = ("what is {w}?", "what do we call {w}?", "what sort of thing is {w}?", "to which kind does {w} belong?")
    answer = next(kind for kind, words in KINDS.items() if word in words)
    others = tuple(article(kind) for kind in KINDS if kind != answer)
    return Question(random.choice(asks).format(w=word), article(answer), others)


def use_question(random: Random, word: str | None = None) -> Question:
    """What do people do with a thing?"""
    word = word or random.choice([word for kind in USES for word in KINDS[kind]])
    asks = (
        "what do you do with the {w}?",
        "how do you use the {w}?",
        "what is the {w} good for?",
        "what can you do with the {w}?",
    )
    kind = next(kind for kind in USES if word in KINDS[kind])
    others = tuple(use for use in USES.values() if use != USES[kind])
    return Question(random.choice(asks).format(w=word), USES[kind], others)


def purpose_question(random: Random) -> Question:
    """What serves a purpose?"""
    purpose, *rest = random.sample(list(PURPOSES), 4)
    asks = ("what do you need to {p}?", "how can I {p}?", "what helps to {p}?", "with what do people {p}?")
    return Question(random.choice(asks).format(p=purpose), PURPOSES[purpose], tuple(PURPOSES[other] for other in rest))


def kind_claim(random: Random, holds: bool) -> str:
    """Is a word of a kind?"""
    kind, wrong = random.sample(list(KINDS), 2)
    asks = (
        "is {w} {k}?",
        "does {w} count as {k}?",
        "is it so that {w} is {k}?",
        "would {n} call {w} {k}?",
        "{n} says that {w} is {k}. is that so?",
        "is {k} what {w} is?",
        "by {w}, does {n} mean {k}?",
        "can {w} be {k}?",
    )
    asked = article(kind if holds else wrong)
    return random.choice(asks).format(w=random.choice(KINDS[kind]), k=asked, n=random.choice(NAMES))


def purpose_claim(random: Random, holds: bool) -> str:
    """Does a thing serve a purpose?"""
    purpose, wrong = random.sample(list(PURPOSES), 2)
    asks = (
        "can you {p} with {t}?", "does {t} help to {p}?", "do people use {t} to {p}?", "is {t} there to {p}?",
        "to {p}, does {n} need {t}?", "would {n} {p} with {t}?", "{n} took {t} to {p}. is that right?",
    )  # fmt: skip
    tool = article(PURPOSES[purpose if holds else wrong])
    return random.choice(asks).format(p=purpose, t=tool, n=random.choice(NAMES))


def claim(random: Random, holds: bool) -> str:
    """A claim of any sort, as a question."""
    return random.choice((kind_claim, purpose_claim))(random, holds)
