"""Remove markup from plain text: Markdown, HTML and SSML. Markup that is not well-formed is text.

`strip_markup` keeps the number of lines. A line break of HTML within a line becomes a vertical tab, which `str.splitlines` treats as
the end of a line. Respellings, `[Nguyen](win)` or `<sub alias="...">`, become notes in the text, for `normalize`.
"""

import re

BREAK = "\v"
NOTE = re.compile("\ue000([^\ue000-\ue002]*)\ue001([^\ue000-\ue002]*)\ue002")  # the written text; its spoken form
NOTE_MARKS = re.compile("[\ue000-\ue002]")

# --- HTML and SSML ---
ANY_MARKUP = re.compile(r"[<&*_`~#>\[|\\=]")
PROLOG = re.compile(
    r"\s*(?:<\?xml\b[^<>]*\?>\s*|<!--(?:(?!-->).)*-->\s*|<!DOCTYPE\b[^<>]*>\s*)*<speak\b[^<>]*>", re.I | re.S
)
SPEAK_END = re.compile(r"</speak\s*>\s*\Z", re.I)
ATTRIBUTES = r"""(?:\s+[\w:.-]+(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'|[^\s"'<>=`]+))?)*"""
TAG = re.compile(rf"<(?P<close>/)?(?P<name>[A-Za-z][\w:.-]*)(?P<attributes>{ATTRIBUTES})\s*(?P<empty>/)?>")
ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)'|([^\s"'<>=`]+))""")
VOID = {"br", "hr", "img", "wbr", "input", "meta", "link", "col", "source", "area", "embed", "track", "base"}
UNSEEN = {"script", "style", "head", "template", "svg", "math", "rt", "rp", "title"}
BLOCKS = {
    "p", "div", "section", "article", "header", "footer", "aside", "figure", "figcaption", "blockquote", "table", "tr", "pre", "dl", "dt",
    "dd", "ul", "ol", "li", "body", "html", "main", "form", "h1", "h2", "h3", "h4", "h5", "h6", "option",
}  # fmt: skip
CELLS = {"td", "th"}
COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->|<!DOCTYPE\b[^<>]*>|<\?xml\b[^<>]*\?>", re.S | re.I)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

# --- Markdown ---
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^`]*$")
HEADING = re.compile(r"\A[ \t]{0,3}#{1,6}[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$")
QUOTE = re.compile(r"\A[ \t]{0,3}(?:>[ \t]?)+(?=[^\s=>\d]|(?<=[ \t])\d)")
DELIMITER_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
DEFINITION = re.compile(
    r"[ \t]{0,3}\[(?!\^)([^\]\n]+)\]:[ \t]*<?\S+>?(?:[ \t]+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t]*$"
)
FOOTNOTE_TEXT = re.compile(r"\A([ \t]{0,3})\[\^[^\]\s]+\]:[ \t]*")
FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]")
CODE = re.compile(r"(?<!`)(`{1,2})(?!`)[ ]?([^`\n]+?)[ ]?\1(?!`)")
IMAGE_OR_LINK = re.compile(
    r"(!?)\[([^\[\]\n]*(?:\[[^\[\]\n]*\][^\[\]\n]*)*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'))?[ \t]*\)"
)
RESPELLED = re.compile(r"\[([^\[\]\n]+)\]\(([^\W\d_][\w'\u2019 -]*)\)")
REFERENCE = re.compile(r"\[([^\[\]\n]+)\]\[([^\[\]\n]*)\]")
AUTOLINK = re.compile(r"<((?:https?://|mailto:|www\.)[^\s<>]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>")
EMPHASIS = [
    re.compile(r"(?<![\w*\\])(\*{1,3})(?![\s*])((?:[^*\n]|(?<=\s)\*(?=\s))+?)(?<![\s*\\])\1(?![\w*])"),
    re.compile(r"(?<![\w_\\])(_{1,3})(?![\s_])((?:[^_\n]|(?<=\w)_(?=\w))+?)(?<![\s_\\])\1(?![\w_])"),
    re.compile(r"(?<![~\\])(~~)(?![\s~])([^~\n]+?)(?<![\s~])~~(?!~)"),
    re.compile(r"(?<![=\\\w])(==)(?![\s=])([^=\n]+?)(?<![\s=])==(?![=\w])"),
]
INNER_BOLD = re.compile(
    r"(?<!\*)(\*\*)(?![\s*])([^*\n]+?)(?<![\s*])\*\*(?!\*)"
)  # also within a word: "un**believ**able"
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def strip_markup(text: str) -> str:
    """Remove markup. The number of lines stays the same."""
    if not ANY_MARKUP.search(text):
        return text
    text = NOTE_MARKS.sub("", text)
    if is_ssml(text):  # XML; pauses.py removes the rest of it
        return _ssml(text)
    if "<" in text:
        text = _without_tags(text)
    text = _without_markdown(text)
    return ENTITY.sub(lambda match: _unescaped(match[0]).replace("\n", " "), text) if "&" in text else text


