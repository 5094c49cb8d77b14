"""Split a text at its pauses: marked pauses, and pauses that follow from the layout.

Marked pauses are `[pause]`, `[pause:500ms]`, `[pause:1.5s]`, `[pause:1.5]` and SSML's `<break/>`, and common variants: `[PAUSE 2s]`,
`[pause=1s]`, `[pause_500]`. Layout pauses are blank lines, and line breaks after headings, list items and verses, but not line breaks of
wrapped prose. Other text in brackets is spoken.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from .unicode import Emoji, is_pictograph, is_spoken

logger = logging.getLogger(__name__)

LINE, PARAGRAPH, SCENE = 0.25, 0.5, 1.0  # seconds, in addition to the silence at the end of a chunk
PAUSE = 0.5  # seconds of [pause] and <break/>
STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": PAUSE, "strong": 0.75, "x-strong": 1.0}
MAX_PAUSE = 60.0  # maximum seconds of a pause

MIN_WRAP_WIDTH = 40  # characters
FULL = 0.85  # of the wrap width: a line is full if it would be longer with the next word

END_MARK = re.compile(r"""[.!?\u2026:]["'\u201d\u2019)\]\u00bb]*$""")
ITEM = re.compile(r"(?:[-*+\u2022\u2023\u25aa]|\(?(?:\d{1,3}|[a-zA-Z])[.)]|\[[ xX]?\])\s+")
BULLET = re.compile(r"(?:[-*+\u2022\u2023\u25aa]\s+)?(?:\[[ xX]?\]\s+)?")
TIME = re.compile(
    r"\s*(\d{1,9}(?:[.,]\d{0,9})?|[.,]\d{1,9})\s*(ms|msecs?|milliseconds?|s|secs?|seconds?)?\s*\.?\s*", re.I
)
ANY_TIME = re.compile(r"\s*\d[\d.,]*\s*(?:m?s(?:ecs?)?|(?:milli)?seconds?)?\s*", re.I)
BARE_SECONDS = 60  # a number without a unit means seconds up to this, milliseconds above it
MARK = r"\[\s*pause\b\s*(?:[:=_-]?\s*(?P<time>[^\[\]\n]*))?\]|\[\s*pause_(?P<ms>[^\[\]\n]*)\]"
BREAK = r"<break\b(?P<attributes>[^<>]*?)(?:/>|>\s*</break\s*>)"
MARKS = re.compile(rf"{MARK}|{BREAK}", re.I)
DOCUMENT_MARKS = re.compile(rf"{MARK}|{BREAK}|<!--(?:(?!<!--).)*?-->|<[/?!]?(?P<tag>[a-z][\w:.-]*)[^<>]*>", re.I)


@dataclass(frozen=True)
class Pause:
    """Silence between chunks, exact to the sample."""

    seconds: float


@dataclass(frozen=True)
class _LayoutPause:
    """A pause that follows from the layout. A marked pause next to it replaces it."""

    seconds: float


def split_at_pauses(text: str, gap: float = 0.0, emoji: Emoji = "drop") -> list[str | Pause]:
    """Split a text into pieces to speak and pauses between them. Layout pauses have at least `gap` seconds.

    A piece is one line, with letters or digits. A text of one line without marks is one unchanged piece, and a blank text is none.
    Time is linear in the length of the text. emoji: with "read", a piece may consist of emoji alone.
    """
    if _is_ssml(text):  # XML, where line breaks have no meaning
        parts: Iterable[str | _LayoutPause] = [" ".join(text.split())]
        marks = DOCUMENT_MARKS
    else:
        parts, marks = _layout(text.splitlines(), emoji), MARKS
    ignored: set[str] = set()
    cut = [
        item
        for part in parts
        for item in ([part] if isinstance(part, _LayoutPause) else _split_at_marks(part, marks, ignored))
    ]
    if ignored:
        names = ", ".join(f"<{name}>" for name in sorted(ignored))
        logger.warning(
            "of SSML, only <break>, <sub> and <say-as> have an effect: %.80s are left out, their words are spoken",
            names,
        )
    return list(_merge(cut, gap, emoji))


def _is_ssml(text: str) -> bool:
    if "<" not in text:
        return False
    from .inline_markup import is_ssml  # patterns that few texts need

    return is_ssml(text)


def is_silent(text: str, emoji: Emoji = "drop") -> bool:
    """Whether a text has no letter, digit or currency. The model would speak noise for it."""
    return not any(is_spoken(c) or emoji == "read" and is_pictograph(c) for c in text)


def _layout(lines: list[str], emoji: Emoji) -> Iterator[str | _LayoutPause]:
    """Lines as pieces; wrapped lines are joined."""
    if len(lines) <= 1:
        yield from lines
        return
    lines = [line.rstrip() for line in lines]
    usual = _width(lines)
    for is_blank, group in groupby(lines, key=lambda line: is_silent(line, emoji)):
        block = list(group)
        if is_blank:
            yield _LayoutPause(SCENE if any(block) else PARAGRAPH)
            continue
        width = _width(block) or usual
        piece = BULLET.sub("", block[0].lstrip(), count=1)
        for line, following in pairwise(block):
            rest = following.lstrip()
            if _is_wrapped(line, following, width):
                hyphenated = line[-1] == "-" and line[-2:-1].isalpha() and rest[0].islower()
                piece += rest if hyphenated else " " + rest
            else:
                yield piece
                yield _LayoutPause(LINE)
                piece = BULLET.sub("", rest, count=1)
        yield piece


def _width(lines: list[str]) -> float:
    """The number of characters at which the lines are wrapped; 0 if they are not."""
    from statistics import median

    return median([len(line) for line, following in pairwise(lines) if _continues(line, following)] or [0])


