"""Markdown and HTML as plain text, block by block. Markdown becomes HTML first; EPUBs are made of HTML too.

The apparatus of a book is left out: marks of notes, notes, page numbers, tables of contents, indexes and copyright pages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

# Tags of HTML: what starts and ends a line; what is no text.
BLOCKS = {"p", "div", "section", "article", "header", "footer", "aside", "figure", "figcaption", "blockquote", "table", "pre", "dl",
          "dt", "dd", "ul", "ol", "hr", "body", "main", "address", "caption", "center"}  # fmt: skip
HEADINGS = {f"h{level}": level for level in range(1, 7)}
UNSEEN = {
    "head",
    "script",
    "style",
    "template",
    "svg",
    "math",
    "nav",
    "rt",
    "rp",
    "title",
    "object",
    "audio",
    "video",
    "iframe",
}
EMPTY = {"br", "hr", "img", "meta", "link", "input", "col", "wbr", "source", "area", "base", "embed", "param", "track"}

# Values of epub:type and role (without "doc-") whose elements are no part of what is read.
MARKS = {"noteref", "pagebreak", "backlink"}
NOTES = {"footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes", "note"}
PARTS = {"toc", "index", "copyright-page", "landmarks", "page-list", "loi", "lot"}
CLASSES = {
    "pagenum",
    "pageno",
    "page-number",
    "noteref",
    "footnote-ref",
    "footnote-back",
    "footnote-backref",
    "fnanchor",
}
# Classes of notes in books without epub:type.
NOTE_CLASSES = {"footnote", "footnotes", "endnotes"}
NOTE_MARK = re.compile(r"[\[(]?\s*(?:\d{1,4}|[ivxl]{1,5}|[a-z]|[*\u2020\u2021\u00a7\u00b6]{1,3})\s*[\])]?")
BRACKETED = re.compile(
    r"(?<=[\w.,;:!?\"'\u2019\u201d)])\[(?:\d{1,3}|[a-z]|\*)\]"
)  # a mark that is no link: "word.[15]"
TABLE_GAP = ", "

# A tag of XHTML that is closed at once. HTML knows this only of EMPTY tags: `<title/>` would swallow the page.
_SELF_CLOSED = re.compile(r"<([A-Za-z][\w:.-]*)((?:\s[^<>]*)?)/>")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.S)
_DECLARED = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.I)


@dataclass
class Block:
    """A paragraph, a heading, a list or the like."""

    text: str
    level: int = 0  # of a heading: 1 to 6


def decode_page(content: bytes) -> str:
    """A page of HTML or XML as text: by its byte order mark, by the encoding that it declares, as UTF-8, else as cp1252."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    declared = _DECLARED.search(content[:1024])
    for encoding in ([declared[1].decode("ascii")] if declared else []) + ["utf-8"]:
        try:
            return content.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
    return content.decode("cp1252", "replace")


