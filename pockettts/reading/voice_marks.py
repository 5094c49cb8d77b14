"""Voice marks in a text: `[voice:marius]` changes the voice, `[voice]` and `[/voice]` return to the default voice."""

import logging
import re
from collections.abc import Callable

from .pauses import LINE, PARAGRAPH

MARK = re.compile(r"\[\s*(?:/\s*voice|voice(?:\s*[:=]\s*(?P<name>[^\[\]\n]{0,200}))?)\s*\]", re.I)

logger = logging.getLogger("pockettts")


def split_at_voices(text: str, known: Callable[[str], bool]) -> list[tuple[str, str, float]]:
    """Split a text at its voice marks, into (voice, text, seconds of silence before it). The voice "" is the default voice.

    An unknown name does not change the voice, and causes a warning. A mark with several words that are not a known name is text.
    """
    parts: list[tuple[str, str, float]] = []
    voice, done, silence, kept = "", 0, 0.0, ""
    for mark in MARK.finditer(text):
        name = " ".join((mark["name"] or "").split())
        name = "" if name.lower() == "default" else name
        if name and not known(name):
            if " " in name:
                continue  # "[Voice: a man shouts]"
            logger.warning("there is no voice called %.40r: the voice stays as it is; --voice-map can name one", name)
            kept += text[done : mark.start()]
            done = mark.end()
            continue
        before = kept + text[done : mark.start()]
        if before.strip():
            parts.append((voice, before, silence))
            silence = 0.0
        after = text[mark.end() :]
        silence = max(silence, _pause_seconds(before, after))
        voice, done, kept = name, mark.end(), ""
    rest = kept + text[done:]
    if rest.strip() or not parts:
        parts.append((voice, rest, silence))
    return parts


def _pause_seconds(before: str, after: str) -> float:
    """The pause that the line breaks around a mark stand for."""
    space = before[len(before.rstrip()) :] + after[: len(after) - len(after.lstrip())]
    lines = space.count("\n")
    return PARAGRAPH if lines > 1 else LINE if lines else 0.0
