"""Dutch, as it is spoken in the Netherlands."""

import re

from .base import ROMANS, Number, Rule, parse_currencies, parse_nouns, word_set
from .european import (
    ROMAN_LETTER_VALUES,
    European,
    abbreviation_rules,
    european_rules,
    hours_rule,
    metric_units,
    month_abbreviation_rule,
    phone_rule,
    unit_table,
    weekday_range_rule,
    weekday_rule,
)

MONTHS = (
    "januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december",
)  # fmt: skip
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)} | {
    "jan": 1, "feb": 2, "mrt": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "okt": 10, "nov": 11, "dec": 12,
}  # fmt: skip
DAYS = {
    "ma": "maandag", "di": "dinsdag", "wo": "woensdag", "do": "donderdag", "vr": "vrijdag", "za": "zaterdag", "zo": "zondag",
}  # fmt: skip
PREFIXES = {
    "n": "nano", "μ": "micro", "m": "milli", "c": "centi", "d": "deci", "h": "hecto", "k": "kilo", "K": "kilo", "M": "mega",
    "G": "giga", "T": "tera", "P": "peta", "p": "pico",
}  # fmt: skip
METRIC = metric_units(
    """
    m nμmcdk: meter
    g μmk: gram
    l μmcdh: liter
    L m: liter
    t k: ton
    s nμm: seconde, seconden
    B kKMGTP: byte
    bit kMG: bit
    Hz kMGT: hertz
    W mkMGT: watt
    Wh kMGT: wattuur
    V mk: volt
    A m: ampère
    Ah m: ampère-uur
    Ω kM: ohm
    N k: newton
    J kM: joule
    cal k: calorie, calorieën
    Pa hkM: pascal
    bar m: bar
    """,
    PREFIXES,
)
SPACED_ABBREVIATIONS = {
    "v. Chr.": "voor Christus", "n. Chr.": "na Christus", "o. a.": "onder andere", "d. w. z.": "dat wil zeggen",
    "m. b. t.": "met betrekking tot", "a. u. b.": "alstublieft", "i. v. m.": "in verband met", "i. p. v.": "in plaats van",
}  # fmt: skip
PHONE = r"06[- ]?\d{8}(?!\w|[.,]\d)|06[- ]\d{2}(?:[ -]\d{2}){3}(?!\w|[.,]\d)|0\d{1,3}[- ]\d{6,7}(?!\w|[.,]\d)"
ROMAN_ORDINAL = r"([IVX]+)(e|ste|de)(?![\w])"


