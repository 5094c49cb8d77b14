"""Text normalization: written forms (numbers, dates, abbreviations, symbols) become words. The edits keep their positions in the text.

clean_text (the whole text)  ->  split_at_pauses (pauses.py)  ->  normalize (each piece)  ->  chunks (chunks.py)
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from .context import SpokenForm
from .languages import find_language
from .languages.base import Language, Number
from .lexicon import EMPTY, Lexicon, find_lexicon
from .unicode import LETTER, Emoji, compose, is_pictograph, pictograph_name, strip_invisible
from .word_forms import WORD, WordForms, word_forms

Edit = tuple[int, int, str]  # (start, stop, the spoken form of these characters)

TOKEN = re.compile(r"\S+")
PLAIN = re.compile(
    r"[(\[\"'\u201c\u2018\u201e\u00ab\u00bf\u00a1\u2014\u2013-]*"
    rf"({LETTER}+(?:['\u2019-]{LETTER}+)*)['\u2019]?"
    r"[.,;:!?\u2026)\]\"'\u201d\u2019\u00bb\u2014\u2013-]*"
)
MARKS = frozenset(
    ".,;:!?\u2026'\"\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u00ab\u00bb()[]\u00a1\u00bf-\u2010\u2011\u2012\u2013\u2014\u2015\u3001\u3002\u300c\u300d"
)
BULLET = re.compile(r"[ \t]*[-*+\u2022\u2023\u25aa\u2013\u25e6\u00b7][ \t]+(?=\S)(?:\[[ xX]?\][ \t]+)?")
MISSING_SPACE = re.compile(r"[.!?\u2026][\"'\u201d\u2019)]*(?=[^\W\d_])|[,;:](?=[^\W\d_])")
SPACE_BEFORE_MARK = re.compile(r"\s(?=[,.;:!?\u2026](?:\s|\Z))")
MULTIPLICATION = re.compile(r"\*[ ]?[\d(]")
TAG = re.compile(r"(?:(?<![^\W_])</?[A-Za-z][\w:.-]*(?:\s[^<>\n]*)?|<[\w:.,-]+)>")  # "<audio>", not "a<b and b>c"
SAY_AS = re.compile("\ue003([^\ue003]*)\ue003([^\ue003]*)\ue003")
QUOTES = "\"'\u201c\u2018\u201e\u201a\u00ab\u201d\u2019\u00bb( \u00a0\u202f"  # before a quoted sign, which is read by its name
MARKUP = re.compile(r"[<&*_`~#>\[|\\=]")  # all markup has one of these characters
MAX_PLAIN_WORDS = 50_000  # size of the cache of plain words


def clean_text(text: str) -> str:
    """Remove invisible characters and markup from a whole text. The number of lines stays the same."""
    text = strip_invisible(text)
    if not MARKUP.search(text):
        return text
    from .inline_markup import strip_markup  # patterns that few texts need

    return strip_markup(text)


@dataclass(frozen=True)
class Normalized:
    """A piece of text and its spoken form.

    Attributes:
        source: the written text.
        composed: the written text in NFC.
        edits: the changes to `composed`, in order, without overlaps.
    """

    source: str
    composed: str
    edits: tuple[Edit, ...]

    @cached_property
    def text(self) -> str:
        """The spoken text."""
        if not self.edits:
            return self.composed
        out: list[str] = []
        done = 0
        for start, stop, spoken in self.edits:
            out.append(self.composed[done:start])
            out.append(self._spaced(start, stop, spoken, out[-1] or (out[-2] if len(out) > 1 else "")))
            done = stop
        out.append(self.composed[done:])
        return SPACE_BEFORE_MARK.sub("", re.sub(r"[ \t]{2,}", " ", "".join(out))).strip()

    def _spaced(self, start: int, stop: int, spoken: str, before: str) -> str:
        """The spoken form, with spaces where it would join its neighbors."""
        following = self.composed[stop : stop + 1]
        if not spoken:
            return " " if before[-1:].isalnum() and following.isalnum() else ""
        left = " " if before[-1:].isalnum() or before[-1:] in ",;:" and before else ""
        right = " " if following.isalnum() or following == "_" else ""
        return f"{left}{spoken}{right}"

    def words(self) -> list[tuple[str, int]]:
        """The written words, each once, in order, with the number of letters and digits spoken for each.

        Silent tokens, such as a dash or an emoji, are attached to the word before, or to the first word.
        """
        counts = self._counts()
        words: list[tuple[str, int]] = []
        before = ""
        for word, count in zip(self.source.split(), counts, strict=True):
            if count:
                words.append((f"{before} {word}".strip(), count))
                before = ""
            elif words:
                words[-1] = (f"{words[-1][0]} {word}", words[-1][1])
            else:
                before = f"{before} {word}".strip()
        return words

    def _counts(self) -> list[int]:
        """The number of letters and digits spoken for each word of the source."""
        tokens = [token.span() for token in TOKEN.finditer(self.composed)]
        counts = [0] * len(tokens)
        done = first = 0
        for start, stop, spoken in (*self.edits, (len(self.composed), len(self.composed), "")):
            while first < len(tokens) and tokens[first][1] <= start:  # words that end before the edit
                counts[first] += count_letters(self.composed[max(done, tokens[first][0]) : tokens[first][1]])
                first += 1
            if first == len(tokens):
                break
            counts[first] += count_letters(self.composed[max(done, tokens[first][0]) : start])
            last = first
            while last + 1 < len(tokens) and tokens[last + 1][0] < stop:
                last += 1
            written = [self.composed[a:b].strip(".,;:!?").casefold() for a, b in tokens[first : last + 1]]
            for number, share in enumerate(_split_letters(written, spoken.split())):
                counts[first + number] += share
            done, first = stop, last
        return counts


def _split_letters(written: list[str], spoken: list[str]) -> Iterator[int]:
    """Distribute spoken letters over written words: equal words match, the others share in proportion."""
    bounds = [0]
    plain = [word.casefold() for word in spoken]
    for number in range(1, len(written)):
        share = max(bounds[-1], round(len(spoken) * number / len(written)))
        bounds.append(next((i for i in range(bounds[-1], len(spoken)) if plain[i] == written[number]), share))
    bounds.append(len(spoken))
    for start, end in zip(bounds, bounds[1:], strict=False):
        yield sum(map(count_letters, spoken[start:end]))


def count_letters(text: str) -> int:
    """The number of letters and digits of a text, after NFKC and case folding ("ß" counts as "ss")."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
    return sum(map(str.isalnum, text))


