"""Read EPUB files: the package document, the table of contents, and the pages in reading order. Bad parts are skipped.

All XML is parsed with the parser of pages (markup.py), which has no fatal errors. So a package document without namespaces, with
`&nbsp;` or with an unclosed tag can be read.

Source: EPUB 3.3 (W3C), OPF and NCX 2.0.1 (IDPF).
"""

import logging
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from io import BytesIO
from itertools import islice
from posixpath import basename, dirname, join, normpath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import TextError
from .blocks import TEXT_ONLY, Apparatus, Block
from .encodings import decode_page
from .markup import CONTENTS_TITLE, COPYRIGHT_TITLE, INDEX_TITLE, MAX_COPYRIGHT, PARTS, is_contents, read_tree
from .notes import Notes
from .tree import HEADINGS, attribute, kinds, local_name, parse, resolve, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MAX_FILES = 100_000  # in an archive
MAX_PAGES = 10_000
MAX_ENTRIES = 10_000  # of a table of contents
MAX_PAGE = 16 << 20  # bytes, unpacked; the longest novels have about 4 MB
MAX_COVER = 8 << 20  # bytes
GUIDE_PARTS = PARTS | {"copyright", "notes"}  # with the names of EPUB 2's guide
PART_HOLDERS = {"section", "div", "article", "nav", "aside", "ul", "ol"}  # elements that a landmark names as a whole
MIN_LINKS = 5  # a page with only links is a table of contents if it has at least this many
MAX_TITLED_COPYRIGHT = 1000  # words of a page that only its title shows to be a copyright page
# Methods that obfuscate fonts. They are not DRM.
FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")

PAGES = (".xhtml", ".html", ".htm")
TEXTS = (*PAGES, ".xml", ".opf", ".ncx")
NO_TEXT = re.compile("[\0-\x08\x0e-\x1f\x7f\ufffd]")

# The errors of zipfile. An encrypted file is a RuntimeError, an unknown compression a NotImplementedError.
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, KeyError, OSError, ValueError)

logger = logging.getLogger("pockettts")


@dataclass
class Page:
    """A page of a book: its place (path in the archive, in lower case), and its blocks."""

    place: str
    blocks: list[Block]


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents: its title, the place and the id that it links to, and its depth, from 1."""

    title: str
    place: str
    fragment: str
    depth: int


@dataclass
class Book:
    """The metadata of an EPUB, its pages in reading order, and its table of contents, which may be empty.

    cover: an image; b"" if there is none. warnings: one line for each part that was skipped.
    """

    title: str = ""
    author: str = ""
    language: str = ""
    cover: bytes = b""
    pages: list[Page] = field(default_factory=list)
    contents: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_epub(name: str, content: bytes, max_bytes: int, apparatus: Apparatus = TEXT_ONLY) -> Book:
    """Read an EPUB. A page that can't be read is skipped; a warning names it.

    Args:
        name: the name of the file, for messages.
        content: the file.
        max_bytes: the limit of all pages together, unpacked.

    Raises:
        TextError: it is not an EPUB or is encrypted, no page can be read, or it has more than `max_bytes`.
    """
    if content.count(b"PK\1\2") > MAX_FILES:
        raise TextError(f"{name} has more than {MAX_FILES:,} files: give another, or save its text as .txt")
    warnings: list[str] = []
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except BROKEN:
        archive = _salvaged(content, max_bytes)
        if not archive.namelist():
            archive.close()
            raise TextError(f"{name} is a damaged EPUB without any text: download it again, or give another") from None
        warnings.append("it is damaged, perhaps truncated: only the pages that can be found are read")
    with archive:
        book = _Reader(archive, name, max_bytes, warnings).book(apparatus)
    for warning in warnings:
        logger.warning("%s: %s", name, warning)
    return book


def names_in(content: bytes) -> list[str]:
    """The names of the files in an archive. If it has lost its directory, the names are searched in its content."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return archive.namelist()
    except BROKEN:
        return [name for name, _ in _entries(content)]


