"""Find the notes of a book and their marks in the text.

Many books only link the mark to the note, without epub:type, without a class and without a link back. Such a note is recognized by its
mark, which is raised, in brackets or a sign, and by its own first characters, which repeat the mark. A block is not a note if other links
or the table of contents also lead to it: it may be a chapter. markup.py leaves the notes out, or reads them after their paragraphs.

Source: EPUB 3 Structural Semantics Vocabulary, DPUB-ARIA 1.1 (W3C).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from .tree import HEADINGS, classes, kinds, local_name, resolve, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

HOLDERS = {"p", "li", "div", "aside", "section", "dd", "td", "blockquote", "article", "table", "tr"}  # can be a note
# Values of epub:type, and of role without "doc-".
MARKS = {"noteref", "pagebreak", "backlink", "annoref"}
NOTES = {"footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes"}
GROUPS = {"footnotes", "endnotes", "rearnotes"}
REFERENCE_CLASSES = {
    "fnanchor", "footnote-ref", "footnote-reference", "noteref", "sdfootnoteanc", "sdendnoteanc", "_idfootnotelink", "_idendnotelink",
}  # fmt: skip
NOTE_CLASSES = {
    "endnote", "endnotes", "footnote", "footnotes", "footnote-item", "_idfootnote", "_idfootnotes", "_idendnote", "_idendnotes",
}  # fmt: skip
GROUP_CLASSES = {"footnotes", "endnotes", "_idfootnotes", "_idendnotes"}

MARK = re.compile(r"[\[({]?\s*(?:\d{1,4}|[ivxl]{1,5}|[a-z]|[*\u2020\u2021\u00a7\u00b6]{1,3})\s*[\])}]?[.:]?", re.I)
RETURN = re.compile(  # the text of a link from a note to its mark
    r"[\s\[\](){}.:\u21a9\u21b5\u2191^\ufe0e\ufe0f\u2934\u21d1\u2190\u00ab]*(?:\d{1,4}|[a-z]|back|return|top)?[\s\])}.:]*",
    re.I,
)
TITLE = re.compile(
    r"(?:(?:foot|end|chapter |author.s )?notes|notes (?:to|on) .{1,60}|anmerkungen|fu(?:\u00df|ss)noten|endnoten|"
    r"notes (?:de bas de page|de fin)|notas(?: al pie| finales| de rodap[e\u00e9]| de fim)?|note(?: al testo| a pi[e\u00e8] di pagina)?|"
    r"noten|voetnoten|eindnoten)",
    re.I,
)
NOTE_NAME = re.compile(r"(?:notes?|fn|ftn|edn)(?![a-z])|\A[ne][-_.]?\d", re.I)  # an id or a class
MAX_WORDS = 1000  # of a note that is recognized only by its mark and its first characters
MAX_MORE = 5  # blocks that continue a note in a list of notes
MAX_LISTED = 500  # blocks between a heading and a note


class Notes:
    """The notes of a book, and their marks.

    Args:
        pages: the trees of the pages by place.
        listed: the targets of the table of contents, as (place, id).

    Attributes:
        marks: the marks, each with its note; None: the note is missing.
        notes: the notes that have a mark.
        more: the blocks that continue a note in a list of notes.
        rest: the blocks in `more`, and the headings of lists of notes.
    """

    def __init__(self, pages: "Mapping[str, Element]", listed: Iterable[tuple[str, str]] = ()) -> None:
        self.marks: dict[Element, Element | None] = {}
        self.notes: set[Element] = set()
        self.more: dict[Element, list[Element]] = {}
        self.rest: set[Element] = set()
        self._ids: dict[tuple[str, str], Element] = {}
        self._places = {root: place.lower() for place, root in pages.items()}
        for root, place in self._places.items():
            for element in root.iter():
                for name in (element.get("id"), element.get("name")):
                    if name:
                        self._ids.setdefault((place, name), element)
        self._shares: dict[Element, float] = {}  # see `_share_of_targets`
        self._others: set[Element] = set()  # blocks that other links lead to
        self._unsure: dict[Element, Element] = {}  # links that may be marks, each with the block that may be a note
        for target in listed:
            self._refer(target, None)
        for root, place in self._places.items():
            for link in root.iter("a"):
                if "#" in link.get("href", "") or kinds(link) & MARKS:
                    self._look_at(link, resolve(place, link.get("href", "")))
        self._find_plain_notes()
        self._find_lists()

    def element(self, place: str, name: str) -> "Element | None":
        """The element with this id on the page at `place`."""
        return self._ids.get((place.lower(), name))

    # --- marks -----------------------------------------------------------------------------------------------------------

    def _look_at(self, link: "Element", target: tuple[str, str]) -> None:
        """Decide whether a link is a mark, or may be one."""
        is_named = bool(kinds(link) & {"noteref", "annoref"} or classes(link) & REFERENCE_CLASSES)
        text = text_of(link)
        if not is_named and (not MARK.fullmatch(text) or _is_first(link)):
            if not RETURN.fullmatch(text):
                self._refer(target, link)
            return
        element = self._ids.get(target)
        block = self._block_at(element, link) if element is not None else None
        if block is not None and (is_named or is_note(block) or self._links_back(block, link)):
            self._add(link, block)
        elif is_named or _is_raised(link) or not text.strip("[](){} ").isalnum() or "[" in text:
            self.marks[link] = None
        if block is not None and block not in self.notes:
            self._unsure[link] = block

    def _add(self, link: "Element", note: "Element") -> None:
        self.marks[link] = note
        self.notes.add(note)

    def _refer(self, target: tuple[str, str], link: "Element | None") -> None:
        """Record the target of a link that is no mark."""
        if (element := self._ids.get(target)) is not None and (block := self._block_at(element, link)) is not None:
            self._others.add(block)

    def _block_at(self, target: "Element", link: "Element | None") -> "Element | None":
        """The block around a link's target if it may be a note; else None. An empty target stands for the block after it."""
        element: Element | None = target
        while element is not None and local_name(element) not in HOLDERS | HEADINGS.keys() | {"dt", "body"}:
            if _is_empty(element) and (parent := element.getparent()) is not None and _holds_blocks(parent):
                element = element.getnext()
            else:
                element = element.getparent()
        if element is not None and local_name(element) in ("p", "div") and _is_empty(element):
            element = element.getnext()
        if element is not None and local_name(element) == "dt":  # docutils: <dt><a id="n">1</a></dt><dd>the note</dd>
            element = element.getnext()
        if element is not None and local_name(element) == "td":
            element = element.getparent()
        while (
            element is not None
            and (parent := element.getparent()) is not None
            and is_note(parent)
            and not is_group(parent)
        ):
            element = parent
        if element is None or local_name(element) not in HOLDERS:
            return None
        if any(inner is link or local_name(inner) in HEADINGS for inner in element.iter()):
            return None
        return element

    def _links_back(self, note: "Element", link: "Element") -> bool:
        """Whether a block has a link to the mark `link` or to an element around it, and more text than this link."""
        near: set[Element] = {link, *link.iter()}
        around: Element | None = link
        for _ in range(3):
            if around is None or local_name(around) == "body":
                break
            near.add(around)
            if (before := around.getprevious()) is not None and not text_of(before):
                near.add(before)
            around = around.getparent()
        place = self._places[note.getroottree().getroot()]
        for back in note.iter("a"):
            if self._ids.get(resolve(place, back.get("href", ""))) in near and back.get("href"):
                return len(text_of(note)) > len(text_of(back))
        return False

    # --- notes without a sign of their own -----------------------------------------------------------------------------------

    def _find_plain_notes(self) -> None:
        """Find the notes that are recognized only by their marks and first characters."""
        self._targets = set(self._unsure.values()) | self.notes
        for link, block in self._unsure.items():
            if block in self.notes:
                self._add(link, block)
            elif block not in self._others and (note := self._plain_note(link, block)) is not None:
                self._add(link, note)

    def _plain_note(self, link: "Element", block: "Element") -> "Element | None":
        """The note at the target `block` of a link, if the link is a mark."""
        parent = block.getparent()
        if parent is not None and local_name(parent) == "li" and next(iter(parent)) is block:
            block = parent
        if not _is_in_sentence(link) or len(text_of(block).split()) > MAX_WORDS:
            return None
        label = text_of(link).strip(" [](){}.:")
        is_labelled = _is_labelled(block, label)
        is_named = any(NOTE_NAME.search(name) for name in (block.get("id", ""), *classes(block)))
        if not label.isalnum() or _is_raised(link):
            return block if is_labelled or is_named or _is_titled(block) else None
        before, text = _text_before(link)[-1:], text_of(link)
        is_bracketed = "[" in before + text or "(" in before + text and is_named
        is_attached = label.isdigit() and re.match(r"[\w.,;:!?\"'\u2019\u201d\u00bb)\u2026]", before) is not None
        return block if is_labelled and (is_bracketed or is_attached) and self._share_of_targets(block) >= 0.5 else None

    def _share_of_targets(self, block: "Element") -> float:
        """The share of the numbered siblings of a block that are targets of marks. It is low in a list of anything but notes."""
        parent = block.getparent()
        if parent is None:
            return 1.0
        if parent not in self._shares:
            numbered = [
                other for other in parent if local_name(other) == "li" or re.match(r"[\[(]?\d", _short_text(other))
            ]
            marked = [other for other in numbered if other in self._targets or not self._targets.isdisjoint(other)]
            self._shares[parent] = len(marked) / max(1, len(numbered))
        return self._shares[parent]

    # --- lists of notes ------------------------------------------------------------------------------------------------------

    def _find_lists(self) -> None:
        """Find the headings of lists of notes, and the blocks that continue a note in such a list."""
        if not self.notes:
            return
        for root in self._places:
            for element in root.iter():
                if local_name(element) in {*HEADINGS, "p", "div"} and TITLE.fullmatch(
                    _short_text(element).strip(" .:")
                ):
                    self._read_list(element)

    def _read_list(self, heading: "Element") -> None:
        """Record the parts of the list after a heading, if it has only notes."""
        level = HEADINGS.get(local_name(heading), 0)
        top = heading
        while (parent := top.getparent()) is not None and text_of(parent) == text_of(top):
            top = parent
        headings = [heading]
        more: dict[Element, list[Element]] = {}
        note: Element | None = None
        for block in self._blocks_after(top):
            if local_name(block) in HEADINGS:
                if level and HEADINGS[local_name(block)] <= level:
                    break
                headings.append(block)
                note = None
            elif block in self.notes:
                note = block
            elif text_of(block):
                has_marks = any(inner in self.marks for inner in block.iter("a"))
                if note is None or len(more.setdefault(note, [])) == MAX_MORE or has_marks:
                    return
                more[note].append(block)
        if note is not None:
            self.more |= more
            self.rest.update(headings, *more.values())

    def _blocks_after(self, element: "Element") -> "Iterator[Element]":
        """The notes and the other blocks after an element within its parent, without the containers around them."""
        for sibling in element.itersiblings():
            left = [sibling]
            while left:
                block = left.pop()
                if block not in self.notes and _holds_blocks(block):
                    left += reversed(block)
                else:
                    yield block


