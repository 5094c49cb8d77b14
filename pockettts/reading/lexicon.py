"""Pronunciation lists: respellings of words.

A line of the file is `word<tab or two spaces>respelling`. `#` starts a comment. After a line `[de]`, the entries are for German only; after
`[*]`, for all languages. An entry matches whole words. An entry without capitals ignores case.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ..errors import TextError

VARIABLE = "POCKETTTS_LEXICON"  # environment variable: the default file
SECTION = re.compile(r"\[\s*(\*|[A-Za-z]{2,}(?:[-_][A-Za-z]+)?)\s*\]")
ENTRY = re.compile(r"(\S(?:.*?\S)?)(?:[ ]*\t\s*|\s{2,}|\s+=\s+)(\S.*)")
SINGLE = re.compile(r"(\S+)\s+(\S.*)")
MAX_BYTES = 4 * 1024 * 1024
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")


@dataclass(frozen=True)
class Lexicon:
    """Respellings by language code; "*" is all languages."""

    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def table(self, code: str) -> dict[str, str]:
        """The entries for a language; its own entries replace those for all languages."""
        return {**self.entries.get("*", {}), **self.entries.get(code, {})}

    def __hash__(self) -> int:
        return id(self)


EMPTY = Lexicon()


def read_lexicon(path: str | Path) -> Lexicon:
    """Read a list. Raises TextError if the file can't be read, or has a malformed line."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise TextError(f"{path} is longer than {MAX_BYTES >> 20} MB: this is not a pronunciation list")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise TextError(f"can't read {path} ({error.strerror or error}): give a pronunciation list") from None
    except UnicodeDecodeError as error:
        raise TextError(f"{path} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from None
    return parse_lexicon(text.splitlines(), str(path))


def parse_lexicon(lines: Iterable[str], name: str) -> Lexicon:
    """Parse a list. name: its source, for messages."""
    from .languages import language_code

    entries: dict[str, dict[str, str]] = {}
    section = "*"
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if match := SECTION.fullmatch(line):
            section = match[1] if match[1] == "*" else language_code(match[1])
            continue
        match = ENTRY.fullmatch(line) or SINGLE.fullmatch(line)
        if not match or not WORD.search(match[1]):
            raise TextError(
                f"{name}, line {number}: {line[:40]!r} is not an entry: write a word, two spaces, and how to say it"
            )
        word, spoken = match[1], re.sub(r"\s#\s.*", "", match[2]).strip()
        entries.setdefault(section, {})[word] = spoken
    return Lexicon(entries)


def default_path() -> Path:
    """The path of the user's own list: POCKETTTS_LEXICON, or lexicon.txt in the folder for settings of this program."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin" and not os.environ.get("XDG_CONFIG_HOME"):
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "pockettts" / "lexicon.txt"


def find_lexicon(path: str | Path | None) -> Lexicon:
    """Read the list at a path. None: the user's own list, if there is one; "": an empty list.

    Lists are cached until their file changes. Raises TextError as `read_lexicon`.
    """
    if path is None:
        path = default_path()
        if not path.is_file() and not os.environ.get(VARIABLE):
            return EMPTY
    elif not str(path):
        return EMPTY
    try:
        stat = os.stat(path)
    except OSError:
        return read_lexicon(path)  # raises a TextError with the reason
    return _read_cached(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(8)
def _read_cached(path: str, changed: int, size: int) -> Lexicon:
    return read_lexicon(path)
