"""Convert HTML and Markdown to blocks of plain text. Markdown is converted to HTML first. The pages of EPUBs are HTML too.

The apparatus of a book is left out: notes and their marks, page numbers, tables of contents, indexes and copyright pages.

Source: EPUB 3 Structural Semantics Vocabulary, DPUB-ARIA 1.1 (W3C).
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .blocks import TEXT_ONLY, Apparatus, Block
from .notes import MARK, MARKS, NOTE_CLASSES, NOTES, REFERENCE_CLASSES, RETURN, Notes, is_group, number_of_first
from .tree import HEADINGS, MAX_TAGS, classes, kinds, local_name, parse, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element as Element  # lxml is imported only when such a file is read
    from markdown_it.rules_core import StateCore

# Elements that start a new block; elements whose text is not read; elements that can be a part such as a table of contents.
BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "main", "ol", "p", "pre", "section", "summary",
    "table", "title", "ul",
}  # fmt: skip
UNSEEN = {
    "annotation", "annotation-xml", "audio", "button", "canvas", "datalist", "head", "iframe", "nav", "noembed", "noframes", "object",
    "rp", "rt", "script", "select", "style", "svg", "template", "textarea", "title", "video",
}  # fmt: skip
CONTAINERS = {"body", "section", "div", "ul", "ol", "table", "article", "aside", "dl", "p"}
LISTING_CLASSES = {"codehilite", "highlight", "programlisting", "sourcecode"}  # of <pre> or its parents
NAVIGATION = {"navigation", "search", "contentinfo"}  # roles of page navigation, which is not text
# Values of epub:type and role (without "doc-"), and classes and ids, of elements that are not part of the text.
PARTS = {
    "toc", "toc-brief", "index", "copyright-page", "imprint", "landmarks", "page-list", "pagelist", "loi", "lot", "loa", "lov",
}  # fmt: skip
MARK_CLASSES = {
    "footnote-back", "footnote-backref", "footnotes-sep", "pagebreak", "page-number", "pageno", "pagenum", "pagenumber",
    "lnum", "line-number", "linenum", "linenumber",
}  # fmt: skip
PART_CLASSES = {"copyright", "copyright-page", "copyrightpage", "landmarks", "page-list", "pg-boilerplate"}
CONTENTS = re.compile(r"\b(?:toc|tableofcontents|table-of-contents|contents|inhaltsverzeichnis|sommaire)\b", re.I)
CONTENTS_TITLE = re.compile(
    r"(?:table of )?contents|inhalt(?:sverzeichnis)?|table des mati[eè]res|sommaire|[íi]ndice(?: general| generale)?|sum[áa]rio|"
    r"contenidos?|inhoud(?:sopgave)?",
    re.I,
)
INDEX_TITLE = re.compile(
    r"(?:general |subject )?index|register|(?:stichwort|sach|personen)verzeichnis|index g[ée]n[ée]ral|[íi]ndice (?:alfab[ée]tico|anal[íi]tico|"
    r"remissivo|onom[áa]stico)|trefwoordenregister",
    re.I,
)
COPYRIGHT_TITLE = re.compile(
    r"(?:copyright|imprint|impressum|mentions l[ée]gales|droits d.auteur|colofon|colof[óo]n|cr[ée]ditos|cr[ée]dits)(?: page| notice|\W+\d{4})?",
    re.I,
)
MAX_COPYRIGHT = 3000  # words; a longer element is not only a copyright page

RAISED_MARK = r"[*\u2020\u2021\u00a7\u00b6]{1,3}|[\[(]\w{1,3}[\])]|\d{1,3}(?:[,\u2013-]\d{1,3})+"
PERMALINK = re.compile(r"\d{1,5}|[#\u00a7\u00b6\U0001f517]?")
BRACKETED = re.compile(r"\s*[\[({].*[\])}]\s*")
# In the text of a block: marks without a link, "word.[15]", "Smith [3, 7]"; page numbers; Markdown marks without a note.
IN_TEXT = re.compile(
    r"(?<=[\w.,;:!?\"'\u2019\u201d)\]%])\s?"
    r"\[(?:\d{1,3}(?:\s?[,\u2013\u2014-]\s?\d{1,3})*|[a-z]|[*\u2020\u2021]+|note \d{1,3})\](?![\w(\[:])|"
    r"[\[{](?:pg|page|p\.)\s*[\divxlc]{1,5}[\]}]|\[\^[^\[\]\s]{1,99}\]|\[illustration\.?\]",
    re.I,
)
MAX_INLINE_NESTING = 8  # of brackets in a paragraph; the parser tries each unclosed one at each level
MAX_BRACKETS = 1_000  # in a line; the time for "[^[^[^..." is quadratic in them
MAX_NESTING = 100  # of quotes and lists in Markdown; two levels for each list. Deeper text is left out.
ILLUSTRATION = re.compile(r"\[illustration:\s*([^\]]*)\]", re.I)
SUPERSCRIPT = str.maketrans(
    "0123456789+-\u2212n", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207b\u207f"
)
SUBSCRIPT = str.maketrans("0123456789", "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089")
TABLE_GAP = "\ue011"  # between the cells of a table; it becomes ", "
KEPT = "\ue010"  # replaces "[" in code, where a number in brackets is not a mark

_GAPS = re.compile(f"[ {TABLE_GAP}]*{TABLE_GAP}[ {TABLE_GAP}]*")
_END_GAPS = re.compile(f"(?m)^[ {TABLE_GAP}]*{TABLE_GAP}|{TABLE_GAP}[ {TABLE_GAP}]*$")


def is_contents(element: "Element", least: float = 0.5, count: int = 3) -> bool:
    """Whether an element looks like a table of contents: most of its text is links within the book. Headings do not count.

    least: the smallest share of linked text. count: the smallest number of links.
    """
    titles = (inner for inner in element.iter() if local_name(inner) in HEADINGS or local_name(inner) == "title")
    bare = sum(len(text_of(title)) for title in titles if next(title.iter("a"), None) is None)
    whole = len(text_of(element)) - bare
    links = [len(text_of(a)) for a in element.iter("a") if a.get("href") and "://" not in a.get("href", "")]
    return len(links) >= count and sum(links) >= least * whole > 0


# --- text ------------------------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads a tree into `blocks`. A block has line breaks only for <br>, <pre> and list items.

    within: the note that is read; None: the text of the book.
    """

    def __init__(self, notes: Notes, apparatus: Apparatus, within: "Element | None" = None) -> None:
        self.blocks: list[Block] = [Block("")]
        self._notes, self._apparatus, self._within = notes, apparatus, within
        self._lists: list[int | None] = []  # the last number of each open list; None: it has bullets
        self._pre = self._code = 0  # number of open elements of these kinds
        self._after: list[Element] = []  # notes to read at the end of the paragraph
        self._skipped: set[Element] = set()

    def read(self, root: "Element") -> None:
        from lxml import etree

        walker = etree.iterwalk(root, events=("start", "end"))
        left_out: Element | None = None
        for event, element in walker:
            if event == "start":
                if element is not root and (self._is_left_out(element) or self._as_text(element)):
                    left_out = element
                    walker.skip_subtree()
                    continue
                self._start(element)
                self._add(element.text)
            else:
                if element is not left_out:
                    self._end(element)
                left_out = None
                if element is not root:
                    self._add(element.tail)
        self._end_paragraph()

    def _is_left_out(self, element: "Element") -> bool:
        """Whether an element is left out. If notes are wanted, those of its marks are read after the paragraph."""
        tag = local_name(element)
        if tag in UNSEEN or element in self._skipped or element in self._notes.rest:
            return True
        if element in self._notes.marks:
            self._leave_out_marks([element])
            return True
        if tag in HEADINGS and CONTENTS_TITLE.fullmatch(text_of(element).strip(" .:")):
            return self._skip_contents(element)
        if tag == "code" and self._pre and self.blocks[-1].text.strip() == "":  # a listing
            return True
        if tag == "pre" and _is_listing(element):
            return True
        if not element.attrib:
            return element in self._notes.notes and element is not self._within
        given, named = kinds(element), classes(element)
        if given & MARKS or named & MARK_CLASSES or named & REFERENCE_CLASSES and tag in ("a", "sup", "span"):
            self._leave_out_marks(inner for inner in element.iter("a") if inner in self._notes.marks)
            return True
        if element in self._notes.notes or given & NOTES or named & NOTE_CLASSES:
            return element is not self._within and self._is_note_left_out(element)
        if "hidden" in element.attrib or element.get("aria-hidden") == "true":
            return True
        if "display" in element.get("style", "") and re.search(r"display\s*:\s*none", element.get("style", "")):
            return True
        return self._is_part_left_out(element, tag, given, named) or self._is_number_of_page(element, tag)

    def _is_note_left_out(self, element: "Element") -> bool:
        """Whether a note or a group of notes is left out here. A note with a mark is read after the paragraph of its mark."""
        if not self._apparatus.notes or element in self._notes.notes:
            return True
        return is_group(element) and any(inner in self._notes.notes for inner in element.iter())

    def _is_part_left_out(self, element: "Element", tag: str, given: set[str], named: set[str]) -> bool:
        """Whether an element is a table of contents, an index, a copyright page or similar."""
        if tag == "case":  # of epub:switch
            return any(local_name(other) == "default" for other in element.itersiblings())
        if given & NAVIGATION or tag == "a" and _is_permalink(element):
            return True
        if given & PARTS:
            return not _is_too_long(element, given)
        if tag not in CONTAINERS:
            return False
        name = element.get("id", "").lower()
        if named & PART_CLASSES or name in PART_CLASSES:
            return not _is_too_long(element, {"copyright-page"})
        return CONTENTS.search(f"{element.get('class', '')} {name}") is not None and is_contents(element)

    def _skip_contents(self, heading: "Element") -> bool:
        """Leave out the lists of links after a heading such as "Contents"."""
        following = heading.getnext()
        while following is not None and is_contents(following, 0.6):
            self._skipped.add(following)
            following = following.getnext()
        return bool(self._skipped) and heading.getnext() in self._skipped

    def _is_number_of_page(self, element: "Element", tag: str) -> bool:
        """Whether an element is a page number, such as <a id="page_12">12</a>."""
        name = element.get("id") or element.get("name") or ""
        is_anchor = tag == "a" and not element.get("href") or tag == "span"
        return (
            is_anchor
            and re.fullmatch(r"(?:pg|page|p)[_-]?[\divxlc]+", name, re.I) is not None
            and re.fullmatch(r"[\[({]?(?:pg|page|p\.)?\s*[\divxlc]{1,5}[\])}]?", text_of(element), re.I) is not None
        )

    def _leave_out_marks(self, marks: "Iterable[Element]") -> None:
        """Leave out the marks of notes. If notes are wanted, they are read at the end of the paragraph."""
        for mark in marks:
            note = self._notes.marks[mark]
            if note is not None and self._apparatus.notes and note not in self._after and self._within is None:
                self._after.append(note)
        block = self.blocks[-1]
        if block.text.endswith(("[", "(")):  # [<a>1</a>]: `_add` drops the closing bracket
            block.text = block.text[:-1].rstrip() + KEPT + KEPT

    def _as_text(self, element: "Element") -> bool:
        """Add the text of an element that is not read child by child. Returns False for other elements."""
        tag = local_name(element)
        if tag == "sup":
            return self._raised(element)
        if tag == "sub" and len(element) == 0 and re.fullmatch(r"\d{1,4}", (element.text or "").strip()):
            self._add((element.text or "").strip().translate(SUBSCRIPT))
            return True
        if tag in ("img", "image"):
            alt = " ".join(element.get("alt", "").split())
            is_initial = len(alt) == 1 and alt.isalpha() and (element.tail or "")[:1].islower()
            if is_initial:
                self._add(alt)
            elif alt and self._apparatus.alt:
                self._new_block()
                self._add(alt)
                self._new_block()
            return True
        return False

    def _raised(self, element: "Element") -> bool:
        """Handle <sup>: the mark of a note, or a power such as m<sup>2</sup>. Returns the same as `_as_text`."""
        text = text_of(element)
        marks = [inner for inner in element.iter("a") if inner in self._notes.marks]
        if marks and MARK.fullmatch(text) or marks and BRACKETED.fullmatch(text):
            self._leave_out_marks(marks)
            return True
        if any(True for _ in element.iter("a")) or not text:
            return False
        before = self.blocks[-1].text
        if re.fullmatch(r"[\d+\u2212-]{1,6}|n", text):
            is_power = re.search(r"\d\Z|(?<![^\W\d_])[^\W\d_]{1,2}\Z", before) is not None and not re.search(
                r"\w\w\w\Z", before
            )
            is_unit = (
                re.search(r"(?:k|d|c|m|\u00b5|n)?(?:m|in|ft|yd|sec|min)\Z", before) is not None
                and text in "2 3 -1 -2 -3"
            )
            if (
                not before.strip()
                or (re.search(r"\d\Z", before) or is_power or is_unit)
                and not before.endswith((".", ","))
            ):
                self._add(text.translate(SUPERSCRIPT) if before.strip() else text)
                return True
            return True  # "word<sup>12</sup>"
        return re.fullmatch(RAISED_MARK, text) is not None

    def _start(self, element: "Element") -> None:
        tag = local_name(element)
        if tag in ("ul", "ol"):
            self._lists.append(number_of_first(element) - 1 if tag == "ol" else None)
        if tag in HEADINGS or tag in BLOCKS and not (self._lists and tag == "p"):
            self._new_block(HEADINGS.get(tag, 0))
        elif tag == "p":
            self._add(" ")
        for name in {element.get("id"), element.get("name") if tag == "a" else None} - {None, ""}:
            self.blocks[-1].ids.append(str(name))
        if tag == "hr":
            self.blocks += [Block("***"), Block("")]
        elif tag in ("br", "tr"):
            self._break()
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            if number is not None:
                self._lists[-1] = number + 1
            self._break()
            self.blocks[-1].text += "- " if number is None else f"{number + 1}. "
        self._pre += tag in ("pre", "xmp", "listing")
        self._code += tag in ("code", "kbd", "samp", "tt", "pre")

    def _end(self, element: "Element") -> None:
        tag = local_name(element)
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if tag in HEADINGS or tag in BLOCKS and not (self._lists and tag == "p"):
            self._new_block()
        elif tag in ("td", "th"):
            self.blocks[-1].text += TABLE_GAP
        self._pre -= tag in ("pre", "xmp", "listing")
        self._code -= tag in ("code", "kbd", "samp", "tt", "pre")
        if tag in ("p", "li", "td", "dd", "blockquote", "div", "table") and not self._lists:
            self._end_paragraph()

    def _end_paragraph(self) -> None:
        """Read the notes of the last paragraph."""
        notes, self._after = self._after, []
        for note in notes:
            self._new_block()
            self.blocks += _note_blocks(note, self._notes, self._apparatus)
            self._new_block()

    def _new_block(self, level: int = 0) -> None:
        self.blocks.append(Block("", level))

    def _break(self) -> None:
        self.blocks[-1].text = self.blocks[-1].text.rstrip(" ") + "\n"

    def _add(self, text: str | None) -> None:
        if not text:
            return
        if self._pre:
            text = text.replace("\t", "    ").replace("\r\n", "\n").replace("\r", "\n")
        else:
            text = re.sub(r"[ \t\r\n\f\v]+", " ", text)
        if self._code:
            text = text.replace("[", KEPT)
        block = self.blocks[-1]
        if block.text.endswith(KEPT + KEPT) and not self._code:
            block.text = block.text[:-2]
            text = text.removeprefix("]").removeprefix(")")
        block.text += text


