"""Documents: files of any kind as chapters of plain text.

Kinds: .txt, .md, .html, .epub, .srt and .vtt; with extras .pdf and .docx. The kind is recognized by the content of a file. The name is used
only to distinguish plain text, Markdown and fragments of HTML. The parsers return blocks; each becomes a paragraph between blank lines,
as reading/pauses.py expects.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TextError
from ..reading.roman import roman_value
from .blocks import TEXT_ONLY, Apparatus, Block
from .encodings import decode_loosely, decode_page, is_plausible
from .plain_text import split_chapters, without_license
from .subtitles import Cue, is_subtitles, read_cues

MAX_BYTES = 64 * 1024 * 1024  # of text; more than any book has
MAX_ARCHIVE = 1 << 30  # of a file with pictures
MARKDOWN = (".md", ".markdown", ".mkd", ".mdown")
HTML = (".html", ".htm", ".xhtml", ".xht")
SUFFIXES = (".txt", *MARKDOWN, *HTML, ".epub", ".pdf", ".docx", ".srt", ".vtt")
# Extensions of files that can't be read as a document. A single word with such an extension is taken as a file name, not as a text.
OTHER_SUFFIXES = (
    ".azw", ".azw3", ".djvu", ".doc", ".fb2", ".flac", ".gif", ".gz", ".jpeg", ".jpg", ".m4a", ".m4b", ".mkv", ".mobi", ".mp3", ".mp4",
    ".odt", ".ogg", ".opus", ".png", ".rtf", ".tar", ".wav", ".webm", ".webp", ".xlsx", ".zip",
)  # fmt: skip
WANTED = "give a text, Markdown, HTML, EPUB, PDF, DOCX, SRT or VTT file"
# Kinds of files that can't be read, by their first bytes.
FOREIGN = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"RIFF": "a sound, image or video file",
    b"ID3": "an MP3 file", b"FORM": "an AIFF file", b"\x30\x26\xb2\x75": "a Windows Media file", b"caff": "a CAF file",
    b"fLaC": "a FLAC file", b"OggS": "an Ogg file", b"\x7fELF": "a program",
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive", b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a RAR archive", b"{\\rtf": "an RTF file", b"\xd0\xcf\x11\xe0": "an old Office file",
    b"SQLite format": "a database", b"%!PS": "a PostScript file", b"AT&TFORM": "a DjVu file", b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image", b"MZ": "a program", b"\xcf\xfa\xed\xfe": "a program", b"\x1aE\xdf\xa3": "a video file",
    b"wOF": "a font", b"\0\1\0\0": "a font", b"OTTO": "a font", b"TPZ": "a Kindle book", b"\xeaDRMION": "a protected Kindle book",
    b"BM": "an image", b"AMIGA": "a disk image",
}  # fmt: skip
# A text may begin like these, so control characters must follow.
SHORT_MAGIC = {b"MZ", b"BM", b"ID3", b"RIFF", b"BZh", b"TPZ", b"wOF", b"FORM", b"caff"}
ARCHIVES = {  # kinds of ZIP archives, by a file or a folder in them
    "word/": "a Word document", "xl/": "an Excel file", "ppt/": "a PowerPoint file",
    "AndroidManifest.xml": "an Android app", "META-INF/MANIFEST.MF": "a Java archive", "content.xml": "an OpenDocument file",
}  # fmt: skip
WORD = "word/document.xml"  # the text of a Word document
BINARY = {  # kinds of files that are not text, by their extension
    ".epub": "an EPUB", ".docx": "a Word document", ".pdf": "a PDF file", ".odt": "an OpenDocument file", ".zip": "a ZIP archive",
}  # fmt: skip
MAX_BEFORE = 3  # words, such as a number, that may precede the heading of a chapter on its page
ROMAN_HEADING = re.compile(r"\s*([IVXLC]{1,8})\.?[ \t]*(?:\n|\Z)")
BLOCK_TAGS = r"<(?:h[1-6]|p|div|section|article|main|table|ul|ol|head|title|meta|body|header|blockquote|center|!--)\b"

if TYPE_CHECKING:
    from .epub import Book

logger = logging.getLogger("pockettts")


@dataclass(frozen=True)
class Chapter:
    """A part of a document. The text includes the title. The title may be empty."""

    title: str
    text: str


@dataclass(frozen=True)
class Document:
    """A document: its chapters (at least one) and its metadata.

    Attributes:
        title, author, language: "" if unknown. The language is a BCP 47 tag.
        cover: an image; b"" if there is none.
        cues: the texts and times of subtitles; empty for other kinds.
        plain: the text of a plain text file, line for line; None for other kinds.
        warnings: one line for each part that was skipped. They have been logged.
    """

    chapters: list[Chapter]
    title: str = ""
    author: str = ""
    language: str = ""
    cover: bytes = b""
    cues: Sequence[Cue] = ()
    plain: str | None = None
    warnings: Sequence[str] = ()


def read(source: str | Path | int, apparatus: Apparatus = TEXT_ONLY) -> list[Chapter]:
    """The chapters of `read_document`."""
    return read_document(source, apparatus).chapters


def read_document(source: str | Path | int, apparatus: Apparatus = TEXT_ONLY) -> Document:
    """Read a document. A part that can't be read is skipped, with a warning.

    Args:
        source: a path; 0 is stdin.
        apparatus: what to read in addition to the text: notes, alternative texts.

    Raises:
        TextError: the file can't be read, or is of an unknown kind, damaged, too large or empty.
    """
    document = read_any(source, apparatus)
    if not document.chapters:
        raise TextError(f"{_name(source)} is empty: give at least one word")
    return document


def read_any(source: str | Path | int, apparatus: Apparatus = TEXT_ONLY) -> Document:
    """Like `read_document`, but an empty document has no chapters instead of being an error."""
    name = _name(source)
    try:
        content = _bytes(source)
    except OSError as error:
        raise TextError(f"can't read {name} ({error.strerror or error}): give a text file") from None
    suffix = "" if source == 0 else Path(str(source)).suffix.lower()
    try:
        document = _Parser(content, name, suffix, apparatus, is_strict=source == 0).document()
    except ValueError as error:  # a single page can't be read; in a book it would be skipped
        raise TextError(f"{name} can't be read: {error}") from None
    chapters = [chapter for chapter in document.chapters if chapter.text.strip()]
    numbered = _with_numbers(chapters)
    is_plain_changed = document.plain is not None and numbered != chapters
    plain = "\n".join(chapter.text for chapter in numbered) if is_plain_changed else document.plain
    return replace(document, chapters=numbered, plain=plain)


def _with_numbers(chapters: list[Chapter]) -> list[Chapter]:
    """Write the headings I, V, X, L and C as digits in the text if the number before or after is also a heading. Alone they are letters."""
    numerals = [ROMAN_HEADING.match(chapter.text) for chapter in chapters]
    values = [roman_value(match[1]) if match else 0 for match in numerals]
    return [
        replace(chapter, text=f"{value}{chapter.text[match.end(1) :]}")
        if match and len(match[1]) == 1 and {value - 1, value + 1} & ({*values} - {0})
        else chapter
        for chapter, match, value in zip(chapters, numerals, values, strict=True)
    ]


def whole(chapters: Iterable[Chapter]) -> str:
    """The text of all chapters."""
    return "\n\n".join(chapter.text for chapter in chapters)


def _name(source: str | Path | int) -> str:
    return "stdin" if source == 0 else str(source)


def _bytes(source: str | Path | int) -> bytes:
    """The content of a file: at most MAX_BYTES + 1 bytes of a text; more of an archive or a PDF, since they have pictures."""
    with open(source, "rb", closefd=source != 0) as file:
        content = file.read(MAX_BYTES + 1)
        return (
            content + file.read(MAX_ARCHIVE) if content.startswith(b"PK\3\4") or b"%PDF-" in content[:1024] else content
        )


def decoded(content: bytes, name: str) -> str:
    """UTF-8 as text, without a byte order mark.

    Args:
        name: the name of the source, for messages.

    Raises:
        TextError: it is not UTF-8, or too long.
    """
    try:
        text = content[:MAX_BYTES].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from None
    if len(content) > MAX_BYTES or "\0" in text:
        raise TextError(f"{name} is not text, or longer than {MAX_BYTES >> 20} MB: give a text file")
    return text


class _Parser:
    """Recognizes the kind of a file by its content, and reads it.

    Args:
        suffix: the extension of the file, in lower case.
        is_strict: text must be UTF-8 or UTF-16. This is for pipes; only files may be in an older encoding.
    """

    def __init__(self, content: bytes, name: str, suffix: str, apparatus: Apparatus, is_strict: bool) -> None:
        self.content, self.name, self.suffix = content, name, suffix
        self.apparatus, self.is_strict = apparatus, is_strict

    def document(self) -> Document:
        content = self.content
        if content.startswith((b"PK\3\4", b"PK\5\6")) or self.suffix in (".epub", ".docx") and b"PK\3\4" in content:
            return self._zip()
        if b"%PDF-" in content[:1024]:
            return self._pdf()
        self._refuse_foreign()
        if self._is_html():
            return self._html()
        if self.suffix == ".epub" or self.suffix in BINARY and not content:
            raise self._damaged()
        text = self._text()
        if is_subtitles(text):
            cues = read_cues(text, self.name)
            return Document([Chapter("", "\n".join(cue.text for cue in cues))], cues=cues)
        if self.suffix in MARKDOWN or self.suffix in ("", ".txt", ".text") and _looks_like_markdown(text):
            return self._markdown(text)
        return Document([Chapter(title, part) for title, part in split_chapters(text)], plain=text)

    # --- kinds -------------------------------------------------------------------------------------------------------------

    def _damaged(self) -> TextError:
        """The error for a file whose content does not match its extension, or an unreadable archive."""
        kind = BINARY.get(self.suffix)
        fault = f"its content is not that of {kind}" if self.content else "it is an empty file"
        what = f"is damaged: {fault};" if kind else "is a damaged ZIP archive:"
        return TextError(f"{self.name} {what} download it again, or give another")

    def _refuse_foreign(self) -> None:
        """Raise TextError for a known kind of file that can't be read as a document."""
        content = self.content
        is_binary = re.search(rb"[\0-\x08\x0e-\x19]", content[:4096]) is not None
        kind = next(
            (
                kind
                for magic, kind in FOREIGN.items()
                if content.startswith(magic) and (is_binary or magic not in SHORT_MAGIC)
            ),
            "",
        )
        if content[4:8] == b"ftyp":
            kind = "an image" if content[8:12] in (b"heic", b"mif1", b"avif") else "an MP4 file"
        elif is_binary and content[0] == 0xFF and content[1:2] and content[1] & 0xE6 == 0xE2:  # a frame of layer III
            kind = "an MP3 file"
        elif is_binary and content[0] == 0xFF and content[1:2] and content[1] & 0xF6 == 0xF0:  # ADTS
            kind = "an AAC file"
        elif content[257:262] == b"ustar":
            kind = "a tar archive"
        elif content[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
            raise TextError(f"{self.name} is a Mobipocket or Kindle book: convert it to EPUB, for example with Calibre")
        if kind:
            raise TextError(f"{self.name} is {kind}: {WANTED}")

    def _is_html(self) -> bool:
        """Whether it is HTML. Raises TextError for other kinds of XML, except SSML, which is spoken as text."""
        start = decode_page(self.content[:4096]).lstrip("\ufeff \t\r\n")
        if start.startswith("<?xml"):
            root = re.search(r"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)", start)
            name = root[1].lower() if root else "html"
            if name not in ("html", "body", "div", "section", "speak"):
                raise TextError(f"{self.name} is an XML file (<{root and root[1]}>): {WANTED}")
            return name != "speak"
        if re.match(r"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|body)\b", start, re.I | re.S):
            return True
        if self.suffix in MARKDOWN or self.suffix in (".srt", ".vtt"):
            return False
        if self.suffix in HTML:
            return True
        return re.match(BLOCK_TAGS, start, re.I) is not None and re.search(r"</\w+>", start) is not None

    def _text(self) -> str:
        """The file as text. Raises TextError if it is not text."""
        if self.is_strict and not self.content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return decoded(self.content, self.name)
        text, is_sure = decode_loosely(self.content[:MAX_BYTES])
        if self.suffix in BINARY and ("\0" in text or not is_sure):
            raise self._damaged()
        if "\0" in text:
            raise TextError(f"{self.name} is not text: {WANTED}")
        content = self._within_limit()
        if not is_sure:
            if not is_plausible(text):
                return decoded(content, self.name)  # raises
            logger.warning("%s is not UTF-8: it is read as Windows-1252", self.name)
        return text

    def _within_limit(self) -> bytes:
        if len(self.content) > MAX_BYTES:
            raise TextError(f"{self.name} is longer than {MAX_BYTES >> 20} MB: give a part of it")
        return self.content

    # --- each kind -----------------------------------------------------------------------------------------------------------

    def _html(self) -> Document:
        from .markup import read_tree
        from .notes import Notes
        from .tree import local_name, parse, text_of

        root = parse(decode_page(self._within_limit()), partial(logger.warning, "%s: %s", self.name))
        title = next((text_of(element) for element in root.iter() if local_name(element) == "title"), "")
        language = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""
        authors = [meta.get("content", "") for meta in root.iter("meta") if meta.get("name", "").lower() == "author"]
        blocks = _without_license(read_tree(root, Notes({"": root}), self.apparatus))
        return Document(_at_headings(blocks), title, ", ".join(authors), language)

    def _markdown(self, text: str) -> Document:
        from .markup import from_markdown

        blocks, about = from_markdown(text, self.apparatus)
        author = about.get("author") or about.get("authors") or ""
        return Document(
            _at_headings(blocks), about.get("title", ""), author, about.get("lang") or about.get("language") or ""
        )

    def _zip(self) -> Document:
        """An EPUB, or a Word document. Raises TextError for other archives."""
        from .epub import names_in, read_epub

        names = names_in(self.content)
        has_pages = any(name.lower().endswith((".opf", ".xhtml", ".html", ".htm")) for name in names)
        kind = next((kind for start, kind in ARCHIVES.items() if any(name.startswith(start) for name in names)), "")
        if WORD in names or not has_pages and (kind == BINARY[".docx"] or not kind and self.suffix == ".docx"):
            return self._docx()
        if not has_pages and kind:
            raise TextError(f"{self.name} is {kind}: {WANTED}")
        if not has_pages and self.suffix != ".epub":
            raise TextError(f"{self.name} is a ZIP archive without a book: {WANTED}") if names else self._damaged()
        if not names:
            raise self._damaged()
        book = read_epub(self.name, self.content, MAX_BYTES, self.apparatus)
        return Document(
            _chapters_of_book(book), book.title, book.author, book.language, book.cover, warnings=tuple(book.warnings)
        )

    def _pdf(self) -> Document:
        _need("pypdf", "pdf", self.name)
        from .pdf import read_pdf

        pdf = read_pdf(self.name, self.content, MAX_BYTES)
        chapters = [Chapter(title, text) for title, text in pdf.chapters]
        return Document(chapters, pdf.title, pdf.author, warnings=tuple(pdf.warnings))

    def _docx(self) -> Document:
        _need("docx", "docx", self.name)
        from .docx import read_docx

        word = read_docx(self.name, self.content, self.apparatus)
        return Document(_at_headings(word.blocks), word.title, word.author, word.language)


def _looks_like_markdown(text: str) -> bool:
    """Whether a text has at least two Markdown headings between blank lines. Comments of scripts look different."""
    if text.startswith("#!"):
        return False
    headings = re.findall(r"(?m)(?:\A|^[ \t]*\r?\n)#{1,6} \S.*$(?=\r?\n[ \t]*\r?$)", text[:200_000])
    return len(headings) > 1


def _at_headings(blocks: list[Block]) -> list[Chapter]:
    """Split blocks at the headings of the highest level that occurs more than once."""
    counts = Counter(block.level for block in blocks if block.level)
    level = min((level for level, count in counts.items() if count > 1), default=None)
    chapters: list[list[Block]] = [[]]
    for block in blocks:
        if block.level and block.level == level:
            chapters.append([])
        chapters[-1].append(block)
    return [Chapter(_title(part[0]) if part and part[0].level else "", _text(part)) for part in chapters]


def _chapters_of_book(book: "Book") -> list[Chapter]:
    """The chapters of an EPUB. They start where its table of contents says, and at pages that start with a heading.

    An entry that links into the middle of a page starts a chapter only if its depth is small (see `_listed_titles`). Without a table of
    contents, a page without a heading continues the last chapter. If at most one page has headings, the book is split at its headings instead.
    """
    blocks = _without_license([block for page in book.pages for block in page.blocks])
    kept = set(map(id, blocks))
    for page in book.pages:
        page.blocks = [block for block in page.blocks if id(block) in kept]
    firsts = {id(page.blocks[0]): page for page in book.pages if page.blocks}
    titles = _listed_titles(book)
    headed = sum(any(block.level for block in page.blocks) for page in book.pages)
    if len(titles) < 2 and headed < 2:
        return _at_headings(blocks)
    chapters: list[tuple[str, list[Block]]] = [("", [])]
    for block in blocks:
        first_page = firsts.get(id(block))
        listed = titles.get(id(block))
        heading = _first_heading(first_page.blocks) if first_page else None
        if heading is not None and heading is not block and id(heading) in titles:
            heading = None  # the chapter starts at the heading
        if listed is not None or heading is not None and (not titles or heading.level < 3):
            own = _title(heading) if heading is not None else _title(block) if block.level else ""
            chapters.append((listed or own, []))
        chapters[-1][1].append(block)
    return [Chapter(title, _text(part)) for title, part in chapters]


def _without_license(blocks: list[Block]) -> list[Block]:
    """The blocks of a book without the license of Project Gutenberg."""
    if not any("project gutenberg" in block.text.lower() for block in blocks):
        return blocks
    for block, text in zip(blocks, without_license([block.text for block in blocks]), strict=True):
        block.text = text
    return [block for block in blocks if block.text]


def _listed_titles(book: "Book") -> dict[int, str]:
    """The titles of the table of contents, by the `id()` of their target blocks."""
    pages = {page.place: page for page in book.pages}
    places = {(page.place, name): block for page in book.pages for block in page.blocks for name in block.ids}
    counts = Counter(entry.depth for entry in book.contents)
    depth = min((depth for depth, count in sorted(counts.items()) if count > 2), default=1)
    titles: dict[int, str] = {}
    seen: set[str] = set()
    for entry in book.contents:
        if (page := pages.get(entry.place)) is None or not page.blocks:
            continue
        # If the target does not exist, the page is used, but only once: other entries may lead to notes that are left out.
        is_first, start = entry.place not in seen, page.blocks[0]
        seen.add(entry.place)
        block = places.get((entry.place, entry.fragment)) if entry.fragment else start
        if block is None and is_first and entry.depth <= depth:
            block = start
        if block is not None and id(start) not in titles and _is_at_start(block, page.blocks):
            block = start
        if block is not None and (entry.depth <= depth or block is start):
            titles.setdefault(id(block), entry.title)
    return titles


def _is_at_start(block: Block, blocks: list[Block]) -> bool:
    """Whether a block is the first heading of a page, after at most a few words such as the number of a chapter."""
    before = list(islice(takewhile(lambda other: other is not block, blocks), MAX_BEFORE + 1))
    words = sum(len(other.text.split()) for other in before)
    return block.level > 0 and words <= MAX_BEFORE and not any(other.level for other in before)


def _first_heading(blocks: list[Block]) -> Block | None:
    """The first heading among the blocks of a page."""
    return next((block for block in blocks if block.level), None)


def _title(block: Block) -> str:
    return block.text.replace("\n", " ")


def _need(module: str, extra: str, name: str) -> None:
    if not find_spec(module):
        raise TextError(
            f"{name}: reading this kind needs a package that is not installed: pip install 'pockettts[{extra}]'"
        )


def _text(blocks: Iterable[Block]) -> str:
    return "\n\n".join(block.text for block in blocks)
