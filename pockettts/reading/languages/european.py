"""The common base of the European languages other than English: decimal comma, day-first dates, metric units, grammatical gender.

A number agrees with the noun after it ("una persona", "doscientas casas", "eine Minute"): see `European.cardinal_before_noun`.
`romance.py` has what only the Romance languages share.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar, Literal

from ..neighbors import next_word
from .base import ROMANS, Language, Noun, Number, Rule, WordSet, parse_noun, parse_nouns, table_rows

ROMAN_LETTER_VALUES = (50, 100, 500, 1000)  # L, C, D and M are usually not numerals: "tipo D"
MIN_LONG_DECIMALS = 4  # this number of decimals or more are read digit by digit
CLOSERS = "[\"'”»)]*"
SPACES = r"[ \u00a0\u202f]"
NUMBER_AND_NOUN = r"([1-9]\d{0,2}(?:[.\u00a0\u202f]\d{3})+|[1-9]\d*)(?=[ \u00a0]([^\W\d_][\w'’-]*))"
SHORT_VERSION = r"(\d+)\.(\d{1,2})(?!\w|[.:/%°€$£]\d?|,\d|[ \u00a0\u202f]?[%°€$£])"
VERSION = r"\d{1,4}(?:\.\d{1,3}){2,3}(?!\w|\.\d)"
VERSE = r"(\d{1,3})[:,](\d{1,3})(?!\w|[.,:]\d)"
UNIT_FRACTION = r"(?:(\d{1,3})[ \u00a0])?(\d{1,3})/(\d{1,3})[ \u00a0-]?([^\W\d_]+[²³]?)(?!\w)"
UNIT_VULGAR_FRACTION = r"(\d{0,3})[ \u00a0]?([½¼¾⅓⅔])[ \u00a0-]?([^\W\d_]+[²³]?)(?!\w)"
VULGAR_FRACTIONS = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3)}
ROUND_PRICE = r"(\d[\d.]*),[-\u2013\u2014]{1,2}[ \u00a0]?(€|EUR|Euro|euros?|\$|£)(?!\w)"
ENGLISH_NUMBER = r"(\d{1,3}(?:,\d{3}){2,}|\d{1,3},000|\d{1,3}(?:,\d{3})+(?=\.\d))(\.\d+)?(?!\w|[.,]\d)(?:[ \u00a0]?([^\W\d_]+[²³]?|[%€$£]))?"
YEAR_PAIR = r"((?:1[5-9]|20)\d\d)[/\u2044]((?:1[5-9]|20)?\d\d)(?!\w|[/.,-]\d)"
YEAR_RANGE = r"(?!555)(\d{3})-(1\d{3}|20\d\d)(?!\w|[.,:/-]\d)"
DAY_AND_MONTH = r"(\d{1,2})/(\d{1,2})(?!\w|[/.,:-]\d)"
ENGLISH_MONEY = r"([$£€])[ \u00a0]?(\d{1,3}(?:,\d{3})+(?:\.\d\d)?)(?!\w|[.,]\d)"
PREVIOUS_WORD = re.compile(r"([^\W\d_][\w'’.-]*)[\s,(\"'„«“]*\Z")


NUMERAL = "|".join(sorted(map(str.upper, ROMANS), key=len, reverse=True))
ROMAN_RANGE = rf"({NUMERAL})[-\u2013]({NUMERAL})(?!\w)"
SPACED_UNITS = {"° C": "°C", "º C": "°C", "° F": "°F", "l/100 km": "l/100km"}


def metric_units(table: str, prefixes: Mapping[str, str]) -> dict[str, Noun]:
    """Units with their prefixes. Lines are `symbol prefixes: one, many, gender`; "-" stands for no prefix."""
    found: dict[str, Noun] = {}
    for head, forms in table_rows(table):
        symbol, letters = head.split()
        noun = found[symbol] = parse_noun(forms)
        for letter in letters.replace("-", ""):
            one, many = (prefixes[letter] + _lower_first(name) for name in (noun.one, noun.many))
            found[letter + symbol] = Noun(one, many, noun.gender)
    return found


def unit_table(
    metric: Mapping[str, Noun], square: Callable[[str, bool], str], cube: Callable[[str, bool], str], others: str
) -> dict[str, Noun]:
    """All units of a language.

    Args:
        metric: the units with prefixes, from `metric_units`. Lengths get squares and cubes: "m²", "m2", "km³" and so on.
        square, cube: the name of a power of a unit, from the name of the unit; True is the plural.
        others: the other units, as a table for `parse_nouns`.
    """
    found = dict(metric)
    for symbol in ("mm", "cm", "dm", "m", "km"):
        noun = metric[symbol]
        for digits, power in (("²2", square), ("³3", cube)):
            powered = Noun(power(noun.one, False), power(noun.many, True), noun.gender)
            found |= {symbol + digit: powered for digit in digits}
    found |= parse_nouns(others)
    return found | {spaced: found[symbol] for spaced, symbol in SPACED_UNITS.items() if symbol in found}


def abbreviation_rules(table: Mapping[str, str], ending: Iterable[str] = ()) -> Iterator[Rule]:
    """Rules for abbreviations of several parts, with or without spaces: "z. B." and "z.B."; one rule for each first part.

    Args:
        table: the spoken form by abbreviation, written with spaces.
        ending: the abbreviations that may end a sentence; their last dot is then also the full stop.
    """
    ends = frozenset(ending)
    spoken = {_without_spaces(key): value for key, value in table.items()}
    alternatives: dict[str, list[str]] = {}
    for key in sorted(table, key=len, reverse=True):
        first, rest = key[0], re.escape(key[1:].removesuffix(".")).replace(r"\ ", f"{SPACES}?")
        stays = rf"{CLOSERS}\s*\Z" + (rf"|{CLOSERS}\s+[A-ZÀ-Þ]" if key in ends else "")
        alternatives.setdefault(re.split(r"[. ]", key)[0].lower(), []).append(
            f"[{first.lower()}{first.upper()}]{rest}"
            + (rf"(?:\.(?!{stays})|(?=\.)|(?![.\w]))" if key.endswith(".") else "")
        )
    for part, patterns in alternatives.items():
        pattern = rf"(?:{'|'.join(patterns)})(?!\w)"
        yield Rule(pattern, lambda match: spoken.get(_without_spaces(match[0])), "letter", frozenset((part,)))


def month_abbreviation_rule(months: Mapping[str, int], names: tuple[str, ...]) -> Rule:
    """A rule for abbreviated months before a year: "sept. 2026", not "J'en ai sept."."""
    short = sorted((month for month in months if month not in map(str.lower, names)), key=len, reverse=True)
    return Rule(
        rf"(?i)({'|'.join(short)})\.(?={SPACES}+(?:del?{SPACES})?\d{{4}}(?!\d))",
        lambda match: names[months[match[1].lower()] - 1],
        "letter",
        frozenset(short),
    )


def weekday_rule(days: Mapping[str, str], months: Mapping[str, int]) -> Rule:
    """A rule for abbreviated weekdays before a date: "lun. 3", or "lun 3 mars" without a dot."""
    names, month = "|".join(map(re.escape, days)), "|".join(map(re.escape, months))
    return Rule(
        rf"(?i)({names})(?:\.,?(?={SPACES}+\d)|,?(?={SPACES}+\d\d?\w{{0,2}}{SPACES}+(?:de{SPACES})?(?:{month})\b))",
        lambda match: f"{days[match[1].lower()]}" + ("," if match[0].endswith(",") else ""),
        "letter",
        frozenset(days),
    )


def weekday_range_rule(language: Callable[[], Language], days: Mapping[str, str]) -> Rule:
    """A rule for ranges of abbreviated weekdays: "Mo-Fr", "lun.–ven."; but not "zo-zo"."""
    names = "|".join(map(re.escape, days))
    return Rule(
        rf"(?i)({names})\.?{SPACES}?[-\u2013]{SPACES}?(?!\1\b)({names})(?:\.(?={SPACES}*[\d:,])|(?![\w.-])|(?=\.))",
        lambda match: language().range(*(_weekday(name, days) for name in match.groups())),
        "letter",
        frozenset(map(str.lower, days)),
    )


def _weekday(name: str, days: Mapping[str, str]) -> str:
    return next(spoken for day, spoken in days.items() if day.lower() == name.lower())


def word_before(match: re.Match[str]) -> str:
    """The word before a match, in lower case and without its dot; "" if there is none.

    Unlike `neighbors.previous_word`, it includes hyphens, and finds no word before a colon.
    """
    found = PREVIOUS_WORD.search(match.string[max(0, match.start() - 40) : match.start()])
    return found[1].rstrip(".").lower() if found else ""


def parse_integer(written: str) -> int:
    """Parse a whole number with marks between its groups."""
    return int("".join(filter(str.isdecimal, written)))


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _without_spaces(text: str) -> str:
    return re.sub(r"[\s\u00a0\u202f]", "", text[0].lower() + text[1:]).rstrip(".")


class European(Language):
    decimal_mark = ","
    group_marks = "."
    months_are_capitalized = False
    version_word: ClassVar[str] = ""  # the "v" of "v2.0"
    squared: ClassVar[str] = ""  # "10²"
    cubed: ClassVar[str] = ""
    first_of_month: ClassVar[str] = ""  # the first day of a month, if it is an ordinal: "premier"
    date_joiner: ClassVar[str] = " "  # between day, month and year: " de "
    feminine_nouns: ClassVar[WordSet] = frozenset()  # exceptions to the endings that `gender_of` knows
    masculine_nouns: ClassVar[WordSet] = frozenset()
    neuter_nouns: ClassVar[WordSet] = frozenset()
    label_words: ClassVar[WordSet] = frozenset()  # words whose number does not count the next noun: "page", "chapitre"
    century_cues: ClassVar[WordSet] = frozenset()  # words before the Roman numeral of a century: "siglo"
    date_cues: ClassVar[WordSet] = frozenset()  # words before "5/5" as a date: "lunes", "día"
    bible_books: ClassVar[WordSet] = frozenset()  # words before a verse such as "3:16": "johannes"
    non_nouns: ClassVar[WordSet] = frozenset()  # words after numbers that are not nouns

    # --- agreement ---

    def gender_of(self, noun: str, is_one: bool) -> str:
        """The gender of a noun (an argument of `cardinal`), guessed from its ending. "": unknown."""
        return ""

    def cardinal_before_noun(self, match: re.Match[str]) -> str | None:
        """A number before a noun, if its form depends on the gender of the noun; else None."""
        n, noun = parse_integer(match[1]), match[2]
        before = word_before(match)
        if before in self.label_words or len(match[1]) > 15 or not self._is_noun(noun):
            return None
        if any(
            before in (key.rstrip(".").lower(), spoken.lower())
            for key, spoken in self.number_abbreviations.items()
            if "." in key
        ):
            return None  # "Nr. 1 BGB"
        if len(match[1]) == 4 and 1000 <= n < 2100 and before in self.year_cues:
            return None
        gender = self.gender_of(noun.lower(), n == 1)
        spoken = self.cardinal(n, gender) if gender else ""
        return spoken if spoken and spoken != self.cardinal(n) else None

    def _is_noun(self, word: str) -> bool:
        lower = word.lower()
        is_other = word in self.units or word in self.currencies or word in self.magnitudes or word in self.day_periods
        return (
            not is_other and lower not in self.non_nouns and lower not in self.months and lower not in self.magnitudes
        )

    # --- other common rules ---

    def short_version(self, match: re.Match[str]) -> str | None:
        """`2.0`: a version; before units and prices it is a decimal."""
        after = next_word(match.string, match.end())
        if after in self.units or after in self.currencies or after in self.magnitudes or after in self.day_periods:
            return None
        rest = match[2]
        return f"{self.cardinal(int(match[1]))} {self.dot} {self.digits(rest) if rest[0] == '0' else self.cardinal(int(rest))}"

    def version(self, match: re.Match[str]) -> str | None:
        """`3.12.1`, unless it is a date, an IP address or a number with group marks."""
        parts = match[0].split(".")
        is_number = all(len(part) == 3 for part in parts[1:])
        if is_number or len(parts) == 4 and all(int(part) < 256 for part in parts):
            return None
        if len(parts) == 3 and 0 < int(parts[1]) <= 12 and 0 < int(parts[0]) <= 31 and len(parts[2]) == 2:
            return None
        return f" {self.dot} ".join(self.cardinal(int(part)) for part in parts)

    def roman_range(self, match: re.Match[str]) -> str | None:
        """`siglos XV-XVI`."""
        before = word_before(match)
        if before not in self.roman_cues and before not in self.century_cues:
            return None
        first, last = (self.roman_numeral(ROMANS[numeral.lower()], before) for numeral in match.groups())
        return first and last and self.range(first, last)

    def verse(self, match: re.Match[str]) -> str | None:
        """`Johannes 3:16`: a verse, not a time."""
        if word_before(match) not in self.bible_books:
            return None
        return f"{self.cardinal(int(match[1]))}, {self.cardinal(int(match[2]))}"

    def day_and_month(self, match: re.Match[str]) -> str | None:
        """`24/12`: a date, not a fraction."""
        day, month = int(match[1]), int(match[2])
        is_date = 0 < day <= 31 and 0 < month <= 12 and (day > 12 or word_before(match) in self.date_cues)
        return self.date(day, month, None) if is_date else None

    def unit_fraction(self, match: re.Match[str]) -> str | None:
        """`1/2 kg`, `2 1/2 h`, where the symbol is a unit."""
        whole, numerator, denominator, symbol = match.groups()
        return self._fraction_of_symbol(whole, int(numerator), int(denominator), symbol) if int(denominator) else None

    def _fraction_of_symbol(self, whole: str | None, numerator: int, denominator: int, symbol: str) -> str | None:
        noun = self.units.get(symbol)
        return self.fraction_of(int(whole) if whole else None, numerator, denominator, noun) if noun else None

    def unit_vulgar_fraction(self, match: re.Match[str]) -> str | None:
        """`½ kg`, `2½ h`."""
        return self._fraction_of_symbol(match[1], *VULGAR_FRACTIONS[match[2]], match[3])

    def fraction_of(self, whole: int | None, numerator: int, denominator: int, noun: Noun) -> str:
        """A part of a unit: "medio kilo", "tres cuartos de hora", "zweieinhalb Stunden"."""
        spoken = self.fraction(whole, numerator, denominator)
        return f"{spoken} {noun.one if whole is None else noun.many}"

    def year_pair(self, match: re.Match[str]) -> str:
        """`2023/24`."""
        first, last = map(int, match.groups())
        return f"{self.year(first)} {self.year(last) if last > 99 else self.cardinal(last)}"

    def round_price(self, match: re.Match[str]) -> str | None:
        """`5,- €`."""
        currency = self.currencies.get(self.currency_signs.get(match[2], match[2]))
        return self.money(Number(parse_integer(match[1])), currency) if currency else None

    def english_number(self, match: re.Match[str]) -> str | None:
        """`1,250,000` and `1,250.50`, with an English group mark, and the unit after it."""
        n = Number(parse_integer(match[1]), (match[2] or "").lstrip("."))
        symbol = match[3]
        currency = self.currencies.get(self.currency_signs.get(symbol or "", symbol or ""))
        if currency:
            return self.money(n, currency)
        if symbol and symbol in self.units:
            return self.measure(n, self.units[symbol])
        return f"{self.number(n)} {symbol}" if symbol else self.number(n)

    def english_money(self, match: re.Match[str]) -> str | None:
        """`$1,250.50`, with an English group mark."""
        currency = self.currencies.get(self.currency_signs.get(match[1], ""))
        before, _, decimals = match[2].partition(".")
        return None if currency is None else self.money(Number(parse_integer(before), decimals), currency)

    # --- dates and times ---

    def day_of_month(self, day: int) -> str:
        return self.first_of_month if day == 1 and self.first_of_month else self.cardinal(day)

    def date(self, day: int | None, month: int, year: int | None, month_first: bool = False) -> str:
        day_name = [] if day is None else [self.day_of_month(day)]
        year_name = [] if year is None else [self.year(year)]
        return self.date_joiner.join([*day_name, self.month_names[month - 1], *year_name])

    def duration(self, hours: int, minutes: int, seconds: int) -> str:
        parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
        return " ".join(self.measure(Number(n), self.units[symbol]) for n, symbol in parts if n)

    # --- quantities ---

    def is_singular(self, n: Number) -> bool:
        """Whether a noun after a number is singular."""
        return n.is_one

    def is_singular_magnitude(self, n: Number) -> bool:
        """Whether the million after a number is singular."""
        return self.is_singular(Number(n.whole, n.decimals))

    def number(self, n: Number, gender: str = "") -> str:
        words = [self.minus] if n.negative else []
        magnitude = self.magnitudes[n.magnitude] if n.magnitude else None
        if n.decimals:
            words += [self.cardinal(n.whole), self.point, self.decimals(n.decimals)]
        elif magnitude and n.whole == 1 and magnitude.gender == "-":
            pass  # "mil", not "un mil"
        else:
            words.append(self.cardinal(n.whole, magnitude.gender.strip("-") if magnitude else gender))
        if magnitude:
            words.append(magnitude.one if self.is_singular_magnitude(n) else magnitude.many)
        return " ".join(words)

    def decimals(self, digits: str) -> str:
        """Leading zeros, then a number: "coma cero cinco", "virgule vingt-cinq"."""
        rest = digits.lstrip("0")
        if len(digits) >= MIN_LONG_DECIMALS or not rest:
            return self.digits(digits)
        zeros = self.digits(digits[: len(digits) - len(rest)])
        return f"{zeros} {self.cardinal(int(rest))}".strip()

    def measure(self, n: Number, noun: Noun) -> str:
        name = noun.one if self.is_singular(n) else noun.many
        return self.with_noun(self.number(n, noun.gender), name, n)

    def with_noun(self, number: str, name: str, n: Number) -> str:
        """A number with its noun: "tres millones de euros"."""
        return f"{number} {name}"


def european_rules(language: Callable[[], European]) -> tuple[Rule, ...]:
    """The rules of `European`. language: returns the instance of the language, which is created after its rules."""
    return (
        Rule(ENGLISH_MONEY, lambda match: language().english_money(match), "other"),
        Rule(
            YEAR_RANGE,
            lambda match: language().range(language().cardinal(int(match[1])), language().year(int(match[2]))),
        ),
        Rule(r"C#(?!\w)", lambda match: "C sharp", "letter", frozenset("c")),
        Rule(
            r"C\+\+(?!\w)",
            lambda match: f"C {language().symbols['+']} {language().symbols['+']}",
            "letter",
            frozenset("c"),
        ),
        Rule(YEAR_PAIR, lambda match: language().year_pair(match)),
        Rule(
            r"(?<![^\W_])['\u2019](\d\d)(?![\w'\u2019])",
            lambda match: language().cardinal(int(match[1])),
            "other",
        ),
        Rule(ROUND_PRICE, lambda match: language().round_price(match)),
        Rule(ENGLISH_NUMBER, lambda match: language().english_number(match)),
        Rule(r"km/h(?!\w)", lambda match: language().units["km/h"].many, "letter", frozenset(("km",))),
        Rule(r"°[CF](?!\w)", lambda match: language().units[match[0]].many, "other"),
        Rule(ROMAN_RANGE, lambda match: language().roman_range(match), "letter", frozenset(ROMANS)),
        Rule(UNIT_FRACTION, lambda match: language().unit_fraction(match)),
        Rule(UNIT_VULGAR_FRACTION, lambda match: language().unit_vulgar_fraction(match)),
        Rule(UNIT_VULGAR_FRACTION, lambda match: language().unit_vulgar_fraction(match), "other"),
        Rule(DAY_AND_MONTH, lambda match: language().day_and_month(match)),
        Rule(r"[48]K(?!\w)", lambda match: f"{language().cardinal(int(match[0][0]))} K"),
        Rule(
            r"(\d+)([²³])(?!\w)",
            lambda match: (
                f"{language().cardinal(int(match[1]))} {language().squared if match[2] == '²' else language().cubed}"
            ),
        ),
        Rule(VERSE, lambda match: language().verse(match)),
        Rule(VERSION, lambda match: language().version(match)),
        Rule(
            r"v(?=\d+(?:\.\d+)+(?!\w))",
            lambda match: language().version_word,
            "letter",
            frozenset("v"),
        ),
        Rule(SHORT_VERSION, lambda match: language().short_version(match)),
        Rule(NUMBER_AND_NOUN, lambda match: language().cardinal_before_noun(match)),
    )


def phone_rule(language: Callable[[], Language], pattern: str, first: Literal["digit", "other"] = "digit") -> Rule:
    """A rule for the telephone numbers of a country."""
    return Rule(pattern, lambda match: language().telephone(re.findall(r"\+?\d+", match[0])), first)


def hours_rule(language: Callable[[], Language]) -> Rule:
    """A rule for durations such as `1h30`, for languages where this is not a time of day."""
    return Rule(
        rf"(\d{{1,2}}){SPACES}?h{SPACES}?([0-5]\d)(?:{SPACES}?min)?(?!\w)",
        lambda match: language().duration(int(match[1]), int(match[2]), 0),
    )
