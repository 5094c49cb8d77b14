"""Remove invisible characters and replace compatibility characters, by their Unicode properties.

Removed: format characters (soft hyphen, zero-width space and joiner, byte order mark, bidi marks), variation selectors, control
characters and terminal escape sequences. Ligatures, full-width and mathematical letters become plain letters.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal

Emoji = Literal["drop", "read"]  # how pictographs are read

# CSI: ESC [ 3 1 m; OSC: ESC ] ... BEL; ESC and one character. A C1 control character stands for ESC and one character.
ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)?|\x1b[ -/]*[0-~]?"
)
SPACING = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"  # control characters that separate words and lines
INVISIBLE_NAMES = ("VARIATION SELECTOR", "COMBINING GRAPHEME JOINER", "HANGUL FILLER", "HALFWIDTH HANGUL FILLER")
# Kinds of compatibility characters that are another way to write the same letter; superscripts and fractions mean something else.
EQUIVALENT = ("<font>", "<wide>", "<narrow>")
EQUIVALENT_IF_LETTER = ("<compat>", "<circle>", "<square>", "<sub>")
LETTER = r"[^\W\d_\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u215f\u2189]"  # regex: no digits, nor ² and ½
SIGNS = "&%@\u00a7"  # marks that are words by themselves


def strip_invisible(text: str) -> str:
    """Remove invisible characters; line breaks and spaces stay."""
    if text.isprintable():
        return text
    text = ESCAPES.sub("", text)
    invisible: dict[int, None] = {ord(character): None for character in set(text) if is_invisible(character)}
    return text.translate(invisible) if invisible else text


def compose(text: str) -> str:
    """The text in NFC, with compatibility letters replaced by the letters that they stand for."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    others = {ord(character): other for character in set(text) if (other := base_character(character)) != character}
    return text.translate(others) if others else text


@lru_cache(4096)
def is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Co"):
        return character not in SPACING
    return category in ("Mn", "Lo") and unicodedata.name(character, "").startswith(INVISIBLE_NAMES)


@lru_cache(4096)
def base_character(character: str) -> str:
    """The character that a compatibility character stands for; else the character itself."""
    kind = unicodedata.decomposition(character).partition(" ")[0]
    is_same = kind in EQUIVALENT or kind in EQUIVALENT_IF_LETTER and unicodedata.category(character)[0] in "LNS"
    return unicodedata.normalize("NFKC", character).strip() or character if is_same else character


@lru_cache(4096)
def is_spoken(character: str) -> bool:
    """Whether a character is a letter, a number, a currency or a mark of SIGNS."""
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Sc" or character in SIGNS


@lru_cache(4096)
def is_pictograph(character: str) -> bool:
    """Whether a character is an emoji or a symbol of the pictograph blocks."""
    code = ord(character)
    is_in_block = code >= 0x1F000 or 0x2300 <= code < 0x2400 or 0x2600 <= code < 0x27C0 or 0x2B00 <= code < 0x2C00
    return is_in_block and unicodedata.category(character) == "So"


def pictograph_name(character: str) -> str:
    """The Unicode name in lower case: "grinning face"."""
    return unicodedata.name(character, "").lower().replace("-", " ")
