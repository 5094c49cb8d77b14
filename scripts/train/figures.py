"""Sentences with figures in them, as lines of id, voice, sentence: times, dates, prices, percentages. Dictionaries have none.

    python figures.py 40000 6000 af_heart am_michael >> texts.tsv          # first id, how many, voices in turn
"""
import argparse
import random

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
NAMES = [
    "Alice", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Isabel", "Jack", "Karen", "Liam", "Maria", "Noah",
    "Olivia", "Peter", "Rachel", "Sam", "Teresa", "Victor"]
ROOMS = ["kitchen", "bedroom", "bathroom", "garage", "hallway", "office", "garden", "basement", "attic", "porch"]
THINGS = [
    "apples", "books", "chairs", "tickets", "letters", "pages", "miles", "minutes", "hours", "days", "people", "cars", "boxes",
    "steps", "windows", "points", "songs"]


def sentence(rng: random.Random) -> str:
    c, r = rng.choice, rng.randint
    some = c([r(0, 12), r(13, 99), r(13, 99), r(100, 999), r(1000, 9999), f"{r(1, 99)},{r(0, 999):03d}", f"{r(0, 99)}.{r(1, 9)}"])
    first, second, things, others = c(NAMES), c(NAMES), *rng.sample(THINGS, 2)
    date = f"{c(MONTHS)} {r(1, 31)}"
    return c([
        f"It is {r(1, 12)}:{r(10, 59)} in the {c(['morning', 'afternoon', 'evening'])}.",
        f"The {c(['train', 'bus', 'film', 'meeting', 'show'])} starts at {r(1, 12)}:{r(0, 11) * 5:02d}.",
        f"The temperature in the {c(ROOMS)} is {r(0, 99)} degrees.", f"Battery at {r(1, 100)}%.",
        f"There is a {r(1, 99)}% chance of rain on {c(DAYS)}.", f"{first} bought {some} {things}.",
        f"We counted {some} {things} and {r(2, 99)} {others}.", f"It costs ${r(1, 999)}.",
        f"{first} paid ${r(2, 99)} for {r(2, 30)} {things}.", f"In {c([r(1700, 1999), r(2000, 2030)])} {first} moved to another town.",
        f"The war lasted from {r(1800, 1899)} to {r(1900, 1999)}.", f"Your meeting with {first} is on {c(DAYS)}, {date}.",
        f"{second} was born on {date}, {r(1900, 2020)}.", f"You have {r(2, 60)} new messages, and the first is from {first}.",
        f"{r(2, 99)} plus {r(2, 99)} is {r(4, 198)}.", f"She came in {ordinal(r(1, 40))} of {r(41, 900)}.",
        f"Turn left after {r(2, 900)} feet, then go on for {r(2, 50)} miles.", f"The answer is {some}.",
        f"Page {r(1, 600)}, chapter {r(1, 40)}.", f"Set a timer for {r(2, 90)} minutes.",
        f"Room {r(1, 999)} is on the {ordinal(r(1, 30))} floor.", f"About {some} people live there.",
        f"The box weighs {r(1, 90)}.{r(1, 9)} pounds.", f"Call {r(200, 999)} {r(100, 999)} {r(1000, 9999)}."])


def ordinal(n: int) -> str:
    return f"{n}{'th' if n % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("voices", nargs="+")
    args = parser.parse_args()
    rng, found = random.Random(1), {}
    while len(found) < args.count:
        found.setdefault(sentence(rng), None)
    for i, text in enumerate(found):
        print(f"{args.first + i:05d}\t{args.voices[i % len(args.voices)]}\t{text}")


if __name__ == "__main__":
    main()
