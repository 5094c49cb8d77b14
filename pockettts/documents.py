"""Files to read out, as chapters of plain text: .txt, .md and .epub.

Markdown becomes HTML, of which EPUBs are made too, and that becomes text as structure.py expects it: a line a block.
"""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote
from xml.etree import ElementTree

from .errors import TextError

MAX_BYTES = 64 * 1024 * 1024  # of text, more than any book has; /dev/zero has no end
MARKDOWN = (".md", ".markdown")

# A line of its own in a text file that starts a chapter: "CHAPTER I.", "Chapter Two: The Lamp", "Epilogue".
HEADING = re.compile(
    r"(?:(?:chapter|part|book|kapitel|teil|chapitre|partie|cap[ií]tulo|parte|capitolo|hoofdstuk|deel)\s+[\w-]+(?:\s*[.:\u2013\u2014-].{0,80})?"
    r"|prologue?|epilogue?|preface|foreword|introduction|afterword|prolog|epilog|vorwort|nachwort|pr[ée]face|avant-propos)\s*[.:]?",
    re.I,
)
# Tags of HTML: what starts and ends a line; what is no text.
BLOCKS = {"p", "div", "section", "article", "header", "footer", "aside", "figure", "figcaption", "blockquote", "table", "pre", "dl",
          "dt", "dd", "ul", "ol", "hr", "body"}  # fmt: skip
HEADINGS = {f"h{level}": level for level in range(1, 7)}
UNSEEN = {"head", "script", "style", "template", "svg", "math", "nav", "rt", "rp"}
EMPTY = {"br", "hr", "img", "meta", "link", "input", "col", "wbr", "source"}


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
            chapters = _epub(source)
        else:
            text = _decoded(_bytes(source), name)
            chapters = _by_headings(_html(_markdown(text))) if suffix in MARKDOWN else _by_lines(text)
    except OSError as error:
        raise TextError(f"can't read {name} ({error.strerror or error}): give a text file") from None
    chapters = [chapter for chapter in chapters if chapter.text.strip()]
    if not chapters:
        raise TextError(f"{name} is empty: give at least one word")
    return chapters


def whole(chapters: Iterable[Chapter]) -> str:
    """The text of all chapters."""
    return "\n\n".join(chapter.text for chapter in chapters)


def _bytes(source: str | Path | int) -> bytes:
    with open(source, "rb", closefd=source != 0) as file:
        return file.read(MAX_BYTES + 1)


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content[:MAX_BYTES].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from None
    if len(content) > MAX_BYTES or "\0" in text:
        raise TextError(f"{name} is not text, or longer than {MAX_BYTES >> 20} MB: give a text file")
    return text


def _by_lines(text: str) -> list[Chapter]:
    """A text file's chapters: they begin with a heading after a blank line."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if HEADING.fullmatch(line.strip()) and (n == 0 or not lines[n - 1].strip())]
    if not starts:
        return [Chapter("", text)]
    bounds = [0, *starts, len(lines)]
    parts = ["\n".join(lines[start:end]) for start, end in zip(bounds, bounds[1:], strict=False)]
    return [Chapter("", parts[0]), *(Chapter(part.split("\n", 1)[0].strip(), part) for part in parts[1:])]


# --- HTML ----------------------------------------------------------------------------------------------------------------


@dataclass
class _Block:
    text: str
    level: int = 0  # of a heading: 1 to 6


class _Reader(HTMLParser):
    """Collects `blocks`, each on one line but for <br> and the items of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[_Block] = [_Block("")]
        self._before = ""  # the last start tag
        self._unseen: list[str] = []  # open tags of which nothing is read, innermost last
        self._lists: list[int | None] = []  # the last number of each open list; None: it has bullets

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given, is_code = dict(attributes), (self._before, tag) == ("pre", "code")
        self._before = tag
        hidden = "hidden" in given or (tag == "a" and "noteref" in (given.get("epub:type") or ""))
        if tag not in EMPTY and (self._unseen or hidden or is_code or tag in UNSEEN):
            self._unseen.append(tag)
            return
        if tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
        if tag in HEADINGS or (tag in BLOCKS and not (self._lists and tag == "p")):
            self.blocks.append(_Block("", HEADINGS.get(tag, 0)))
        if tag == "hr":
            self.blocks += [_Block("***"), _Block("")]
        elif tag in ("br", "tr"):
            self._add("\n")
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            if number is not None:
                self._lists[-1] = number + 1
            self._add("\n- " if number is None else f"\n{number + 1}. ")

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            if tag in self._unseen:
                del self._unseen[len(self._unseen) - 1 - self._unseen[::-1].index(tag) :]
            return
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if tag in HEADINGS or (tag in BLOCKS and not (self._lists and tag == "p")):
            self.blocks.append(_Block(""))
        elif tag in ("td", "th"):
            self._add(", ")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._add(re.sub(r"\s+", " ", data))

    def _add(self, text: str) -> None:
        self.blocks[-1].text += text


