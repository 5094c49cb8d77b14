"""The base class of languages: the tables and methods that text normalization needs.

Each language is a subclass in its own module. It fills the tables, and overrides methods whose default does not fit. The defaults are for
a language whose nouns have a singular and a plural. `written_forms.py` classifies numbers, dates, prices and so on with the tables, parses
them, and calls the methods to verbalize them.

All methods return spoken text: words with single spaces between them, in lower case except for German nouns and the like, without digits
and marks. A comma stands for a short pause.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal, TypeAlias

WordSet: TypeAlias = frozenset[str]
WordTable: TypeAlias = Mapping[str, str]  # written form -> spoken form, unless it says otherwise

MAX_CARDINAL = 10**15  # larger numbers are spoken digit by digit
ROMANS = {  # Roman numerals below 40, in lower case
    tens + ones: 10 * ten + one
    for ten, tens in enumerate(("", "x", "xx", "xxx"))
    for one, ones in enumerate(("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"))
    if ten or one
}


@dataclass(frozen=True)
class Number:
    """A written number, parsed: `-1,250.50 million` is Number(1250, "50", True, "million")."""

    whole: int
    decimals: str = ""  # the digits after the decimal mark, as written
    negative: bool = False
    magnitude: str = ""  # a key of `Language.magnitudes`, or none

    @property
    def is_one(self) -> bool:
        """Whether a noun after it is singular."""
        return self.whole == 1 and not self.decimals and not self.magnitude

    @property
    def is_whole(self) -> bool:
        return not self.decimals and not self.magnitude


@dataclass(frozen=True)
class Noun:
    """A noun after a number: a unit, a currency, a magnitude. gender: the argument of `Language.cardinal`, for "eine Minute", "una libra"."""

    one: str
    many: str
    gender: str = ""


@dataclass(frozen=True)
class Currency:
    """A currency, and its unit of one hundredth. If `minor` is None, decimals are read as decimals."""

    major: Noun
    minor: Noun | None = None


@dataclass(frozen=True)
class Rule:
    """A written form of one language. Rules are tried before the common forms, at each start of a word or number.

    Attributes:
        pattern: a regex that must match at the position. It may look behind with `(?<=...)`, and must not match the empty string.
        verbalize: returns the spoken form of a match, or None if the match is another written form.
        first: the kind of the first character of a match.
        triggers: for rules that start with a letter: the words, in lower case, for which the rule is tried; empty: all words.
    """

    pattern: str
    verbalize: Callable[[re.Match[str]], str | None]
    first: Literal["digit", "letter", "other"] = "digit"
    triggers: frozenset[str] = frozenset()

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


def table_rows(table: str) -> Iterator[tuple[str, str]]:
    """The lines of a table, as what is before and behind the colon. Blank lines are skipped."""
    for line in filter(None, map(str.strip, table.splitlines())):
        key, _, value = line.partition(":")
        yield key, value


def parse_noun(forms: str) -> Noun:
    """A noun from `one, many, gender`. The last two are optional."""
    one, many, gender, *_ = [*map(str.strip, forms.split(",")), "", ""]
    return Noun(one, many or one, gender)


def parse_nouns(table: str) -> dict[str, Noun]:
    """A table of nouns. Its lines are `symbol symbol ...: one, many, gender`.

    Symbols are in the normal form of `unicode.py`: "μ" is the Greek letter, "°C" stands for "℃" too; "m²" stays.
    """
    return {symbol: parse_noun(forms) for symbols, forms in table_rows(table) for symbol in symbols.split()}


def parse_currencies(table: str) -> dict[str, Currency]:
    """A table of currencies. Its lines are `code: one, many, gender | one, many, gender`: the major and the minor unit."""
    found: dict[str, Currency] = {}
    for code, forms in table_rows(table):
        major, *minor = map(parse_noun, forms.split("|"))
        found[code] = Currency(major, minor[0] if minor else None)
    return found


def full_year(year: int) -> int:
    """A year that was written with two digits."""
    return year + (2000 if year < 50 else 1900)


def word_set(text: str) -> WordSet:
    """The words of a text, as a set."""
    return frozenset(text.split())


class Language:
    """The tables and methods of one language. Methods are pure; instances have no state. Sets of words are in lower case."""

    # --- its name ---
    code: ClassVar[str] = ""  # ISO 639-1: "en"
    num2words_code: ClassVar[str] = ""  # its code in num2words; "": numbers stay digits

    # --- numbers ---
    decimal_mark: ClassVar[str] = "."
    group_marks: ClassVar[str] = ","  # characters between groups of three digits; no-break spaces are always allowed
    group_with_spaces: ClassVar[bool] = False  # whether a plain space is allowed too: "1 250 000"
    point: ClassVar[str] = "point"  # the spoken decimal mark
    dot: ClassVar[str] = "point"  # the spoken dot of a version or a serial number: "2.0", "A3.5"
    minus: ClassVar[str] = "minus"
    ordinal_suffix: ClassVar[str] = r"(?!)"  # regex: the suffix of ordinals, "st|nd|rd|th"
    magnitudes: ClassVar[Mapping[str, Noun]] = {}  # after a number: "million", "m", "bn", "k"
    range_word: ClassVar[str] = "to"  # between the ends of "5-10"
    ratio_word: ClassVar[str] = "to"  # between the numbers of "3:1", if it is not a time
    out_of: ClassVar[str] = "out of"  # between the numbers of "4.5/5"
    times_sign: ClassVar[str] = "times"  # "3 x 4", "3x faster"
    by: ClassVar[str] = "by"  # "4x4 cm", sizes

    # --- money, units ---
    currency_signs: ClassVar[WordTable] = {
        "$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₩": "KRW", "₪": "ILS", "₺": "TRY",
        "₴": "UAH", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "HK$": "HKD", "NZ$": "NZD", "R$": "BRL", "₿": "BTC", "¢": "¢", "zł": "PLN", "Fr.": "CHF", "kr": "SEK",
    }  # fmt: skip
    currencies: ClassVar[Mapping[str, Currency]] = {}  # by ISO code; "¢" is the small unit alone
    money_and: ClassVar[str] = "and"  # between dollars and cents; "" is none
    minor_is_named: ClassVar[bool] = True  # whether "cents" is spoken in "three dollars and fifty cents"
    of_magnitude: ClassVar[str] = ""  # between a magnitude and its noun: "de" in "3 millones de euros"
    units: ClassVar[Mapping[str, Noun]] = {}  # by symbol: "km", "°C", "m²", "km/h"; "%" too
    per: ClassVar[str] = "per"  # "5 kg/m" where `units` has no "kg/m"

    # --- dates and times ---
    months: ClassVar[Mapping[str, int]] = {}  # 1 to 12 by name or abbreviation, in lower case, without the dot
    month_names: ClassVar[tuple[str, ...]] = ()  # the 12 spoken names
    weekdays: ClassVar[WordTable] = {}  # abbreviations before a date, in lower case, without the dot -> spoken
    date_order: ClassVar[Literal["mdy", "dmy"]] = "dmy"  # of 3/4/2026
    numeric_date_separator: ClassVar[str] = r"/|\.|-"  # regex: the separator of such a date
    day_suffix: ClassVar[str] = ""  # regex: a suffix of the day in addition to `ordinal_suffix`: "\.", "er|º"
    date_separator: ClassVar[str] = r"\s+"  # regex between day and month, and month and year: r"\s+(?:de\s+)?"
    months_are_capitalized: ClassVar[bool] = True  # whether `ambiguous_months` applies
    ambiguous_months: ClassVar[WordSet] = frozenset()  # words that are months only with a capital: "may"
    month_first: ClassVar[bool] = False  # whether "November 28, 2026" is a date too
    time_separator: ClassVar[str] = ":"  # regex between hours and minutes: ":|h|\.(?=\d\d\s*Uhr)"
    hms_is_duration: ClassVar[bool] = False  # whether "1:23:45" is a duration, even if it could be a time of day
    day_periods: ClassVar[WordTable] = {}  # suffixes of times -> spoken: "p.m.", "pm", "Uhr"; "" is silent
    year_cues: ClassVar[WordSet] = frozenset()  # words after which four digits are a year: "in", "since"
    decade_cues: ClassVar[WordSet] = frozenset()  # words after which "30s" is a decade: "the"
    decade_suffix: ClassVar[str] = r"(?!)"  # regex: the suffix of decades: "'?s" in "1990s"

    # --- words ---
    titles: ClassVar[WordTable] = {}  # before a capital letter, never at the end of a sentence: "Dr." -> "Doctor"
    number_abbreviations: ClassVar[WordTable] = {}  # before a number only: "No." -> "number", "p." -> "page"
    plurals: ClassVar[WordTable] = {}  # of values of `number_abbreviations`, before a range: "page" -> "pages"
    abbreviations: ClassVar[WordTable] = {}  # anywhere: "e.g." -> "for example"; a key in lower case fits "E.g." too
    ending_abbreviations: ClassVar[WordTable] = {}  # the same, but they may end a sentence: "etc.", "Inc.", "p.m."
    suffix_abbreviations: ClassVar[WordTable] = {}  # ends of words: "str." -> "straße" in "Hauptstr."
    articles: ClassVar[WordSet] = frozenset()  # in lower case; initials after one are not a name: "the F.B.I."
    letter_cues: ClassVar[WordSet] = frozenset()  # words before a letter that is not an initial: "vitamin"
    symbols: ClassVar[WordTable] = {}  # single characters between or before words and numbers: "&" -> "and"
    sign_names: ClassVar[WordTable] = {}  # names of quoted signs that differ from `address_marks`
    address_marks: ClassVar[WordTable] = {}  # in web and e-mail addresses and file names: "." -> "dot"
    number_sign_word: ClassVar[str] = "number"  # "#" before a number
    hashtag: ClassVar[str] = "hashtag"  # "#" before a word
    letter_names: ClassVar[WordTable] = {}  # by capital letter, if the model does not read the letter by its name
    vowels: ClassVar[str] = "aeiouy"
    read_acronyms: ClassVar[WordSet] = frozenset()  # acronyms that are read as words: "NASA"
    spelled_acronyms: ClassVar[WordSet] = frozenset()  # acronyms that are spelled although they could be read: "IEEE"
    common_words: ClassVar[WordSet] = frozenset()  # about 200; in capitals they show that a text is in all capitals
    roman_cues: ClassVar[WordSet] = frozenset()  # words before a Roman numeral: "chapter", "act"
    regnal_names: ClassVar[WordSet] = frozenset()  # names of rulers: "Elizabeth I"
    telephone_cues: ClassVar[WordSet] = frozenset()  # words before a telephone number without spaces
    serial_cues: ClassVar[WordSet] = frozenset()  # words before a `serial_number`: "flight", "boeing"
    address_words: ClassVar[WordSet] = frozenset()  # short parts of addresses that are read as words: "com", "org"
    rules: ClassVar[tuple[Rule, ...]] = ()  # all other written forms

    # --- numbers ---

    def cardinal(self, n: int, gender: str = "") -> str:
        """A whole number: 123 is "one hundred twenty three". gender: of the noun that follows; "" is the form for counting."""
        return self.clean(_num2words(n, self.num2words_code, "cardinal")) if n < MAX_CARDINAL else self.digits(str(n))

    def ordinal(self, n: int, suffix: str = "") -> str:
        """An ordinal: 21 is "twenty first". suffix: as written ("st", "º", "ª"); it can mark the gender."""
        return self.clean(_num2words(n, self.num2words_code, "ordinal")) if n < MAX_CARDINAL else self.digits(str(n))

    def year(self, n: int) -> str:
        """A year: 1985 is "nineteen eighty five"."""
        return self.cardinal(n)

    def reads_as_year(self, n: int, before: str, after: str) -> bool:
        """Whether four digits are a year. before, after: the words before (in lower case) and after them."""
        return 1900 <= n <= 2099 or 1000 <= n < 1900 and (before in self.year_cues or before in self.months)

    def decade(self, n: int) -> str:
        """`1990s`; n is 1990, or 90 in `'90s`."""
        return self.year(n)

    def digits(self, digits: str) -> str:
        """Digit by digit."""
        return " ".join(self.cardinal(int(digit)) for digit in digits)

    def number(self, n: Number, gender: str = "") -> str:
        """A number with its sign, decimals and magnitude."""
        words = [self.minus] if n.negative else []
        words.append(self.cardinal(n.whole, gender if n.is_whole else ""))
        if n.decimals:
            words += [self.point, self.decimals(n.decimals)]
        if n.magnitude:
            noun = self.magnitudes[n.magnitude]
            words.append(noun.one if n.whole == 1 and not n.decimals else noun.many)
        return " ".join(words)

    def decimals(self, digits: str) -> str:
        """The digits after the decimal mark."""
        return self.digits(digits)

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        """`3/4`, or `2 3/4` with whole 2."""
        raise NotImplementedError

    def range(self, first: str, last: str) -> str:
        """A range of two spoken forms."""
        return f"{first} {self.range_word} {last}"

    def clean(self, words: str) -> str:
        """The output of num2words, without commas and hyphens."""
        return words.replace(",", "").replace("-", " ")

    # --- quantities ---

    def is_attributive(self, before: str, after: str) -> bool:
        """Whether a quantity is an attribute of the next noun: "a 5 km run". before, after: the words around it."""
        return False

    def measure(self, n: Number, noun: Noun) -> str:
        """A number with its noun."""
        of = f"{self.of_magnitude} " if n.magnitude and self.of_magnitude else ""
        return f"{self.number(n, noun.gender)} {of}{noun.one if n.is_one else noun.many}"

    def money(self, n: Number, currency: Currency) -> str:
        """A price. Decimals are read as the minor unit, unless there is none, or a magnitude follows."""
        minor = currency.minor
        if n.magnitude or not n.decimals or minor is None or len(n.decimals) > 2:
            return self.measure(n, currency.major)
        cents = Number(int(n.decimals.ljust(2, "0")), negative=n.negative and not n.whole)
        whole = self.measure(Number(n.whole, "", n.negative), currency.major)
        if not cents.whole:
            return whole
        if not n.whole:
            return self.measure(cents, minor)
        rest = self.measure(cents, minor) if self.minor_is_named else self.cardinal(cents.whole)
        return " ".join(part for part in (whole, self.money_and, rest) if part)

    # --- dates and times ---

    def date(self, day: int | None, month: int, year: int | None, month_first: bool = False) -> str:
        """A date with at least two parts. month_first: the order in the text."""
        raise NotImplementedError

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        """A time of day. period: the letters of the key of `day_periods` behind it, in lower case, or ""."""
        raise NotImplementedError

    def duration(self, hours: int, minutes: int, seconds: int) -> str:
        """A duration such as `1:23:45`. The default reads the three numbers."""
        return " ".join(map(self.cardinal, (hours, minutes, seconds)))

    # --- letters and addresses ---

    def telephone(self, groups: list[str]) -> str:
        """Digit by digit, with a short pause between groups. A group may begin with "+"."""
        return ", ".join(
            f"{self.symbols.get('+', '')} {self.digits(group[1:])}".strip() if group[0] == "+" else self.digits(group)
            for group in groups
        )

    def serial_number(self, digits: str) -> str:
        """The digits of `A320`, `COVID-19`, `ISO 9001`, `B2B`: a number if it is short, else digit by digit."""
        return self.digits(digits) if digits[0] == "0" or len(digits) > 4 else self.cardinal(int(digits))

    def spell(self, word: str) -> str:
        """A word, letter by letter."""
        return " ".join(self.letter_names.get(letter.upper(), letter) for letter in word if letter.isalnum())

    def is_read_as_word(self, acronym: str) -> bool:
        """Whether an acronym is read as a word; upper case, at least two letters."""
        if acronym in self.read_acronyms or acronym in self.spelled_acronyms:
            return acronym in self.read_acronyms
        return len(acronym) > 3 and self.is_pronounceable(acronym.lower())

    def is_pronounceable(self, word: str) -> bool:
        """Whether a lower-case string can be read as a word: it has no long runs of vowels or consonants."""
        if len(word) > 1 and word[0] not in self.vowels + "szk" and word[1] not in self.vowels + "lrhwyjn":
            return False
        runs = re.findall(f"[{self.vowels}]+|[^{self.vowels}]+", word)
        return (
            any(run[0] in self.vowels for run in runs)
            and all(len(run) <= (2 if run[0] in self.vowels else 4) for run in runs)
            and (runs[0][0] in self.vowels or len(runs[0]) <= 3)
            and (runs[-1][0] in self.vowels or len(runs[-1]) <= 3)
        )

    def roman_numeral(self, n: int, before: str) -> str | None:
        """A Roman numeral after the word `before`: "the eighth". None: it is not a numeral."""
        if before.lower() in self.roman_cues:
            return self.cardinal(n)
        return None

    def roman_ordinal(self, numeral: str, suffix: str = "") -> str | None:
        """The ordinal of a Roman numeral below 40; None: it is not one. suffix: as for `ordinal`."""
        n = ROMANS.get(numeral.lower())
        return self.ordinal(n, suffix) if n else None

    def roman_after_name(self, n: int) -> str | None:
        """A Roman numeral after a name that is not in `regnal_names`: "John Smith III". None: it is a cardinal."""
        return None

    def ends_sentence(self, before: str, after: str) -> bool:
        """Whether a sentence ends at a mark. before: the word before it; after: the text behind it, without leading space."""
        first = after.lstrip("\"'“‘«„([¿¡—–-")[:1]
        return not first.islower() and (not first or first not in "&+=/<>@%*")


@lru_cache(10_000)
def _num2words(n: int, code: str, kind: str) -> str:
    if not code:
        return str(n)
    from num2words import num2words

    return str(num2words(n, lang=code, to=kind))
