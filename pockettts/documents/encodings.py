"""Decode bytes whose encoding is uncertain.

Source: WHATWG Encoding (the labels of ISO-8859-1 mean Windows-1252), XML 1.0 appendix F.
"""

import re

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_DECLARED = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.I)
# Python's other codecs are not text encodings, or take quadratic time.
_TEXT_CODEC = re.compile(
    r"utf|iso|windows|cp|mac|x-mac|koi8|big5|gb|euc|shift|sjis|ascii|us-ascii|latin|tis|johab|hz", re.I
)
_LATIN_1 = {"iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "ascii", "us-ascii"}
# Windows-1252, with its five undefined bytes as the control characters of ISO-8859-1.
_CP1252 = [bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)]
_NO_TEXT = re.compile("[\0-\x08\x0e-\x19\x1c-\x1f\x7f-\x9f]")


def decode_page(content: bytes) -> str:
    """Decode a page of HTML or XML by its byte order mark, or its declared encoding, or as UTF-8, or as Windows-1252: the first that fits."""
    if encoding := _detect_encoding(content):
        return _strip_byte_order_mark(content).decode(encoding, "replace")
    declared = _DECLARED.search(content[:1024])
    if declared:
        label = declared[1].decode("ascii").lower()
        label = "cp1252" if label in _LATIN_1 else label
        # The label was readable as ASCII, so the page is not UTF-16.
        if _TEXT_CODEC.match(label) and not label.startswith(("utf-8", "utf8", "utf-16", "utf16", "utf-32")):
            try:
                return _decode_cp1252(content) if label == "cp1252" else content.decode(label)
            except (LookupError, ValueError):
                pass
    return decode_loosely(content)[0]


def decode_loosely(content: bytes) -> tuple[str, bool]:
    """Decode text by its byte order mark, otherwise as UTF-8 or Windows-1252. Returns the text, and whether the encoding is certain.

    If a few bytes are not valid UTF-8, only these bytes are read as Windows-1252.
    """
    if encoding := _detect_encoding(content):
        text = _strip_byte_order_mark(content).decode(encoding, "replace")
        return text, "\ufffd" not in text
    try:
        return content.decode("utf-8"), True
    except UnicodeDecodeError:
        pass
    text = content.decode("utf-8", "surrogateescape")
    wrong = len(re.findall("[\udc80-\udcff]", text))
    right = len(re.findall("[^\0-\x7f\udc80-\udcff]", text))
    if right < wrong:
        return _decode_cp1252(content), False
    return re.sub("[\udc80-\udcff]", lambda match: _CP1252[ord(match[0]) - 0xDC00], text), False


def is_plausible(text: str) -> bool:
    """Whether text decoded as Windows-1252 looks like a Western European language: no control characters, and mostly ASCII letters.

    Texts with fewer than eight ASCII letters are not plausible.
    """
    letters = len(re.findall("[A-Za-z]", text))
    others = len(re.findall("[^\0-\x7f]", text))
    return not _NO_TEXT.search(text) and letters > max(7, 2 * others)


def _detect_encoding(content: bytes) -> str:
    """The encoding according to a byte order mark, or UTF-16 according to zero bytes; "" if the first bytes show neither."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding
    start = content[:256]
    if len(start) >= 4 and len(start) % 2 == 0 and start.count(0) * 5 >= len(start) * 2:
        if not any(start[::2]) and all(start[1::2]):
            return "utf-16-be"
        if not any(start[1::2]) and all(start[::2]):
            return "utf-16-le"
    return ""


def _strip_byte_order_mark(content: bytes) -> bytes:
    return next((content[len(mark) :] for mark, _ in _BOMS if content.startswith(mark)), content)


def _decode_cp1252(content: bytes) -> str:
    return content.decode("latin-1").translate(dict(enumerate(_CP1252)))