def _entries(content: bytes) -> Iterator[tuple[str, int]]:
    """The files in an archive that has lost its directory (the end of the archive): their names and byte offsets."""
    place = content.find(b"PK\3\4")
    while 0 <= place <= len(content) - 30:
        length = int.from_bytes(content[place + 26 : place + 28], "little")
        if name := content[place + 30 : place + 30 + length].decode("utf-8", "replace"):
            yield name, place
        place = content.find(b"PK\3\4", place + 30 + length)


def _salvaged(content: bytes, max_bytes: int) -> zipfile.ZipFile:
    """A new archive with the texts of one that has lost its directory."""
    archive = zipfile.ZipFile(BytesIO(), "w")
    entries = list(islice(_entries(content), MAX_FILES))
    ends = [place for _, place in entries[1:]] + [len(content)]
    for (name, place), end in zip(entries, ends, strict=True):
        method, size = struct.unpack_from("<H8xI", content, place + 8)
        start = place + 30 + sum(struct.unpack_from("<HH", content, place + 26))
        if name.lower().endswith(TEXTS) and method in (0, 8) and name not in archive.NameToInfo and max_bytes > 0:
            packed = content[start:end]
            with suppress(zlib.error):
                data = (
                    packed[:size]
                    if method == 0
                    else zlib.decompressobj(-15).decompress(packed, min(MAX_PAGE, max_bytes))
                )
                archive.writestr(name, data)
                max_bytes -= len(data)
    return archive


