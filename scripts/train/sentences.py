"""Write a table of English sentences: examples and definitions from WordNet 3.0, and everyday sentences from templates.

    python sentences.py WORDNET voice... [--count 40000] [--first 0] > texts.tsv

WORDNET is the folder of data.noun, data.verb, data.adj and data.adv (apt install wordnet-base: /usr/share/wordnet). Its
license allows use and copies with credit to Princeton University. The voices alternate.
"""

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z][A-Za-z ,'\-?!.:;]*")
MAX_LETTERS, TEMPLATES, EXAMPLES = 130, 0.08, 0.6  # length limit; shares of templates and examples
DEFINITIONS = {
    "noun": ("{article} {word} is {gloss}.", "The word {word} means {gloss}.", "{title}, {gloss}."),
    "verb": ("To {word} is to {gloss}.",),
    "adj": ("Something {word} is {gloss}.",),
    "adv": ("{title} means {gloss}.",),
}
UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ROOMS = ["kitchen", "bedroom", "bathroom", "garage", "hallway", "office", "garden", "basement", "attic", "porch"]
DEVICES = [
    "lights", "heater", "fan", "oven", "washing machine", "dishwasher", "door lock", "alarm", "thermostat",
    "coffee machine", "vacuum cleaner", "television",
]  # fmt: skip
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip
DATES = ["first", "second", "third", "fourth", "fifth", "tenth", "twelfth", "twentieth", "thirty-first"]
NAMES = [
    "Alice", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Isabel", "Jack", "Karen", "Liam", "Maria",
    "Noah", "Olivia", "Peter", "Rachel", "Sam", "Teresa", "Victor",
]  # fmt: skip
MINUTES = ["fifteen", "thirty", "forty-five", "oh five", "twenty", "o'clock"]
PARTS_OF_DAY = ["morning", "afternoon", "evening"]


def read_wordnet(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Part of speech, word and gloss of each entry."""
    for pos in DEFINITIONS:
        for line in (folder / f"data.{pos}").read_text(encoding="latin-1").splitlines():
            if not line.startswith("  "):  # the license
                head, gloss = line.split(" | ", 1)
                yield pos, head.split()[4].replace("_", " ").split("(")[0], gloss


def finish(text: str) -> str:
    """A sentence with a capital and a full stop, without semicolons and colons."""
    text = re.sub(r"\s+", " ", text).strip(" ;:,-").replace(";", ",").replace(":", ",")
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def examples(gloss: str) -> list[str]:
    """The quoted sentences of a gloss that are easy to read."""
    found = [quote.strip() for quote in re.findall(r'"([^"]+)"', gloss)]
    found = [quote for quote in found if PLAIN.fullmatch(quote) and 4 <= len(quote.split()) <= 22]
    return [finish(quote) for quote in found if len(quote) < MAX_LETTERS and not re.search("[A-Z]{2}", quote)]


def definition(pos: str, word: str, gloss: str, rng: random.Random) -> str | None:
    """A sentence with the definition of a word; None if the gloss is not easy to read."""
    gloss = re.sub(r"\([^)]*\)", "", re.sub(r'"[^"]*"', "", gloss).split(";")[0])
    gloss = re.sub(r"\s+", " ", gloss).strip()
    if not PLAIN.fullmatch(gloss) or not re.fullmatch(r"[a-z][a-z '\-]*", word) or not 4 <= len(gloss.split()) <= 18:
        return None
    article = "An" if word[0] in "aeiou" else "A"
    text = rng.choice(DEFINITIONS[pos]).format(article=article, word=word, title=word.capitalize(), gloss=gloss)
    return finish(text) if len(text) < MAX_LETTERS else None


def number(n: int) -> str:
    """0 to 999 in words."""
    if n < 20:
        return UNITS[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f"-{UNITS[n % 10]}" if n % 10 else "")
    return f"{UNITS[n // 100]} hundred" + (f" and {number(n % 100)}" if n % 100 else "")


def everyday(rng: random.Random) -> str:
    """A sentence typical of voice assistants."""
    c, below = rng.choice, lambda limit: number(rng.randrange(limit))
    weather = c(["sunny", "cloudy", "rainy", "windy", "snowy"])
    return c(
        [
            f"It is {UNITS[rng.randint(1, 12)]} {c(MINUTES)} in the {c(PARTS_OF_DAY)}.",
            f"The temperature in the {c(ROOMS)} is {below(100)} degrees.",
            f"I have turned {c(['on', 'off'])} the {c(DEVICES)} in the {c(ROOMS)}.",
            f"You have {below(30)} new messages, and the first is from {c(NAMES)}.",
            f"Your meeting with {c(NAMES)} is on {c(DAYS)}, {c(MONTHS)} the {c(DATES)}.",
            f"The timer for {below(60)} minutes has finished.",
            f"Hello, {c(NAMES)}. How are you today?",
            f"Good {c(PARTS_OF_DAY)}, {c(NAMES)}, it will be {weather} with a high of {below(100)} degrees.",
            f"Did you remember to lock the {c(ROOMS)} door, {c(NAMES)}?",
            f"The answer is {below(1000)}, plus or minus {below(20)}.",
            f"Battery at {below(100)} percent.",
            c(["Okay!", "Yes, of course.", "No, thank you.", "Hello world.", "I am fast enough for small computers."]),
        ]
    )


def sentences(wordnet: Path, rng: random.Random) -> Iterator[str]:
    """Yield unique sentences of all sources in random order."""
    entries = list(read_wordnet(wordnet))
    quoted = sorted({text for _, _, gloss in entries for text in examples(gloss)})
    defined = [text for entry in entries if (text := definition(*entry, rng))]
    rng.shuffle(quoted)
    rng.shuffle(defined)
    seen = set()
    while quoted or defined:
        lot = rng.random()
        if lot < TEMPLATES:
            text = everyday(rng)
        elif quoted and (lot < TEMPLATES + EXAMPLES or not defined):
            text = quoted.pop()
        else:
            text = defined.pop()
        if text not in seen:
            seen.add(text)
            yield text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("voices", nargs="+")
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--first", type=int, default=0, help="id of the first sentence")
    args = parser.parse_args()
    for k, text in zip(range(args.count), sentences(args.wordnet, random.Random(1)), strict=False):
        print(f"{args.first + k:05d}\t{args.voices[k % len(args.voices)]}\t{text}")


if __name__ == "__main__":
    main()
