"""Read Word documents with python-docx (`pip install 'pockettts[docx]'`), with the paragraphs of tables, frames and tracked changes."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from ..errors import TextError
from .blocks import Apparatus, Block

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # repeats the element before it
MAX_PART = 256 << 20  # bytes, unpacked, of a file in the archive
NOTE_MARKS = {f"{W}footnoteReference", f"{W}endnoteReference"}
LEFT_OUT = {f"{W}del", f"{W}moveFrom", FALLBACK}
APPARATUS_STYLE = re.compile(r"(?:toc|index|table of figures|table of authorities|contents)\b.*", re.I)


@dataclass
class WordDocument:
    """The metadata of a Word document, and its paragraphs."""

    title: str = ""
    author: str = ""
    language: str = ""
    blocks: list[Block] = field(default_factory=list)


def read_docx(name: str, content: bytes, apparatus: Apparatus) -> WordDocument:
    """Read a Word document.

    Raises:
        TextError: it is damaged or too large.
    """
    import docx

    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            size = max((part.file_size for part in archive.infolist() if part.filename.endswith(".xml")), default=0)
    except (zipfile.BadZipFile, ValueError, OSError):
        size = 0  # python-docx raises an error for it
    if size > MAX_PART:
        raise TextError(f"{name} has more than {MAX_PART >> 20} MB of text and markup: give a part of it")
    try:
        document = docx.Document(BytesIO(content))
        about = document.core_properties
        notes = _notes(document) if apparatus.notes else {}
        blocks = list(_blocks(document, notes))
    except Exception as error:  # python-docx raises all kinds of errors for broken files
        raise TextError(
            f"{name} is a damaged Word document ({str(error)[:80] or type(error).__name__}): download it again, or give another"
        ) from None
    return WordDocument(about.title or "", about.author or "", about.language or "", blocks)


def _blocks(document: Any, notes: dict[str, list[str]]) -> Iterator[Block]:
    """The paragraphs of a document, each followed by its notes. notes: as `_notes` returns them."""
    styles = {style.style_id: style.name or "" for style in document.styles}
    for paragraph in document.element.body.iter(f"{W}p"):
        if any(parent.tag in LEFT_OUT for parent in paragraph.iterancestors()):
            continue
        style = styles.get(_value(paragraph.find(f"{W}pPr/{W}pStyle")), "")
        if APPARATUS_STYLE.fullmatch(style):
            continue
        heading = re.fullmatch(r"heading ([1-6])|title", style, re.I)
        outline = _value(paragraph.find(f"{W}pPr/{W}outlineLvl"))
        level = int(heading[1] or 1) if heading else int(outline) + 1 if outline in tuple("012345") else 0
        text = _text(paragraph)
        if text:
            is_item = paragraph.find(f"{W}pPr/{W}numPr") is not None and not level
            yield Block(f"- {text}" if is_item else text, level)
        for mark in paragraph.iter(*NOTE_MARKS):
            for note in notes.get(f"{mark.tag}{mark.get(f'{W}id')}", []):
                yield Block(note)


def _value(element: Any) -> str:
    return "" if element is None else element.get(f"{W}val") or ""


def _text(paragraph: Any) -> str:
    """The text of a paragraph, without the paragraphs of frames in it."""
    parts = []
    for element in paragraph.iter(f"{W}t", f"{W}tab", f"{W}br", f"{W}cr", f"{W}noBreakHyphen"):
        around = next(parent for parent in element.iterancestors(f"{W}p"))
        if around is not paragraph or any(parent.tag in LEFT_OUT for parent in element.iterancestors()):
            continue
        if element.tag == f"{W}t":
            parts.append(element.text or "")
        elif element.tag != f"{W}tab" or element.getparent().tag == f"{W}r":
            parts.append({f"{W}tab": " ", f"{W}noBreakHyphen": "-"}.get(element.tag, "\n"))
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _notes(document: Any) -> dict[str, list[str]]:
    """The paragraphs of footnotes and endnotes, by the tag and id of their references."""
    from lxml import etree

    found = {}
    for relation in document.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind in ("footnotes", "endnotes"):
            tree = etree.fromstring(relation.target_part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
            for note in tree.iter(f"{W}{kind[:-1]}"):
                texts = [_text(paragraph) for paragraph in note.iter(f"{W}p")]
                found[f"{W}{kind[:-1]}Reference{note.get(f'{W}id')}"] = [text for text in texts if text]
    return found
