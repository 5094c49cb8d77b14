"""Markdown, HTML and EPUB as plain text, block by block.

Markdown becomes HTML, of which EPUBs are made too.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote
from xml.etree import ElementTree

from ..errors import TextError

# Tags of HTML: what starts and ends a line; what is no text.
BLOCKS = {"p", "div", "section", "article", "header", "footer", "aside", "figure", "figcaption", "blockquote", "table", "pre", "dl",
          "dt", "dd", "ul", "ol", "hr", "body"}  # fmt: skip
HEADINGS = {f"h{level}": level for level in range(1, 7)}
UNSEEN = {"head", "script", "style", "template", "svg", "math", "nav", "rt", "rp"}
EMPTY = {"br", "hr", "img", "meta", "link", "input", "col", "wbr", "source"}


@dataclass
class Block:
    """A paragraph, a heading, a list or the like."""

    text: str
    level: int = 0  # of a heading: 1 to 6


class _Reader(HTMLParser):
    """Collects `blocks`, each on one line but for <br> and the items of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Block] = [Block("")]
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
            self.blocks.append(Block("", HEADINGS.get(tag, 0)))
        if tag == "hr":
            self.blocks += [Block("***"), Block("")]
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
            self.blocks.append(Block(""))
        elif tag in ("td", "th"):
            self._add(", ")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._add(re.sub(r"\s+", " ", data))

    def _add(self, text: str) -> None:
        self.blocks[-1].text += text


def from_html(page: str) -> list[Block]:
    """The blocks of a page that have text."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    for block in reader.blocks:
        lines = (re.sub(r" +", " ", line).strip(" ,") for line in block.text.split("\n"))
        block.text = "\n".join(line for line in lines if line not in ("", "-"))
    return [block for block in reader.blocks if block.text]


def from_markdown(text: str) -> list[Block]:
    """The blocks of a Markdown text."""
    from markdown_it import MarkdownIt

    text = re.sub(
        r"\A---\n.*?\n(?:---|\.\.\.)\n", "", text, count=1, flags=re.S
    )  # what static site generators put in front
    text = re.sub(r"\[\^[^\]\s]+\](?!:)", "", text)  # where footnotes are referred to
    return from_html(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


# --- EPUB ----------------------------------------------------------------------------------------------------------------


# What zipfile and ElementTree raise, and what an index that names nothing does. An encrypted file is a RuntimeError.
_NO_EPUB = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    ElementTree.ParseError,
    LookupError,
    UnicodeDecodeError,
)


def from_epub(path: str | Path, most: int) -> list[list[Block]]:
    """The blocks of each page of an EPUB, in its order. Raises TextError: it is none, or has more than `most` bytes of text."""
    try:
        with zipfile.ZipFile(path) as book:
            return [from_html(page) for page in _pages(book, path, most)]
    except _NO_EPUB:
        raise TextError(f"{path} is damaged, protected, or no EPUB: give another, or save its text as .txt") from None


def _pages(book: zipfile.ZipFile, path: str | Path, most: int) -> list[str]:
    """XHTML of the pages in reading order (the package's spine), without the table of contents."""
    left = most

    def content(name: str) -> bytes:
        nonlocal left
        with book.open(name) as file:
            data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            raise TextError(f"{path} has more than {most >> 20} MB of text: give a part of it")
        return data

    container = ElementTree.fromstring(content("META-INF/container.xml"))
    package_name = [element.attrib["full-path"] for element in container.iter() if element.tag.endswith("}rootfile")][0]
    package = list(ElementTree.fromstring(content(package_name)).iter())
    items = {item.attrib["id"]: item.attrib for item in package if item.tag.endswith("}item")}
    spine = [
        items[ref.attrib["idref"]] for ref in package if ref.tag.endswith("}itemref") and ref.get("linear") != "no"
    ]
    pages = [item["href"] for item in spine if "nav" not in item.get("properties", "").split()]
    names = [normpath(join(dirname(package_name), unquote(page))) for page in pages]
    return [content(name).decode("utf-8-sig") for name in names]
