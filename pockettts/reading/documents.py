"""Documents: files of any kind as chapters of plain text.

.txt, .md, .html, .epub, .srt and .vtt; with extras .pdf and .docx. The content of a file says what it is, not its name; only
Markdown goes by its name. markup.py makes blocks of text, and they become text as pauses.py expects it: a line each.
"""

import logging
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from ..errors import TextError
from .markup import Block, decode_page, from_html
from .subtitles import Cue, is_subtitles, read_cues

MAX_BYTES = 64 * 1024 * 1024  # of text, more than any book has; /dev/zero has no end
MAX_ARCHIVE = 1 << 30  # of a packed file with its pictures
MARKDOWN = (".md", ".markdown")
# What a file that can't be read is, by its first bytes.
FOREIGN = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"RIFF": "a sound or video file",
    b"ID3": "an MP3 file", b"fLaC": "a FLAC file", b"OggS": "an Ogg file", b"\x7fELF": "a program", b"\x1f\x8b": "a gzip archive",
    b"{\\rtf": "an RTF file", b"\xd0\xcf\x11\xe0": "an old Office file", b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a RAR archive",
    b"SQLite format": "a database",
}  # fmt: skip

logger = logging.getLogger("pockettts")

# A line of its own in a text file that starts a chapter: "CHAPTER I.", "Chapter Two: The Lamp", "Epilogue".
HEADING = re.compile(
    r"(?:(?:chapter|part|book|kapitel|teil|chapitre|partie|cap[ií]tulo|parte|capitolo|hoofdstuk|deel)\s+[\w-]+(?:\s*[.:\u2013\u2014-].{0,80})?"
    r"|prologue?|epilogue?|preface|foreword|introduction|afterword|prolog|epilog|vorwort|nachwort|pr[ée]face|avant-propos)\s*[.:]?",
    re.I,
)


@dataclass(frozen=True)
class Chapter:
    """A part of a document. The title, which may be empty, is in the text too."""

    title: str
    text: str


@dataclass(frozen=True)
class Document:
    """A document: its chapters, at least one, and what it says about itself.

    cover: an image; b"" if there is none. cues: the texts and times of subtitles; empty for all other kinds. plain: a plain text file
    as it is, with its lines; None for all other kinds.
    """

    chapters: list[Chapter]
    title: str = ""
    author: str = ""
    language: str = ""
    cover: bytes = b""
    cues: Sequence[Cue] = ()
    plain: str | None = None


def read(source: str | Path | int, read_notes: bool = False) -> list[Chapter]:
    """The chapters of `read_document`."""
    return read_document(source, read_notes).chapters


def read_document(source: str | Path | int, read_notes: bool = False) -> Document:
    """Read a document. A part that can't be read is skipped, with a warning.

    Args:
        source: a path; 0 is stdin.
        read_notes: read footnotes and endnotes where they stand.

    Raises:
        TextError: the file can't be read, is of no known kind, is damaged, too large or empty.
    """
    document = read_any(source, read_notes)
    if not document.chapters:
        raise TextError(f"{_name(source)} is empty: give at least one word")
    return document


def read_any(source: str | Path | int, read_notes: bool = False) -> Document:
    """As `read_document`, but of an empty document there are no chapters."""
    suffix = "" if source == 0 else Path(str(source)).suffix.lower()
    try:
        content = _bytes(source)
    except OSError as error:
        raise TextError(f"can't read {_name(source)} ({error.strerror or error}): give a text file") from None
    document = _parsed(content, _name(source), suffix, read_notes)
    return replace(document, chapters=[chapter for chapter in document.chapters if chapter.text.strip()])


def _name(source: str | Path | int) -> str:
    return "stdin" if source == 0 else str(source)


def _parsed(content: bytes, name: str, suffix: str, read_notes: bool) -> Document:
    """A document by its content."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if content.startswith(b"PK\3\4") or suffix == ".epub":
        return _of_zip(content, name, read_notes)
    if content.startswith(b"%PDF"):
        return _of_pdf(content, name)
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b"<body")) or suffix in (".html", ".htm", ".xhtml"):
        return _of_html(_within_limit(content, name), read_notes)
    for magic, kind in FOREIGN.items():
        if content.startswith(magic):
            raise TextError(f"{name} is {kind}: give a text, Markdown, HTML, EPUB, PDF, DOCX, SRT or VTT file")
    if content[60:68] == b"BOOKMOBI":
        raise TextError(f"{name} is a Mobipocket book: convert it to EPUB, for example with Calibre")
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = _within_limit(content, name).decode("utf-16", "replace") if is_utf16 else decoded(content, name)
    if is_subtitles(text):
        cues = read_cues(text, name)
        return Document([Chapter("", "\n".join(cue.text for cue in cues))], cues=cues)
    return _of_markdown(text, read_notes) if suffix in MARKDOWN else Document(_of_text(text), plain=text)


def whole(chapters: Iterable[Chapter]) -> str:
    """The text of all chapters."""
    return "\n\n".join(chapter.text for chapter in chapters)


def _bytes(source: str | Path | int) -> bytes:
    """The content of a file; of a plain text at most one byte more than is allowed. Archives hold pictures too."""
    with open(source, "rb", closefd=source != 0) as file:
        content = file.read(MAX_BYTES + 1)
        return content + file.read(MAX_ARCHIVE) if content.startswith((b"PK\3\4", b"%PDF")) else content


def _within_limit(content: bytes, name: str) -> bytes:
    if len(content) > MAX_BYTES:
        raise TextError(f"{name} is longer than {MAX_BYTES >> 20} MB: give a part of it")
    return content


def decoded(content: bytes, name: str) -> str:
    """UTF-8 as text, without a byte order mark.

    Args:
        name: of the source, for messages.

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


