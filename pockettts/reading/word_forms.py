"""Abbreviations, acronyms, Roman numerals and names with digits: written forms that start with a letter."""

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from .context import SpokenForm, is_label, without_stop
from .languages.base import ROMANS, Language
from .neighbors import ADDRESS, next_word, previous_word
from .roman import roman_value
from .unicode import LETTER

if TYPE_CHECKING:
    from .written_forms import WrittenForms

WORD = re.compile(rf"{LETTER}+(?:['\u2019]{LETTER}+)*")
DOTTED = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*\.?")
INITIALS = re.compile(r"(?:[^\W\d_]\.){2,}(?!\w)|(?:[^\W\d_]\.)+[^\W\d_](?![\w.])")
SERIAL = re.compile(r"[^\W_]+(?:-[^\W_]+)*(?:(?<=\d)\.\d+)*")
SERIAL_PARTS = re.compile(rf"\d+(?:\.\d+)*|{LETTER}+")
ACRONYM = re.compile(r"([^\W\d_a-z]{2,})(?:(['\u2019]?s)(?![^\W_]))?(?![^\W\d_])")
# The words in capitals before and behind a word in capitals.
CAPITALS_BEFORE = re.compile(r"(?:(?<![^\s\"'\u201c(])[^\W\d_a-z]+(?:['\u2019][^\W\d_a-z]+)?[,!]?\s)*\Z")
CAPITALS_BEHIND = re.compile(r"[,!]?(?:\s[^\W\d_a-z]+(?:['\u2019][^\W\d_a-z]+)?[,!.?]?(?![^\W\d_])){0,4}")
FACTORS = re.compile(r"[a-z]{2,3}(?=[\u00b2\u00b3^])")  # "mc²"
UNIT = re.compile(r"[A-Za-zμ]+(?:/[a-z]+)?[\u00b2\u00b3]?(?![\w/-])")
LONE_MARKS = frozenset("/\u00b2\u00b3")
LONE_UNITS = frozenset("km kg cm mg kWh MWh GWh kHz MHz GHz kW km\u00b2 Mbps".split())  # unambiguous
HYPHEN = re.compile(r"[-\u2010\u2011](?=[^\W\d_])")
NOT_BEHIND_ROMAN = re.compile(r"[-&]|['\u2019](?!s\b)")  # never follows a Roman numeral
ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
ROMAN_LETTERS = frozenset("IVXLCDM")
RANGE_BEHIND = re.compile(r"[\s\u00a0]*\d+[ \u00a0]?[-\u2010-\u2015][ \u00a0]?\d")
NUMBER_BEHIND = re.compile(r"[\s\u00a0]*(?:[-#\u00a0]?\d|(?:[IVXLC]{2,}|[VX])\b)")


@lru_cache
def word_forms(language: Language) -> "WordForms":
    return WordForms(language)


