"""Read PDF files with pypdf (`pip install 'pockettts[pdf]'`), without running titles and page numbers."""

import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from ..errors import TextError
from .plain_text import split_chapters

MAX_PAGES = 20_000
EDGE = 2  # lines at the top and bottom of a page that may be running titles

logger = logging.getLogger("pockettts")


@dataclass
class Pdf:
    """The metadata of a PDF, and its chapters as (title, text)."""

    title: str = ""
    author: str = ""
    chapters: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_pdf(name: str, content: bytes, max_bytes: int) -> Pdf:
    """Read a PDF. A page that can't be read is skipped, with a warning.

    Raises:
        TextError: it is damaged or protected, has no text, or has more than `max_bytes` of text.
    """
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    pdf = Pdf()
    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it needs a password")
        pages = [_text_of(reader, number, name, pdf) for number in range(min(len(reader.pages), MAX_PAGES))]
        outline = _outline(reader)
        about = reader.metadata
        pdf.title, pdf.author = (str(about.title or ""), str(about.author or "")) if about else ("", "")
    except Exception as error:  # pypdf raises all kinds of errors for broken files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise TextError(f"{name} is damaged or protected ({reason:.80}): give another PDF") from None
    if sum(map(len, pages)) > max_bytes:
        raise TextError(f"{name} has more than {max_bytes >> 20} MB of text: give a part of it")
    if not any(page.strip() for page in pages):
        raise TextError(f"{name} has no text: its pages are pictures; run text recognition (OCR) first")
    pages = _without_edges(pages)
    pdf.chapters = _split_at_outline(pages, outline) if len(outline) > 1 else split_chapters(_join_pages(pages))
    return pdf


def _text_of(reader: Any, number: int, name: str, pdf: Pdf) -> str:
    try:
        return str(reader.pages[number].extract_text())
    except Exception as error:
        pdf.warnings.append(f"page {number + 1} is skipped: {str(error)[:80] or type(error).__name__}")
        logger.warning("%s: %s", name, pdf.warnings[-1])
        return ""


def _outline(reader: Any) -> list[tuple[str, int]]:
    """The bookmarks of the first level, as (title, page)."""
    try:
        found = [
            (str(mark.title), reader.get_destination_page_number(mark))
            for mark in reader.outline
            if not isinstance(mark, list)
        ]
    except Exception:
        return []
    return sorted(
        ((" ".join(title.split()), page) for title, page in found if page is not None and page >= 0),
        key=lambda mark: mark[1],
    )


def _without_edges(pages: list[str]) -> list[str]:
    """The pages without lines at the top and bottom that are repeated on many pages, apart from numbers in them."""
    split = [[line for line in page.splitlines() if line.strip()] for page in pages]
    counts: Counter[str] = Counter()
    for lines in split:
        counts.update({_shape(line) for line in lines[:EDGE] + lines[-EDGE:]})
    min_count = max(3, len(pages) // 5)
    for lines in split:
        for place in (0, -1):
            for _ in range(EDGE):
                if lines and (
                    counts[_shape(lines[place])] >= min_count
                    or re.fullmatch(r"\W*(?:page )?\d{1,5}\W*", lines[place], re.I)
                ):
                    lines.pop(place)
    return ["\n".join(lines) for lines in split]


def _shape(line: str) -> str:
    return re.sub(r"\d+", "#", " ".join(line.split()).lower())


def _join_pages(pages: list[str]) -> str:
    """Join pages to one text, and words that were hyphenated at line ends."""
    return re.sub(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=[^\W\d_A-Z])", "", "\n".join(pages))


def _split_at_outline(pages: list[str], outline: list[tuple[str, int]]) -> list[tuple[str, str]]:
    starts: dict[int, str] = {}
    for title, page in outline:
        starts.setdefault(page, title)
    bounds = [*sorted(starts), len(pages)]
    front = _join_pages(pages[: bounds[0]])
    chapters = [(starts[start], _join_pages(pages[start:end])) for start, end in zip(bounds, bounds[1:], strict=False)]
    return [("", front), *chapters] if front.strip() else chapters