def _html(page: str) -> list[_Block]:
    """The blocks of a page that have text."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    for block in reader.blocks:
        lines = (re.sub(r" +", " ", line).strip(" ,") for line in block.text.split("\n"))
        block.text = "\n".join(line for line in lines if line not in ("", "-"))
    return [block for block in reader.blocks if block.text]


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    text = re.sub(r"\A---\n.*?\n(?:---|\.\.\.)\n", "", text, count=1, flags=re.S)  # what static site generators put in front
    text = re.sub(r"\[\^[^\]\s]+\](?!:)", "", text)  # where footnotes are referred to
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def _by_headings(blocks: list[_Block]) -> list[Chapter]:
    """Chapters begin at the headings of the highest level that has several."""
    counts = Counter(block.level for block in blocks if block.level)
    level = min((level for level, count in counts.items() if count > 1), default=None)
    chapters: list[list[_Block]] = [[]]
    for block in blocks:
        if block.level and block.level == level:
            chapters.append([])
        chapters[-1].append(block)
    return [Chapter(part[0].text.replace("\n", " ") if part and part[0].level else "", _text(part)) for part in chapters]


def _text(blocks: list[_Block]) -> str:
    return "\n\n".join(block.text for block in blocks)


# --- EPUB ----------------------------------------------------------------------------------------------------------------


# What zipfile and ElementTree raise, and what an index that names nothing does. An encrypted file is a RuntimeError.
_NO_EPUB = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ElementTree.ParseError, LookupError, UnicodeDecodeError)


def _epub(path: str | Path) -> list[Chapter]:
    """The pages of an EPUB, in its order; a page without a heading goes on with the chapter before it."""
    try:
        with zipfile.ZipFile(path) as book:
            pages = [_html(page) for page in _pages(book, path)]
    except _NO_EPUB:
        raise TextError(f"{path} is damaged, protected, or no EPUB: give another, or save its text as .txt") from None
    chapters: list[Chapter] = []
    for blocks in pages:
        heading = next((block.text.replace("\n", " ") for block in blocks if block.level), None)
        if heading is None and chapters:
            last = chapters.pop()
            chapters.append(Chapter(last.title, f"{last.text}\n\n{_text(blocks)}"))
        else:
            chapters.append(Chapter(heading or "", _text(blocks)))
    return chapters


def _pages(book: zipfile.ZipFile, path: str | Path) -> list[str]:
    """XHTML of the pages in reading order (the package's spine), without the table of contents."""
    left = MAX_BYTES

    def content(name: str) -> bytes:
        nonlocal left
        with book.open(name) as file:
            data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            raise TextError(f"{path} has more than {MAX_BYTES >> 20} MB of text: give a part of it")
        return data

    container = ElementTree.fromstring(content("META-INF/container.xml"))
    package_name = [element.attrib["full-path"] for element in container.iter() if element.tag.endswith("}rootfile")][0]
    package = list(ElementTree.fromstring(content(package_name)).iter())
    items = {item.attrib["id"]: item.attrib for item in package if item.tag.endswith("}item")}
    spine = [items[ref.attrib["idref"]] for ref in package if ref.tag.endswith("}itemref") and ref.get("linear") != "no"]
    pages = [item["href"] for item in spine if "nav" not in item.get("properties", "").split()]
    names = [normpath(join(dirname(package_name), unquote(page))) for page in pages]
    return [content(name).decode("utf-8-sig") for name in names]
