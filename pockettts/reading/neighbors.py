"""The words beside a place of a text."""

import re

PREVIOUS_WORD = re.compile(r"([^\W_][\w.'\u2019]*)[\s\"'\u201c\u201d(,:\u00a0-]*\Z")
ADDRESS = re.compile(r"\d\w*(?: [NSEW]\.?)?(?: [A-Z0-9][\w'\u2019-]*){1,3} \Z")  # "12 North Main " before "St."
NEXT_WORD = re.compile(r"[\s\u00a0]+([^\W\d_]+)")


def previous_word(text: str, place: int) -> str:
    """The word before a place, without a dot at its end; "" if there is none, or a sentence ended in between."""
    found = PREVIOUS_WORD.search(text[max(0, place - 40) : place])
    return found[1].rstrip(".'\u2019") if found else ""


def next_word(text: str, place: int) -> str:
    """The word behind a place, if only spaces are in between."""
    found = NEXT_WORD.match(text, place)
    return found[1] if found else ""