def is_note(element: "Element") -> bool:
    """Whether an element is a note, or a group of notes, by its epub:type, role or class."""
    return bool(kinds(element) & NOTES or classes(element) & NOTE_CLASSES)


def is_group(element: "Element") -> bool:
    """Whether an element holds several notes, by its epub:type, role or class."""
    return bool(kinds(element) & GROUPS or classes(element) & GROUP_CLASSES)


def _is_labelled(block: "Element", label: str) -> bool:
    """Whether a block starts with a label and has more text, or is the item of a list with this number."""
    text = " ".join(map(text_of, block)) if local_name(block) == "tr" else text_of(block)
    bare = text.lstrip("[({ ")
    if bare.startswith(label):
        rest = bare[len(label) :]
        if label.isdigit():
            is_whole = not re.match(r"\w|[.,]\d", rest)
        elif label.isalpha():  # "a. A note", but not "a note"
            is_whole = rest[:1] in tuple("])}.:")
        else:
            is_whole = not rest.startswith(label[0])
        if is_whole:
            return bool(rest.strip(" ])}.:"))
    parent = block.getparent()
    if local_name(block) != "li" or parent is None or local_name(parent) != "ol" or not label.isdigit():
        return False
    return bool(text) and number_of_first(parent) + parent.index(block) == int(label)