def _continues(line: str, following: str) -> bool:
    """Whether a sentence continues on the next line: it has no end mark, and the next line starts with a lower-case letter."""
    start = following.lstrip(" \t\"'(\u201c\u2018\u00ab")[:1]
    return (
        len(line) >= MIN_WRAP_WIDTH
        and not END_MARK.search(line)
        and start.isalpha()
        and not start.isupper()
        and not _is_item(following)
    )


def _is_wrapped(line: str, following: str, width: float) -> bool:
    """Whether a line break is only a wrap: the next word would not have fit on the line."""
    if _is_item(following) or END_MARK.search(line) and _indent(following) > _indent(line):
        return False
    return _continues(line, following) or 0 < FULL * width < len(line) + 1 + len(following.split(maxsplit=1)[0])


def _is_item(line: str) -> bool:
    return ITEM.match(line.lstrip()) is not None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _split_at_marks(text: str, marks: re.Pattern[str], ignored: set[str]) -> Iterator[str | Pause | _LayoutPause]:
    """Split a piece at its marked pauses. Other tags are removed; their names are added to `ignored`."""
    in_xml = marks is DOCUMENT_MARKS
    found: list[str | Pause | _LayoutPause] = []
    before, done = "", 0
    for mark in marks.finditer(text):
        before += text[done : mark.start()]
        done = mark.end()
        pause = _pause(mark, ignored)
        if isinstance(pause, str):
            before += pause
        else:
            found += [before, pause]
            before = ""
    for number, item in enumerate([*found, before + text[done:]]):
        if isinstance(item, str):
            item = _unescaped(item) if in_xml else item
            item = item.lstrip(" ,;:") if number else item  # "yes [pause], but": the comma is part of the pause
        yield item


def _unescaped(text: str) -> str:
    from html import unescape

    return unescape(text)


def _pause(mark: re.Match[str], ignored: set[str]) -> Pause | _LayoutPause | str:
    """The meaning of a mark or a tag: a pause, nothing (""), or plain text."""
    if mark[0][0] == "[":
        return _pause_mark(mark)
    if mark[0][:6].lower() == "<break" and mark["attributes"] is not None:
        return _break_tag(mark)
    tag = (mark["tag"] or "").lower()
    if tag in ("p", "s"):
        return _LayoutPause(PARAGRAPH if tag == "p" else LINE)
    if tag and tag not in ("speak", "xml", "doctype", "sub", "say-as", "break"):
        ignored.add(tag)
    return ""


def _pause_mark(mark: re.Match[str]) -> Pause | str:
    """`[pause...]`: a pause, if the word is followed by a time or by nothing."""
    given = mark["time"] if mark["ms"] is None else mark["ms"]
    if not (given or "").strip(" :="):
        return Pause(PAUSE)
    seconds = _seconds(given)
    if seconds is None:
        logger.warning("%.50s is not a pause and is spoken: write [pause], [pause:500ms] or [pause:1.5s]", mark[0])
        return mark[0]
    if seconds > MAX_PAUSE:
        logger.warning("%.50s is longer than a pause can be: it lasts %d seconds", mark[0], MAX_PAUSE)
    return Pause(min(seconds, MAX_PAUSE))


def _break_tag(mark: re.Match[str]) -> Pause:
    """`<break/>`. Invalid attributes are ignored, with a warning."""
    given = {name: value for name, _, value in re.findall(r"""([\w-]+)\s*=\s*(["'])(.*?)\2""", mark["attributes"])}
    strength = given.get("strength", "medium").lower()
    seconds = _seconds(given["time"]) if "time" in given else STRENGTHS.get(strength)
    if seconds is None or strength not in STRENGTHS or seconds > MAX_PAUSE:
        logger.warning("%.50s: give a time such as 500ms or 1.5s, or a strength of %s", mark[0], ", ".join(STRENGTHS))
    return Pause(min(PAUSE if seconds is None else seconds, MAX_PAUSE))


def _seconds(given: str) -> float | None:
    """Parse a time into seconds. None: it is not a time."""
    match = TIME.fullmatch(given)
    if match is None:
        return MAX_PAUSE + 1 if ANY_TIME.fullmatch(given) and len(given) > 9 else None
    number, unit = float(match[1].replace(",", ".")), (match[2] or "").lower()
    if not unit:
        unit = "s" if number <= BARE_SECONDS else "ms"
    return number / 1000 if unit.startswith("m") else number


def _merge(items: list[str | Pause | _LayoutPause], gap: float, emoji: Emoji) -> Iterator[str | Pause]:
    """Merge neighboring pauses: the sum of marked pauses, else the longest. Layout pauses at the start and end are dropped."""
    items = [
        _LayoutPause(SCENE) if isinstance(item, str) and item.strip() and is_silent(item, emoji) else item
        for item in items
    ]
    items = [item for item in items if not isinstance(item, str) or item.strip()]
    runs = [list(run) for _, run in groupby(items, key=lambda item: isinstance(item, str))]
    for number, run in enumerate(runs):
        texts = [item for item in run if isinstance(item, str)]
        marked = [item.seconds for item in run if isinstance(item, Pause)]
        layout = [item.seconds for item in run if isinstance(item, _LayoutPause)]
        if texts:
            yield " ".join(texts)
        elif marked:
            yield Pause(sum(marked))
        elif 0 < number < len(runs) - 1:
            yield Pause(max(gap, *layout))
        elif len(runs) == 1 and max(layout) == SCENE:
            yield Pause(PAUSE)  # the whole text is "..." or the like
