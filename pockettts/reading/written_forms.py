"""Classify and verbalize numbers, dates, times, prices and so on.

The patterns are built from the tables of a language; its methods verbalize the matches. The methods of `WrittenForms` look at one position
of a text, and return the end of the written form there and its spoken form. The first matching pattern wins, so special forms come before
general ones: a date is also three numbers.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial

from .context import SpokenForm, without_stop
from .languages.base import Language, Number, full_year
from .neighbors import next_word, previous_word

Finder = Callable[[re.Match[str]], SpokenForm | None]

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
IP_ADDRESS = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{2,5}))?(?![.\w])")
VERSION = re.compile(r"\d+(?:\.\d+){2,}(?!\w)")
ISO_DATE = re.compile(r"(\d{4})([-/.])(\d\d?)\2(\d\d?)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?Z?)?(?!\w|[-/.]\d)")
SCIENTIFIC = re.compile(r"(\d+)(?:[.,](\d+))?[eE]([-+\u2212]?)(\d{1,3})(?!\w|[.,]\d)")
WORD_BEHIND = re.compile(r"\s+\w")  # a word or a number follows


def any_of(keys: Iterable[str]) -> str:
    """A regex for one of these, the longest that fits."""
    return "|".join(map(re.escape, sorted(keys, key=len, reverse=True))) or r"(?!)"


class WrittenForms:
    """The patterns of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        lang = language
        group = f"[{re.escape(lang.group_marks)}'\u2019\u00a0\u202f\u2009{' ' * lang.group_with_spaces}]"
        mark = re.escape(lang.decimal_mark)
        self._other_mark = "." if lang.decimal_mark == "," else ","
        foreign = re.escape(self._other_mark)  # "1.250,00" in English, "1,250.00" in German
        other = rf"\d{{1,3}}(?:{mark}\d{{3}}){{2,}}(?!\d)|" if lang.decimal_mark == "." else ""
        other += rf"\d{{1,3}}(?:{mark}\d{{3}})+{foreign}\d{{1,2}}(?!\d)|"
        if lang.decimal_mark == ",":
            other += r"0\.\d+|\d+\.\d+(?![.,]?\d)(?<!\.\d\d\d)|"
        self._foreign = re.compile(
            rf"\d{{1,3}}(?:{mark}\d{{3}})+{foreign}\d{{1,2}}|0{foreign}\d+|\d+{foreign}(?!\d{{3}}\b)\d+"
        )
        number = rf"(?:{other}\d{{1,3}}(?:{group}\d{{3}})+(?!\d)(?:{mark}\d+)?|\d{{1,3}}(?: \d{{3}}){{2,}}(?!\d)|\d+(?:{mark}\d+)?)"
        magnitude = rf"(?:{SPACE}?({any_of(lang.magnitudes)})(?!\w))?"
        self._spaced_magnitudes = {key for key in lang.magnitudes if len(key) > 2}
        signs, codes = any_of(lang.currency_signs), any_of(lang.currencies)
        unit = any_of(lang.units)
        day_period = rf"(?:{SPACE}?({any_of(lang.day_periods)})(?![\w]))"
        month = any_of(lang.months)
        suffix = rf"(?:{lang.ordinal_suffix}{'|' + lang.day_suffix if lang.day_suffix else ''})?"
        hour = lang.time_separator
        self._number = re.compile(number)
        self._unit = re.compile(rf"{SPACE}?({unit})(?![\w²³])")
        self._per_unit = re.compile(rf"/({unit})(?![\w²³])")
        self._per_word = re.compile(r"/(?=[^\W\d_]{2,})")
        self._weekdays = re.compile(rf"\.?{SPACE}?[{DASH}]{SPACE}?({any_of(lang.weekdays)})(?!\w)", re.I)
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
            (re.compile(rf"[{DASH}](?=\d|(?:{signs})\d)"), lang.range_word),
            (re.compile(rf"{SPACE}[\u2013\u2014]{SPACE}(?=\d|(?:{signs})\d)"), lang.range_word),
            (re.compile(r":(?=\d)"), lang.ratio_word),
            (re.compile(rf"{SPACE}?×{SPACE}?(?=\d[^=\n]*=)"), lang.times_sign),
            (re.compile(rf"{SPACE}?[x×·*]{SPACE}?(?=10(?:\^|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]))"), lang.times_sign),
            (re.compile(rf"{SPACE}?[x×]{SPACE}?(?=\d)"), lang.by),
            (re.compile(r"[x×](?!\w| ?[-+=^)]\W)"), lang.times_sign),
            (re.compile(r"/(?=\d)"), lang.out_of),
            (re.compile(rf"{SPACE}[{MINUS}]{SPACE}(?=\d[^=\n]{{0,20}}=)"), lang.minus),
        ]
        self._at_digit: list[tuple[re.Pattern[str], Finder]] = [
            (rule.regex, partial(_apply_rule, rule.verbalize)) for rule in lang.rules if rule.first == "digit"
        ]
        self._at_digit += [
            (re.compile(rf"({any_of(key for key in lang.abbreviations if key[0].isdecimal())})(?!\w|[./]\d)"),
             lambda match: (match.end(), lang.abbreviations[match[1]])),
            (ISO_DATE, self._iso_date),
            (re.compile(rf"(\d{{1,2}})({lang.numeric_date_separator}){SPACE}?(\d{{1,2}})\2{SPACE}?(\d{{4}}|\d{{2}})(?!\w|[-/.,:]\d)"), self._numeric_date),
        ]  # fmt: skip
        if lang.months:
            joint = rf"(?:{lang.date_separator}|-)"
            self._at_digit.append((re.compile(
                rf"(\d{{1,2}}){suffix}{joint}({month})(?!\w)\.?(?:(?:,\s*|{joint})(\d{{4}})(?!\w|[.,:]\d)|(?:-|\s['\u2019])(\d\d)(?!\w|[-/.,:]\d))?", re.I,
            ), self._day_first))  # fmt: skip
        self._at_digit += [
            (IP_ADDRESS, self._ip_address),
            (TELEPHONE, self._telephone),
            (re.compile(rf"(\d{{1,3}})(?:{hour})(\d\d)(?:(?:{hour})(\d\d)(?:[.,]\d+)?)?{day_period}?(?!\w|:\d)"), self._time),
            (re.compile(rf"(\d{{1,2}}){day_period}"), self._hour),
            (re.compile(r"(?:(\d{1,3})[ \u00a0-])?(\d{1,4})[/\u2044](\d{1,4})(?!\w|[/.,-]\d)"), self._fraction),
            (re.compile(rf"(\d+){SPACE}?([{VULGAR}])"), self._mixed_fraction),
            (re.compile(rf"(\d{{3}}0|[2-9]0)(?:{lang.decade_suffix})(?!\w)"), self._decade),
            (SCIENTIFIC, self._scientific),
            (re.compile(rf"(\d[\d{re.escape(lang.group_marks)}]*)({lang.ordinal_suffix})(?!\w)"), self._ordinal),
            (re.compile(rf"({number}){magnitude}{SPACE}?({signs}|{codes})(?!\w)"), self._money_before_sign),
            (re.compile(rf"({number})({any_of(lang.magnitudes)})(?!\w)"), self._with_magnitude),
            (re.compile(rf"({number}){magnitude}({SPACE}|-)?({unit})(?![\w²³])"), self._quantity),
            (VERSION, self._version),
            (re.compile(rf"({number}){magnitude}"), self._plain_number),
        ]  # fmt: skip
        self._at_sign = [rule for rule in lang.rules if rule.first == "other"]
        self._short_decade = re.compile(rf"['\u2019](\d0)(?:{lang.decade_suffix})(?!\w)")

    # --- entry points, by the first character -----------------------------------------------------------------------------------

    def digit_at(self, text: str, i: int) -> SpokenForm | None:
        """The written form that starts with the digit at i."""
        for pattern, find in self._at_digit if self.language.num2words_code else ():
            if (match := pattern.match(text, i)) and (found := find(match)):
                return found
        return None

    def sign_at(self, text: str, i: int) -> SpokenForm | None:
        """The written form that starts with the sign at i: a minus, a currency, a bracket, a fraction."""
        lang, mark = self.language, text[i]
        if not lang.num2words_code:
            return None
        for rule in self._at_sign:
            if (match := rule.regex.match(text, i)) and (spoken := rule.verbalize(match)) is not None:
                return match.end(), spoken
        if mark in "(+" and (match := TELEPHONE.match(text, i)) and (found := self._telephone(match)):
            return found
        if found := self.money_at(text, i):
            return found
        if mark in "'\u2019":
            return self._decade_of_century(text, i)
        if unicodedata.category(mark) == "No" and (value := unicodedata.numeric(mark, -1)) >= 0:
            return self._with_unit(text, i + 1, self._spoken_fraction(None, value)) if value % 1 else None
        following = text[i + 1 : i + 2]
        if (
            mark == lang.decimal_mark
            and following.isdecimal()
            and not text[i - 1 : i].isalnum()
            and (end := _digits_end(text, i + 1))
        ):
            if end == len(text) or not text[end].isalpha():
                return end, f"{lang.point} {lang.decimals(text[i + 1 : end])}"
        if mark in MINUS and not text[i - 1 : i].strip(OPENING + " \n\t\u00a0=<>+*/") and lang.minus:
            behind = self.money_at(text, i + 1) or (self.digit_at(text, i + 1) if following.isdecimal() else None)
            return behind and (behind[0], f"{lang.minus} {behind[1]}")
        return None

    def money_at(self, text: str, i: int) -> SpokenForm | None:
        """A price that starts with its currency."""
        match = self._money.match(text, i)
        if not match or not self.language.currencies:
            return None
        lang = self.language
        currency = lang.currencies.get(lang.currency_signs.get(match[1], match[1]))
        if currency is None:
            return None
        end, magnitude = self._magnitude(match, 4, True)
        number = self.parse(match[3], magnitude, bool(match[2]))
        if last := self._money_range.match(text, end):  # "$5-10"
            end, magnitude = self._magnitude(last, 2, True)
            spoken = lang.money(self.parse(last[1], magnitude), currency)
            return self._per(text, end, lang.range(lang.number(number), spoken))
        if not number.decimals and self._is_attributive(text, i, end):
            return end, f"{lang.number(number, currency.major.gender)} {currency.major.one}"
        return self._per(text, end, lang.money(number, currency))

    def _is_attributive(self, text: str, start: int, end: int) -> bool:
        return self.language.is_attributive(previous_word(text, start), next_word(text, end))

    def connector_at(self, text: str, i: int) -> SpokenForm | None:
        """The spoken form of the mark at i between two numbers; the first number ends at i."""
        for pattern, spoken in self._connectors:
            if spoken and (match := pattern.match(text, i)):
                return match.end(), " " if spoken == self.language.range_word and _is_repeated(
                    text, i, match.end()
                ) else spoken
        return None

    def month_at(self, text: str, i: int) -> SpokenForm | None:
        """A date that starts with its month."""
        if (match := self._months.match(text, i)) and all(map(self._is_month, match.groups())):
            return match.end(), self.language.range(*map(self._month_name, match.groups()))
        if (match := self._month_year.match(text, i)) and self._is_month(match[1]):
            return match.end(), f"{self._month_name(match[1])} {self.language.year(int(match[2]))}"
        match = self._month_first.match(text, i) if self.language.month_first else None
        if not match or not self._is_month(match[1]) or not 1 <= int(match[2]) <= 31:
            return None
        lang = self.language
        year = int(match[5]) if match[5] else None
        month = lang.months[match[1].lower()]
        if match[4]:
            first, last = lang.date(int(match[2]), month, None, True), lang.ordinal(int(match[4]))
            return match.end(), f"{lang.range(first, last)}{f' {lang.year(year)}' if year else ''}"
        return match.end(), lang.date(int(match[2]), month, year, True)

    def _month_name(self, written: str) -> str:
        return self.language.month_names[self.language.months[written.lower()] - 1]

    def _is_month(self, written: str) -> bool:
        """Whether it is a month and not another word: "may"."""
        lang = self.language
        return written[0].isupper() or not lang.months_are_capitalized or written.lower() not in lang.ambiguous_months

    def weekday_at(self, text: str, i: int, word: str) -> SpokenForm | None:
        """An abbreviated weekday before a date, or a range of weekdays."""
        end, lang = i + len(word), self.language
        if match := self._weekdays.match(text, end):
            return match.end(), lang.range(lang.weekdays[word.lower()], lang.weekdays[match[1].lower()])
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

    def _magnitude(self, match: re.Match[str], group: int, is_money: bool = False) -> SpokenForm:
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

    def _plain_number(self, match: re.Match[str]) -> SpokenForm | None:
        lang, written, text = self.language, match[1], match.string
        end, magnitude = self._magnitude(match, 2)
        number = self.parse(written, magnitude)
        if written.isdecimal() and not magnitude:
            before = previous_word(text, match.start())
            if before.lower() in lang.serial_cues:
                return end, lang.serial_number(written)
            if (
                len(written) == 4
                and written[0] != "0"
                and lang.reads_as_year(number.whole, before.lower(), next_word(text, end))
            ):
                return end, lang.year(number.whole)
            if written[0] == "0" and len(written) > 1 or len(written) > 15:
                return end, lang.digits(written)
            if before.isupper() and len(before) > 1 and len(written) > 2:
                return end, lang.serial_number(written)
            if self._is_telephone(written, before.lower(), next_word(text, end)):
                return end, lang.telephone(_telephone_groups(written))
        return end, lang.number(number)

    def _is_telephone(self, digits: str, before: str, after: str) -> bool:
        """Whether digits without a space are a telephone number, not a quantity: quantities have group marks, are round, or have a noun after them."""
        if before in self.language.telephone_cues:
            return len(digits) > 4
        is_counted = after.islower() and after.endswith("s") and after not in self.language.common_words
        return len(digits) > 9 and not digits.endswith("000") and not is_counted

    def _with_magnitude(self, match: re.Match[str]) -> SpokenForm | None:
        """`5k`, `3M`, `2bn`. A lower-case unit has priority: `5m`."""
        if match[2].islower() and match[2] in self.language.units or len(match[2]) == 1 and match[2] not in "kKM":
            return None
        return match.end(), self.language.number(self.parse(match[1], match[2]))

    def _ordinal(self, match: re.Match[str]) -> SpokenForm | None:
        return match.end(), self.language.ordinal(self.parse(match[1]).whole, match[2])

    def _decade(self, match: re.Match[str]) -> SpokenForm | None:
        before = previous_word(match.string, match.start()).lower()
        if len(match[1]) == 2 and int(match[1]) < 50 and before not in self.language.decade_cues:  # "30s" is a time
            return None
        return match.end(), self.language.decade(int(match[1]))

    def _decade_of_century(self, text: str, i: int) -> SpokenForm | None:
        match = self._short_decade.match(text, i)
        return match and (match.end(), self.language.decade(int(match[1])))

    def _fraction(self, match: re.Match[str]) -> SpokenForm | None:
        whole, numerator, denominator = (int(part) if part else None for part in match.groups())
        if not denominator or numerator is None:
            return None
        lang = self.language
        before = previous_word(match.string, match.start()).lower()
        if (
            whole is None and before in lang.weekdays and match[0].count("/") == 1 and len(before) > 5
        ):  # "Tuesday, 12/25"
            day, month = (denominator, numerator) if lang.date_order == "mdy" else (numerator, denominator)
            if _is_date(day, month):
                return match.end(), lang.date(day, month, None, lang.date_order == "mdy")
        if whole is None and numerator == denominator and lang.out_of:  # "5/5 stars", "50/50"
            joint = f" {lang.out_of} " if numerator <= 10 else " "
            return match.end(), joint.join([lang.cardinal(numerator)] * 2)
        if whole is None and 1900 <= numerator < 2100 and f"{(numerator + 1) % 100:02}" == match[3]:  # "2019/20"
            return match.end(), f"{lang.year(numerator)} {lang.cardinal(denominator)}"
        if whole is None and 1900 <= denominator <= 2099:  # "issue 3/2020"
            return match.end(), f"{lang.cardinal(numerator)} {lang.year(denominator)}"
        if whole is not None and (numerator >= denominator or match.string[match.end(1)] == "-" and denominator > 16):
            return None
        return self._with_unit(
            match.string, match.end(), self.language.fraction(whole, numerator, denominator), whole is None
        )

    def _mixed_fraction(self, match: re.Match[str]) -> SpokenForm | None:
        spoken = self._spoken_fraction(int(match[1]), unicodedata.numeric(match[2]))
        return self._with_unit(match.string, match.end(), spoken, False)

    def _spoken_fraction(self, whole: int | None, value: float) -> str:
        part = Fraction(value).limit_denominator(10)
        return self.language.fraction(whole, part.numerator, part.denominator)

    def _with_unit(self, text: str, end: int, spoken: str, is_one: bool = True) -> SpokenForm:
        match = self._unit.match(text, end)
        if not match or not self._is_unit(text, match[1], match.start(1) > end, match.end()):
            return end, spoken
        noun = self.language.units[match[1]]
        return match.end(), f"{spoken} {noun.one if is_one else noun.many}"

    def _version(self, match: re.Match[str]) -> SpokenForm | None:
        if (number := self._number.match(match.string, match.start())) and number.end() >= match.end():
            return None
        lang = self.language
        return match.end(), f" {lang.dot} ".join(
            lang.cardinal(int(part)) for part in match[0].split(".") if len(part) < 6
        )

    def _scientific(self, match: re.Match[str]) -> SpokenForm | None:
        """`6.022e23`: a number times a power of ten."""
        lang = self.language
        factor = Number(int(match[1]), match[2] or "")
        exponent = Number(int(match[4]), negative=match[3] in ("-", "\u2212"))
        parts = (
            lang.number(factor),
            lang.times_sign,
            lang.cardinal(10),
            lang.symbols.get("^", ""),
            lang.number(exponent),
        )
        return match.end(), " ".join(filter(None, parts))

    # --- quantities --------------------------------------------------------------------------------------------------

    def _money_before_sign(self, match: re.Match[str]) -> SpokenForm | None:
        lang = self.language
        currency = lang.currencies.get(lang.currency_signs.get(match[3], match[3]))
        if currency is None:
            return None
        end, magnitude = self._magnitude(match, 2, True)
        if match[2] and not magnitude:
            return None
        return self._per(match.string, match.end(), lang.money(self.parse(match[1], magnitude), currency))

    def _quantity(self, match: re.Match[str]) -> SpokenForm | None:
        lang, symbol = self.language, match[4]
        end, magnitude = self._magnitude(match, 2)
        if match[2] and not magnitude or not self._is_unit(match.string, symbol, bool(match[3]), match.end()):
            return None
        if match[3] == "-" and len(symbol) == 1:  # "10-K"
            return None
        number = self.parse(match[1], magnitude)
        noun = lang.units[symbol]
        if match[3] == "-" or self._is_attributive(match.string, match.start(), match.end()):
            spoken = f"{lang.number(number, noun.gender)} {noun.one}"
        else:
            spoken = lang.measure(number, noun)
        end = without_stop(match.string, match.end(), lang)
        if match.string[end : end + 1] == "." and symbol[-1].isalpha() and len(symbol) > 1:  # "2 tbsp. of"
            end = without_stop(match.string, end + 1, lang)
        return self._per(match.string, end, spoken)

    def _is_unit(self, text: str, symbol: str, is_apart: bool, end: int) -> bool:
        """Whether it is a unit and not a word or a name: "5 in the morning", "5 a day", "ISO 9001 F-16"."""
        if len(symbol) == 1 and symbol.isalpha() and re.match(r"-\d", text[end : end + 2]):
            return False
        if not is_apart or not symbol.isalpha() or symbol.lower() not in self.language.common_words:
            return True
        return text[end : end + 1] != "-" and not WORD_BEHIND.match(text, end) and symbol.islower()

    def _per(self, text: str, end: int, spoken: str) -> SpokenForm:
        """`/h` or `/month` behind a quantity or a price."""
        lang = self.language
        if match := self._per_unit.match(text, end):
            return match.end(), f"{spoken} {lang.per} {lang.units[match[1]].one}"
        if match := self._per_word.match(text, end):
            return match.end(), f"{spoken} {lang.per}"
        return end, spoken

    # --- dates and times --------------------------------------------------------------------------------------------------

    def _iso_date(self, match: re.Match[str]) -> SpokenForm | None:
        year, _, month, day, hours, minutes, seconds = match.groups()
        if not _is_date(int(day), int(month)):
            return None
        spoken = self._date(match, int(day), int(month), int(year), self.language.date_order == "mdy")
        if hours:
            spoken += " " + self.language.time(int(hours), int(minutes), int(seconds or 0) or None)
        return match.end(), spoken

    def _numeric_date(self, match: re.Match[str]) -> SpokenForm | None:
        first, mark, second, year = int(match[1]), match[2], int(match[3]), match[4]
        lang = self.language
        if len(year) == 2 and mark not in "/-":
            return None
        day, month = (second, first) if lang.date_order == "mdy" else (first, second)
        if not _is_date(day, month):
            day, month = month, day
        if not _is_date(day, month):
            return None
        full = int(year) if len(year) == 4 else full_year(int(year))
        return match.end(), self._date(match, day, month, full, lang.date_order == "mdy")

    def _day_first(self, match: re.Match[str]) -> SpokenForm | None:
        lang, day = self.language, int(match[1])
        if not 1 <= day <= 31 or not self._is_month(match[2]):
            return None
        year = int(match[3]) if match[3] else full_year(int(match[4])) if match[4] else None
        end = match.end() if year else without_stop(match.string, match.end(), self.language)
        return end, self._date(match, day, lang.months[match[2].lower()], year, False)

    def _date(self, match: re.Match[str], day: int, month: int, year: int | None, month_first: bool) -> str:
        """The spoken date, without an article that is already in the text before it."""
        spoken = self.language.date(day, month, year, month_first)
        before = previous_word(match.string, match.start()).lower()
        return spoken.partition(" ")[2] if before and spoken.startswith(f"{before} ") else spoken

    def _time(self, match: re.Match[str]) -> SpokenForm | None:
        hours, minutes, seconds = (int(part) if part else None for part in match.groups()[:3])
        lang = self.language
        if hours is None or minutes is None or minutes > 59 or (seconds or 0) > 59 or lang.num2words_code == "":
            return None
        if hours > 24:
            return (match.end(3), lang.duration(hours, minutes, seconds)) if seconds is not None else None
        if seconds is not None and not match[4] and lang.hms_is_duration:
            return match.end(3), lang.duration(hours, minutes, seconds)
        return self._with_day_period(match, 4, lang.time(hours, minutes, seconds or None, _day_period_key(match[4])))

    def _hour(self, match: re.Match[str]) -> SpokenForm | None:
        if int(match[1]) > 24:
            return None
        return self._with_day_period(match, 2, self.language.time(int(match[1]), 0, None, _day_period_key(match[2])))

    def _with_day_period(self, match: re.Match[str], group: int, spoken: str) -> SpokenForm:
        if not match[group]:
            return match.end(), spoken
        end = without_stop(match.string, match.end(), self.language)
        return end, f"{spoken} {self.language.day_periods[match[group]]}".strip()

    # --- strings of digits ------------------------------------------------------------------------------------------------

    def _telephone(self, match: re.Match[str]) -> SpokenForm | None:
        groups = re.findall(r"\+?\d+", match[0])
        count = sum(len(group.lstrip("+")) for group in groups)
        if not 7 <= count <= 19 or not self.language.num2words_code:
            return None
        if len(groups) == 2 and groups[0][0] not in "+0" and groups[1].endswith("00") and match[0][0] != "(":
            return None  # "500-1500"
        return match.end(), self.language.telephone(groups)

    def _ip_address(self, match: re.Match[str]) -> SpokenForm | None:
        parts = match[1].split(".")
        dot = self.language.address_marks.get(".")
        if not dot or any(int(part) > 255 for part in parts):
            return None
        spoken = f" {dot} ".join(map(self.language.digits, parts))
        if match[2]:
            spoken += f" {self.language.address_marks[':']} {self.language.digits(match[2])}"
        return match.end(), spoken


def _apply_rule(verbalize: Callable[[re.Match[str]], str | None], match: re.Match[str]) -> SpokenForm | None:
    """Apply a rule of the language."""
    spoken = verbalize(match)
    return None if spoken is None else (match.end(), spoken)


def _is_date(day: int, month: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _is_repeated(text: str, i: int, j: int) -> bool:
    """Whether the digits before i are those from j on: "50-50"."""
    before, after = re.search(r"\d*\Z", text[max(0, i - 20) : i]), re.match(r"\d*", text[j : j + 20])
    return bool(before and after and before[0] and before[0] == after[0])


def _telephone_groups(digits: str) -> list[str]:
    """The digits of a telephone number by three and the last four."""
    head = digits[: max(0, len(digits) - 4)]
    return [*filter(None, (head[: len(head) % 3], *re.findall("...", head[len(head) % 3 :]))), digits[-4:]]


def _day_period_key(period: str | None) -> str:
    return "".join(filter(str.isalpha, period or "")).lower()


def _digits_end(text: str, i: int) -> int:
    while i < len(text) and text[i].isdecimal():
        i += 1
    return i
