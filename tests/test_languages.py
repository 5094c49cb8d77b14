"""Written and spoken forms of the languages other than English.

The tables are `data/spoken/<code>.tsv`: a written and a spoken form per line, or a sentence that does not change; "# " starts a heading.
"""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from pockettts.reading.languages import find_language
from pockettts.reading.languages.base import Number
from pockettts.reading.normalize import clean_text, normalize

CODES = ("de", "es", "fr", "it", "pt", "nl")
TABLES = Path(__file__).parent / "data" / "spoken"


def table(code: str) -> list[tuple[str, str]]:
    lines = (TABLES / f"{code}.tsv").read_text(encoding="utf-8").splitlines()
    cases = [line.partition("\t") for line in lines if line and not line.startswith("# ")]
    return [(written, spoken or written) for written, _, spoken in cases]


CASES = [(code, written, spoken) for code in CODES for written, spoken in table(code)]


@pytest.mark.parametrize(("code", "written", "spoken"), CASES, ids=[f"{code}: {written}" for code, written, _ in CASES])
def test_spoken(code: str, written: str, spoken: str) -> None:
    assert normalize(clean_text(written), code).text == spoken


@pytest.mark.parametrize("code", CODES)
def test_tables_are_large_enough(code: str) -> None:
    cases = table(code)
    assert len({written for written, _ in cases}) == len(cases) >= 60
    assert sum(written == spoken for written, spoken in cases) >= 2


@pytest.mark.parametrize("code", CODES)
def test_numbers_differ_and_are_words(code: str) -> None:
    language = find_language(code)
    numbers = [*range(1300), *range(1990, 2030), 10**4, 21_000, 10**5, 10**6, 10**6 + 1, 21 * 10**6, 10**9, 10**12]
    for speak in (language.cardinal, language.year):
        said = [speak(n) for n in numbers]
        assert len(set(said)) == len(numbers)
        assert all(word.replace("-", "").isalpha() for words in said for word in words.split(" "))
    places = [language.ordinal(n) for n in range(1, 1000)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("code", CODES)
def test_every_table_is_speakable(code: str) -> None:
    language = find_language(code)
    assert len(language.month_names) == 12 and set(language.months.values()) == set(range(1, 13))
    for currency in language.currencies.values():
        assert language.money(Number(1), currency) != language.money(Number(2), currency)
        for n in (Number(2, "05"), Number(0, "5"), Number(10**6)):
            assert not any(map(str.isdigit, language.money(n, currency)))
    for noun in language.units.values():
        assert noun.one and noun.many and not any(map(str.isdigit, language.measure(Number(21, "5"), noun)))
    for magnitude in language.magnitudes:
        assert not any(map(str.isdigit, language.number(Number(1, "", False, magnitude))))
    tables = (language.titles, language.number_abbreviations, language.abbreviations, language.ending_abbreviations)
    for words in (*tables, language.symbols):
        assert all(said and not any(map(str.isdigit, said)) for said in words.values())
    for hours in range(25):
        for minutes in (0, 1, 15, 30, 45):
            assert not any(map(str.isdigit, language.time(hours, minutes)))


@pytest.mark.parametrize("code", CODES)
def test_no_digit_is_left_and_no_word_is_lost(code: str) -> None:
    chance = random.Random(code)
    marks = ["", "", "", ".", ",", "!", "?", ")", " %", " €", " km", " kg", " h", ":", "/"]

    def digits(n: int) -> str:
        return "".join(chance.choice("0123456789") for _ in range(n))

    def piece() -> str:
        number = chance.choice("123456789") + digits(chance.randrange(5))
        shape = chance.choice(
            ["{n}", "{n}.{d}", "{n},{d}", "{n}/{d}", "{n}:{d}", "{n}-{d}", "{n}. {w}", "{n} {w}", "{w} {n}"]
        )
        word = chance.choice(
            ["A", "der", "el", "Haus", "casa", "l'an", "IV", "XX", "ABC", "z.", "Sr.", "M.", "mai", "März"]
        )
        return shape.format(n=number, d=digits(2), w=word) + chance.choice(marks)

    for _ in range(300):
        text = " ".join(piece() for _ in range(6))
        found = normalize(text, code)
        assert not any(map(str.isdecimal, found.text)), (text, found.text)
        assert " ".join(word for word, _ in found.words()).split() == text.split()


def test_languages_load_without_num2words() -> None:
    """num2words is imported only for the first number, so the start stays fast."""
    code = (
        "import sys; from pockettts.reading.languages import find_language; "
        f"[find_language(code) for code in {CODES!r}]; sys.exit('num2words' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