def as_written(text: str) -> Normalized:
    """A text without changes."""
    return Normalized(text, text, ())


def normalize(
    text: str, language: Language | str | None, lexicon: Lexicon = EMPTY, emoji: Emoji = "drop"
) -> Normalized:
    """Normalize a piece of the result of `clean_text`: a sentence, a line or a paragraph.

    Args:
        language: its code or name. For an unknown language, only rules without words apply.
        emoji: "drop" removes emoji, "read" speaks their Unicode names.
    """
    found = language if isinstance(language, Language) else find_language(language)
    source, notes = _split_notes(text.replace("\v", " "))
    plain = compose(source)
    if len(plain) != len(source) and notes:  # the positions of notes refer to the source
        notes = [(len(compose(source[:a])), len(compose(source[:b])), spoken) for a, b, spoken in notes]
    finder = _edit_finder(found, lexicon, emoji)
    return Normalized(source, plain, tuple(finder.edits(plain, notes)))


def _split_notes(text: str) -> tuple[str, list[Edit]]:
    """Separate a text and the notes that `strip_markup` put into it."""
    if "\ue000" not in text:
        return text, []
    from .inline_markup import split_notes

    return split_notes(text)


@dataclass(frozen=True)
class Normalizer:
    """`normalize` with fixed options: language, pronunciation list, emoji."""

    language: str = "en"  # code or name
    lexicon: Lexicon = EMPTY
    emoji: Emoji = "drop"

    @property
    def rules(self) -> Language:
        """The rules of the language."""
        return find_language(self.language)

    def normalize(self, piece: str) -> Normalized:
        return normalize(piece, self.rules, self.lexicon, self.emoji)


