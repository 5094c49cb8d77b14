"""Signs in quotation marks or brackets, which are read by name: `press "+"`."""

import re

from .context import SpokenForm
from .languages.base import Language

QUOTED_SIGNS = re.compile(
    "(?:(?<![\\w\"'\u201c\u201d])[\"'\u201c\u2018\u201e\u201a\u00ab(\u201d\u2019\u00bb]|(?<=\u00ab)[ \u00a0\u202f])"
    r"((?:[^\w\s]|_){1,3})(?:[\"'\u201d\u2019\u201c\u2018\u00bb\u00ab)](?![\w\"'\u201c\u201d])|[ \u00a0\u202f]\u00bb)"
)
IN_BRACKETS = frozenset("+=&@#%<>~/")
SENTENCE_MARKS = ".!?\u2026,;:-\u2013\u2014'\u2019"
BEHIND_WORD = re.compile(r"[^\W\d_]{2,} \Z")


def named_signs(text: str, i: int, language: Language) -> SpokenForm | None:
    """The names of the signs at i, if the quotation marks or brackets around them contain nothing else.

    Sentence marks such as `"?"` are named only after a word, because they can be a quotation of their own.
    """
    match = QUOTED_SIGNS.match(text, i - 1)
    if match is None:
        return None
    signs = match[1]
    if text[i - 1] == "(" and signs not in IN_BRACKETS:
        return None
    if not signs.strip(SENTENCE_MARKS) and (len(signs) > 1 or not BEHIND_WORD.search(text, 0, i - 1)):
        return None
    names = [
        language.sign_names.get(sign) or language.address_marks.get(sign) or language.symbols.get(sign, "")
        for sign in signs
    ]
    return (match.end(1), " ".join(names)) if all(names) else None