class Dutch(European):
    code = "nl"
    num2words_code = "nl"

    # --- numbers ---
    point = "komma"
    dot = "punt"
    minus = "min"
    ordinal_suffix = "(?:e|ste|de)"
    magnitudes = parse_nouns("""
        duizend: duizend, duizend, -
        miljoen mln mln. M: miljoen
        miljard mld mld.: miljard
        biljoen: biljoen
    """)
    range_word = "tot"
    ratio_word = "op"
    out_of = "van de"
    times_sign = "keer"
    by = "bij"

    # --- money, units ---
    currency_signs = {**European.currency_signs, "euro": "EUR", "dollar": "USD", "ƒ": "NLG"}
    currencies = parse_currencies("""
        EUR: euro | cent
        USD: dollar | cent
        GBP: pond | penny, pence
        NLG: gulden | cent
        CHF: Zwitserse frank | rappen
        JPY: yen
        CNY: yuan
        INR: roepie
        RUB: roebel
        KRW: won
        TRY: lira
        UAH: hryvnia
        CAD: Canadese dollar | cent
        AUD: Australische dollar | cent
        SEK: Zweedse kroon, Zweedse kronen
        NOK: Noorse kroon, Noorse kronen
        DKK: Deense kroon, Deense kronen
        PLN: zloty
        BTC: bitcoin
        ¢: cent
    """)
    money_and = ""
    minor_is_named = False
    units = unit_table(
        METRIC,
        square=lambda name, many: f"vierkante {name}",
        cube=lambda name, many: f"kubieke {name}",
        others="""
            %: procent
            Nm: newtonmeter
            ‰: promille
            °: graad, graden
            °C ºC: graad Celsius, graden Celsius
            °F: graad Fahrenheit, graden Fahrenheit
            K: kelvin
            ha: hectare
            min min.: minuut, minuten
            sec sec.: seconde, seconden
            u: uur
            h: uur
            pk: pk
            dB: decibel
            px: pixel, pixels
            km/h km/u: kilometer per uur
            m/s: meter per seconde
            Mbps Mbit/s: megabit per seconde
            mi: mijl, mijlen
            lb lbs: pond
        """,
    )

    # --- dates and times ---
    months = MONTH_NUMBERS
    month_names = MONTHS
    date_separator = r"\s+"
    time_separator = r":|\.(?=\d\d[ \u00a0]?(?:uur|u)\b)"
    day_periods = {"uur": "", "u": "", "u.": "", "h": ""}
    year_cues = word_set("in sinds tot van jaar rond circa voor na anno zomer winter herfst lente tussen en begin eind")

    # --- words ---
    titles = {
        "dhr.": "de heer", "Dhr.": "De heer", "mevr.": "mevrouw", "Mevr.": "mevrouw", "mw.": "mevrouw", "Mw.": "mevrouw",
        "dr.": "dokter", "Dr.": "dokter", "prof.": "professor", "Prof.": "professor", "ir.": "ingenieur", "ing.": "ingenieur",
        "mr.": "meester", "Mr.": "meester", "drs.": "doctorandus", "Drs.": "doctorandus", "ds.": "dominee", "Ds.": "dominee",
        "St.": "Sint", "gen.": "generaal", "kol.": "kolonel",
    }  # fmt: skip
    number_abbreviations = {
        "nr.": "nummer", "nrs.": "nummers", "blz.": "bladzijde", "p.": "pagina", "pag.": "pagina", "art.": "artikel",
        "hfst.": "hoofdstuk", "fig.": "figuur", "afb.": "afbeelding", "tab.": "tabel", "tel.": "telefoon", "ca.": "circa",
        "dl.": "deel", "jrg.": "jaargang", "vs.": "vers", "c.": "circa", "par.": "paragraaf",
        "max.": "maximaal", "min.": "minimaal",
    }  # fmt: skip
    abbreviations = {
        "bijv.": "bijvoorbeeld", "bv.": "bijvoorbeeld", "b.v.": "bijvoorbeeld", "m.b.t.": "met betrekking tot",
        "o.a.": "onder andere", "d.w.z.": "dat wil zeggen", "t.a.v.": "ter attentie van", "i.v.m.": "in verband met",
        "a.u.b.": "alstublieft", "n.a.v.": "naar aanleiding van", "i.p.v.": "in plaats van", "o.b.v.": "op basis van",
        "t.o.v.": "ten opzichte van", "z.s.m.": "zo snel mogelijk", "ca.": "circa", "incl.": "inclusief", "excl.": "exclusief",
        "evt.": "eventueel", "resp.": "respectievelijk", "vgl.": "vergelijk", "zgn.": "zogenaamde", "m.n.": "met name",
        "i.h.b.": "in het bijzonder", "t.e.m.": "tot en met", "t/m": "tot en met", "geb.": "geboren", "vs.": "versus",
        "p/st": "per stuk", "i.s.m.": "in samenwerking met", "d.m.v.": "door middel van", "e.a.": "en anderen",
        "a.d.h.v.": "aan de hand van", "afd.": "afdeling", "tel.": "telefoon", "m.a.w.": "met andere woorden",
        "t.g.v.": "ten gevolge van", "i.t.t.": "in tegenstelling tot", "o.l.v.": "onder leiding van",
        "t.b.v.": "ten behoeve van", "jl.": "jongstleden", "a.s.": "aanstaande", "B.V.": "B V", "N.V.": "N V", "Zn.": "zoon",
        "z.o.z.": "zie ommezijde", "t.z.t.": "te zijner tijd", "m.i.": "mijns inziens",
    }  # fmt: skip
    ending_abbreviations = {
        "enz.": "enzovoort", "etc.": "et cetera", "e.d.": "en dergelijke", "jr.": "junior", "sr.": "senior", "str.": "straat",
        "e.v.": "en volgende", "v.Chr.": "voor Christus", "n.Chr.": "na Christus",
    }  # fmt: skip
    suffix_abbreviations = {"str.": "straat", "pl.": "plein", "ln.": "laan", "gr.": "gracht", "wg.": "weg"}
    articles = word_set("de het een")
    letter_cues = word_set(
        "vitamine vitamines hepatitis plan type punt groep klasse gate blok gebouw rij kolom letter toets optie lijn zone team model"
    )
    symbols = {
        "&": "en", "+": "plus", "=": "is", "@": "apenstaartje", "<": "kleiner dan", ">": "groter dan",
        "≤": "kleiner dan of gelijk aan", "≥": "groter dan of gelijk aan", "≠": "is niet gelijk aan", "≈": "ongeveer",
        "~": "ongeveer", "±": "plus of min", "×": "keer", "÷": "gedeeld door", "√": "wortel van", "∞": "oneindig", "π": "pi",
        "%": "procent", "‰": "promille", "°": "graden", "§§": "paragrafen", "§": "paragraaf", "©": "copyright", "€": "euro", "$": "dollar",
        "£": "pond", "→": "naar", "^": "tot de macht", "−": "min", "·": "keer", "/": "schuine streep", "\\": "backslash",
        "_": "laag streepje", "№": "nummer", "¢": "cent",
    }  # fmt: skip
    sign_names = {
        "&": "en-teken", "(": "haakje openen", ")": "haakje sluiten", "[": "vierkant haakje openen",
        "]": "vierkant haakje sluiten", "{": "accolade openen", "}": "accolade sluiten", "|": "verticaal streepje",
        "<": "kleiner dan", ">": "groter dan", "'": "apostrof", "–": "gedachtestreepje", "—": "gedachtestreepje",
    }  # fmt: skip
    address_marks = {
        ".": "punt", "/": "slash", "@": "apenstaartje", "-": "streepje", "_": "laag streepje", ":": "dubbele punt",
        "?": "vraagteken", "=": "is", "&": "en", "#": "hekje", "%": "procent", "+": "plus", "~": "tilde", "\\": "backslash",
        ",": "komma", ";": "puntkomma", "!": "uitroepteken", "*": "sterretje", "$": "dollar", "(": "", ")": "", "'": "",
    }  # fmt: skip
    number_sign_word = "nummer"
    vowels = "aeiouyáéíóúäëïöü"
    read_acronyms = word_set(
        "NAVO UNESCO UNICEF NASA FIFA UEFA AIDS UFO PIN SIM RAM ROM LAN GIF BIOS COVID IKEA HEMA NOS VAR BUMA KEMA LASER"
    )
    spelled_acronyms = word_set("ANWB KNVB KNMI RIVM UWV")
    common_words = word_set("""
    de het een en of maar want dat die dit deze is zijn was waren wordt worden heeft hebben had ik jij je hij zij ze wij we jullie
    u hem haar hun mijn jouw ons onze in op aan bij met van voor naar uit om tot over onder tussen door tegen zonder na als wie
    wat waar wanneer hoe waarom niet geen ook nog al wel niets alles iets iemand niemand meer veel weinig zeer heel goed nieuw oud
    groot klein nu hier daar altijd nooit kan kunnen moet moeten wil willen mag mogen gaan gaat komen komt doen doet zien zeggen
    hallo bedankt ja nee let belangrijk gevaar verboden open gesloten uitgang ingang einde hoofdstuk deel boek jaar dag tijd leven
    wereld huis man vrouw kind liefde god help stop
    """)  # fmt: skip
    roman_cues = word_set(
        "hoofdstuk deel band akte scène boek artikel bijlage figuur tabel klasse fase type groep seizoen aflevering symfonie opus nummer"
    )
    regnal_names = word_set("""
    willem lodewijk karel hendrik filips frederik george jacob johannes paulus pius benedictus leo gregorius frans otto alexander
    nicolaas peter napoleon jozef leopold ferdinand maximiliaan rudolf albert boudewijn christiaan gustaaf oscar harald olaf
    elizabeth catharina maria beatrix juliana filip alfons philips eduard edward charles karels maurits
    """)  # fmt: skip
    telephone_cues = word_set("telefoon tel telefoonnummer mobiel fax bel whatsapp")
    address_words = word_set("com org net edu gov info blog app")

    # --- other ---
    version_word = "versie"
    squared, cubed = "kwadraat", "tot de derde"
    bible_books = word_set("""
    genesis exodus leviticus numeri deuteronomium jozua rechters samuel koningen kronieken job psalm spreuken prediker jesaja
    jeremia ezechiël daniël mattheüs matteüs marcus lucas johannes handelingen romeinen korintiërs galaten efeziërs filippenzen
    openbaring
    """)

    # --- rules ---
    rules = (
        Rule(r"(\d+)[ \u00a0]?t/m(?=[ \u00a0]?\d)", lambda match: f"{LANGUAGE.cardinal(int(match[1]))} tot en met"),
        Rule(r"(\d+)-(jarig\w*|daags\w*|koppig\w*)(?!\w)", lambda match: LANGUAGE.cardinal(int(match[1])) + match[2]),
        Rule(r"(\d{1,2})u([0-5]\d)(?!\w)", lambda match: LANGUAGE.time(int(match[1]), int(match[2]))),
        phone_rule(lambda: LANGUAGE, PHONE),
        *european_rules(lambda: LANGUAGE),
        *abbreviation_rules(SPACED_ABBREVIATIONS, ("v. Chr.", "n. Chr.")),
        Rule(ROMAN_ORDINAL, lambda match: LANGUAGE.roman_ordinal(match[1]), "letter", frozenset(r + e for r in ROMANS for e in ("e", "ste", "de"))),
        weekday_rule(DAYS, MONTH_NUMBERS),
        hours_rule(lambda: LANGUAGE),
        weekday_range_rule(lambda: LANGUAGE, DAYS),
        month_abbreviation_rule(MONTH_NUMBERS, MONTHS),
    )  # fmt: skip

    def clean(self, words: str) -> str:
        words = re.sub(r"duizend(?=[^\W\d_])", "duizend ", re.sub(r"(?<=\w)één", "een", words))
        return re.sub(r"duizend een(?!\w)", "duizend één", words)

    def cardinal(self, n: int, gender: str = "") -> str:
        return re.sub(r"^een (?=mil|bil)", "één ", super().cardinal(n))

    def ordinal(self, n: int, suffix: str = "") -> str:
        return super().ordinal(n).replace("duizend ste", "duizendste").removeprefix("een ")

    def year(self, n: int) -> str:
        century, rest = divmod(n, 100)
        if not 1100 <= n < 2000:
            return self.cardinal(n)
        return f"{self.cardinal(century)}honderd{f' {self.cardinal(rest)}' if rest else ''}"

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        if (numerator, denominator) == (1, 2):
            return f"{self.cardinal(whole)} en een half" if whole else "een half"
        name = {2: "halve", 4: "kwart"}.get(denominator) or self.ordinal(denominator)
        part = f"{'een' if numerator == 1 else self.cardinal(numerator)} {name}"
        return part if whole is None else f"{self.cardinal(whole)} en {part}"

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        spoken = f"{self.cardinal(hours)} uur"
        if minutes:
            spoken += f" {self.cardinal(minutes)}"
        return spoken if not seconds else f"{spoken} en {self.measure(Number(seconds), self.units['s'])}"

    def roman_numeral(self, n: int, before: str) -> str | None:
        if before.lower() in self.roman_cues and n not in ROMAN_LETTER_VALUES:
            return self.cardinal(n)
        return f"de {self.ordinal(n).capitalize()}" if before.lower() in self.regnal_names else None


LANGUAGE: Dutch = Dutch()
