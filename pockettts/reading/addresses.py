"""Verbalize web and e-mail addresses and file names."""

import re

from .languages.base import Language, word_set

SCHEME = re.compile(r"(?:https?|ftps?|file|mailto|wss?|git|ssh)://(?=[^\s/])|mailto:(?=\S)", re.I)
EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+", re.A)
PATH = r"(?::\d{1,5})?(?:[/?#][^\s<>\"“”«»|\\^`{}\[\]]*)?"
HOST = re.compile(rf"(?:[^\W_][\w-]*\.)+([^\W\d_]{{2,24}})(?![\w-]){PATH}")
LOCAL = re.compile(rf"localhost(?=[:/]\w){PATH}")
REST = re.compile(r"[^\s<>\"“”«»|\\^`{}\[\]]+")
FILE = re.compile(r"[\w-]+(?:\.[\w-]+)*\.([A-Za-z][A-Za-z0-9]{0,5}|7z)(?![\w-])")
START = r"(?<![^\s\"'(\u201c\u2018])"
QUERY = r"/?\?\w[^\s<>\"\u201c\u201d{}|]*"
UNIX_PATH = re.compile(
    rf"{START}(?:~|\.{{1,2}})?(?:/[\w.@%+-]+){{2,}}(?:{QUERY}|/?)|{START}(?:~|\.{{1,2}})/[\w.@%+-]+/?|{START}/[\w.@%+-]+{QUERY}"
)
WINDOWS_PATH = re.compile(r"[A-Za-z]:\\[^\s\"<>|*?]*")
TRAILING = ".,;:!?'\"\u2019\u201d)"
# Top-level domains that make an address without "www.". Two letters are countries.
DOMAINS = word_set("""
    com org net edu gov mil int info biz app dev blog shop online site tech store cloud xyz club name pro museum travel jobs mobi
    news     media wiki page design art live studio world today email agency digital academy social systems network games music video photo
    io ai co tv me cc uk us de fr es it pt nl be at ch eu ca au nz in jp cn kr ru ua pl cz sk hu ro bg gr tr se no dk fi is ie lt lv ee
    br mx ar cl pe ve za il ae sa eg ma ng ke sg hk tw th vn id my ph pk ir lu li fm gg ly to gl im so sh ws vc
""")  # fmt: skip
PIECES = re.compile(r"[^\W\d_]+|\d+|[\W_]")


def address_at(text: str, i: int, language: Language) -> tuple[int, str] | None:
    """The address or file name that starts at i: its end, and its spoken form. None if there is none."""
    if not language.address_marks:
        return None
    if text[i + 1 : i + 3] == ":\\":
        return path_at(text, i, language)
    if scheme := SCHEME.match(text, i):
        rest = REST.match(text, scheme.end())
        return _read(text, scheme.end(), rest.end(), language) if rest else None
    if match := EMAIL.match(text, i):
        return _read(text, i, match.end(), language)
    if match := LOCAL.match(text, i):
        return _read(text, i, match.end(), language)
    if match := HOST.match(text, i):
        has_path = match.end() > match.end(1)
        if (
            match[1].lower() in DOMAINS
            and (match[1].islower() or match[1].isupper())
            or text[i : i + 4].lower() == "www."
        ):
            return _read(text, i, match.end(), language)
        if has_path and match[1].islower() and "/" in match[0]:
            return _read(text, i, match.end(), language)
    if (match := FILE.match(text, i)) and _is_file(match, language):
        return _read(text, i, match.end(), language)
    return None


def path_at(text: str, i: int, language: Language) -> tuple[int, str] | None:
    """The path that starts at i: `/usr/local/bin`, `~/notes/a.txt`, `C:\\Users`."""
    match = UNIX_PATH.match(text, i) or WINDOWS_PATH.match(text, i)
    return _read(text, i, match.end(), language) if match and language.address_marks else None


def _is_file(match: re.Match[str], language: Language) -> bool:
    """Whether a match is a file name or a product (`Node.js`), not two words with a missing space."""
    name, ending = match[0][: match.start(1) - match.start() - 1], match[1]
    if not any(map(str.isalpha, name)) or all(len(part) == 1 for part in match[0].split(".")):  # "z.o.z."
        return False
    if ending.islower() or not ending.isalpha():
        return ending not in language.common_words and not (len(ending) > 4 and name.isalpha())
    return ending.isupper() and len(ending) > 1


def _read(text: str, start: int, end: int, language: Language) -> tuple[int, str]:
    while end > start and (text[end - 1] in TRAILING and not (text[end - 1] == ")" and "(" in text[start:end])):
        end -= 1
    return end, read_address(text[start:end], language)


def read_address(address: str, language: Language) -> str:
    """The spoken form of an address."""
    pieces = PIECES.findall(address.rstrip("/"))
    host = pieces.index("@") if "@" in pieces else 0  # "john.doe@example.com": the parts before it are names
    spoken = []
    for number, piece in enumerate(pieces):
        if piece.isdecimal():
            spoken.append(language.digits(piece))
        elif piece.isalpha():
            spoken.append(_read_word(piece, number > host and pieces[number - 1] == ".", language))
        else:
            spoken.append(language.address_marks.get(piece, ""))
    return " ".join(filter(None, spoken))


def _read_word(word: str, is_behind_dot: bool, language: Language) -> str:
    """A part of an address: spelled if it can't be read as a word, or is a short ending."""
    lower = word.lower()
    if lower in language.address_words or len(word) == 1:
        return word
    is_short = len(word) < 4 and is_behind_dot
    return language.spell(word) if is_short or not set(lower) & set(language.vowels) else word