def _is_listing(pre: "Element") -> bool:
    """Whether a <pre> is a program listing, by its class or that of its parents."""
    around = [parent for parent, _ in zip(pre.iterancestors(), range(2), strict=False)]
    return any(classes(element) & LISTING_CLASSES for element in [pre, *around])


def _is_permalink(link: "Element") -> bool:
    """Whether a link leads to its own place, such as a paragraph number or a sign for copying the address."""
    name = link.get("href", "").partition("#")[2]
    if not name or not link.get("href", "").startswith("#") or not PERMALINK.fullmatch(text_of(link)):
        return False
    around = [link, *(parent for parent, _ in zip(link.iterancestors(), range(3), strict=False))]
    return any(name in (element.get("id"), element.get("name")) for element in around)


def _note_blocks(note: "Element", notes: Notes, apparatus: Apparatus) -> list[Block]:
    """The blocks of a note, without its mark and backlinks."""
    blocks: list[Block] = []
    for part in [note, *notes.more.get(note, ())]:
        reader = _Reader(notes, apparatus, within=part)
        for link in part.iter("a"):
            if link.get("href") and RETURN.fullmatch(text_of(link)):
                reader._skipped.add(link)
        reader.read(part)
        blocks += [block for block in finished(reader.blocks) if RETURN.fullmatch(block.text) is None]
    for block in blocks[:1]:
        block.text = re.sub(
            r"\A(?:- |\d+\. )?(?:[\[(]?[a-z][\]).](?=\s)|[\[(]?(?:\d{1,4}|[*\u2020\u2021\u00a7]{1,3})?[\])]?[.:,]?)\s*(?=\S)",
            "",
            block.text,
            count=1,
        )
    return [Block(block.text, 0, block.ids) for block in blocks]