def find_normalizer(language: str | None, verbatim: bool, lexicon: str | None, emoji: str) -> Normalizer | None:
    """The normalizer for these options; None for verbatim text, which is read as the official package reads it.

    Args:
        language: of the model; None is English.
        lexicon: path of a pronunciation list; None: the user's own; "": none.
        emoji: "drop" or "read".

    Raises:
        TextError: the list can't be read, or has a malformed line.
    """
    if verbatim:
        return None
    return Normalizer(language or "en", find_lexicon(lexicon), "read" if emoji == "read" else "drop")


@lru_cache(16)
def _edit_finder(language: Language, lexicon: Lexicon, emoji: Emoji) -> "_EditFinder":
    return _EditFinder(language, lexicon, emoji)


class _EditFinder:
    """Finds the edits of a text in one pass over its words."""

    def __init__(self, language: Language, lexicon: Lexicon, emoji: Emoji) -> None:
        self.language, self.emoji = language, emoji
        self.words: WordForms = word_forms(language)
        table = lexicon.table(language.code)
        self._exact = {word: spoken for word, spoken in table.items() if word != word.lower()}
        self._any_case = {word: spoken for word, spoken in table.items() if word == word.lower()}
        self._lexicon_words: dict[str, list[str]] = {}  # entries by their first word, in lower case, the longest first
        for entry in sorted(table, key=len, reverse=True):
            self._lexicon_words.setdefault(_first_word(entry).lower(), []).append(entry)
        self._special = {*self.words.triggers, *self._lexicon_words}
        self._suffixes = tuple(suffix.rstrip(".") for suffix in language.suffix_abbreviations)
        self._plain: set[str] = set()

    def edits(self, text: str, notes: list[Edit]) -> Iterator[Edit]:
        done = 0
        plain = self._plain
        if bullet := BULLET.match(text):
            yield 0, bullet.end(), ""
            done = bullet.end()
        pending = [(start, stop, self._spoken_note(text[start:stop], spoken)) for start, stop, spoken in notes]
        for token in TOKEN.finditer(text):
            word = token.group()
            if word in plain and not pending:
                continue
            start, end = token.span()
            if end <= done:
                continue
            if start >= done and not pending and self._is_plain(word):
                if len(plain) < MAX_PLAIN_WORDS:
                    plain.add(word)
                continue
            for edit in self._token_edits(text, max(start, done), end, pending):
                yield edit
                done = max(done, edit[1])

    def _is_plain(self, word: str) -> bool:
        """Whether a word with its punctuation is always spoken as written."""
        match = PLAIN.fullmatch(word)
        if match is None:
            return False
        core = match[1]
        lower = core.lower()
        first = lower.partition("-")[0]
        if not self._special.isdisjoint((lower, first)):
            return False
        if not (core.islower() or core.istitle() and len(core) > 1 or "-" not in core and core[1:].islower()):
            return not any(a.isupper() and b.isupper() for a, b in zip(core, core[1:], strict=False)) and len(core) > 2
        if word[match.end(1) : match.end(1) + 1] == ".":
            return not self._is_abbreviated(core)
        return len(core) > 1 or core in ("a", "I", "A", "y", "e", "o", "à", "è", "é")

    def _is_abbreviated(self, core: str) -> bool:
        lang = self.language
        lower = core[0].lower() + core[1:]
        tables = (lang.titles, lang.number_abbreviations, lang.abbreviations, lang.ending_abbreviations)
        if len(core) == 1 or lang.suffix_abbreviations and core.endswith(self._suffixes):
            return True
        return any(f"{key}." in table for table in tables for key in (core, lower))

    def _token_edits(self, text: str, i: int, end: int, pending: list[Edit]) -> Iterator[Edit]:
        """The edits in a token. A written form may extend beyond the token."""
        number_end = -1  # end of the last number
        while i < end or i == number_end and i < len(text):
            if pending and pending[0][0] <= i:
                edit = pending.pop(0)
                if edit[0] == i:
                    yield edit
                    i = edit[1]
                continue
            limit = pending[0][0] if pending else len(text)
            mark = text[i]
            found: SpokenForm | None = None
            is_number = False
            if i == number_end and (found := self.words.forms.connector_at(text, i)):
                pass
            elif i >= end:
                return
            elif mark.isdecimal():
                found = self.words.forms.digit_at(text, i)
                is_number = True
                if found is None:
                    found = _digits(text, i)
            elif mark.isalpha():
                found, skip = self._word_at(text, i)
                if found is None:
                    i = skip
                    continue
            elif (found := self._sign_name_at(text, i)) or mark in "/~." and (found := self._path_at(text, i)):
                pass
            elif mark in MARKS:
                found = self.words.forms.sign_at(text, i)
                is_number = found is not None
                if found is None and (found := self._mark_at(text, i, number_end)) is None:
                    i += 1
                    continue
            else:
                found = self.words.forms.sign_at(text, i)
                is_number = found is not None
                found = found or self._symbol_at(text, i)
                if found is None:
                    i += 1
                    continue
            stop, spoken = found
            if stop > limit:
                stop, spoken = limit, text[i:limit]
            if spoken != text[i:stop]:
                yield i, stop, spoken
            i = stop
            number_end = stop if is_number else -1

    def _sign_name_at(self, text: str, i: int) -> SpokenForm | None:
        if i == 0 or text[i - 1] not in QUOTES:
            return None
        from .signs import named_signs  # patterns that few texts need

        return named_signs(text, i, self.language)

    def _path_at(self, text: str, i: int) -> SpokenForm | None:
        from .addresses import path_at  # patterns that few texts need

        return path_at(text, i, self.language)

    def _word_at(self, text: str, i: int) -> tuple[SpokenForm | None, int]:
        """The spoken form of the word at i, if it differs; and the end of the word."""
        match = WORD.match(text, i)
        stop = match.end() if match else i + 1
        if self._lexicon_words and (found := self._lexicon_entry_at(text, i, text[i:stop])):
            return found, stop
        if text[i - 1 : i].isalnum() and i and not text[i - 1].isdecimal():
            return None, stop
        return self.words.letter_at(text, i), stop

    def _lexicon_entry_at(self, text: str, i: int, word: str) -> SpokenForm | None:
        """The longest entry of the pronunciation list that matches at i as a whole word."""
        first = word.lower()
        for entry in self._lexicon_words.get(
            first, self._lexicon_words.get(first.partition("'")[0].partition("\u2019")[0], [])
        ):
            there = text[i : i + len(entry)]
            follows = text[i + len(entry) : i + len(entry) + 1]
            if follows.isalnum() or follows == "_" or text[i - 1 : i].isalnum() and i:
                continue
            if there == entry or there.lower() == entry and entry in self._any_case:
                return i + len(entry), self._exact.get(entry) or self._any_case[entry]
        return None

    # --- marks and signs --------------------------------------------------------------------------------------------------

    def _mark_at(self, text: str, i: int, number_end: int) -> SpokenForm | None:
        """Punctuation stays. A missing space behind it is added, and a hyphen after a number becomes a space."""
        before, after = text[i - 1 : i] if i else "", text[i + 1 : i + 2]
        if text[i] in "-\u2010\u2011" and i == number_end and after.isalpha():
            return i + 1, " "
        if text[i] in "-\u2010\u2011" and before.isalpha() and after.isupper() and self._is_spelled(text, i + 1):
            return i + 1, " "
        if text[i] == "." and after.isalnum() and not before.isalnum() and self.language.address_marks.get("."):
            return i + 1, self.language.address_marks["."]  # ".com"
        if text[i] == "." and before.isalpha() and after.isdecimal():
            return i + 1, ". " if text[
                i - 2 : i - 1
            ].isalnum() and i > 1 else f" {self.language.dot} "  # "end.5", "H.264"
        if text[i : i + 2] in ("->", "!="):
            return i + 2, self.language.symbols.get({"->": "→", "!=": "≠"}[text[i : i + 2]], "")
        if before.isdecimal() and text[i] in ",;" and after.isalpha():
            return i + 1, f"{text[i]} "
        if before.isalpha() and (match := MISSING_SPACE.match(text, i)):
            if text[i] != "." or before.islower() and text[match.end()].isupper() or self._is_common(text, match.end()):
                return match.end(), f"{match[0]} "
        return None

    def _is_spelled(self, text: str, i: int) -> bool:
        """Whether the word at i is spelled: "User-IDs"."""
        found = self.words.letter_at(text, i)
        return found is not None and " " in found[1]

    def _is_common(self, text: str, i: int) -> bool:
        match = WORD.match(text, i)
        return match is not None and match[0].lower() in self.language.common_words

    def _symbol_at(self, text: str, i: int) -> SpokenForm | None:
        """A sign other than punctuation: a word, or silence."""
        mark, lang = text[i], self.language
        before, after = text[i - 1 : i] if i else "", text[i + 1 : i + 2]
        if mark == "#" and after.isalnum():
            return i + 1, lang.number_sign_word if after.isdecimal() else lang.hashtag
        if after and text[i : i + 2] in lang.symbols:
            return i + 2, lang.symbols[text[i : i + 2]]
        if text[i : i + 2] in ("=>", "==") and text[i + 2 : i + 3] != "=" and before != "=":
            return i + 2, lang.symbols.get("→" if text[i + 1] == ">" else "=", "")
        if mark in "<>" and (found := self._angle(text, i, before, after)) is not None:
            return found
        if (
            mark == "/"
            and before == after == " "
            and text[i - 2 : i - 1].isdecimal()
            and text[i + 2 : i + 3].isdecimal()
        ):
            return i + 1, lang.symbols.get("÷", "")
        if unicodedata.category(mark) in ("No", "Sm") and unicodedata.decomposition(mark).startswith("<super>"):
            return self._superscript(text, i, before)
        if mark in "/\\|" and before.isalpha() and after.isalpha():
            return i + 1, " "
        if mark == "*" and MULTIPLICATION.match(text, i) and text[:i].rstrip()[-1:].isalnum():
            return i + 1, lang.times_sign
        if mark in "^_*~" and not (mark in "^~" and after.isdecimal()):
            return i + 1, " " if before.isalnum() and after.isalnum() else ""
        if (spoken := lang.symbols.get(mark)) is not None and self._is_operator(text, i, before, after):
            return i + 1, spoken
        if is_pictograph(mark):
            return i + 1, pictograph_name(mark) if self.emoji == "read" else ""
        if unicodedata.category(mark)[0] in "LN":
            return None
        return i + 1, ""

    def _superscript(self, text: str, i: int, before: str) -> SpokenForm:
        """`x²`, `10⁶`. After a word, a superscript is a footnote mark and stays silent."""
        end = i
        while end < len(text) and unicodedata.decomposition(text[end]).startswith("<super>"):
            end += 1
        spoken = self.language.symbols.get(text[i:end])
        if (
            spoken is not None
            and before.isalnum()
            and not text[max(0, i - 3) : i].isalpha()
            or i < 3
            and spoken
            and before.isalpha()
        ):
            return end, spoken
        power = unicodedata.normalize("NFKC", text[i:end]).replace("\u2212", "-")
        words = self.language.symbols.get("^")
        if not words or not before.isdecimal() or not re.fullmatch(r"-?\d+", power):
            return end, ""
        return end, f"{words} {self.language.number(Number(abs(int(power)), '', power[0] == '-'))}"

    def _angle(self, text: str, i: int, before: str, after: str) -> SpokenForm | None:
        """`<` and `>`: comparisons, arrows, or brackets around a word. Brackets are silent."""
        if (tag := TAG.match(text, max(0, text.rfind("<", max(0, i - 80), i + 1)))) and i in (
            tag.start(),
            tag.end() - 1,
        ):
            return i + 1, " " if before.isalnum() and after.isalnum() else ""
        pair = text[i : i + 2]
        if pair in ("<=", ">="):
            spoken = self.language.symbols.get({"<=": "≤", ">=": "≥"}[pair])
            return None if spoken is None else (i + 2, spoken)
        if pair in ("<-", "->", "<<", ">>") or before in ("-", "=", "<", ">"):
            return i + 1, ""
        return None

    def _is_operator(self, text: str, i: int, before: str, after: str) -> bool:
        """Whether a sign stands between or before words or numbers, and is not part of a drawn line: "====", "---+---"."""
        if text[i] in "+=<>/\\|~·→" and (before == text[i] or after == text[i]) and text[i : i + 2] not in ("++",):
            return False
        if text[i] in "+=/\\·→<>":
            left, right = text[max(0, i - 3) : i].strip(), text[i + 1 : i + 4].strip()
            return (
                bool(left[-1:].isalnum() or left[-1:] in ")]%+'")
                and bool(right[:1].isalnum() or right[:1] in "([+-$\u20ac\u00a3.\u2212" and right)
                or (text[i] == "+" and (left[-1:].isalnum() and not right[:1].isalnum() or right[:1].isdecimal()))
                or text[i] in "<>"
                and right[:1].isdecimal()
            )
        return True

    def _spoken_note(self, written: str, spoken: str) -> str:
        """The spoken form of a note: a respelling, or the result of `say_as`."""
        match = SAY_AS.fullmatch(spoken)
        if match is None:
            return spoken
        return say_as(written, match[1], match[2], self.language)