class _Reader:
    """Reads an open archive. `left` is the number of bytes that may still be unpacked."""

    def __init__(self, archive: zipfile.ZipFile, name: str, max_bytes: int, warnings: list[str]) -> None:
        self.archive, self.name, self.max_bytes, self.left = archive, name, max_bytes, max_bytes
        self.warnings = warnings
        self.skipped_parts: dict[str, set[str]] = {}  # by page: the ids of elements that are left out
        self.names = {info.filename: info.filename for info in archive.infolist()}
        for given in list(self.names):
            for key in (_key(given), _key(_utf_8(given))):
                self.names.setdefault(key, given)
        self.bases: dict[str, list[str]] = {}
        for info in archive.infolist():
            self.bases.setdefault(basename(_key(info.filename)), []).append(info.filename)

    # --- files -----------------------------------------------------------------------------------------------------------

    def find(self, place: str) -> str | None:
        """The name of a file in the archive: the given one, in another case or encoding, or the only file with this name in another folder."""
        for key in (place, unquote(place), _key(place), _key(unquote(place))):
            if key in self.names:
                return self.names[key]
        others = self.bases.get(basename(_key(unquote(place))), [])
        return others[0] if len(others) == 1 else None

    def content(self, place: str, most: int = MAX_PAGE) -> bytes:
        """The content of a file; if it is damaged, the readable part.

        Raises an error of BROKEN, or TextError beyond the limit of all files.
        """
        name = self.find(place)
        if name is None:
            raise KeyError(place)
        data = bytearray()
        with self.archive.open(name) as file:
            try:
                while len(data) <= min(most, self.left) and (part := file.read(1 << 16)):
                    data += part
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                if not data:
                    raise
                self.warn(f"{name} is damaged ({error}): only its readable part is read")
        self.left -= len(data)
        if len(data) > most:
            raise ValueError(f"it has more than {most >> 20} MB")
        if self.left < 0:
            raise TextError(f"{self.name} has more than {self.max_bytes >> 20} MB of text: give a part of it")
        return bytes(data)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def _warn_of_page(self, place: str, message: str) -> None:
        self.warn(f"the page {place}: {message}")

    def skip(self, what: str, error: BaseException | str) -> None:
        """Add a warning about a part that is skipped."""
        reason = "it is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
        self.warn(f"{what} is skipped: {reason}")

    # --- the book --------------------------------------------------------------------------------------------------------

    def book(self, apparatus: Apparatus) -> Book:
        opf = self._package_name()
        package = self._parsed(opf) if opf else None
        book = Book(warnings=self.warnings)
        if opf is None or package is None:
            roots, extra = self._all_roots("package document"), {}
        else:
            items = _Items(package, opf)
            book.title, book.author, book.language = _about(package)
            spine = self._spine(package, items)
            roots = self._roots({place: linear for place, linear in spine.items() if linear})
            extra = self._roots({place: linear for place, linear in spine.items() if not linear}, quietly=bool(roots))
            if not roots:
                roots, extra = extra, {}
            book.contents, landmarks = self._contents(package, items, opf)
            landmarks += _guide(package, opf)
            book.cover = self._cover(package, items, opf, roots)
            roots = self._without_apparatus(roots, landmarks, book.contents)
        if not roots:
            roots = self._all_roots("list of pages")
        if not roots:
            reason = f" ({self.warnings[0]})" if self.warnings else ""
            raise TextError(f"{self.name} has no page that can be read{reason}: download it again, or give another")
        notes = Notes({**extra, **roots}, [(entry.place, entry.fragment) for entry in book.contents])
        for place, root in roots.items():
            parts = [notes.element(place, name) for name in self.skipped_parts.get(place, ())]
            elements = [part for part in parts if part is not None and local_name(part) in PART_HOLDERS]
            book.pages.append(Page(place.lower(), read_tree(root, notes, apparatus, elements)))
        return book

    def _package_name(self) -> str | None:
        """The package document that the container names; otherwise the first .opf in the archive."""
        names = []
        try:
            container = parse(decode_page(self.content("META-INF/container.xml")))
            names = [attribute(root, "full-path") for root in container.iter() if local_name(root) == "rootfile"]
        except BROKEN:
            pass
        names += [name for name in self.archive.namelist() if name.lower().endswith(".opf")]
        return next((found for name in names if name and (found := self.find(name))), None)

    def _parsed(self, place: str) -> "Element | None":
        try:
            return parse(decode_page(self.content(place)))
        except BROKEN as error:
            self.skip(place, error)
            return None

    def _spine(self, package: "Element", items: "_Items") -> dict[str, bool]:
        """The pages by place, in order, and whether they are part of the text (linear)."""
        spine: dict[str, bool] = {}
        for reference in package.iter():
            if local_name(reference) != "itemref":
                continue
            identity = attribute(reference, "idref").strip()
            item = items.get(identity)
            if item is None:
                self.skip(f"the page {identity!r}", "the manifest has no such item")
            elif len(spine) >= MAX_PAGES:
                self.skip("the rest", f"there are more than {MAX_PAGES:,} pages")
                break
            elif (page := items.readable(item)) is None:
                self.skip(f"the page {item.place}", "it has no text")
            elif "nav" not in page.properties:
                spine.setdefault(page.place, attribute(reference, "linear") != "no")
        if not spine:
            spine = {item.place: True for item in items if item.is_page and "nav" not in item.properties}
            if spine:
                self.warn("it has no spine that can be read: all pages of the manifest are read")
        return dict(list(spine.items())[:MAX_PAGES])

    def _roots(self, places: Iterable[str], quietly: bool = False) -> "dict[str, Element]":
        """The trees of pages. Pages that can't be read are skipped."""
        roots: dict[str, Element] = {}
        for place in places:
            name = self.find(place)
            try:
                if name in self._locked:
                    raise ValueError("it is protected (DRM)")
                text = decode_page(self.content(place))
                if len(NO_TEXT.findall(text[:65536])) * 50 > len(text[:65536]):
                    raise ValueError("it is not text")
                roots[place] = parse(text, partial(self._warn_of_page, place))
            except BROKEN as error:
                if not quietly:
                    self.skip(f"the page {place}", error)
        return roots

    def _all_roots(self, missing: str) -> "dict[str, Element]":
        """The trees of all pages in the archive, with a warning about what is missing."""
        roots = self._roots(name for name in _natural(self.names.values()) if name.lower().endswith(PAGES))
        if roots:
            self.warn(f"it has no {missing} that can be read: all pages are read, in the order of their names")
        return roots

    @cached_property
    def _locked(self) -> set[str]:
        """Files that are encrypted."""
        if self.find("META-INF/encryption.xml") is None:
            return set()
        tree = self._parsed("META-INF/encryption.xml")
        locked = set()
        for data in [] if tree is None else tree.iter():
            if local_name(data) != "encrypteddata":
                continue
            methods = [
                attribute(inner, "algorithm") for inner in data.iter() if local_name(inner) == "encryptionmethod"
            ]
            if methods and all(method in FONTS for method in methods):
                continue
            places = [attribute(inner, "uri") for inner in data.iter() if local_name(inner) == "cipherreference"]
            locked |= {name for place in places if (name := self.find(place))}
        return locked

    # --- the table of contents and the apparatus ------------------------------------------------------------------------------------

    def _contents(
        self, package: "Element", items: "_Items", opf: str
    ) -> "tuple[list[Entry], list[tuple[str, str, str]]]":
        """The table of contents of EPUB 3, or else of EPUB 2, and the landmarks as (kind, place, fragment)."""
        entries: list[Entry] = []
        landmarks: list[tuple[str, str, str]] = []
        for item in items:
            if "nav" in item.properties and (tree := self._parsed(item.place)) is not None:
                for nav in tree.iter("nav"):
                    if "landmarks" in kinds(nav):
                        landmarks += [
                            (kind, *resolve(item.place, link.get("href", "")))
                            for link in nav.iter("a")
                            for kind in kinds(link)
                        ]
                    elif "toc" in kinds(nav) and not entries:
                        entries = _nav_entries(nav, item.place)
                break
        ncx = [
            item
            for item in items
            if item.media_type == "application/x-dtbncx+xml" or item.place.lower().endswith(".ncx")
        ]
        if not entries and ncx and (tree := self._parsed(ncx[0].place)) is not None:
            entries = _ncx_entries(tree, ncx[0].place)
        return entries, landmarks

    def _without_apparatus(
        self, roots: "dict[str, Element]", landmarks: list[tuple[str, str, str]], contents: list[Entry]
    ) -> "dict[str, Element]":
        """The pages without tables of contents, indexes and copyright pages. Parts of pages go to `skipped_parts`."""
        pages = {place.lower(): place for place in roots}
        left_out: set[str] = set()
        for kind, target, fragment in landmarks:
            place = pages.get(target)
            if place is None or kind not in GUIDE_PARTS:
                continue
            root = roots[place]
            if fragment and not _starts_with(root, fragment):
                self.skipped_parts.setdefault(place, set()).add(fragment)
            elif _is_apparatus(kind, root):
                left_out.add(place)
        for place, root in roots.items():
            if is_contents(root, 0.6) and _is_titled_contents(root) or is_contents(root, 0.8, MIN_LINKS):
                left_out.add(place)
        for entry in contents:
            place = pages.get(entry.place)
            if place is not None and not entry.fragment and _is_titled_apparatus(entry.title, roots[place]):
                left_out.add(place)
        kept = {place: root for place, root in roots.items() if place not in left_out}
        return kept or roots

    # --- the cover -----------------------------------------------------------------------------------------------------------------

    def _cover(self, package: "Element", items: "_Items", opf: str, roots: "dict[str, Element]") -> bytes:
        """The cover image that the manifest, the metadata or the guide names, or else the picture of the first page; b"" if there is none."""
        for place in self._cover_places(package, items, opf, roots):
            name = self.find(place)
            if name is None:
                continue
            try:
                with self.archive.open(name) as file:
                    image = file.read(MAX_COVER + 1)
            except BROKEN:
                continue
            if image.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")) and len(image) <= MAX_COVER:
                return image
        return b""

    def _cover_places(
        self, package: "Element", items: "_Items", opf: str, roots: "dict[str, Element]"
    ) -> Iterator[str]:
        pages: list[str] = []  # whose picture is the cover
        yield from (item.place for item in items if "cover-image" in item.properties)
        for meta in package.iter():
            if local_name(meta) == "meta" and attribute(meta, "name").lower() == "cover":
                named = items.get(attribute(meta, "content"))
                if named and not named.is_image and named.is_page:
                    pages.append(named.place.lower())
                else:
                    yield named.place if named else _place(opf, attribute(meta, "content"))
        yield from (
            item.place for item in items if item.id.lower() in ("cover", "cover-image", "coverimage") and item.is_image
        )
        pages += [place for kind, place, _ in _guide(package, opf) if kind == "cover"]
        first = next(iter(roots), None)
        if first is not None and len(text_of(roots[first]).split()) < 20:
            pages.append(first.lower())
        trees = {place.lower(): root for place, root in roots.items()}
        for page in pages:
            root = trees.get(page)
            for image in root.iter() if root is not None else ():
                if local_name(image) in ("img", "image"):
                    source = image.get("src") or attribute(image, "href")
                    yield resolve(page, source)[0]


