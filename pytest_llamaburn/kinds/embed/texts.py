"""The texts with which vectors and rankings are checked; all of them are our own.

Each statement has one that says the same in other words, and one about something else that shares a
word with it. Each query has one document that answers it, before others that do not.
"""

from __future__ import annotations

from typing import NamedTuple


class Triple(NamedTuple):
    """A statement, one with a like meaning, and one with another."""

    text: str
    near: str
    far: str


class Search(NamedTuple):
    """A query, the document that answers it, and documents that do not."""

    query: str
    relevant: str
    others: tuple[str, ...]


TRIPLES = (
    Triple(
        "The cat is asleep on the warm windowsill.",
        "A cat naps in the sunshine by the window.",
        "The bank raised its interest rate on Monday.",
    ),
    Triple(
        "Our train to Lyon was two hours late.",
        "The railway journey to Lyon was badly delayed.",
        "We train for the marathon every morning.",
    ),
    Triple(
        "Boil the pasta in salted water for nine minutes.",
        "Cook the spaghetti with some salt until it is done.",
        "The water level of the lake fell last summer.",
    ),
    Triple(
        "She repaired the flat tyre of her bicycle.",
        "The woman fixed a puncture on her bike.",
        "She rented a flat near the old harbour.",
    ),
    Triple(
        "The doctor told him to rest for a week.",
        "A physician advised the patient to stay in bed.",
        "The rest of the paint is in the garage.",
    ),
    Triple(
        "Heavy rain flooded the streets of the town.",
        "The roads were under water after the storm.",
        "The town hall sells tickets for the concert.",
    ),
    Triple(
        "The program stops with an error when the file is missing.",
        "Without that file the software crashes.",
        "The theatre sends its program by post.",
    ),
    Triple(
        "They planted apple trees behind the barn.",
        "An orchard was put in at the back of the farm.",
        "The actor was nominated for a prize.",
    ),
    Triple(
        "The company will hire fifty engineers next year.",
        "Fifty new engineering jobs are planned at the firm.",
        "We kept each other good company on the long walk.",
    ),
    Triple(
        "The battery of my phone is empty.",
        "My mobile has run out of charge.",
        "The soldiers guarded a battery of old cannons.",
    ),
    Triple(
        "The children built a snowman in the garden.",
        "Kids made a figure of snow outside the house.",
        "The judge postponed the trial until March.",
    ),
    Triple(
        "Prices of houses have risen sharply.",
        "Homes became much more expensive.",
        "The choir sings in two churches.",
    ),
    Triple(
        "He plays the violin in an orchestra.",
        "The man is a violinist with a symphony ensemble.",
        "He mixes cement for the new wall.",
    ),
    Triple(
        "Turn off the lights before you leave the office.",
        "Switch the lamps out when you go home from work.",
        "Feathers are light but strong.",
    ),
    Triple(
        "The museum is closed on Tuesdays.",
        "You cannot visit the gallery on a Tuesday.",
        "Penguins feed their chicks at sea.",
    ),
    Triple(
        "Astronomers found a planet around a distant star.",
        "Scientists discovered a world that orbits a far sun.",
        "The star of the show forgot her lines.",
    ),
)
SEARCHES = (
    Search(
        "How do I change a flat tyre?",
        "Loosen the wheel nuts, lift the car with the jack, take off the wheel with the flat tyre "
        "and put on the spare one.",
        (
            "The flat has three rooms and a balcony over the park.",
            "Tyre was a rich harbour of the ancient world.",
            "Bread rises faster in a warm kitchen.",
        ),
    ),
    Search(
        "What is the capital of Norway?",
        "Oslo is the capital of Norway and its largest city.",
        (
            "The company needs more capital before it can grow.",
            "Norway exports much salmon and gas.",
            "Capital letters begin a sentence.",
        ),
    ),
    Search(
        "Why is the sky blue?",
        "Air scatters short waves of sunlight more than long ones, so blue light reaches us from "
        "all of the sky.",
        (
            "She painted the door of the shed blue.",
            "The airline added a flight to Madrid.",
            "Blue whales eat very small animals.",
        ),
    ),
    Search(
        "How long must I boil an egg?",
        "A soft egg needs to boil for five minutes, a hard one for nine.",
        (
            "The nest had four eggs with brown spots.",
            "The meeting took five minutes longer than planned.",
            "Steam drives the turbine of the power station.",
        ),
    ),
    Search(
        "When does the library open on Saturday?",
        "On Saturdays the library is open from ten in the morning until two.",
        (
            "The library of the program has many functions.",
            "The market is on Saturday in front of the church.",
            "Open the bottle an hour before the meal.",
        ),
    ),
    Search(
        "What helps against a headache?",
        "Rest in a dark room, water and a painkiller help against most headaches.",
        (
            "The head of the department retires in June.",
            "Fences keep the deer out of the garden.",
            "The new rules help small shops.",
        ),
    ),
    Search(
        "How do bees make honey?",
        "Bees collect nectar, thicken it in the hive and store it in combs as honey.",
        (
            "The honeymoon took them to Portugal.",
            "The hive of activity in the office ended at six.",
            "Wasps build their nests of chewed wood.",
        ),
    ),
    Search(
        "Who wrote the first computer program?",
        "Ada Lovelace published the first program, for a machine that was never finished.",
        (
            "The computer on the desk needs more memory.",
            "He wrote a long letter to his brother.",
            "The first train left before dawn.",
        ),
    ),
)


def statements() -> list[str]:
    """Return all texts of the triples, each once."""
    return list(dict.fromkeys(text for triple in TRIPLES for text in triple))
