"""Find the ends of sentences. A dot that belongs to an abbreviation, an initial or a number is not an end."""

import re
from collections.abc import Iterator

from .context import is_label
from .languages.base import Language
from .neighbors import ADDRESS

CLOSERS = "\"'\u201d\u2019)\\]\u00bb"
STOP = re.compile(rf"(?:[.!?\u2026]+[{CLOSERS}]*(?=\s)|[\u3002\uff01\uff1f]+[{CLOSERS}\u300d]*)")
CLAUSE = re.compile(rf"(?:[,;:]+|\s[\u2013\u2014])[{CLOSERS}]*(?=\s)")
BEFORE = 30  # characters before a dot that may be an abbreviation
AFTER = 40


def sentence_ends(text: str, language: Language) -> Iterator[int]:
    """The ends of all sentences of a text except the last."""
    for stop in STOP.finditer(text):
        if _is_end(text, stop, language):
            yield stop.end()


def clause_ends(text: str) -> Iterator[int]:
    """The positions after commas, semicolons, colons and dashes between words."""
    for mark in CLAUSE.finditer(text):
        yield mark.end()


def split_at(text: str, ends: Iterator[int]) -> list[str]:
    """Split a text at these positions, and strip the pieces."""
    cuts = [0, *ends, len(text)]
    pieces = (text[a:b].strip() for a, b in zip(cuts, cuts[1:], strict=False))
    return [piece for piece in pieces if piece]


def _is_end(text: str, stop: re.Match[str], language: Language) -> bool:
    after = text[stop.end() : stop.end() + AFTER].lstrip()
    if not after:
        return False
    before = (
        text[max(0, stop.start() - BEFORE) : stop.start()].rpartition(" ")[2].lstrip("\"'\u201c\u2018\u201e\u00ab([")
    )
    if stop[0][0] != "." or len(stop[0].rstrip(CLOSERS)) > 1:
        return language.ends_sentence(before, after)
    key = f"{before}."
    if key in language.titles:
        if key not in language.ending_abbreviations:
            return False
        is_name = after.split()[0].strip(".,'\u2019").lower() not in language.common_words
        if is_name and not ADDRESS.search(text, max(0, stop.start() - 50), stop.start() - len(before)):  # "St. Louis"
            return False
    keys = (key, key[:1].lower() + key[1:])
    if any(key in language.number_abbreviations for key in keys) and after[0].isdecimal():
        return False
    if any(key in language.abbreviations for key in keys):
        return False
    if len(before) == 1 and before.isupper() and after.split()[0].strip(".,").lower() not in language.common_words:
        return is_label(text, stop.start() - 1, language) and language.ends_sentence(before, after)  # else an initial
    return language.ends_sentence(before, after)