# --- the package -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Item:
    """An item of the manifest."""

    id: str
    place: str
    media_type: str
    properties: frozenset[str]
    fallback: str

    @property
    def is_page(self) -> bool:
        return "html" in self.media_type or self.place.lower().endswith((*PAGES, ".xml"))

    @property
    def is_image(self) -> bool:
        return self.media_type.startswith("image/")


class _Items:
    """The manifest, by id."""

    def __init__(self, package: "Element", opf: str) -> None:
        self._items: dict[str, _Item] = {}
        for item in package.iter():
            if local_name(item) == "item" and attribute(item, "href"):
                properties = frozenset(attribute(item, "properties").split())
                identity = attribute(item, "id").strip()
                place = _place(opf, attribute(item, "href"))
                made = _Item(
                    identity, place, attribute(item, "media-type").lower(), properties, attribute(item, "fallback")
                )
                self._items.setdefault(identity, made)

    def __iter__(self) -> Iterator[_Item]:
        return iter(self._items.values())

    def get(self, identity: str) -> _Item | None:
        lower = identity.lower()
        return self._items.get(identity) or next(
            (item for key, item in self._items.items() if key.lower() == lower), None
        )

    def readable(self, item: _Item) -> _Item | None:
        """An item with text, or its fallback; None for pictures and other media without one."""
        seen: set[str] = set()
        current: _Item | None = item
        while current is not None and (
            current.is_image or current.media_type.startswith(("audio/", "video/", "font/"))
        ):
            if current.id in seen:  # the fallbacks lead in a circle
                return None
            seen.add(current.id)
            current = self._items.get(current.fallback)
        return None if current is not None and current.media_type == "application/x-dtbncx+xml" else current