def say_as(written: str, kind: str, form: str, language: Language) -> str:
    """SSML's <say-as>: characters, digits, date, telephone and others. Unknown kinds are read as text."""
    if kind in ("characters", "spell-out", "verbatim"):
        parts = (
            language.cardinal(int(c))
            if c.isdecimal()
            else language.spell(c)
            if c.isalpha()
            else language.address_marks.get(c, "")
            for c in written
        )
        return " ".join(filter(None, parts))
    digits = "".join(filter(str.isdecimal, written))
    if kind in ("digits", "number:digits") and digits:
        return language.digits(digits)
    if kind == "telephone" and digits:
        return language.telephone(re.findall(r"\+?\d+", written))
    if kind in ("cardinal", "number") and digits and len(digits) == len(written.strip()):
        return language.cardinal(int(digits))
    if kind == "ordinal" and digits:
        return language.ordinal(int(digits))
    if kind == "date" and (spoken := _date(written, form or language.date_order, language)):
        return spoken
    return normalize(written, language).text


def _date(written: str, form: str, language: Language) -> str | None:
    """A numeric date in a given order: "mdy", "ymd", "dm"."""
    numbers = [int(number) for number in re.findall(r"\d+", written)]
    if len(numbers) == 1 and len(form) > 1:
        return None
    if len(numbers) == 3 and numbers[0] > 31:
        form = "ymd"
    if len(numbers) != len(form) or not set(form) <= set("dmy"):
        return None
    parts = dict(zip(form, numbers, strict=True))
    if "m" not in parts or not 1 <= parts["m"] <= 12 or not 1 <= parts.get("d", 1) <= 31:
        return None
    month_first = language.month_first and language.date_order == "mdy"
    return language.date(parts.get("d"), parts["m"], parts.get("y"), month_first)


def _first_word(entry: str) -> str:
    match = WORD.search(entry)
    return match[0] if match else entry


def _digits(text: str, i: int) -> SpokenForm:
    """Digits that no rule matches, unchanged."""
    end = i
    while end < len(text) and text[end].isdecimal():
        end += 1
    return end, text[i:end]
