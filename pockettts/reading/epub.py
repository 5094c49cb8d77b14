"""EPUB files: the package document, and the pages in reading order. One bad page never costs the book.

Pages and packages are parsed by Python's own `html.parser`, which is a token stream: it has no fatal errors, knows all named
entities, and needs no installation. So a package without namespaces, with `&nbsp;` or with an open tag is read all the same.

Source: EPUB 3.3 (W3C), OPF 2.0.1 (IDPF).
"""

import logging
import zipfile
import zlib
from dataclasses import dataclass
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

from ..errors import TextError
from .markup import Block, attributes, decode_page, from_html, without_cdata

MAX_PAGES = 10_000
MAX_COVER = 8 << 20  # bytes
APPARATUS = {
    "toc",
    "index",
    "copyright-page",
    "copyright",
    "loi",
    "lot",
    "landmarks",
    "page-list",
}  # pages that are not read

# What zipfile raises. An encrypted file is a RuntimeError, an unknown compression a NotImplementedError.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, KeyError, OSError, ValueError, StopIteration)

logger = logging.getLogger("pockettts")


@dataclass(frozen=True)
class Book:
    """What an EPUB says about itself, and the blocks of each page, in reading order."""

    title: str
    author: str
    language: str
    cover: bytes  # an image; b"" if there is none
    pages: list[list[Block]]


def read_epub(path: str | Path, content: bytes, max_bytes: int, read_notes: bool = False) -> Book:
    """Read an EPUB. A page that can't be read is skipped; a warning names it.

    Args:
        path: the name of the file, for messages.
        content: the file.
        max_bytes: of all pages, unpacked.
        read_notes: read footnotes and endnotes where they stand.

    Raises:
        TextError: it is no EPUB, it is encrypted, no page can be read, or it has more than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return _Archive(archive, path, max_bytes).book(read_notes)
    except _BROKEN:
        raise TextError(f"{path} is damaged, protected, or no EPUB: give another, or save its text as .txt") from None


class _Tags(HTMLParser):
    """The start tags of an XML file, without namespaces, and the text of those that are asked for."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(without_cdata(decode_page(content)))
        self.close()

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        tag = tag.rpartition(":")[2]
        self.found.append((tag, attributes(given)))
        self._open = tag
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [given for name, given in self.found if name == tag]

    def first_text(self, tag: str) -> str:
        return next((" ".join(text.split()) for text in self.texts.get(tag, []) if text.strip()), "")


class _Archive:
    """An open EPUB. Names are found whatever their case, slashes and leading slash."""

    def __init__(self, archive: zipfile.ZipFile, path: str | Path, max_bytes: int) -> None:
        self.archive, self.path, self.max_bytes = archive, path, max_bytes
        self.left = max_bytes
        self.names = {_key(info.filename): info.filename for info in archive.infolist()}

    def content(self, name: str) -> bytes:
        """A file of the archive. Raises KeyError and other errors of `_BROKEN`, and TextError beyond the limit."""
        with self.archive.open(self.names[_key(name)]) as file:
            data = file.read(self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            raise TextError(f"{self.path} has more than {self.max_bytes >> 20} MB of text: give a part of it")
        return data

    def book(self, read_notes: bool) -> Book:
        name = self._package_name()
        package = _Tags(self.content(name))
        items = {item["id"]: item for item in package.all("item") if "id" in item}
        pages = []
        hrefs = self._spine(package, items)[:MAX_PAGES]
        for href in hrefs:
            place = _place(name, href)
            try:
                pages.append(from_html(decode_page(self.content(place)), read_notes))
            except _BROKEN as error:
                reason = "it is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
                logger.warning("%s: the page %s is skipped: %s", self.path, href, reason)
        if not pages:
            raise TextError(f"{self.path} has no page that can be read: give another, or save its text as .txt")
        return Book(
            package.first_text("title"), package.first_text("creator"), package.first_text("language"),
            self._cover(name, package, items), pages,
        )  # fmt: skip

    def _package_name(self) -> str:
        """The name of the package document; without a container file, the only .opf in the archive."""
        try:
            for rootfile in _Tags(self.content("META-INF/container.xml")).all("rootfile"):
                if (key := _key(unquote(rootfile.get("full-path", "")))) in self.names:
                    return self.names[key]
        except _BROKEN:
            pass
        return next(name for key, name in self.names.items() if key.endswith(".opf"))

    def _spine(self, package: _Tags, items: dict[str, dict[str, str]]) -> list[str]:
        """The addresses of the pages that are read, in order."""
        skipped = {
            _key(_place("", guide.get("href", "")))
            for guide in package.all("reference")
            if guide.get("type") in APPARATUS
        }
        hrefs = []
        for reference in package.all("itemref"):
            item = items.get(reference.get("idref", ""))
            if item is None or "href" not in item:
                logger.warning(
                    "%s: the page %r is skipped: the manifest has no such item", self.path, reference.get("idref", "")
                )
                continue
            is_page = "nav" not in item.get("properties", "").split() and reference.get("linear") != "no"
            if is_page and _key(_place("", item["href"])) not in skipped and item["href"] not in hrefs:
                hrefs.append(item["href"])
        if not hrefs:  # no spine that can be used: all pages of the manifest
            hrefs = [item["href"] for item in items.values() if "html" in item.get("media-type", "") and "href" in item]
        return hrefs

    def _cover(self, package_name: str, package: _Tags, items: dict[str, dict[str, str]]) -> bytes:
        """The cover image; b"" without one."""
        named = next((meta.get("content") for meta in package.all("meta") if meta.get("name") == "cover"), None)
        candidates = [item for item in items.values() if "cover-image" in item.get("properties", "").split()]
        candidates += [items[named]] if named in items else []
        for item in candidates:
            try:
                with self.archive.open(self.names[_key(_place(package_name, item["href"]))]) as file:
                    image = file.read(MAX_COVER + 1)
            except _BROKEN:
                continue
            if len(image) <= MAX_COVER:
                return image
        return b""


def _key(name: str) -> str:
    """A name by which a file of an archive is found."""
    return normpath(name.replace("\\", "/")).lstrip("/").lower()


def _place(package_name: str, href: str) -> str:
    """The name in the archive of an address in the package document."""
    path = unquote(urlsplit(href.replace("\\", "/")).path) or href
    return path if path.startswith("/") else normpath(join(dirname(package_name.replace("\\", "/")), path))