def _about(package: "Element") -> tuple[str, str, str]:
    """Title, authors and language of a book."""
    metadata = next((element for element in package.iter() if local_name(element) == "metadata"), package)
    found: dict[str, list[tuple[str, Element]]] = {"title": [], "creator": [], "language": []}
    refined: dict[tuple[str, str], str] = {}
    for element in metadata.iter():
        name, text = local_name(element), text_of(element)
        if name in found and text:
            found[name].append((text, element))
        elif name == "meta" and element.get("refines"):
            text = text or (element.tail or "").strip()  # in HTML, <meta> has no content
            refined[element.get("refines", "").lstrip("#"), element.get("property", "")] = text

    def refine(element: "Element", key: str) -> str:
        return refined.get((element.get("id", ""), key)) or ""

    titles = [text for text, element in found["title"] if refine(element, "title-type") in ("", "main")]
    roles = [
        (text, attribute(element, "role") or refine(element, "role") or "aut") for text, element in found["creator"]
    ]
    authors = [text for text, role in roles if role == "aut"] or [text for text, _ in roles]
    language = found["language"][0][0] if found["language"] else ""
    return (titles or [text for text, _ in found["title"]] or [""])[0], ", ".join(dict.fromkeys(authors)), language


def _guide(package: "Element", opf: str) -> list[tuple[str, str, str]]:
    """The guide of EPUB 2, as (kind, place, fragment)."""
    return [
        (attribute(reference, "type").lower(), *resolve(opf, attribute(reference, "href")))
        for reference in package.iter()
        if local_name(reference) == "reference" and attribute(reference, "href")
    ]


