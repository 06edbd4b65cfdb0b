"""Short stories: a text, and a question whose answer must be worked out."""

from random import Random

from .world import LARGEST, NAMES, PLACES, THINGS, Question

GAINS = ("{n} found {c} more {t}.", "{f} gave {n} {c} {t}.", "{n} bought {c} {t}.", "{n} got {c} {t} from {f}.")
LOSSES = ("{n} lost {c} {t}.", "{n} gave {c} {t} to {f}.", "{n} sold {c} {t}.", "{f} took {c} {t} from {n}.")
LEADS = ("The {t} did not fit in the {p}", "The {p} did not hold the {t}", "{n} could not put the {t} in the {p}")


def fit(random: Random) -> tuple[str, Question, str]:
    """A thing did not fit: a sentence with a blank, what belongs there, and whether that is the thing or the place."""
    thing, place = random.choice(THINGS), random.choice(PLACES)
    lead = random.choice(LEADS).format(t=thing, p=place, n=random.choice(NAMES))
    if random.random() < 0.5:
        size, answer, other, sort = random.choice(("big", "large", "wide")), thing, place, "thing"
    else:
        size, answer, other, sort = random.choice(("small", "little", "narrow")), place, thing, "place"
    return f"{lead} because the _ was too {size}.", Question(f"what was too {size}?", answer, (other,)), sort


def total(random: Random, answer: int) -> tuple[str, Question]:
    """An addition or subtraction whose result is `answer`; no number is above the largest of the world."""
    name, friend = random.sample(NAMES, 2)
    thing = random.choice(THINGS) + "s"
    if answer == LARGEST or (answer > 1 and random.random() < 0.5):
        change = random.randint(1, answer - 1)
        start, turns = answer - change, GAINS
    else:
        change = random.randint(1, LARGEST - answer)
        start, turns = answer + change, LOSSES
    told = random.choice(turns).format(n=name, f=friend, c=change, t=thing)
    asks = (f"how many {thing} does {name} have now?", f"how many {thing} has {name} in the end?")
    return f"{name} had {start} {thing}. {told}", Question(random.choice(asks), str(answer), ())
