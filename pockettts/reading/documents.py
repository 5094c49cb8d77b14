"""Files to read out, as chapters of plain text: .txt, .md and .epub.

Of the latter two, markup.py makes blocks, and they become text as structure.py expects it: a line each.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import TextError

MAX_BYTES = 64 * 1024 * 1024  # of text, more than any book has; /dev/zero has no end
MARKDOWN = (".md", ".markdown")

# A line of its own in a text file that starts a chapter: "CHAPTER I.", "Chapter Two: The Lamp", "Epilogue".
HEADING = re.compile(
    r"(?:(?:chapter|part|book|kapitel|teil|chapitre|partie|cap[ií]tulo|parte|capitolo|hoofdstuk|deel)\s+[\w-]+(?:\s*[.:\u2013\u2014-].{0,80})?"
    r"|prologue?|epilogue?|preface|foreword|introduction|afterword|prolog|epilog|vorwort|nachwort|pr[ée]face|avant-propos)\s*[.:]?",
    re.I,
)


@dataclass(frozen=True)
class Chapter:
    """A part of a file; the title, which may be empty, is in the text too."""

    title: str
    text: str


def read(source: str | Path | int) -> list[Chapter]:
    """The chapters of a file, at least one: one alone if they can't be told apart. A source of 0 is stdin, plain text.

    Raises TextError: the file can't be read, is not text, is damaged, too large or empty.
    """
    name, suffix = ("stdin", "") if source == 0 else (str(source), Path(source).suffix.lower())
    try:
        if suffix == ".epub":
            chapters = _of_epub(source)
        else:
            text = decoded(_bytes(source), name)
            chapters = _of_markdown(text) if suffix in MARKDOWN else _of_text(text)
    except OSError as error:
        raise TextError(f"can't read {name} ({error.strerror or error}): give a text file") from None
    chapters = [chapter for chapter in chapters if chapter.text.strip()]
    if not chapters:
        raise TextError(f"{name} is empty: give at least one word")
    return chapters


def plain_text(source: str | Path | int) -> str:
    """The text of a plain text file as it is, maybe empty. A source of 0 is stdin. Raises TextError: as `read`."""
    name = "stdin" if source == 0 else str(source)
    try:
        return decoded(_bytes(source), name)
    except OSError as error:
        raise TextError(f"can't read {name} ({error.strerror or error}): give a text file") from None


def whole(chapters: Iterable[Chapter]) -> str:
    """The text of all chapters."""
    return "\n\n".join(chapter.text for chapter in chapters)


def _bytes(source: str | Path | int) -> bytes:
    with open(source, "rb", closefd=source != 0) as file:
        return file.read(MAX_BYTES + 1)


def decoded(content: bytes, name: str) -> str:
    """Bytes as text, without a byte order mark. name: of where they are from. Raises TextError: they are not UTF-8, or too many."""
    try:
        text = content[:MAX_BYTES].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from None
    if len(content) > MAX_BYTES or "\0" in text:
        raise TextError(f"{name} is not text, or longer than {MAX_BYTES >> 20} MB: give a text file")
    return text


def _of_text(text: str) -> list[Chapter]:
    """A text file's chapters: they begin with a heading after a blank line."""
    lines = text.splitlines()
    starts = [
        n for n, line in enumerate(lines) if HEADING.fullmatch(line.strip()) and (n == 0 or not lines[n - 1].strip())
    ]
    if not starts:
        return [Chapter("", text)]
    bounds = [0, *starts, len(lines)]
    parts = ["\n".join(lines[start:end]) for start, end in zip(bounds, bounds[1:], strict=False)]
    return [Chapter("", parts[0]), *(Chapter(part.split("\n", 1)[0].strip(), part) for part in parts[1:])]


def _of_markdown(text: str) -> list[Chapter]:
    """Chapters begin at the headings of the highest level that has several."""
    from .markup import from_markdown

    blocks = from_markdown(text)
    counts = Counter(block.level for block in blocks if block.level)
    level = min((level for level, count in counts.items() if count > 1), default=None)
    chapters: list[list] = [[]]
    for block in blocks:
        if block.level and block.level == level:
            chapters.append([])
        chapters[-1].append(block)
    return [
        Chapter(part[0].text.replace("\n", " ") if part and part[0].level else "", _text(part)) for part in chapters
    ]


def _of_epub(path: str | Path) -> list[Chapter]:
    """The pages of an EPUB, in its order; a page without a heading goes on with the chapter before it."""
    from .markup import from_epub

    chapters: list[Chapter] = []
    for blocks in from_epub(path, MAX_BYTES):
        heading = next((block.text.replace("\n", " ") for block in blocks if block.level), None)
        if heading is None and chapters:
            last = chapters.pop()
            chapters.append(Chapter(last.title, f"{last.text}\n\n{_text(blocks)}"))
        else:
            chapters.append(Chapter(heading or "", _text(blocks)))
    return chapters


def _text(blocks: list) -> str:
    return "\n\n".join(block.text for block in blocks)