def _nav_entries(nav: "Element", place: str) -> list[Entry]:
    entries = []
    for link in islice(nav.iter("a"), MAX_ENTRIES):
        target, fragment = resolve(place, link.get("href", ""))
        depth = sum(1 for parent in link.iterancestors() if local_name(parent) in ("ol", "ul"))
        if target:
            entries.append(Entry(text_of(link), target, fragment, max(1, depth)))
    return entries


def _ncx_entries(tree: "Element", place: str) -> list[Entry]:
    entries = []
    for point in islice((point for point in tree.iter() if local_name(point) == "navpoint"), MAX_ENTRIES):
        label = next((text_of(inner) for inner in point if local_name(inner) == "navlabel"), "")
        source = next((attribute(inner, "src") for inner in point if local_name(inner) == "content"), "")
        depth = 1 + sum(1 for parent in point.iterancestors() if local_name(parent) == "navpoint")
        target, fragment = resolve(place, source)
        if target:
            entries.append(Entry(label, target, fragment, depth))
    return entries


def _starts_with(root: "Element", name: str) -> bool:
    """Whether the element with this id is at the start of the page."""
    for element in root.iter():
        if name in (element.get("id"), element.get("name")):
            return True
        if local_name(element) not in ("html", "head", "title", "style", "script", "meta", "link") and (
            (element.text or "").strip() or (element.tail or "").strip()
        ):
            return False
    return False


def _is_apparatus(kind: str, root: "Element") -> bool:
    """Whether a page is what a landmark calls it: a list of contents, an index, a list of notes or a copyright page."""
    if kind in ("toc", "loi", "lot", "loa", "lov"):
        return is_contents(root, 0.4)
    if kind.startswith(("copyright", "imprint")):
        return len(text_of(root).split()) < MAX_COPYRIGHT
    return kind in ("index", "notes")


def _is_titled_apparatus(title: str, root: "Element") -> bool:
    """Whether a page is a table of contents, an index or a copyright page, by its title in the table of contents and its text."""
    title = title.strip(" .:")
    if COPYRIGHT_TITLE.fullmatch(title):
        return len(text_of(root).split()) < MAX_TITLED_COPYRIGHT
    if INDEX_TITLE.fullmatch(title):
        return is_contents(root, 0.2)
    return CONTENTS_TITLE.fullmatch(title) is not None and is_contents(root, 0.6)


def _is_titled_contents(root: "Element") -> bool:
    titles = (
        text_of(element) for element in root.iter() if local_name(element) in HEADINGS or local_name(element) == "p"
    )
    return any(CONTENTS_TITLE.fullmatch(text.strip(" .:")) for _, text in zip(range(3), titles, strict=False))


def _key(name: str) -> str:
    """The lookup key of a file name: lower case, with forward slashes and composed characters."""
    path = normpath(unicodedata.normalize("NFC", name).replace("\\", "/")).lstrip("/").lower()
    return re.sub(r"\A(?:\.\./)+", "", path)


def _utf_8(name: str) -> str:
    """A file name decoded as UTF-8, if it is UTF-8 although the archive does not declare it."""
    try:
        return name.encode("cp437").decode("utf-8")
    except ValueError:
        return name


def _place(opf: str, href: str) -> str:
    """The path in the archive for an address in the package document `opf`."""
    path = href.strip().replace("\\", "/").partition("#")[0].partition("?")[0]
    path = re.sub(r"\A(?:file:/*|[a-z]:/)", "/", path, flags=re.I)
    return path.lstrip("/") if path.startswith("/") else normpath(join(dirname(opf.replace("\\", "/")), path))


def _natural(names: Iterable[str]) -> list[str]:
    """Sort names; numbers in them count by their value."""
    key: Callable[[str], list[tuple[bool, int, str]]] = lambda name: [  # noqa: E731
        (part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d{1,9})", name.lower())
    ]
    return sorted(dict.fromkeys(names), key=key)