def attributes(given: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """Attributes by name, without namespaces but that of epub:type."""
    return {name if name == "epub:type" else name.rpartition(":")[2]: value or "" for name, value in given}


def without_cdata(page: str) -> str:
    """A page with its CDATA sections as escaped text."""
    return _CDATA.sub(lambda match: escape(match[1]), page)


def _closed(match: re.Match[str]) -> str:
    tag = match[1]
    return match[0] if tag.lower() in EMPTY else f"<{tag}{match[2]}></{tag}>"


class _Reader(HTMLParser):
    """Collects `blocks`, each on one line but for <br> and the items of a list."""

    def __init__(self, read_notes: bool) -> None:
        super().__init__()
        self.blocks: list[Block] = [Block("")]
        self._read_notes = read_notes
        self._before = ""  # the last start tag
        self._unseen: list[str] = []  # open tags of which nothing is read, innermost last
        self._lists: list[int | None] = []  # the last number of each open list; None: it has bullets
        self._marks: list[
            tuple[str, int, int, bool]
        ] = []  # open <a> and <sup>: tag, block, place in it, whether a link

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        found, is_code = attributes(given), (self._before, tag) == ("pre", "code")
        self._before = tag
        if self._unseen == ["head"] and (tag in BLOCKS or tag in HEADINGS):
            self._unseen.clear()  # the head was never closed
        if self._unseen or is_code or tag in UNSEEN or self._is_apparatus(found):
            if tag not in EMPTY:
                self._unseen.append(tag)
            return
        if tag in ("a", "sup"):
            is_link = tag == "a" and "#" in found.get("href", "")
            self._marks.append((tag, len(self.blocks) - 1, len(self.blocks[-1].text), is_link))
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

    def _is_apparatus(self, found: dict[str, str]) -> bool:
        """Whether an element with these attributes is not read."""
        kinds = {kind.removeprefix("doc-") for kind in f"{found.get('epub:type', '')} {found.get('role', '')}".split()}
        classes = set(found.get("class", "").lower().split())
        is_note = bool(kinds & NOTES or classes & NOTE_CLASSES)
        return (
            "hidden" in found
            or bool(kinds & (MARKS | PARTS) or classes & CLASSES)
            or (is_note and not self._read_notes)
        )

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            if tag in self._unseen:
                del self._unseen[len(self._unseen) - 1 - self._unseen[::-1].index(tag) :]
            return
        if tag in ("a", "sup") and any(mark[0] == tag for mark in self._marks):
            self._end_mark(tag)
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if tag in HEADINGS or (tag in BLOCKS and not (self._lists and tag == "p")):
            self.blocks.append(Block(""))
        elif tag in ("td", "th"):
            self._add(TABLE_GAP)

    def _end_mark(self, tag: str) -> None:
        """Leave out a link whose text is the mark of a note: <sup><a href="#n1">1</a></sup>, <a href="#n1">[15]</a>."""
        while self._marks:
            opened, block, place, is_link = self._marks.pop()
            if opened == tag:
                break
        text = self.blocks[block].text[place:]
        if is_link and block == len(self.blocks) - 1 and NOTE_MARK.fullmatch(text.strip()):
            is_raised = bool(self._marks) or self._before == "sup" or not text.strip().isalpha()
            if is_raised:
                self.blocks[block].text = self.blocks[block].text[:place]

    def handle_data(self, data: str) -> None:
        if self._unseen == ["head"] and data.strip():
            self._unseen.clear()  # text can't stand in a head: it was never closed
        if not self._unseen:
            self._add(re.sub(r"\s+", " ", data))

    def _add(self, text: str) -> None:
        self.blocks[-1].text += text


def from_html(page: str, read_notes: bool = False) -> list[Block]:
    """The blocks of a page that have text. read_notes: with footnotes and endnotes, where they stand."""
    reader = _Reader(read_notes)
    reader.feed(_SELF_CLOSED.sub(_closed, without_cdata(page)))
    reader.close()
    for block in reader.blocks:
        lines = (re.sub(r" +", " ", BRACKETED.sub("", line)).strip(" ,") for line in block.text.split("\n"))
        block.text = "\n".join(line for line in lines if line not in ("", "-"))
    return [block for block in reader.blocks if block.text]


def from_markdown(text: str, read_notes: bool = False) -> list[Block]:
    """The blocks of a Markdown text, without its front matter (YAML or TOML)."""
    from markdown_it import MarkdownIt

    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"\A(---|\+\+\+)[ \t]*\n.*?\n(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", "", text, count=1, flags=re.S)
    note = r"(?m)^\[\^[^\]\s]+\]:[ \t]*(.*(?:\n(?:[ \t]+\S.*|[ \t]*(?=\n[ \t]+\S)))*)\n?"
    text = re.sub(note, r"\1\n\n" if read_notes else "", text)
    text = re.sub(r"\[\^[^\]\s]+\]", "", text)  # references to notes
    return from_html(MarkdownIt("commonmark", {"html": True}).enable("table").render(text), read_notes)