def _is_too_long(element: "Element", given: set[str]) -> bool:
    """Whether an element that is marked as a copyright page is too long to be one."""
    return bool(given & {"copyright-page", "imprint"}) and len(text_of(element).split()) > MAX_COPYRIGHT


def finished(blocks: Iterable[Block]) -> list[Block]:
    """The blocks that have text, with spaces, table gaps and marks in their final form."""
    found: list[Block] = []
    ids: list[str] = []
    for block in blocks:
        text = block.text.replace(KEPT + KEPT, "")
        if "[" in text or "{" in text:
            text = IN_TEXT.sub("", ILLUSTRATION.sub(r"\1", text))
        text = _GAPS.sub(", ", _END_GAPS.sub("", text))
        lines = (re.sub(r"[ \u00a0]{2,}", " ", line).strip(" \t") for line in text.replace(KEPT, "[").split("\n"))
        block.text = "\n".join(line for line in lines if line not in ("", "-"))
        ids += block.ids
        if block.text:
            block.ids, ids = ids, []
            found.append(block)
    if found and ids:
        found[-1].ids += ids
    return found


def read_tree(
    root: "Element", notes: Notes, apparatus: Apparatus = TEXT_ONLY, skipped: Iterable["Element"] = ()
) -> list[Block]:
    """The blocks of a page with text. skipped: elements to leave out."""
    reader = _Reader(notes, apparatus)
    reader._skipped.update(skipped)
    reader.read(root)
    return finished(reader.blocks)


