"""What the Romance languages share: "three millions of euros", halves of units, ordinals of kings and centuries."""

import re
from collections.abc import Callable
from typing import ClassVar

from .base import ROMANS, Noun, Number, Rule, WordSet, WordTable
from .european import NUMERAL, ROMAN_LETTER_VALUES, European, european_rules

NUMBER_SIGN = r"[nN]°(?=[ \u00a0]?\d)"
THOUSANDS = r"([1-9]\d{0,2})[ \u00a0]mil(?=[ \u00a0]([^\W\d_]+))"
ELIDED = r"([^\W\d_]{1,6}['’])([A-ZÀ-Þ]{2,})(?![\w'’.-])"


class Romance(European):
    half: ClassVar[tuple[str, str]] = ("", "")  # "medio", "media"
    half_and: ClassVar[str] = ""  # "y" in "dos horas y media"
    max_regnal_ordinal: ClassVar[int] = 10  # kings and centuries up to this number have ordinals
    feminine_regnal_names: ClassVar[WordSet] = frozenset()
    roman_ordinal_nouns: ClassVar[WordTable] = {}  # the gender of nouns after a Roman ordinal: "XX secolo", "II Guerra"

    def clean(self, words: str) -> str:
        return words.replace(",", "")

    def fraction_of(self, whole: int | None, numerator: int, denominator: int, noun: Noun) -> str:
        is_half = (numerator, denominator) == (1, 2)
        half = self.half[noun.gender == "f"]
        if is_half and whole:
            return f"{self.measure(Number(whole), noun)} {self.half_and} {half}"
        if is_half:
            return f"{half} {noun.one}"
        if whole:
            return super().fraction_of(whole, numerator, denominator, noun)
        return f"{self.fraction(None, numerator, denominator)} {self.with_of(noun.one)}"

    def _fraction_of_symbol(self, whole: str | None, numerator: int, denominator: int, symbol: str) -> str | None:
        """Halves of other nouns too: "media taza", "dos tazas y media"."""
        if spoken := super()._fraction_of_symbol(whole, numerator, denominator, symbol):
            return spoken
        if (numerator, denominator) == (1, 2) and symbol in ("ora", "hora"):
            return self.fraction_of(
                int(whole) if whole else None, 1, 2, Noun(symbol, symbol[:-1] + ("e" if symbol == "ora" else "as"), "f")
            )
        if (numerator, denominator) != (1, 2) or not self._is_noun(symbol):
            return None
        gender = self.gender_of(symbol.lower(), whole in (None, "", "1"))
        return self.fraction_of(int(whole) if whole else None, 1, 2, Noun(symbol, symbol, gender)) if gender else None

    def ordinal_in_gender(self, n: int, gender: str) -> str:
        """An ordinal in a gender, "f" or "m"."""
        return self.ordinal(n, "a" if gender == "f" else "o")

    def regnal_number(self, n: int, name: str) -> str:
        """The number of a king, a pope or a queen."""
        if n > self.max_regnal_ordinal:
            return self.cardinal(n)
        return self.ordinal_in_gender(n, "f" if name.lower() in self.feminine_regnal_names else "m")

    def roman_numeral(self, n: int, before: str) -> str | None:
        name = before.lower()
        if n in ROMAN_LETTER_VALUES:
            return None
        if name in self.century_cues:
            return self.ordinal_in_gender(n, "m") if n <= self.max_regnal_ordinal else self.cardinal(n)
        if name in self.roman_cues:
            return self.cardinal(n)
        return self.regnal_number(n, name) if name in self.regnal_names else None

    def roman_before_noun(self, match: re.Match[str]) -> str | None:
        """`XX secolo`, `II Guerra Mundial`."""
        gender = self.roman_ordinal_nouns.get(match[2].lower())
        return self.ordinal_in_gender(ROMANS[match[1].lower()], gender) if gender else None

    def elided_acronym(self, match: re.Match[str]) -> str | None:
        """Capitals behind an apostrophe: `l'ONU`, `dell'UE`, `d'HTTP`."""
        article, word = match.groups()
        if word in self.read_acronyms:
            return match[0]
        neighbors = re.findall(
            r"[^\W\d_]{2,}", f"{match.string[: match.start()][-20:]} {match.string[match.end() :][:20]}"
        )
        if article.isupper() and (len(article) > 2 or any(map(str.isupper, neighbors))):
            return match[0].lower()
        return article + (word.lower() if self.is_read_as_word(word) else self.spell(word))

    def thousands(self, match: re.Match[str]) -> str | None:
        """`2 mil pessoas`: the noun is the word after "mil"."""
        noun = match[2].lower()
        if not self._is_noun(noun):
            return None
        return self.cardinal(int(match[1]) * 1000, self.gender_of(noun, False))

    def takes_of(self, n: Number) -> bool:
        """Whether "of" is spoken before the noun."""
        if n.magnitude:
            return self.magnitudes[n.magnitude].gender != "-"
        return not n.decimals and n.whole >= 10**6 and n.whole % 10**6 == 0

    def with_noun(self, number: str, name: str, n: Number) -> str:
        return f"{number} {self.with_of(name)}" if self.takes_of(n) and name[:4] != "por " else f"{number} {name}"

    def with_of(self, name: str) -> str:
        """ "de euros", "d'euros", "di euro"."""
        return f"{self.of_magnitude} {name}"


class Iberian(Romance):
    """What Spanish and Portuguese share: the gender and the plural of a noun or an ordinal show in its ending."""

    feminine_endings: ClassVar[tuple[str, ...]] = ()  # of a singular noun
    feminine_plural_endings: ClassVar[tuple[str, ...]] = ()

    def ordinal(self, n: int, suffix: str = "") -> str:
        spoken, ending = self.masculine_ordinal(n), suffix.lstrip(".")
        if ending.rstrip("s")[-1:] in ("a", "ª"):
            spoken = re.sub(r"o\b", "a", spoken)
        return f"{spoken}s" if ending.endswith("s") else spoken

    def masculine_ordinal(self, n: int) -> str:
        return super().ordinal(n)

    def gender_of(self, noun: str, is_one: bool) -> str:
        if not is_one and not noun.endswith("s"):
            return ""
        if noun in self.masculine_nouns:
            return "m"
        endings = self.feminine_endings if is_one else self.feminine_plural_endings
        return "f" if noun in self.feminine_nouns or noun.endswith(endings) else "m"


def romance_rules(language: Callable[[], Romance], number: str) -> tuple[Rule, ...]:
    """The rules of `Romance`. number: the spoken form of `n°`."""
    return (
        *european_rules(language),
        Rule(THOUSANDS, lambda match: language().thousands(match)),
        Rule(NUMBER_SIGN, lambda match: number, "letter", frozenset("n")),
        Rule(
            rf"({NUMERAL})[ \u00a0]([^\W\d_]+)",
            lambda match: (spoken := language().roman_before_noun(match)) and f"{spoken} {match[2]}",
            "letter",
            frozenset(ROMANS),
        ),
    )


def elision_rule(language: Callable[[], Romance]) -> Rule:
    """A rule for acronyms after an apostrophe."""
    return Rule(ELIDED, lambda match: language().elided_acronym(match), "letter")
