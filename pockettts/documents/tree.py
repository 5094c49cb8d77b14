"""Pages of HTML as trees of elements.

All pages, XHTML too, are parsed with lxml's HTML parser (libxml2): it has no fatal errors, takes linear time, and accepts `<title/>`.
`parse` first repairs a few faults for which it would lose text.
"""

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from lxml.etree import _Element as Element  # lxml is imported only when such a file is read

MAX_TAGS = 500_000  # of a page; the longest novels have some 50,000
MAX_DEPTH = 2048  # of nested elements; libxml2's limit
MAX_ATTRIBUTES = 1000  # of an element

HEADINGS = {f"h{level}": level for level in range(1, 7)}
RAW = {
    "title",
    "style",
    "script",
    "textarea",
    "iframe",
    "noembed",
    "noframes",
    "xmp",
}  # elements whose content has no tags

_LONG_TAG = re.compile(r"<([A-Za-z][\w:-]*)\s[^<>]{2000,}>")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.S)
_ENTITY = re.compile(r"""<!ENTITY\s+([\w.-]{1,40})\s+(?:"([^"&%<]{0,200})"|'([^'&%<]{0,200})')\s*>""")
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^<>\[]*\[.{0,20000}?\]\s*>", re.I | re.S)
_CLOSING = re.compile(r"</(?:[A-Za-z]+:)?(?:body|html)\s*>", re.I)
_NO_XML = re.compile("[\0-\x08\x0b\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

logger = logging.getLogger("pockettts")


def parse(page: str, warn: Callable[[str], None] = logger.warning) -> "Element":
    """Parse a page. Returns the root of its tree, without comments. warn: called with a one-line message about lost text.

    Raises:
        ValueError: the page has more than MAX_TAGS tags.
    """
    from lxml import etree

    if page.count("<") > MAX_TAGS:
        raise ValueError(f"it has more than {MAX_TAGS:,} tags")
    parser = etree.HTMLParser(
        encoding="utf-8", recover=True, huge_tree=True, remove_comments=True, remove_pis=True, no_network=True
    )
    try:
        root = etree.fromstring(_repaired(page).encode(), parser)
    except etree.LxmlError:  # the page is empty
        root = None
    if any("xcessive depth" in str(error.message) for error in parser.error_log):
        warn(f"it has elements more than {MAX_DEPTH} deep: their text is left out")
    return etree.Element("html") if root is None else root


def _repaired(page: str) -> str:
    """Repair the faults of a page for which libxml2 loses text."""
    if "<![CDATA[" in page:
        from html import escape

        page = _CDATA.sub(lambda match: escape(match[1], quote=False), page)
    if "<!ENTITY" in page:
        entities = {match[1]: match[2] or match[3] or "" for match in _ENTITY.finditer(page[:20_000])}
        page = re.sub(r"&([\w.-]+);", lambda match: entities.get(match[1], match[0]), page)
    page = _LONG_TAG.sub(_with_few_attributes, page)
    page = _DOCTYPE.sub("", page, count=1)
    page = _CLOSING.sub("", page)  # libxml2 ignores text after them
    return _NO_XML.sub("", _raw_text_closed(page))


def _with_few_attributes(tag: re.Match[str]) -> str:
    """A long start tag, without its attributes if there are very many: libxml2 takes quadratic time for them."""
    return f"<{tag[1]}>" if len(tag[0].split()) > MAX_ATTRIBUTES else tag[0]


def _raw_text_closed(page: str) -> str:
    """Close <title>, <style> and other raw text elements. Without an end tag they would extend to the end of the page."""
    lower = page.lower()
    for tag in RAW:
        start = lower.find(f"<{tag}")
        while start >= 0:
            opened = page.find(">", start)
            if opened < 0:
                break
            if not lower[start + 1 + len(tag) : start + 2 + len(tag)].isalpha() and page[opened - 1] != "/":
                end = lower.find(f"</{tag}", opened)
                limit = min(
                    (n for n in (lower.find("<body", opened), lower.find("</head", opened)) if n >= 0), default=-1
                )
                if end < 0 or tag in ("title", "style") and 0 <= limit < end:
                    # A title ends at the next tag. A style or script without an end tag ends with the head.
                    end = page.find("<", opened) if limit < 0 or tag == "title" else limit
                    end = len(page) if end < 0 else end
                    page = f"{page[:end]}</{tag}>{page[end:]}"
                    lower = page.lower()
                opened = end
            start = lower.find(f"<{tag}", opened)
    return page


def local_name(element: "Element") -> str:
    """The name of an element without a namespace."""
    return _local(element.tag)


@lru_cache(4096)
def _local(tag: object) -> str:
    return tag.rpartition(":")[2].lower() if isinstance(tag, str) else ""  # the tag of a comment is a function


def attribute(element: "Element", name: str) -> str:
    """An attribute with any prefix; "" if there is none."""
    value = element.get(name)
    if value is None:
        value = next((value for key, value in element.items() if key.rpartition(":")[2] == name), "")
    return str(value)


def kinds(element: "Element") -> set[str]:
    """The values of `epub:type`, `data-type` (HTMLBook) and `role` of an element, without "doc-"."""
    found = " ".join(value for key, value in element.items() if key.endswith(":type") or key == "data-type")
    roles = element.get("role", "").lower()
    roles = "" if roles == "note" else roles  # ARIA's "note" is any remark
    return {kind.removeprefix("doc-") for kind in f"{found.lower()} {roles}".split()}


def classes(element: "Element") -> set[str]:
    """The classes of an element, in lower case."""
    return set(element.get("class", "").lower().split())


def text_of(element: "Element") -> str:
    """All text in an element, with single spaces."""
    return " ".join("".join(element.itertext()).split())


def resolve(place: str, href: str) -> tuple[str, str]:
    """The target of a link on the page at `place`: a place in the book and an id. ("", "") for links to other places."""
    path, _, fragment = href.strip().partition("#")
    if re.match(r"[a-z][a-z0-9+.-]*:", path, re.I):
        return "", ""
    path = unquote(path.partition("?")[0])
    target = normpath(join(dirname(place), path)) if path else place
    return target.lower(), unquote(fragment)
