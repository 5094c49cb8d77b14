"""Whether a dot or a single letter belongs to the word before it, or ends the sentence."""

from .languages.base import Language
from .neighbors import previous_word

SpokenForm = tuple[int, str]  # a written form: its end, and its spoken form


def is_label(text: str, position: int, language: Language) -> bool:
    """Whether a single capital letter at a position belongs to the word before it: "vitamin C", not "by J. Smith"."""
    before = previous_word(text, position).lower()
    return before in language.letter_cues or before in language.roman_cues


def without_stop(text: str, end: int, language: Language) -> int:
    """The end of a written form whose last dot may also be the full stop of the sentence. The full stop is not part of the form."""
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