def is_ssml(text: str) -> bool:
    """Whether a text is an SSML document: a single <speak> element, perhaps after an XML prolog."""
    return (
        "<speak" in text.lower()
        and PROLOG.match(text) is not None
        and SPEAK_END.search(text, max(0, len(text.rstrip()) - 20)) is not None
    )


def make_note(written: str, spoken: str) -> str:
    """A note: a text and its spoken form."""
    return f"\ue000{written}\ue001{spoken}\ue002" if written.strip() and spoken.strip() else written


def split_notes(text: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Separate a text and its notes: (start, stop, spoken form)."""
    if "\ue000" not in text:
        return text, []
    plain, notes, done = "", [], 0
    for match in NOTE.finditer(text):
        plain += text[done : match.start()]
        notes.append((len(plain), len(plain) + len(match[1]), match[2]))
        plain += match[1]
        done = match.end()
    return plain + text[done:], notes


def _unescaped(text: str) -> str:
    from html import unescape  # a large table, which most texts don't need

    return unescape(text)


# --- HTML and SSML -------------------------------------------------------------------------------------------------------------


def _without_tags(text: str) -> str:
    """Remove comments and well-formed tags: those with a closing tag, and void elements."""
    text = COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    tags = list(TAG.finditer(text))
    partners = _partners(tags)
    out: list[str] = []
    done = 0
    for number, tag in enumerate(tags):
        if tag.start() < done:
            continue
        name = tag["name"].lower()
        if name == "break" or number not in partners:
            continue
        out.append(text[done : tag.start()])
        done = tag.end()
        closing = partners[number]
        if name in UNSEEN and closing is not None and not tag["close"]:
            done = closing.end()
        elif name == "sub" and (alias := _attributes(tag).get("alias")) and closing is not None and not tag["close"]:
            out.append(make_note(_flat(text[tag.end() : closing.start()]), alias))
            done = closing.end()
        elif name in ("br", "hr") or name in BLOCKS:
            out.append(BREAK)
        elif name in CELLS and tag["close"]:
            out.append(", ")
        elif name == "img":
            out.append(f" {_unescaped(_attributes(tag).get('alt', ''))} ")
        if tag[0].count("\n") or done > tag.end():
            out.append("\n" * text[tag.start() : done].count("\n"))
    out.append(text[done:])
    text = "".join(out)
    return (
        re.sub(rf"[ \t]*{BREAK}[ \t{BREAK}]*", BREAK, text)
        .replace(f"{BREAK}\n", "\n")
        .replace(f"\n{BREAK}", "\n")
        .strip(BREAK)
    )


def _partners(tags: list[re.Match[str]]) -> dict[int, re.Match[str] | None]:
    """The well-formed tags, by index, with the index of their closing tag; None for void elements."""
    partners: dict[int, re.Match[str] | None] = {}
    opened: dict[str, list[int]] = {}
    for number, tag in enumerate(tags):
        name = tag["name"].lower()
        if tag["empty"] or name in VOID and not tag["close"]:
            partners[number] = None
        elif not tag["close"]:
            opened.setdefault(name, []).append(number)
        elif opened.get(name):
            partners[opened[name].pop()] = tag
            partners[number] = None
        elif name in VOID:
            partners[number] = None
    for name in ("p", "li", "td", "th", "tr", "dt", "dd", "option"):  # their closing tags are optional in HTML
        numbers = opened.get(name, [])
        if len(numbers) > 1 or numbers and partners:
            partners |= dict.fromkeys(numbers)
    return partners


def _attributes(tag: re.Match[str]) -> dict[str, str]:
    return {
        match[1].lower(): _unescaped(match[2] or match[3] or match[4] or "")
        for match in ATTRIBUTE.finditer(tag["attributes"])
    }


def _flat(text: str) -> str:
    return " ".join(_unescaped(TAG.sub("", text)).split())


SUB = re.compile(rf"<sub\b({ATTRIBUTES})\s*>(.*?)</sub\s*>", re.S | re.I)
SAY_AS = re.compile(rf"<say-as\b({ATTRIBUTES})\s*>(.*?)</say-as\s*>", re.S | re.I)


def _ssml(text: str) -> str:
    """Replace <sub> and <say-as> of a <speak> document by notes."""

    def attribute(given: str, name: str) -> str:
        return next(
            (_unescaped(m[2] or m[3] or m[4] or "") for m in ATTRIBUTE.finditer(given) if m[1].lower() == name), ""
        )

    text = SUB.sub(lambda match: make_note(_flat(match[2]), attribute(match[1], "alias")), text)
    return SAY_AS.sub(
        lambda match: make_note(
            _flat(match[2]),
            f"\ue003{attribute(match[1], 'interpret-as').lower()}\ue003{attribute(match[1], 'format').lower()}\ue003",
        ),
        text,
    )


# --- Markdown ------------------------------------------------------------------------------------------------------------------


def _without_markdown(text: str) -> str:
    lines = text.split("\n")
    fences = _fences(lines)
    tables = _table_rows(lines)
    names = {match[1].lower() for line in lines if (match := DEFINITION.match(line))}
    code = False
    for number, line in enumerate(lines):
        if number in fences:
            code = not code
            lines[number] = ""
        elif code or not ANY_MARKUP.search(line):
            continue
        elif DEFINITION.match(line):
            lines[number] = ""
        elif number in tables:
            is_delimiter = DELIMITER_ROW.match(line)
            cells = [_inline(cell.strip(), names) for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            lines[number] = "" if is_delimiter else ", ".join(filter(None, cells))
        else:
            line = QUOTE.sub("", line, count=1)
            line = FOOTNOTE_TEXT.sub(r"\1", line, count=1)
            line = HEADING.sub(r"\1", line)
            lines[number] = _inline(line, names)
    return "\n".join(lines)


def _fences(lines: list[str]) -> set[int]:
    """The first and last lines of fenced code blocks. A fence without an end is text."""
    found: set[int] = set()
    opened: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        if "```" not in line and "~~~" not in line or not (match := FENCE.match(line)):
            continue
        if opened is None:
            opened = number, match[1]
        elif match[1].startswith(opened[1]) and not match[2]:
            found |= {opened[0], number}
            opened = None
    return found


def _table_rows(lines: list[str]) -> set[int]:
    """The lines of tables: a row, a row of dashes with as many cells, and the rows that follow."""
    rows: set[int] = set()
    for number in range(1, len(lines)):
        line, head = lines[number], lines[number - 1]
        if "|" not in head or "-" not in line or "|" not in line or not DELIMITER_ROW.match(line):
            continue
        if line.strip().strip("|").count("|") != head.strip().strip("|").count("|"):
            continue
        rows |= {number - 1, number}
        following = number + 1
        while following < len(lines) and "|" in lines[following]:
            rows.add(following)
            following += 1
    return rows


def _inline(line: str, names: set[str]) -> str:
    """Remove the marks of emphasis, links and code from a line."""
    if "`" in line:
        line = CODE.sub(r"\2", line)
    if "[" in line:
        line = FOOTNOTE.sub("", line)
        line = IMAGE_OR_LINK.sub(_link, line)
        if names:
            line = REFERENCE.sub(lambda match: match[1] if (match[2] or match[1]).lower() in names else match[0], line)
    if "<" in line:
        line = AUTOLINK.sub(r"\1", line)
    if "*" in line or "_" in line or "~~" in line or "==" in line:
        for _ in range(3):  # nested
            before = line
            for pattern in EMPHASIS:
                line = pattern.sub(r"\2", line)
            line = INNER_BOLD.sub(r"\2", line)
            if line == before:
                break
    return ESCAPED.sub(r"\1", line) if "\\" in line else line


def _link(match: re.Match[str]) -> str:
    """The text of a link; or a note for `[Nguyen](win)`, if the target is not an address."""
    if not match[1] and RESPELLED.fullmatch(match[0]) and match[2].strip():
        return make_note(match[2], match[3])
    return match[2]