def from_html(page: str, apparatus: Apparatus = TEXT_ONLY) -> list[Block]:
    """The blocks of a single page. Raises ValueError like `parse`."""
    root = parse(page)
    return read_tree(root, Notes({"": root}), apparatus)


# --- Markdown ------------------------------------------------------------------------------------------------------------------

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.S | re.M)


def from_markdown(text: str, apparatus: Apparatus = TEXT_ONLY) -> tuple[list[Block], dict[str, str]]:
    """The blocks of a Markdown text, and its front matter (YAML or TOML), by lower-case key."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.footnote import footnote_plugin

    text = text.replace("\r\n", "\n").replace("\r", "\n")
    about: dict[str, str] | None = None
    if front := _FRONT_MATTER.match(text):
        about = _front_matter(front[2], front[1] == "+++")
        text = text if about is None else text[front.end() :]
    if text.count("[") + text.count("`") + text.count("<") > MAX_TAGS:
        raise ValueError("it has too many marks of Markdown")
    text = "\n".join(line.replace("[", r"\[") if line.count("[") > MAX_BRACKETS else line for line in text.split("\n"))
    markdown = (
        MarkdownIt("commonmark", {"html": True, "maxNesting": MAX_NESTING})
        .enable(["table", "strikethrough"])
        .use(footnote_plugin)
    )
    markdown.core.ruler.before("inline", "inline_nesting", _limit_inline_nesting)
    page = markdown.render(text)
    return (from_html(page, apparatus) if page.strip() else []), about or {}


def _limit_inline_nesting(state: "StateCore") -> None:
    """A rule for the parser: from here on, after the blocks, the limit is that of paragraphs."""
    state.md.options["maxNesting"] = MAX_INLINE_NESTING


def _front_matter(text: str, is_toml: bool) -> dict[str, str] | None:
    """The keys and values of front matter; None if it is ordinary text between two rules."""
    if is_toml:
        found = re.findall(r"""(?m)^\s*([\w.-]+)\s*=\s*(?:"([^"\n]*)"|'([^'\n]*)'|(\S[^\n]*))?""", text)
        return {key.lower(): double or single or bare for key, double, single, bare in found}
    import yaml

    try:
        given = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {} if re.match(r"\s*[\w-]+\s*:", text) else None
    if given is not None and not isinstance(given, dict):
        return None
    return {
        str(key).lower(): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in (given or {}).items()
        if value is not None
    }
