"""Numbers, dates, times, prices and so on: found by patterns built from the tables of a language, and spoken by its methods.

The methods of `WrittenForms` look at one place of a text, and return the end of the written form there and its spoken form. The first
matching pattern wins, so special forms come before general ones: a date is also three numbers.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial

from .context import Found, without_stop
from .languages.base import Language, Number, full_year
from .neighbors import next_word, previous_word

Finder = Callable[[re.Match[str]], Found | None]

DASH = "-\u2010\u2011\u2012\u2013\u2014\u2212"
MINUS = "-\u2010\u2011\u2012\u2013\u2212"
SPACE = r"[ \u00a0\u202f\u2009\u2007]"
OPENING = "\"'\u201c\u2018\u201e\u00ab([\u00bf\u00a1\u2014\u2013-"
VULGAR = "\u00bc-\u00be\u2150-\u215e\u2189"  # ½ and the like

# Strings of at least seven digits that are read digit by digit.
TELEPHONE = re.compile(
    r"""(?:\+\d{1,3}(?:[ \u00a0./-]?\(?\d{1,5}\)?){2,7}
    |\(\+?\d{2,5}\)[ \u00a0.-]?\d{2,4}(?:[ \u00a0.-]?\d{2,4}){1,3}
    |(?:\d([ .-]))?\(?\d{3}\)?([ .-])\d{3}[ .-]\d{4}
    |\d{3}-\d{4}
    |0\d{1,5}[ \u00a0/-]\d{2,}(?:[ \u00a0-]?\d{2,}){0,4}
    |0\d(?:\.\d\d){4}
    |\d{3}-\d{2}-\d{4}
    |\d{4}([ -])\d{4}\3\d{4}(?:\3\d{4})?
    |97[89](?:[ -]\d+){4}
    )(?!\w|[.,:/-]\d)""",
    re.X,
)
INTERNET = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{2,5}))?(?![.\w])")
VERSION = re.compile(r"\d+(?:\.\d+){2,}(?!\w)")
ISO_DATE = re.compile(r"(\d{4})([-/.])(\d\d?)\2(\d\d?)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?Z?)?(?!\w|[-/.]\d)")
SCIENTIFIC = re.compile(r"(\d+)(?:[.,](\d+))?[eE]([-+\u2212]?)(\d{1,3})(?!\w|[.,]\d)")
FOLLOWED = re.compile(r"\s+\w")  # a word or a number follows


def any_of(keys: Iterable[str]) -> str:
    """A regex for one of these, the longest that fits."""
    return "|".join(map(re.escape, sorted(keys, key=len, reverse=True))) or r"(?!)"


class WrittenForms:
    """The patterns of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        n = language
        group = f"[{re.escape(n.group_marks)}'\u2019\u00a0\u202f\u2009{' ' * n.group_with_spaces}]"
        mark = re.escape(n.decimal_mark)
        self._other_mark = "." if n.decimal_mark == "," else ","
        foreign = re.escape(self._other_mark)  # "1.250,00" in English, "1,250.00" in German
        other = rf"\d{{1,3}}(?:{mark}\d{{3}}){{2,}}(?!\d)|" if n.decimal_mark == "." else ""
        other += rf"\d{{1,3}}(?:{mark}\d{{3}})+{foreign}\d{{1,2}}(?!\d)|"
        if n.decimal_mark == ",":
            other += r"0\.\d+|\d+\.\d+(?![.,]?\d)(?<!\.\d\d\d)|"
        self._foreign = re.compile(
            rf"\d{{1,3}}(?:{mark}\d{{3}})+{foreign}\d{{1,2}}|0{foreign}\d+|\d+{foreign}(?!\d{{3}}\b)\d+"
        )
        number = rf"(?:{other}\d{{1,3}}(?:{group}\d{{3}})+(?!\d)(?:{mark}\d+)?|\d{{1,3}}(?: \d{{3}}){{2,}}(?!\d)|\d+(?:{mark}\d+)?)"
        magnitude = rf"(?:{SPACE}?({any_of(n.magnitudes)})(?!\w))?"
        self._spaced_magnitudes = {key for key in n.magnitudes if len(key) > 2}
        signs, codes = any_of(n.currency_signs), any_of(n.currencies)
        unit = any_of(n.units)
        half = rf"(?:{SPACE}?({any_of(n.day_periods)})(?![\w]))"
        month = any_of(n.months)
        suffix = rf"(?:{n.ordinal_suffix}{'|' + n.day_suffix if n.day_suffix else ''})?"
        hour = n.time_separator
        self._number = re.compile(number)
        self._unit = re.compile(rf"{SPACE}?({unit})(?![\w²³])")
        self._per_unit = re.compile(rf"/({unit})(?![\w²³])")
        self._per_word = re.compile(r"/(?=[^\W\d_]{2,})")
        self._weekdays = re.compile(rf"\.?{SPACE}?[{DASH}]{SPACE}?({any_of(n.weekdays)})(?!\w)", re.I)
        self._before_date = re.compile(rf"\.?,?\s+(?=(?:{month})\b|\d{{1,2}}\D)", re.I)
        self._money = re.compile(rf"({signs}|{codes}){SPACE}?([{MINUS}]?)({number}|{mark}\d+){magnitude}")
        self._money_range = re.compile(rf"[{DASH}]({number}){magnitude}(?!\w|[{DASH}./]\d)")
        self._month_year = re.compile(rf"({month})\.?\s+(\d{{4}})(?!\w|[.,:/-]\d)", re.I)
        self._months = re.compile(rf"({month})\.?{SPACE}?[{DASH}]{SPACE}?({month})(?![\w-])(?:\.(?={SPACE}\d))?", re.I)
        self._month_first = re.compile(
            rf"({month})(?:\.?\s+|-)(\d{{1,2}}){suffix}(?:{SPACE}?([-\u2013]){SPACE}?(\d{{1,2}}){suffix})?(?:(?:,?\s+|-)(\d{{4}}))?"
            rf"(?!\w|[.,:/]\d|{SPACE}?%)", re.I,
        )  # fmt: skip
        self._connectors: list[tuple[re.Pattern[str], str]] = [
            (re.compile(rf"[{DASH}](?=\d|(?:{signs})\d)"), n.range_word),
            (re.compile(rf"{SPACE}[\u2013\u2014]{SPACE}(?=\d|(?:{signs})\d)"), n.range_word),
            (re.compile(r":(?=\d)"), n.ratio_word),
            (re.compile(rf"{SPACE}?×{SPACE}?(?=\d[^=\n]*=)"), n.times_sign),
            (re.compile(rf"{SPACE}?[x×·*]{SPACE}?(?=10(?:\^|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]))"), n.times_sign),
            (re.compile(rf"{SPACE}?[x×]{SPACE}?(?=\d)"), n.by),
            (re.compile(r"[x×](?!\w| ?[-+=^)]\W)"), n.times_sign),
            (re.compile(r"/(?=\d)"), n.out_of),
            (re.compile(rf"{SPACE}[{MINUS}]{SPACE}(?=\d[^=\n]{{0,20}}=)"), n.minus),
        ]
        self._at_digit: list[tuple[re.Pattern[str], Finder]] = [
            (rule.regex, partial(_apply_rule, rule.verbalize)) for rule in n.rules if rule.first == "digit"
        ]
        self._at_digit += [
            (re.compile(rf"({any_of(key for key in n.abbreviations if key[0].isdecimal())})(?!\w|[./]\d)"),
             lambda match: (match.end(), n.abbreviations[match[1]])),
            (ISO_DATE, self._iso_date),
            (re.compile(rf"(\d{{1,2}})({n.numeric_date_separator}){SPACE}?(\d{{1,2}})\2{SPACE}?(\d{{4}}|\d{{2}})(?!\w|[-/.,:]\d)"), self._numeric_date),
        ]  # fmt: skip
        if n.months:
            joint = rf"(?:{n.date_separator}|-)"
            self._at_digit.append((re.compile(
                rf"(\d{{1,2}}){suffix}{joint}({month})(?!\w)\.?(?:(?:,\s*|{joint})(\d{{4}})(?!\w|[.,:]\d)|(?:-|\s['\u2019])(\d\d)(?!\w|[-/.,:]\d))?", re.I,
            ), self._day_first))  # fmt: skip
        self._at_digit += [
            (INTERNET, self._internet),
            (TELEPHONE, self._telephone),
            (re.compile(rf"(\d{{1,3}})(?:{hour})(\d\d)(?:(?:{hour})(\d\d)(?:[.,]\d+)?)?{half}?(?!\w|:\d)"), self._time),
            (re.compile(rf"(\d{{1,2}}){half}"), self._hour),
            (re.compile(r"(?:(\d{1,3})[ \u00a0-])?(\d{1,4})[/\u2044](\d{1,4})(?!\w|[/.,-]\d)"), self._fraction),
            (re.compile(rf"(\d+){SPACE}?([{VULGAR}])"), self._mixed),
            (re.compile(rf"(\d{{3}}0|[2-9]0)(?:{n.decade_suffix})(?!\w)"), self._decade),
            (SCIENTIFIC, self._scientific),
            (re.compile(rf"(\d[\d{re.escape(n.group_marks)}]*)({n.ordinal_suffix})(?!\w)"), self._ordinal),
            (re.compile(rf"({number}){magnitude}{SPACE}?({signs}|{codes})(?!\w)"), self._money_behind),
            (re.compile(rf"({number})({any_of(n.magnitudes)})(?!\w)"), self._magnified),
            (re.compile(rf"({number}){magnitude}({SPACE}|-)?({unit})(?![\w²³])"), self._quantity),
            (VERSION, self._version),
            (re.compile(rf"({number}){magnitude}"), self._plain),
        ]  # fmt: skip
        self._at_sign = [rule for rule in n.rules if rule.first == "other"]
        self._decade_alone = re.compile(rf"['\u2019](\d0)(?:{n.decade_suffix})(?!\w)")

    # --- entry points, by the first character -----------------------------------------------------------------------------------

    def digit_at(self, text: str, i: int) -> Found | None:
        """The written form that starts with the digit at i."""
        for pattern, find in self._at_digit if self.language.num2words_code else ():
            if (match := pattern.match(text, i)) and (found := find(match)):
                return found
        return None

    def sign_at(self, text: str, i: int) -> Found | None:
        """The written form that starts with the sign at i: a minus, a currency, a bracket, a fraction."""
        n, mark = self.language, text[i]
        if not n.num2words_code:
            return None
        for rule in self._at_sign:
            if (match := rule.regex.match(text, i)) and (said := rule.verbalize(match)) is not None:
                return match.end(), said
        if mark in "(+" and (match := TELEPHONE.match(text, i)) and (found := self._telephone(match)):
            return found
        if found := self.money_at(text, i):
            return found
        if mark in "'\u2019":
            return self._decade_of_century(text, i)
        if unicodedata.category(mark) == "No" and (value := unicodedata.numeric(mark, -1)) >= 0:
            return self._with_unit(text, i + 1, self._said_fraction(None, value)) if value % 1 else None
        following = text[i + 1 : i + 2]
        if (
            mark == n.decimal_mark
            and following.isdecimal()
            and not text[i - 1 : i].isalnum()
            and (end := _digits_end(text, i + 1))
        ):
            if end == len(text) or not text[end].isalpha():
                return end, f"{n.point} {n.decimals(text[i + 1 : end])}"
        if mark in MINUS and not text[i - 1 : i].strip(OPENING + " \n\t\u00a0=<>+*/") and n.minus:
            behind = self.money_at(text, i + 1) or (self.digit_at(text, i + 1) if following.isdecimal() else None)
            return behind and (behind[0], f"{n.minus} {behind[1]}")
        return None

    def money_at(self, text: str, i: int) -> Found | None:
        """A price that starts with its currency."""
        match = self._money.match(text, i)
        if not match or not self.language.currencies:
            return None
        n = self.language
        currency = n.currencies.get(n.currency_signs.get(match[1], match[1]))
        if currency is None:
            return None
        end, magnitude = self._magnitude(match, 4, True)
        number = self.parse(match[3], magnitude, bool(match[2]))
        if last := self._money_range.match(text, end):  # "$5-10"
            end, magnitude = self._magnitude(last, 2, True)
            said = n.money(self.parse(last[1], magnitude), currency)
            return self._per(text, end, n.range(n.number(number), said))
        if not number.decimals and self._is_attributive(text, i, end):
            return end, f"{n.number(number, currency.major.gender)} {currency.major.one}"
        return self._per(text, end, n.money(number, currency))

    def _is_attributive(self, text: str, start: int, end: int) -> bool:
        return self.language.is_attributive(previous_word(text, start), next_word(text, end))

    def connector_at(self, text: str, i: int) -> Found | None:
        """The spoken form of the mark at i between two numbers; the first number ends at i."""
        for pattern, said in self._connectors:
            if said and (match := pattern.match(text, i)):
                return match.end(), " " if said == self.language.range_word and _is_same(text, i, match.end()) else said
        return None

    def month_at(self, text: str, i: int) -> Found | None:
        """A date that starts with its month."""
        if (match := self._months.match(text, i)) and all(map(self._is_month, match.groups())):
            return match.end(), self.language.range(*map(self._month_name, match.groups()))
        if (match := self._month_year.match(text, i)) and self._is_month(match[1]):
            return match.end(), f"{self._month_name(match[1])} {self.language.year(int(match[2]))}"
        match = self._month_first.match(text, i) if self.language.month_first else None
        if not match or not self._is_month(match[1]) or not 1 <= int(match[2]) <= 31:
            return None
        n = self.language
        year = int(match[5]) if match[5] else None
        month = n.months[match[1].lower()]
        if match[4]:
            first, last = n.date(int(match[2]), month, None, True), n.ordinal(int(match[4]))
            return match.end(), f"{n.range(first, last)}{f' {n.year(year)}' if year else ''}"
        return match.end(), n.date(int(match[2]), month, year, True)

    def _month_name(self, written: str) -> str:
        return self.language.month_names[self.language.months[written.lower()] - 1]

    def _is_month(self, written: str) -> bool:
        """Whether it is a month and not another word: "may"."""
        n = self.language
        return written[0].isupper() or not n.months_are_capitalized or written.lower() not in n.ambiguous_months

    def weekday_at(self, text: str, i: int, word: str) -> Found | None:
        """An abbreviated weekday before a date, or a range of weekdays."""
        end, n = i + len(word), self.language
        if match := self._weekdays.match(text, end):
            return match.end(), n.range(n.weekdays[word.lower()], n.weekdays[match[1].lower()])
        if not (match := self._before_date.match(text, end)):
            return None
        return end + text[end : match.end()].count("."), self.language.weekdays[word.lower()]

    # --- numbers ----------------------------------------------------------------------------------------------------------

    def parse(self, written: str, magnitude: str = "", negative: bool = False) -> Number:
        """A number of the pattern for numbers."""
        if written.count(self.language.decimal_mark) > 1:  # "1.000.000"
            return Number(int("".join(filter(str.isdecimal, written))), "", negative, magnitude)
        is_foreign = self._foreign.fullmatch(written) and (
            self._other_mark == "." or self.language.decimal_mark in written
        )
        mark = self._other_mark if is_foreign else self.language.decimal_mark
        whole, _, decimals = written.partition(mark)
        return Number(int("".join(filter(str.isdecimal, whole)) or 0), decimals, negative, magnitude)

    def _magnitude(self, match: re.Match[str], group: int, is_money: bool = False) -> Found:
        """Where a number with a magnitude ends, and the magnitude; short ones must follow without a space: "5k", not "5 k"."""
        found = match[group]
        if not found:
            return match.end(group - 1), ""
        is_apart = match.start(group) > match.end(group - 1)
        if not is_money and len(found) == 1 and found not in "kKM":
            return match.end(group - 1), ""
        if is_apart and found not in self._spaced_magnitudes and not (is_money and len(found) > 1):
            return match.end(group - 1), ""
        return without_stop(match.string, match.end(group), self.language), found

    def _plain(self, match: re.Match[str]) -> Found | None:
        n, written, text = self.language, match[1], match.string
        end, magnitude = self._magnitude(match, 2)
        number = self.parse(written, magnitude)
        if written.isdecimal() and not magnitude:
            before = previous_word(text, match.start())
            if before.lower() in n.serial_cues:
                return end, n.serial_number(written)
            if (
                len(written) == 4
                and written[0] != "0"
                and n.reads_as_year(number.whole, before.lower(), next_word(text, end))
            ):
                return end, n.year(number.whole)
            if written[0] == "0" and len(written) > 1 or len(written) > 15:
                return end, n.digits(written)
            if before.isupper() and len(before) > 1 and len(written) > 2:
                return end, n.serial_number(written)
            if self._is_telephone(written, before.lower(), next_word(text, end)):
                return end, n.telephone(_groups(written))
        return end, n.number(number)

    def _is_telephone(self, digits: str, before: str, after: str) -> bool:
        """Whether digits without a space are no quantity: those have marks, are round, or count what is named behind them."""
        if before in self.language.telephone_cues:
            return len(digits) > 4
        is_counted = after.islower() and after.endswith("s") and after not in self.language.common_words
        return len(digits) > 9 and not digits.endswith("000") and not is_counted

    def _magnified(self, match: re.Match[str]) -> Found | None:
        """`5k`, `3M`, `2bn`. A lower-case unit has priority: `5m`."""
        if match[2].islower() and match[2] in self.language.units or len(match[2]) == 1 and match[2] not in "kKM":
            return None
        return match.end(), self.language.number(self.parse(match[1], match[2]))

    def _ordinal(self, match: re.Match[str]) -> Found | None:
        return match.end(), self.language.ordinal(self.parse(match[1]).whole, match[2])

    def _decade(self, match: re.Match[str]) -> Found | None:
        before = previous_word(match.string, match.start()).lower()
        if len(match[1]) == 2 and int(match[1]) < 50 and before not in self.language.decade_cues:  # "30s" is a time
            return None
        return match.end(), self.language.decade(int(match[1]))

    def _decade_of_century(self, text: str, i: int) -> Found | None:
        match = self._decade_alone.match(text, i)
        return match and (match.end(), self.language.decade(int(match[1])))

    def _fraction(self, match: re.Match[str]) -> Found | None:
        whole, numerator, denominator = (int(part) if part else None for part in match.groups())
        if not denominator or numerator is None:
            return None
        n = self.language
        before = previous_word(match.string, match.start()).lower()
        if whole is None and before in n.weekdays and match[0].count("/") == 1 and len(before) > 5:  # "Tuesday, 12/25"
            day, month = (denominator, numerator) if n.date_order == "mdy" else (numerator, denominator)
            if _is_date(day, month):
                return match.end(), n.date(day, month, None, n.date_order == "mdy")
        if whole is None and numerator == denominator and n.out_of:  # "5/5 stars", "50/50"
            joint = f" {n.out_of} " if numerator <= 10 else " "
            return match.end(), joint.join([n.cardinal(numerator)] * 2)
        if whole is None and 1900 <= numerator < 2100 and f"{(numerator + 1) % 100:02}" == match[3]:  # "2019/20"
            return match.end(), f"{n.year(numerator)} {n.cardinal(denominator)}"
        if whole is None and 1900 <= denominator <= 2099:  # "issue 3/2020"
            return match.end(), f"{n.cardinal(numerator)} {n.year(denominator)}"
        if whole is not None and (numerator >= denominator or match.string[match.end(1)] == "-" and denominator > 16):
            return None
        return self._with_unit(
            match.string, match.end(), self.language.fraction(whole, numerator, denominator), whole is None
        )

    def _mixed(self, match: re.Match[str]) -> Found | None:
        said = self._said_fraction(int(match[1]), unicodedata.numeric(match[2]))
        return self._with_unit(match.string, match.end(), said, False)

    def _said_fraction(self, whole: int | None, value: float) -> str:
        part = Fraction(value).limit_denominator(10)
        return self.language.fraction(whole, part.numerator, part.denominator)

    def _with_unit(self, text: str, end: int, said: str, is_one: bool = True) -> Found:
        match = self._unit.match(text, end)
        if not match or not self._is_unit(text, match[1], match.start(1) > end, match.end()):
            return end, said
        noun = self.language.units[match[1]]
        return match.end(), f"{said} {noun.one if is_one else noun.many}"

    def _version(self, match: re.Match[str]) -> Found | None:
        if (number := self._number.match(match.string, match.start())) and number.end() >= match.end():
            return None
        n = self.language
        return match.end(), f" {n.dot} ".join(n.cardinal(int(part)) for part in match[0].split(".") if len(part) < 6)

    def _scientific(self, match: re.Match[str]) -> Found | None:
        """`6.022e23`: a number times a power of ten."""
        n = self.language
        factor = Number(int(match[1]), match[2] or "")
        exponent = Number(int(match[4]), negative=match[3] in ("-", "\u2212"))
        parts = (n.number(factor), n.times_sign, n.cardinal(10), n.symbols.get("^", ""), n.number(exponent))
        return match.end(), " ".join(filter(None, parts))

    # --- quantities --------------------------------------------------------------------------------------------------

    def _money_behind(self, match: re.Match[str]) -> Found | None:
        n = self.language
        currency = n.currencies.get(n.currency_signs.get(match[3], match[3]))
        if currency is None:
            return None
        end, magnitude = self._magnitude(match, 2, True)
        if match[2] and not magnitude:
            return None
        return self._per(match.string, match.end(), n.money(self.parse(match[1], magnitude), currency))

    def _quantity(self, match: re.Match[str]) -> Found | None:
        n, symbol = self.language, match[4]
        end, magnitude = self._magnitude(match, 2)
        if match[2] and not magnitude or not self._is_unit(match.string, symbol, bool(match[3]), match.end()):
            return None
        if match[3] == "-" and len(symbol) == 1:  # "10-K"
            return None
        number = self.parse(match[1], magnitude)
        noun = n.units[symbol]
        if match[3] == "-" or self._is_attributive(match.string, match.start(), match.end()):
            said = f"{n.number(number, noun.gender)} {noun.one}"
        else:
            said = n.measure(number, noun)
        end = without_stop(match.string, match.end(), n)
        if match.string[end : end + 1] == "." and symbol[-1].isalpha() and len(symbol) > 1:  # "2 tbsp. of"
            end = without_stop(match.string, end + 1, n)
        return self._per(match.string, end, said)

    def _is_unit(self, text: str, symbol: str, is_apart: bool, end: int) -> bool:
        """Whether it is a unit and not a word or a name: "5 in the morning", "5 a day", "ISO 9001 F-16"."""
        if len(symbol) == 1 and symbol.isalpha() and re.match(r"-\d", text[end : end + 2]):
            return False
        if not is_apart or not symbol.isalpha() or symbol.lower() not in self.language.common_words:
            return True
        return text[end : end + 1] != "-" and not FOLLOWED.match(text, end) and symbol.islower()

    def _per(self, text: str, end: int, said: str) -> Found:
        """`/h` or `/month` behind a quantity or a price."""
        n = self.language
        if match := self._per_unit.match(text, end):
            return match.end(), f"{said} {n.per} {n.units[match[1]].one}"
        if match := self._per_word.match(text, end):
            return match.end(), f"{said} {n.per}"
        return end, said

    # --- dates and times --------------------------------------------------------------------------------------------------

    def _iso_date(self, match: re.Match[str]) -> Found | None:
        year, _, month, day, hours, minutes, seconds = match.groups()
        if not _is_date(int(day), int(month)):
            return None
        said = self._date(match, int(day), int(month), int(year), self.language.date_order == "mdy")
        if hours:
            said += " " + self.language.time(int(hours), int(minutes), int(seconds or 0) or None)
        return match.end(), said

    def _numeric_date(self, match: re.Match[str]) -> Found | None:
        first, mark, second, year = int(match[1]), match[2], int(match[3]), match[4]
        n = self.language
        if len(year) == 2 and mark not in "/-":
            return None
        day, month = (second, first) if n.date_order == "mdy" else (first, second)
        if not _is_date(day, month):
            day, month = month, day
        if not _is_date(day, month):
            return None
        full = int(year) if len(year) == 4 else full_year(int(year))
        return match.end(), self._date(match, day, month, full, n.date_order == "mdy")

    def _day_first(self, match: re.Match[str]) -> Found | None:
        n, day = self.language, int(match[1])
        if not 1 <= day <= 31 or not self._is_month(match[2]):
            return None
        year = int(match[3]) if match[3] else full_year(int(match[4])) if match[4] else None
        end = match.end() if year else without_stop(match.string, match.end(), self.language)
        return end, self._date(match, day, n.months[match[2].lower()], year, False)

    def _date(self, match: re.Match[str], day: int, month: int, year: int | None, month_first: bool) -> str:
        """The spoken date, without an article that is already in the text before it."""
        said = self.language.date(day, month, year, month_first)
        before = previous_word(match.string, match.start()).lower()
        return said.partition(" ")[2] if before and said.startswith(f"{before} ") else said

    def _time(self, match: re.Match[str]) -> Found | None:
        hours, minutes, seconds = (int(part) if part else None for part in match.groups()[:3])
        n = self.language
        if hours is None or minutes is None or minutes > 59 or (seconds or 0) > 59 or n.num2words_code == "":
            return None
        if hours > 24:
            return (match.end(3), n.duration(hours, minutes, seconds)) if seconds is not None else None
        if seconds is not None and not match[4] and n.hms_is_duration:
            return match.end(3), n.duration(hours, minutes, seconds)
        return self._with_half(match, 4, n.time(hours, minutes, seconds or None, _key(match[4])))

    def _hour(self, match: re.Match[str]) -> Found | None:
        if int(match[1]) > 24:
            return None
        return self._with_half(match, 2, self.language.time(int(match[1]), 0, None, _key(match[2])))

    def _with_half(self, match: re.Match[str], group: int, said: str) -> Found:
        if not match[group]:
            return match.end(), said
        end = without_stop(match.string, match.end(), self.language)
        return end, f"{said} {self.language.day_periods[match[group]]}".strip()

    # --- strings of digits ------------------------------------------------------------------------------------------------

    def _telephone(self, match: re.Match[str]) -> Found | None:
        groups = re.findall(r"\+?\d+", match[0])
        count = sum(len(group.lstrip("+")) for group in groups)
        if not 7 <= count <= 19 or not self.language.num2words_code:
            return None
        if len(groups) == 2 and groups[0][0] not in "+0" and groups[1].endswith("00") and match[0][0] != "(":
            return None  # "500-1500"
        return match.end(), self.language.telephone(groups)

    def _internet(self, match: re.Match[str]) -> Found | None:
        parts = match[1].split(".")
        dot = self.language.address_marks.get(".")
        if not dot or any(int(part) > 255 for part in parts):
            return None
        said = f" {dot} ".join(map(self.language.digits, parts))
        if match[2]:
            said += f" {self.language.address_marks[':']} {self.language.digits(match[2])}"
        return match.end(), said


def _apply_rule(verbalize: Callable[[re.Match[str]], str | None], match: re.Match[str]) -> Found | None:
    """Apply a rule of the language."""
    said = verbalize(match)
    return None if said is None else (match.end(), said)


def _is_date(day: int, month: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _is_same(text: str, i: int, j: int) -> bool:
    """Whether the digits before i are those from j on: "50-50"."""
    before, after = re.search(r"\d*\Z", text[max(0, i - 20) : i]), re.match(r"\d*", text[j : j + 20])
    return bool(before and after and before[0] and before[0] == after[0])


def _groups(digits: str) -> list[str]:
    """The digits of a telephone number by three and the last four."""
    head = digits[: max(0, len(digits) - 4)]
    return [*filter(None, (head[: len(head) % 3], *re.findall("...", head[len(head) % 3 :]))), digits[-4:]]


def _key(half: str | None) -> str:
    return "".join(filter(str.isalpha, half or "")).lower()


def _digits_end(text: str, i: int) -> int:
    while i < len(text) and text[i].isdecimal():
        i += 1
    return i