class WordForms:
    """The word tables of a language, and the lookups in them."""

    def __init__(self, language: Language) -> None:
        lang = language
        self.language = language
        self._rules = [rule for rule in lang.rules if rule.first == "letter"]
        tables = (lang.titles, lang.number_abbreviations, lang.abbreviations, lang.ending_abbreviations)
        self._dotless = {key for table in tables for key in table if not key.endswith(".") and key[0].isalpha()}
        self._money_words = {key for key in [*lang.currencies, *lang.currency_signs] if key[0].isalpha()}
        self._money_start = {key.rstrip(".$£¥€/") for key in self._money_words}
        # Words of letters only that may not be spoken as written; in lower case.
        self.triggers = {
            *(key.lower() for key in self._dotless),
            *(unit.lower() for unit in LONE_UNITS if unit in lang.units),
            *lang.months, *lang.weekdays, *(word for rule in self._rules for word in rule.triggers),
            *(key.lower() for key in self._money_start),
            *(numeral for numeral in ROMANS if lang.roman_cues and numeral != "i"),
        }  # fmt: skip

    @cached_property
    def forms(self) -> "WrittenForms":
        """The patterns of numbers; built when a text needs them."""
        from .written_forms import WrittenForms

        return WrittenForms(self.language)

    def letter_at(self, text: str, i: int) -> SpokenForm | None:
        """The written form that starts with the letter at i."""
        match = WORD.match(text, i)
        word = match[0] if match else text[i]
        after = text[i + len(word) : i + len(word) + 1]
        key = word.lower()
        for rule in self._rules:
            found = rule.regex.match(text, i) if key in rule.triggers or not rule.triggers else None
            if found and (spoken := rule.verbalize(found)) is not None:
                return found.end(), spoken
        if after == "." and (found_word := self._abbreviation(text, i, after, True) or self._suffix(text, i, word)):
            return found_word
        if (after in (".", "@", ":", "_", "-", "%", "+") or after.isdecimal()) and (
            found_address := self._address(text, i)
        ):
            return found_address
        if key in self.language.months and (found_date := self.forms.month_at(text, i)):
            return found_date
        if key in self.language.weekdays and (found_date := self.forms.weekday_at(text, i, word)):
            return found_date
        is_known = word in self._dotless or key in self.triggers
        if (after in (".", "/") or is_known) and (found_word := self._abbreviation(text, i, after, False)):
            return found_word
        if (word in LONE_UNITS or after in LONE_MARKS) and (found_unit := self._lone_unit(text, i)):
            return found_unit
        if word in self._money_start and (found_money := self.forms.money_at(text, i)):
            return found_money
        if (after.isdecimal() or after == "-") and (found_serial := self._serial(text, i)):
            return found_serial
        bare = word.removesuffix("'s").removesuffix("\u2019s")
        if ROMAN_LETTERS.issuperset(bare.upper()) and (found_roman := self._roman(text, i, bare)):
            return found_roman
        return self._acronym(text, i)

    def _address(self, text: str, i: int) -> SpokenForm | None:
        from .addresses import address_at  # patterns that few texts need

        return address_at(text, i, self.language)

    def _lone_unit(self, text: str, i: int) -> SpokenForm | None:
        """A unit without a number: "in km/h", "weight in kg"."""
        match = UNIT.match(text, i)
        noun = self.language.units.get(match[0]) if match else None
        if match is None or noun is None or not (LONE_MARKS & set(match[0]) or match[0] in LONE_UNITS):
            return None
        return match.end(), noun.many

    # --- abbreviations ----------------------------------------------------------------------------------------------------

    def _abbreviation(self, text: str, i: int, after: str, only_known: bool) -> SpokenForm | None:
        """An abbreviation or initials. only_known: only abbreviations of the tables with dots inside, which look like addresses: "e.g."."""
        lang = self.language
        match = DOTTED.match(text, i)
        if match is None:
            return None
        written = match[0]
        first = f"{written.partition('.')[0]}."
        if first in lang.titles and text[i + len(first) : i + len(first) + 1].isupper():  # "Dr.Smith"
            return i + len(first), lang.titles[first]
        slashed = f"{written.rstrip('.')}/" if after == "/" else ""
        for key in filter(None, (written, slashed and text[i : i + len(slashed) + 1], slashed, written.rstrip("."))):
            end = i + len(key)
            if key.endswith("/") and text[end : end + 1].isalpha() and key.lower() in lang.abbreviations:
                return end, f"{lang.abbreviations[key.lower()]} "
            if (
                end < len(text)
                and (text[end].isalnum() or text[end] == "." and not key.endswith("."))
                and key != written
            ):
                continue
            if only_known and "." not in key[:-1]:
                continue
            if found := self._look_up(text, i, end, key):
                return found
        if only_known:
            return None
        if match := INITIALS.match(text, i):
            is_name = previous_word(text, i).lower() not in lang.articles and not self._ends_sentence(
                text, match.end()
            )  # "T.S. Eliot"
            return match.end() if is_name else without_stop(text, match.end(), lang), lang.spell(match[0])
        if len(written) == 2 and written[1] == "." and written[0].isupper() and not self._ends_sentence(text, i + 2):
            return i + 2, lang.spell(written[0])  # an initial: "J. Smith"
        return None

    def _look_up(self, text: str, i: int, end: int, key: str) -> SpokenForm | None:
        lang = self.language
        lower = key[0].lower() + key[1:]
        if (spoken := _in_either_case(lang.number_abbreviations, key, lower)) is not None and NUMBER_BEHIND.match(
            text, end
        ):
            return end, lang.plurals.get(spoken, spoken) if RANGE_BEHIND.match(text, end) else spoken
        title = lang.titles.get(key)
        street = lang.ending_abbreviations.get(key)
        following = next_word(text, end)
        is_before_name = following[:1].isupper() and (street is None or following.lower() not in lang.common_words)
        if title is not None and (street is None or is_before_name and not ADDRESS.search(text, max(0, i - 50), i)):
            return end if is_before_name else without_stop(text, end, self.language), title
        if (spoken := _in_either_case(lang.abbreviations, key, lower)) is not None:
            return end, spoken
        if (spoken := _in_either_case(lang.ending_abbreviations, key, lower)) is not None:
            is_date = key.rstrip(".").lower() in lang.months and NUMBER_BEHIND.match(text, end)
            return end if is_date else without_stop(text, end, self.language), spoken
        return None

    def _suffix(self, text: str, i: int, word: str) -> SpokenForm | None:
        """A word whose end is abbreviated: "Hauptstr." """
        for suffix, spoken in self.language.suffix_abbreviations.items():
            if word.endswith(suffix[:-1]) and len(word) > len(suffix) + 1:
                end = i + len(word) + 1
                end = end if NUMBER_BEHIND.match(text, end) else without_stop(text, end, self.language)
                return end, word[: 1 - len(suffix)] + spoken
        return None

    def _ends_sentence(self, text: str, end: int) -> bool:
        """Whether a letter with a dot, or the last of several, ends a sentence: "plan B. It failed", but not "J. Smith"."""
        following = next_word(text, end)
        return (
            not text[end : end + 1].isspace()
            or not following[:1].isupper()
            or following.lower() in self.language.common_words
            or is_label(text, end - 2, self.language)
        )

    # --- capitals ---------------------------------------------------------------------------------------------------------

    def _acronym(self, text: str, i: int) -> SpokenForm | None:
        """A word in capitals: an acronym, spelled or read as a word, or an ordinary word in a text in capitals."""
        lang = self.language
        if (factors := FACTORS.match(text, i)) and not set(factors[0]) & set(lang.vowels):
            return factors.end(), lang.spell(factors[0])
        match = ACRONYM.match(text, i)
        if match is None or not match[1].isupper() or not lang.num2words_code:
            return None
        word, plural = match[1], match[2]
        if not plural and self._is_in_capitals_text(text, i, match.end(1), word):
            return match.end(), word.lower()
        if lang.is_read_as_word(word):
            is_known = word in lang.read_acronyms
            return match.end(), (word if is_known else word.lower()) + (plural or "")
        spoken = lang.spell(word) + ("'s" if plural else "")
        if HYPHEN.match(text, match.end()):  # "EU-Staaten"
            return match.end() + 1, f"{spoken} "
        return match.end(), spoken

    def _is_in_capitals_text(self, text: str, start: int, end: int, word: str) -> bool:
        """Whether the capitals are an ordinary word: the words around it are in capitals too, and some of them are common words."""
        lang = self.language
        if word in lang.read_acronyms or word in lang.spelled_acronyms:
            return False
        if len(word) > 3 and word.lower() in lang.common_words:
            return True
        neighbors = [CAPITALS_BEFORE.search(text, max(0, start - 60), start), CAPITALS_BEHIND.match(text, end)]
        others = " ".join(match[0] for match in neighbors if match).split()
        run = [other.strip("'\u2019,!.?").lower() for other in [*others, word]]
        common = [other for other in run if other in lang.common_words and len(other) > 1]
        if len(run) == 1 or not (any(len(other) > 2 for other in common) or len(common) > 1):
            return False
        return word.lower() in lang.common_words or lang.is_pronounceable(word.lower())

    def _roman(self, text: str, i: int, word: str) -> SpokenForm | None:
        lang = self.language
        before = previous_word(text, i)
        numeral = word.upper()
        if not ROMAN.fullmatch(numeral) or not lang.num2words_code:
            return None
        if not word.isupper() and (not word.islower() or before.lower() not in lang.roman_cues):
            return None
        value = roman_value(numeral)
        end = i + len(word)
        if text[i - 1 : i] in ("-", "/", "&") or NOT_BEHIND_ROMAN.match(text, end):
            return None
        spoken = lang.roman_numeral(value, before)
        if spoken is None and len(word) > 1 and (set(word) <= set("IVX") or len(word) > 3):
            is_name = before[:1].isupper() and not before.isupper() and before.lower() not in lang.common_words
            spoken = lang.roman_after_name(value) if is_name and value < 40 else None
            if spoken is None:
                spoken = lang.year(value) if value > 1000 else lang.cardinal(value)
        return None if spoken is None else (end, spoken)

    # --- letters and digits -----------------------------------------------------------------------------------------------

    def _serial(self, text: str, i: int) -> SpokenForm | None:
        """`A320`, `covid-19`, `b2b`, `F-16`: words and numbers in turn."""
        match = SERIAL.match(text, i)
        if match is None or not any(map(str.isdecimal, match[0])):
            return None
        first = match[0].partition("-")[0]
        if first.islower() and first.isalpha() and len(first) > 2 and self.language.is_pronounceable(first):
            return i + len(first) + 1, f"{first} "  # "mid-1990s", "covid-19": the number is spoken as any other
        lang, spoken = self.language, []
        for part in SERIAL_PARTS.findall(match[0]):
            if part[0].isdecimal():
                spoken.append(f" {lang.dot} ".join(map(lang.serial_number, part.split("."))))
            elif len(part) == 1 or part in lang.read_acronyms or part in lang.common_words:
                spoken.append(part)
            elif part.isupper():
                spoken.append(part if lang.is_read_as_word(part) else lang.spell(part))
            else:
                is_word = (
                    len(part) > 2
                    and lang.is_pronounceable(part.lower())
                    or len(part) > 3
                    and set(part.lower()) & set(lang.vowels)
                )
                spoken.append(part if is_word else lang.spell(part))
        return match.end(), " ".join(spoken)


def _in_either_case(table: Mapping[str, str], key: str, lower: str) -> str | None:
    return table.get(key) if key in table else table.get(lower)
