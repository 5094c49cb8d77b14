"""Split plain text into chapters at lines that are chapter headings. Also used for PDF files without bookmarks."""

import re

from ..reading.roman import roman_value

NAMES = r"chapter|part|book|canto|act|letter|kapitel|teil|buch|chapitre|partie|livre|cap[ií]tulo|parte|libro|livro|capitolo|hoofdstuk|deel"
SINGLE = (
    r"prologue?|epilogue?|preface|foreword|introduction|afterword|appendix|prolog|epilog|vorwort|nachwort|einleitung|pr[ée]face|"
    r"avant-propos|postface|pr[óo]logo|ep[íi]logo|prefacio|pref[áa]cio|introducci[óo]n|introdu[çc][ãa]o|prefazione|introduzione|"
    r"voorwoord|nawoord|inleiding"
)
# "CHAPTER I.", "Chapter Two: The Lamp", "Epilogue", "1. Kapitel".
HEADING = re.compile(
    rf"(?:(?:{NAMES})\s+[\w-]+(?:\s*[.:\u2013\u2014-].{{0,80}})?|\d{{1,3}}\.\s+(?:{NAMES})|{SINGLE})\s*[.:]?", re.I
)
NUMBER = re.compile(r"(?:\d{1,3}|[IVXLC]{1,8})\.?")
# The lines around a text of Project Gutenberg. The license is before the first of them and after the second.
_MARKED = r"OF (?:THE|THIS) PROJECT GUTENBERG(?:[^*\n]|\n(?!\s*\n)){0,300}(?:\*\*\*)?"
LICENSE_ENDS = re.compile(rf"^[ \t]*\*\*\* ?START {_MARKED}", re.M)
LICENSE_STARTS = re.compile(
    rf"^[ \t]*(?:\*\*\* ?END {_MARKED}|End of (?:the )?Project Gutenberg(?:'s|\u2019s)? [^\n]{{1,200}}$)", re.M
)


def without_license(texts: list[str]) -> list[str]:
    """The paragraphs of a book without the license of Project Gutenberg. Removed paragraphs become ""."""
    starts = ((n, match.end()) for n, text in enumerate(texts) if (match := LICENSE_ENDS.search(text)))
    first, start = next(starts, (0, 0))
    ends = ((n, match.start()) for n, text in enumerate(texts) if n >= first and (match := LICENSE_STARTS.search(text)))
    last, end = next(ends, (len(texts), None))
    kept = [""] * len(texts)
    for number in range(first, min(last + 1, len(texts))):
        kept[number] = texts[number][start if number == first else 0 : end if number == last else None].strip("\n")
    return kept


def split_chapters(text: str) -> list[tuple[str, str]]:
    """The chapters as (title, text). The title is the first line. The text before the first heading has no title."""
    if "PROJECT GUTENBERG" in text:
        text = without_license([text])[0] + "\n"
    lines = text.splitlines()
    starts = _starts(lines, HEADING) or _numbered(lines)
    if not starts:
        return [("", text)]
    bounds = [0, *starts, len(lines)]
    parts = ["\n".join(lines[start:end]) for start, end in zip(bounds, bounds[1:], strict=False)]
    return [("", parts[0]), *((part.split("\n", 1)[0].strip(), part) for part in parts[1:])]


def _starts(lines: list[str], heading: re.Pattern[str]) -> list[int]:
    """The numbers of heading lines: after a blank line, and not followed by another heading, as in a table of contents."""
    found = []
    for number, line in enumerate(lines):
        if not heading.fullmatch(line.strip()) or number and lines[number - 1].strip():
            continue
        following = next((text.strip() for text in lines[number + 1 :] if text.strip()), "")
        next_line = lines[number + 1].strip() if number + 1 < len(lines) else ""
        if following and not heading.fullmatch(next_line):
            found.append(number)
    return found


def _numbered(lines: list[str]) -> list[int]:
    """The numbers of lines that are only a number, if these count up from 1."""
    starts = _starts(lines, NUMBER)
    numbers = [lines[start].strip().rstrip(".") for start in starts]
    values = [int(number) if number.isdigit() else roman_value(number) for number in numbers]
    return starts if len(starts) > 1 and values == list(range(1, len(starts) + 1)) else []