def _of_markdown(text: str, read_notes: bool) -> Document:
    """Chapters begin at the headings of the highest level that has several."""
    from .markup import from_markdown

    return Document(_at_headings(from_markdown(text, read_notes)))


def _of_html(content: bytes, read_notes: bool) -> Document:
    page = decode_page(content)
    title = re.search(r"<title[^>]*>(.*?)</title", page, re.S | re.I)
    return Document(_at_headings(from_html(page, read_notes)), title=" ".join(title[1].split()) if title else "")


def _at_headings(blocks: list[Block]) -> list[Chapter]:
    counts = Counter(block.level for block in blocks if block.level)
    level = min((level for level, count in counts.items() if count > 1), default=None)
    chapters: list[list[Block]] = [[]]
    for block in blocks:
        if block.level and block.level == level:
            chapters.append([])
        chapters[-1].append(block)
    return [
        Chapter(part[0].text.replace("\n", " ") if part and part[0].level else "", _text(part)) for part in chapters
    ]


def _of_zip(content: bytes, name: str, read_notes: bool) -> Document:
    """An EPUB, or a Word document."""
    from .epub import read_epub

    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            is_word = "word/document.xml" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        is_word = False
    if is_word:
        return _of_docx(content, name)
    book = read_epub(name, content, MAX_BYTES, read_notes)
    chapters: list[Chapter] = []
    for blocks in book.pages:  # a page without a heading continues the chapter before it
        heading = next((block.text.replace("\n", " ") for block in blocks if block.level), None)
        if heading is None and chapters:
            last = chapters.pop()
            chapters.append(Chapter(last.title, f"{last.text}\n\n{_text(blocks)}".strip()))
        else:
            chapters.append(Chapter(heading or "", _text(blocks)))
    return Document(chapters, book.title, book.author, book.language, book.cover)


def _of_pdf(content: bytes, name: str) -> Document:
    """The pages of a PDF, with words that were divided at the end of a line put together."""
    _need("pypdf", "pdf", name)
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    pages = []
    try:
        reader = PdfReader(BytesIO(content))
        for number, page in enumerate(reader.pages, 1):
            try:
                pages.append(page.extract_text())
            except Exception as error:  # pypdf raises whatever a broken page makes it raise
                logger.warning("%s: page %d is skipped: %s", name, number, error or type(error).__name__)
        about = reader.metadata
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TextError(f"{name} is damaged or protected ({error}): give another PDF") from None
    if not any(page.strip() for page in pages):
        raise TextError(f"{name} has no text: its pages are pictures, which need text recognition first")
    text = "\n".join(pages)
    text = re.sub(r"(?<=[a-z\u00df-\u00ff])-\n(?=[a-z\u00df-\u00ff])", "", text)
    return Document(_of_text(text), str(about and about.title or ""), str(about and about.author or ""))


def _of_docx(content: bytes, name: str) -> Document:
    """The paragraphs of a Word document; its headings begin chapters."""
    _need("docx", "docx", name)
    import docx

    try:
        word = docx.Document(BytesIO(content))
        blocks = []
        for paragraph in word.paragraphs:
            style = (paragraph.style.name or "") if paragraph.style else ""
            heading = re.fullmatch(r"Heading ([1-6])|Title", style)
            blocks.append(Block(" ".join(paragraph.text.split()), int(heading[1] or 1) if heading else 0))
        about = word.core_properties
    except Exception as error:  # python-docx raises whatever broken XML makes it raise
        raise TextError(f"{name} is damaged ({error}): give another Word document") from None
    chapters = _at_headings([block for block in blocks if block.text])
    return Document(chapters, about.title or "", about.author or "", about.language or "")


def _need(module: str, extra: str, name: str) -> None:
    if not find_spec(module):
        raise TextError(f"{name}: reading this kind needs a package that is not here: pip install 'pockettts[{extra}]'")


def _text(blocks: Iterable[Block]) -> str:
    return "\n\n".join(block.text for block in blocks)
