"""The words before and after a position in a text."""

import re

PREVIOUS_WORD = re.compile(r"([^\W_][\w.'\u2019]*)[\s\"'\u201c\u201d(,:\u00a0-]*\Z")
ADDRESS = re.compile(r"\d\w*(?: [NSEW]\.?)?(?: [A-Z0-9][\w'\u2019-]*){1,3} \Z")  # "12 North Main " before "St."
NEXT_WORD = re.compile(r"[\s\u00a0]+([^\W\d_]+)")


def previous_word(text: str, position: int) -> str:
    """The word before a position, without a dot at its end; "" if there is none, or a sentence ends in between."""
    found = PREVIOUS_WORD.search(text[max(0, position - 40) : position])
    return found[1].rstrip(".'\u2019") if found else ""


def next_word(text: str, position: int) -> str:
    """The word after a position; "" unless only spaces are in between."""
    found = NEXT_WORD.match(text, position)
    return found[1] if found else ""
