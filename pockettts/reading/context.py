"""What stands beside a place of a text."""

import re

from .languages.base import Language

Found = tuple[int, str]  # a written form: where it ends; what is said for it

LAST_WORD = re.compile(r"([^\W_][\w.'\u2019]*)[\s\"'\u201c\u201d(,:\u00a0-]*\Z")
ADDRESS = re.compile(r"\d\w*(?: [NSEW]\.?)?(?: [A-Z0-9][\w'\u2019-]*){1,3} \Z")  # "12 North Main " before "St."
NEXT_WORD = re.compile(r"[\s\u00a0]+([^\W\d_]+)")


def last_word(text: str, place: int) -> str:
    """The word before a place, without a dot at its end; "" if there is none, or a sentence ended in between."""
    found = LAST_WORD.search(text[max(0, place - 40) : place])
    return found[1].rstrip(".'\u2019") if found else ""


def next_word(text: str, place: int) -> str:
    """The word behind a place, if only spaces are in between."""
    found = NEXT_WORD.match(text, place)
    return found[1] if found else ""


def is_label(text: str, place: int, language: Language) -> bool:
    """Whether a single capital letter at a place belongs to the word before it: "vitamin C", not "by J. Smith"."""
    before = last_word(text, place).lower()
    return before in language.letter_after or before in language.roman_after


def without_stop(text: str, end: int, language: Language) -> int:
    """Where a form ends that is written with a dot, which may also end the sentence; then it is left to the sentence."""
    if text[end - 1 : end] != ".":
        return end
    after = text[end : end + 40].lstrip("\"'\u201d\u2019)]\u00bb")
    if not after.strip():
        return end - 1
    following = after.split()[0].rstrip(".,;:!?)")
    if len(following) > 1 and following.isupper() and following.isalpha():  # "10 a.m. EST", "Pennsylvania Ave. NW"
        return end
    if after[0].isspace() and language.ends_sentence(text[max(0, end - 20) : end - 1], after.lstrip()):
        return end - 1
    return end