def number_of_first(numbered: "Element") -> int:
    """The number of the first item of <ol>."""
    start = numbered.get("start", "1")
    return int(start) if re.fullmatch(r"-?\d{1,6}", start) else 1


def _is_titled(block: "Element") -> bool:
    """Whether the last heading before a block is the title of a list of notes."""
    element: Element | None = block
    for _ in range(3):
        if element is None:
            break
        for before in islice(element.itersiblings(preceding=True), MAX_LISTED):
            if local_name(before) in HEADINGS:
                return TITLE.fullmatch(text_of(before).strip(" .:")) is not None
        element = element.getparent()
    return False


def _is_first(link: "Element") -> bool:
    """Whether a link is the first text of its block, as a link from a note to its mark is."""
    return _text_before(link).strip(" \n\t\xa0[(") == ""


def _text_before(link: "Element") -> str:
    """The text before a link in its block."""
    parts: list[str] = []
    element: Element | None = link
    while element is not None and local_name(element) not in HOLDERS:
        for before in element.itersiblings(preceding=True):
            parts += [before.tail or "", "".join(before.itertext(with_tail=False))]
        element = element.getparent()
        if element is None:
            return " ".join(["-", *parts])  # not in a block
        parts.append(element.text or "")
    return "".join(reversed(parts))


def _is_in_sentence(link: "Element") -> bool:
    """Whether the block of a link has words that are not links."""
    block = next((parent for parent in link.iterancestors() if local_name(parent) in HOLDERS | HEADINGS.keys()), None)
    if block is None:
        return False
    linked = sum(_letters(inner) for inner in block.iter("a") if inner.get("href"))
    return _letters(block) > linked + 2


def _is_raised(link: "Element") -> bool:
    if next(link.iter("sup"), None) is not None:
        return True
    for parent in link.iterancestors():
        if local_name(parent) in HOLDERS | {"body"} or text_of(parent) != text_of(link):
            return False
        if local_name(parent) in ("sup", "small"):
            return True
    return False


def _is_empty(element: "Element") -> bool:
    return not text_of(element) and next(element.iter("img", "image", "svg"), None) is None


def _holds_blocks(element: "Element") -> bool:
    return local_name(element) in {"body", "section", "article", "aside", "div", "blockquote", "ol", "ul"} and not any(
        (text or "").strip() for text in (element.text, *(child.tail for child in element))
    )


def _short_text(element: "Element", most: int = 80) -> str:
    """The text of an element, up to about this many characters."""
    text = ""
    for part in element.itertext():
        text += str(part)
        if len(text) > 2 * most:
            break
    return " ".join(text.split())


def _letters(element: "Element") -> int:
    """The number of characters of an element, without spaces."""
    return sum(len("".join(text.split())) for text in element.itertext())
