"""German, as it is spoken in Germany.

A number with a dot is an ordinal ("am 3. Mai", "im 19. Jahrhundert", "Ludwig XIV."). Its ending depends on the word before it and on the
gender of the noun after it. Where these do not determine the case ("der 2. Klasse"), it is the nominative.
"""

import re

from ..neighbors import next_word
from .base import ROMANS, Noun, Number, Rule, full_year, parse_currencies, parse_nouns, word_set
from .european import (
    CLOSERS,
    ROMAN_LETTER_VALUES,
    European,
    abbreviation_rules,
    european_rules,
    hours_rule,
    metric_units,
    month_abbreviation_rule,
    unit_table,
    weekday_range_rule,
    word_before,
)

MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember",
)  # fmt: skip
DAYS = {
    "Mo": "Montag", "Di": "Dienstag", "Mi": "Mittwoch", "Do": "Donnerstag", "Fr": "Freitag", "Sa": "Samstag", "So": "Sonntag",
}  # fmt: skip
DAY_NAMES = frozenset(day.lower() for day in [*DAYS, *DAYS.values()])
MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(MONTHS, 1)} | {
    "jan": 1, "jän": 1, "jänner": 1, "feb": 2, "mär": 3, "mrz": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9,
    "okt": 10, "nov": 11, "dez": 12,
}  # fmt: skip
PREFIXES = {
    "n": "Nano", "μ": "Mikro", "m": "Milli", "c": "Zenti", "d": "Dezi", "h": "Hekto", "k": "Kilo", "K": "Kilo", "M": "Mega",
    "G": "Giga", "T": "Tera", "P": "Peta",
}  # fmt: skip
METRIC = metric_units(
    """
    m nμmcdk: Meter
    g μmk: Gramm
    l μmcdh: Liter
    L m: Liter
    t kM: Tonne, Tonnen, f
    s nμm: Sekunde, Sekunden, f
    B kKMGTP: Byte
    bit kMG: Bit
    Bit kMG: Bit
    Hz kMGT: Hertz
    W mkMGT: Watt
    Wh kMGT: Wattstunde, Wattstunden, f
    V mk: Volt
    A m: Ampere
    Ah m: Amperestunde, Amperestunden, f
    Ω kM: Ohm
    F μnp: Farad
    N k: Newton
    J kM: Joule
    cal k: Kalorie, Kalorien, f
    Pa hkM: Pascal
    bar m: Bar
    eV kM: Elektronenvolt
    mol m: Mol
    Bq kM: Becquerel
    Sv mμ: Sievert
    """,
    PREFIXES | {"p": "Piko"},
)

LETTER_ABBREVIATIONS = {"u.": "und", "v.": "von", "o.": "oder", "s.": "siehe"}  # in capitals they are initials
SPACED_ABBREVIATIONS = {
    "z. B.": "zum Beispiel", "d. h.": "das heißt", "d. i.": "das ist", "u. a.": "unter anderem", "u. Ä.": "und Ähnliches",
    "u. ä.": "und ähnliches", "o. Ä.": "oder Ähnliches", "o. ä.": "oder ähnliches", "i. d. R.": "in der Regel",
    "z. T.": "zum Teil", "z. Zt.": "zur Zeit", "z. Z.": "zur Zeit", "v. Chr.": "vor Christus", "n. Chr.": "nach Christus",
    "i. A.": "im Auftrag", "i. V.": "in Vertretung", "s. o.": "siehe oben", "s. u.": "siehe unten",
    "e. V.": "eingetragener Verein", "a. D.": "außer Dienst", "u. U.": "unter Umständen", "v. a.": "vor allem",
    "o. g.": "oben genannte", "i. e. S.": "im engeren Sinne", "i. w. S.": "im weiteren Sinne", "z. Hd.": "zu Händen",
    "z. H.": "zu Händen", "a. M.": "am Main", "u. s. w.": "und so weiter", "u. v. m.": "und vieles mehr",
    "u. v. a.": "und viele andere", "m. E.": "meines Erachtens", "o. k.": "okay", "b. w.": "bitte wenden",
    "i. S. v.": "im Sinne von", "m. W.": "meines Wissens", "u. a. m.": "und andere mehr", "a. a. O.": "am angegebenen Ort",
}  # fmt: skip

FEMININE_REGNAL_NAMES = word_set(
    "elisabeth katharina maria christina anna margarethe margrethe beatrix isabella johanna"
)
ORDINAL_NOUNS = word_set("""
jh jhd jhdt platz weltkrieg bundesliga liga klasse kapitel stock etage runde mal jahrhundert jahrhunderts jahrhunderte jahrtausend quartal
halbjahr semester geburtstag tag woche monat jahr auflage teil akt szene sinfonie symphonie band spieltag staffel folge
halbzeit minute stelle advent bezirk reich lebensjahr jahrestag ausgabe preis rang stunde schritt gang satz sitzung wahl fc sc
obergeschoss og ug untergeschoss stufe klassiker mannschaft rennen spiel lauf schuljahr hochzeitstag generation schicht person
januar advent
""")  # fmt: skip
SENTENCE_STARTERS = word_set("""
der die das ein eine er sie es wir ich ihr du man in im am an auf aus bei mit nach von zu für über unter vor dann danach doch
aber und oder wenn als weil da dort hier heute morgen gestern jetzt so auch nur nun wer wie was wo warum dieser diese dieses
sein seine ihre mein meine unser alle viele einige jeder jede kein keine nicht trotzdem deshalb seit bis ob
""")  # fmt: skip
# The words before an ordinal decide whether it ends in -e or -en.
BEFORE_E = word_set("der die das dieser diese dieses jede jedes jeder welche welcher welches jener jene jenes derselbe")
BEFORE_EN = word_set("""
am im vom zum zur beim den dem des ins ans seit ab bis nach vor einen einem einer eines meinen meinem meiner seinen seinem
seiner ihren ihrem ihrer unseren unserem unserer diesem diesen jedem jeden dessen deren keinen keinem
""")
BEFORE_E_MIXED = word_set("eine meine deine seine ihre unsere eure keine")
DATE_PREPOSITIONS = word_set("am vom zum")
DATIVE_PREPOSITIONS = word_set("von unter mit bei zu nach seit aus vom dem zum beim im gegenüber außer")
ACCUSATIVE_PREPOSITIONS = word_set("für gegen durch ohne um den")
RULER_TITLES = word_set("könig königin kaiser kaiserin papst zar zarin herzog fürst graf kurfürst prinz")
_MONTH = "|".join(sorted(map(str.capitalize, MONTH_NUMBERS), key=len, reverse=True))
DAY_MONTH_YEAR = (
    rf"(\d{{1,2}})\.[ \u00a0]?({_MONTH})(?!\w)(\.(?=[ \u00a0]\d{{4}}(?!\d))|\.(?=[ \u00a0]*[a-zäöü,;]))?"
    r"(?:[ \u00a0](\d{4})(?!\w|[.,]\d))?"
)
NUMERIC_DATE = r"(\d{1,2})\.[ \u00a0]?(\d{1,2})\.(?:[ \u00a0]?(\d{4}|\d\d)(?!\w|[.,:]\d| Uhr))?(?!\d)"
ISO_DATE = r"(\d{4})-(\d\d)-(\d\d)(?!\w|-)"
ORDINAL = r"(\d{1,4})\.(?=[ \u00a0]+([^\W\d_][\w-]*))"
SECOND_ORDINAL = re.compile(r" (?:und|oder|bis) \d+\. ([^\W\d_]+)")
FINAL_ORDINAL = rf"(\d{{1,2}})(?=\.{CLOSERS}\s*\Z)"
FIRST_OF_TWO_ORDINALS = r"(\d{1,2})\.(?:(/)(?=\d{1,2}\.)|(?=[-\u2013]\d{1,2}\.))"
BEFORE_SECOND_ORDINAL = re.compile(r"(\w+) \d{1,2}\.(?:[-\u2013/]| (?:und|oder|bis) )\Z")
ORDINAL_ALONE = r"(\d{1,3})\.(?=\s*\Z)"
DECADE = r"(\d{1,4})er(n|s)?(?![\w])"
MULTIPLE = (
    r"(\d+(?:,\d+)?)-?(fach\w*|mal|malig\w*|tägig\w*|jährig\w*|stündig\w*|köpfig\w*|prozentig\w*|stellig\w*)(?!\w)"
)
POSTCODE = r"(?<=\d, )\d{5}(?= [A-ZÄÖÜ])"
ROMAN = rf"([IVX]+)(\.(?!{CLOSERS}\s*\Z))?(?![\w-])"


def _ordinal_ending(match: re.Match[str], noun: str) -> str:
    """The ending of an ordinal: "er", "e", "es" or "en"."""
    before = word_before(match)
    gender = LANGUAGE.gender_of(noun.lower(), True)
    if before in ("", "und", "oder", "bis") and (found := BEFORE_SECOND_ORDINAL.search(match.string, 0, match.start())):
        before = found[1].lower()
    if before in BEFORE_EN or before == "der" and gender == "f":
        return "en"
    if before in BEFORE_E or before in BEFORE_E_MIXED:
        return "e"
    if before in DAY_NAMES and re.search(r"\b[Aa]m \w+\.?,? \Z", match.string[: match.start()]):
        return "en"
    return {"f": "e", "n": "es"}.get(gender, "er")


def _date(match: re.Match[str], day: int, month: int, year: int | None) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    spoken = f"{LANGUAGE.ordinal(day)[:-1]}{_ordinal_ending(match, MONTHS[month - 1])} {MONTHS[month - 1]}"
    return spoken if year is None else f"{spoken} {LANGUAGE.year(year)}"


def _day_month_year(match: re.Match[str]) -> str | None:
    """`3. Mai 2026`."""
    return _date(match, int(match[1]), MONTH_NUMBERS[match[2].lower()], int(match[4]) if match[4] else None)


def _numeric_date(match: re.Match[str]) -> str | None:
    """`3.5.2026`, `3.5.`"""
    written = match[3]
    year = int(written) if written else None
    if year is not None and len(written) == 2:
        year = full_year(year)
    spoken = _date(match, int(match[1]), int(match[2]), year)
    following = next_word(match.string, match.end())
    is_end = not match.string[match.end() :].strip("\"'”») \n") or _starts_sentence(following)
    return f"{spoken}." if spoken and is_end and not written else spoken


def _starts_sentence(word: str) -> bool:
    return word[:1].isupper() and word.lower() in SENTENCE_STARTERS


def _ordinal(match: re.Match[str]) -> str | None:
    """`das 3. Kapitel`, `am 3. und 4. Tag`."""
    n, noun = int(match[1]), match[2]
    before, lower = word_before(match), noun.lower()
    has_determiner = before in BEFORE_E | BEFORE_E_MIXED | BEFORE_EN or before in ("ein", "mein", "sein", "kein")
    if before in DATE_PREPOSITIONS and lower in SENTENCE_STARTERS and noun[0].isupper():
        return f"{LANGUAGE.ordinal(n)}n."  # "am 5. Danach"
    if noun[0].isupper():
        if lower in SENTENCE_STARTERS and lower not in ORDINAL_NOUNS or not (has_determiner or lower in ORDINAL_NOUNS):
            return None
    elif not before and n < 100 and lower not in ("und", "bis", "oder"):
        return None
    if found := SECOND_ORDINAL.match(match.string, match.end()):
        noun = found[1]
    return LANGUAGE.ordinal(n)[:-1] + _ordinal_ending(match, noun)


def _final_ordinal(match: re.Match[str]) -> str | None:
    """`Er kommt am 5.`, `Sie ist die 3.`"""
    before = word_before(match)
    ordinal = LANGUAGE.ordinal(int(match[1]))
    if before in ("der", "die", "das"):
        return ordinal
    return f"{ordinal}n" if before in DATE_PREPOSITIONS or before in ("den", "dem", "des") else None


def _first_of_two_ordinals(match: re.Match[str]) -> str:
    """`vom 1.–3. Mai`, `am 3./4. März`, `5.-7. Klasse`."""
    spoken = LANGUAGE.ordinal(int(match[1]))
    noun = re.match(r"[-\u2013]?\d{1,2}\.[ \u00a0]([A-ZÄÖÜ]\w+)", match.string[match.end() :])
    return spoken[:-1] + _ordinal_ending(match, noun[1] if noun else "") + (" und" if match[2] else "")


def _ordinal_alone(match: re.Match[str]) -> str | None:
    """`3.`, if there is nothing else."""
    return None if match.string[: match.start()].strip() else LANGUAGE.ordinal(int(match[1]))


def _number(written: str) -> str:
    before, _, decimals = written.partition(",")
    return LANGUAGE.number(Number(int(before), decimals), "n")


def _decade(match: re.Match[str]) -> str:
    """`die 1990er`, `in den 90ern`."""
    return f"{LANGUAGE.year(int(match[1]))}er{match[2] or ''}"


def _hour(match: re.Match[str]) -> str | None:
    """`um 8h`"""
    is_time = word_before(match) in ("um", "ab", "gegen", "bis") and int(match[1]) <= 24
    return LANGUAGE.time(int(match[1]), 0) if is_time else None


def _duration(match: re.Match[str]) -> str:
    """`2:59:59 Std.`"""
    return LANGUAGE.duration(int(match[1]), int(match[2]), int(match[3] or 0))


def _roman(match: re.Match[str]) -> str | None:
    """`XIV. Jahrhundert`, `Ludwig XIV.`, `unter Ludwig XIV.`"""
    n = ROMANS.get(match[1].lower(), 0)
    before, after = word_before(match), next_word(match.string, match.end())
    if not n or before in LANGUAGE.roman_cues:
        return None
    dot = "." if match[2] and _starts_sentence(after) else ""
    if match[2] and after.lower() in ORDINAL_NOUNS:
        return LANGUAGE.ordinal(n)[:-1] + _ordinal_ending(match, after)
    name = re.search(r"(?:([^\W\d_]+) )?(?:([^\W\d_]+) )?([^\W\d_]+) \Z", match.string[: match.start()])
    if name is None or not name[3][0].isupper() or before in LANGUAGE.common_words or before in LANGUAGE.roman_cues:
        return None
    if before not in LANGUAGE.regnal_names and (len(match[1]) == 1 or not match[2]):
        return None
    ordinal = LANGUAGE.ordinal(n).capitalize()
    earlier = (name[2] or name[1] or "").lower()
    if earlier in RULER_TITLES:
        earlier = (name[1] or "").lower()
    is_feminine = before in FEMININE_REGNAL_NAMES
    if before.endswith("s") and before[:-1] in LANGUAGE.regnal_names:
        spoken = f"des {ordinal}n"
    elif earlier in DATIVE_PREPOSITIONS:
        spoken = f"der {ordinal}n" if is_feminine else f"dem {ordinal}n"
    elif earlier in ACCUSATIVE_PREPOSITIONS and not is_feminine:
        spoken = f"den {ordinal}n"
    else:
        spoken = f"{'die' if is_feminine else 'der'} {ordinal}"
    return spoken + dot


class German(European):
    code = "de"
    num2words_code = "de"

    # --- numbers ---
    point = "Komma"
    dot = "Punkt"
    ordinal_suffix = r"(?:te[nrsm]?|ste[nrsm]?)"
    magnitudes = parse_nouns("""
        Tsd Tsd.: Tausend, Tausend, -
        Tausend tausend k K: tausend, tausend, -
        Million Millionen Mio Mio. Mill. M: Million, Millionen, f
        Milliarde Milliarden Mrd Mrd.: Milliarde, Milliarden, f
        Billion Billionen Bio. Bill.: Billion, Billionen, f
    """)
    range_word = "bis"
    ratio_word = "zu"
    out_of = "von"
    times_sign = "mal"
    by = "mal"

    # --- money, units ---
    currency_signs = {**European.currency_signs, "Euro": "EUR", "Dollar": "USD", "ct": "¢", "Ct": "¢"}
    currencies = parse_currencies("""
        EUR: Euro | Cent
        USD: Dollar | Cent
        GBP: Pfund | Penny, Pence
        CHF: Franken | Rappen
        JPY: Yen
        CNY: Yuan | Fen
        INR: Rupie, Rupien, f | Paisa
        RUB: Rubel | Kopeke, Kopeken, f
        KRW: Won
        ILS: Schekel | Agora
        TRY: Lira, Lira, f | Kurus
        UAH: Hrywnja, Hrywnja, f | Kopeke, Kopeken, f
        CAD: kanadischer Dollar, kanadische Dollar | Cent
        AUD: australischer Dollar, australische Dollar | Cent
        BRL: Real, Reais | Centavo, Centavos
        SEK: schwedische Krone, schwedische Kronen, f | Öre
        NOK: norwegische Krone, norwegische Kronen, f | Öre
        DKK: dänische Krone, dänische Kronen, f | Öre
        PLN: Zloty | Groschen
        CZK: tschechische Krone, tschechische Kronen, f | Heller
        HUF: Forint
        DEM: Mark, Mark, f | Pfennig
        DM: Mark, Mark, f | Pfennig
        BTC: Bitcoin
        ¢: Cent
    """)
    money_and = ""
    minor_is_named = False
    units = unit_table(
        METRIC,
        square=lambda name, many: f"Quadrat{name.lower()}",
        cube=lambda name, many: f"Kubik{name.lower()}",
        others="""
            %: Prozent
            ‰: Promille
            °: Grad
            °C ºC: Grad Celsius
            °F ºF: Grad Fahrenheit
            K: Kelvin
            qm: Quadratmeter
            qkm: Quadratkilometer
            ccm: Kubikzentimeter
            cbm: Kubikmeter
            ha: Hektar
            min Min Min.: Minute, Minuten, f
            h Std Std.: Stunde, Stunden, f
            sec sek Sek Sek.: Sekunde, Sekunden, f
            Pfd Pfd.: Pfund
            Ztr Ztr.: Zentner
            PS: P S
            Nm: Newtonmeter
            dB: Dezibel
            px: Pixel
            MP: Megapixel
            lx: Lux
            lm: Lumen
            cd: Candela
            ppm: Teil pro Million, Teile pro Million
            dpi: Punkt pro Zoll, Punkte pro Zoll
            mmHg: Millimeter Quecksilbersäule
            km/h kmh: Kilometer pro Stunde
            m/s: Meter pro Sekunde
            mph: Meile pro Stunde, Meilen pro Stunde, f
            U/min: Umdrehung pro Minute, Umdrehungen pro Minute, f
            Mbps: Megabit pro Sekunde
            Gbps: Gigabit pro Sekunde
            l/100km: Liter auf hundert Kilometer
            T€: tausend Euro
            M€ Mio.€ Mio€: Million Euro, Millionen Euro, f
            ft: Fuß
            mi: Meile, Meilen, f
            lb lbs: Pfund
            oz: Unze, Unzen, f
            St. Stk Stk.: Stück
        """,
    )
    per = "pro"

    # --- dates and times ---
    months = MONTH_NUMBERS
    month_names = MONTHS
    numeric_date_separator = r"\.|/"
    day_suffix = r"\."
    months_are_capitalized = True
    time_separator = r":|\.(?=\d\d[ \u00a0]?(?:Uhr|h)\b)"
    day_periods = {"Uhr": "", "uhr": ""}
    year_cues = word_set("""
    jahr jahre jahren jahres seit bis von um ab anno in vor nach circa ca sommer winter herbst frühling frühjahr zwischen und
    gegen anfang ende mitte im geboren gestorben gegründet erbaut
    """)

    # --- words ---
    titles = {
        "Hr.": "Herr", "Hrn.": "Herrn", "Fr.": "Frau", "Frl.": "Fräulein", "Dr.": "Doktor", "Dres.": "Doktores", "Prof.": "Professor",
        "Dipl.-Ing.": "Diplomingenieur", "Ing.": "Ingenieur", "Mag.": "Magister", "St.": "Sankt", "Hl.": "Heiliger", "hl.": "heilige",
        "Gebr.": "Gebrüder", "Fa.": "Firma", "Dr": "Doktor", "Kgl.": "königlich", "Gen.": "General", "Frhr.": "Freiherr",
        "Pfr.": "Pfarrer", "RA": "Rechtsanwalt", "Geb.": "Geboren",
    }  # fmt: skip
    number_abbreviations = {
        "nr.": "Nummer", "Nr.": "Nummer", "Nrn.": "Nummern", "Nr": "Nummer", "S.": "Seite", "Bd.": "Band", "Bde.": "Bände",
        "Kap.": "Kapitel", "Abs.": "Absatz", "Art.": "Artikel", "Abb.": "Abbildung", "Tab.": "Tabelle", "Abschn.": "Abschnitt",
        "Aufl.": "Auflage", "Anm.": "Anmerkung", "Z.": "Zeile", "Zi.": "Zimmer", "Zif.": "Ziffer", "Ziff.": "Ziffer",
        "Hs.": "Handschrift", "Tel.": "Telefon", "tel.": "Telefon", "Fax.": "Fax", "ca.": "circa", "geb.": "geboren",
        "gest.": "gestorben", "v.": "von", "Lfg.": "Lieferung", "Op.": "Opus", "op.": "Opus", "Kl.": "Klasse", "Sp.": "Spalte",
        "Vers.": "Version", "Jg.": "Jahrgang", "Bl.": "Blatt", "Taf.": "Tafel", "Fn.": "Fußnote", "Rn.": "Randnummer",
        "Az.": "Aktenzeichen", "PLZ": "Postleitzahl",
        "max.": "maximal", "min.": "minimal", "mind.": "mindestens",
    }  # fmt: skip
    abbreviations = {
        "bzw.": "beziehungsweise", "ca.": "circa", "evtl.": "eventuell", "ggf.": "gegebenenfalls", "inkl.": "inklusive",
        "exkl.": "exklusive", "einschl.": "einschließlich",
        "vgl.": "vergleiche", "sog.": "sogenannte", "od.": "oder", "gem.": "gemäß",
        "bes.": "besonders", "allg.": "allgemein", "geb.": "geboren", "gest.": "gestorben", "verh.": "verheiratet",
        "franz.": "französisch", "frz.": "französisch", "engl.": "englisch", "dt.": "deutsch", "lat.": "lateinisch",
        "griech.": "griechisch", "ital.": "italienisch", "kath.": "katholisch", "ev.": "evangelisch", "ehem.": "ehemals",
        "eigtl.": "eigentlich", "entspr.": "entsprechend", "gegr.": "gegründet", "insb.": "insbesondere",
        "insbes.": "insbesondere", "lt.": "laut", "mtl.": "monatlich", "tgl.": "täglich", "nachm.": "nachmittags",
        "vorm.": "vormittags", "näml.": "nämlich", "rd.": "rund", "resp.": "respektive", "stellv.": "stellvertretend",
        "teilw.": "teilweise", "urspr.": "ursprünglich", "versch.": "verschieden", "vs.": "versus", "wg.": "wegen",
        "zzgl.": "zuzüglich", "zw.": "zwischen", "abzgl.": "abzüglich", "durchschn.": "durchschnittlich", "erg.": "ergänze",
        "hrsg.": "herausgegeben", "jew.": "jeweils", "mögl.": "möglich", "österr.": "österreichisch",
        "tel.": "telefonisch", "Tel.": "Telefon", "Nr.": "Nummer", "Abb.": "Abbildung", "Kap.": "Kapitel", "Bd.": "Band",
        "Univ.": "Universität", "Dipl.": "Diplom", "i.V.": "in Vertretung", "bspw.": "beispielsweise",
        "beisp.": "beispielsweise", "u.U.": "unter Umständen", "vllt.": "vielleicht", "dgl.": "dergleichen", "GmbH": "G m b H", "AfD": "A f D",
        "MwSt.": "Mehrwertsteuer", "MwSt": "Mehrwertsteuer", "StGB": "St G B", "GbR": "G b R", "Hbf.": "Hauptbahnhof", "Hbf": "Hauptbahnhof",
        "mbH": "m b H", "PKW": "P K W", "Pkw": "P K W", "Lkw": "L K W", "Kfz": "K F Z",
    }  # fmt: skip
    ending_abbreviations = {
        "usw.": "und so weiter", "usf.": "und so fort", "etc.": "et cetera", "Str.": "Straße", "str.": "straße",
        "Std.": "Stunden", "Min.": "Minuten", "Sek.": "Sekunden", "Jh.": "Jahrhundert", "Jhd.": "Jahrhundert",
        "Jhdt.": "Jahrhundert", "Mio.": "Millionen", "Mrd.": "Milliarden", "Tsd.": "Tausend", "Hrsg.": "Herausgeber",
        "Aufl.": "Auflage", "Jr.": "Junior", "jr.": "junior", "Sen.": "Senior", "sen.": "senior", "Pl.": "Platz",
        "Stk.": "Stück", "Pkt.": "Punkte", "ff.": "folgende", "f.": "folgende", "Red.": "Redaktion", "Verf.": "Verfasser",
    }  # fmt: skip
    suffix_abbreviations = {"str.": "straße", "pl.": "platz"}
    articles = word_set("der die das ein eine")
    letter_cues = word_set("""
    vitamin vitamine hepatitis plan typ punkt gruppe klasse gate terminal block gebäude reihe spalte buchstabe taste variante option
    linie zone team proband patient modell formel
    """)
    symbols = {
        "&": "und", "+": "plus", "=": "gleich", "@": "at", "<": "kleiner als", ">": "größer als", "≤": "kleiner oder gleich",
        "≥": "größer oder gleich", "≠": "ungleich", "≈": "ungefähr", "~": "ungefähr", "±": "plus minus", "×": "mal",
        "÷": "geteilt durch", "√": "Wurzel aus", "∞": "unendlich", "π": "Pi", "%": "Prozent", "‰": "Promille", "°": "Grad",
        "§§": "Paragrafen", "§": "Paragraf", "©": "Copyright", "€": "Euro", "$": "Dollar", "£": "Pfund", "¥": "Yen", "→": "nach", "^": "hoch",
        "−": "minus", "·": "mal", "/": "Schrägstrich", "\\": "Backslash", "_": "Unterstrich", "№": "Nummer", "¢": "Cent",
        "Ω": "Ohm", "∑": "Summe", "∆": "Delta", "µ": "Mikro",
    }  # fmt: skip
    sign_names = {
        "&": "Und-Zeichen", "-": "Bindestrich", "@": "At-Zeichen", ".": "Punkt", "(": "Klammer auf", ")": "Klammer zu",
        "[": "eckige Klammer auf", "]": "eckige Klammer zu", "{": "geschweifte Klammer auf", "}": "geschweifte Klammer zu",
        "|": "senkrechter Strich", "<": "kleiner als", ">": "größer als", "/": "Schrägstrich", "*": "Sternchen",
        "'": "Apostroph", ",": "Komma", ";": "Semikolon", ":": "Doppelpunkt", "?": "Fragezeichen", "!": "Ausrufezeichen",
        "_": "Unterstrich", "#": "Raute", "%": "Prozent", "~": "Tilde", "$": "Dollar", "–": "Gedankenstrich",
        "—": "Gedankenstrich",
    }  # fmt: skip
    address_marks = {
        ".": "punkt", "/": "slash", "@": "at", "-": "minus", "_": "unterstrich", ":": "doppelpunkt", "?": "fragezeichen",
        "=": "gleich", "&": "und", "#": "raute", "%": "prozent", "+": "plus", "~": "tilde", "\\": "backslash", ",": "komma",
        ";": "semikolon", "!": "ausrufezeichen", "*": "stern", "$": "dollar", "(": "", ")": "", "'": "",
    }  # fmt: skip
    number_sign_word = "Nummer"
    letter_names = {"ß": "Eszett"}
    vowels = "aeiouyäöü"
    read_acronyms = word_set("""
    AIDS NASA NATO UNO UNICEF UNESCO OPEC FIFA UEFA TÜV DAX PIN TAN SIM RAM ROM LAN WLAN GIF BIOS UNIX LINUX COVID SARS LASER
    RADAR IKEA HARIBO ALDI REWE ASCII JSON RAL DIN SEAT FIAT IBAN DEKRA BAMF OPEL ESA GAU UFO ELSTER INTERPOL EUROPOL
    """)  # fmt: skip
    spelled_acronyms = word_set("ADAC ARTE IEEE OECD AOK ISBN ISSN EZB BASF UEA")
    common_words = word_set("""
    der die das den dem des ein eine einen einem einer und oder aber nicht kein keine ist sind war waren wird werden hat haben
    hatte ich du er sie es wir ihr mich dich sich uns euch mein dein sein unser in im an am auf aus bei mit nach von vom zu zum
    zur für über unter vor hinter zwischen ohne durch gegen um bis seit als wie wenn weil dass ob wo wer was wann warum hier da
    dort jetzt heute morgen gestern immer nie noch schon nur auch sehr mehr viel wenig alle alles etwas nichts man kann können
    muss müssen soll will darf mag machen geht gehen kommt kommen sehen gut neu alt groß klein bitte danke ja nein hallo achtung
    wichtig verboten frei offen geschlossen ende kapitel teil so denn doch mal dann nun eure ihre seine meine diese dieser dieses
    jeder jede jedes zeit jahr tag welt leben haus mann frau kind kinder freiheit liebe gott hilfe stopp halt gefahr eingang
    ausgang
    """)  # fmt: skip
    roman_cues = word_set("""
    kapitel teil band akt szene buch artikel abschnitt anhang abbildung tafel tabelle klasse stufe phase typ gruppe kategorie
    saison staffel runde episode sinfonie symphonie sonate konzert opus nummer absatz version apollo gemini saturn hartz satz liga
    bundesliga agenda
    """)  # fmt: skip
    regnal_names = FEMININE_REGNAL_NAMES | word_set("""
    ludwig heinrich karl wilhelm friedrich georg jakob johann johannes paul pius benedikt leo gregor franz otto philipp philip
    alexander nikolaus peter iwan napoleon josef joseph leopold ferdinand maximilian rudolf albrecht albert ernst august christian
    gustav erik oskar harald olaf konrad lothar ludwigs heinrichs karls wilhelms friedrichs georgs pauls ottos peters eduard
    edward charles innozenz klemens urban sixtus julius ramses xerxes dareios ptolemaios kleopatra alfons juan felipe viktor
    emanuel boris bela stephan sigismund wenzel
    """)  # fmt: skip
    telephone_cues = word_set("telefon tel telefonnummer handy handynummer fax mobil anruf rufnummer hotline whatsapp")
    serial_cues = word_set("airbus boeing flug bus linie zimmer raum zug bahn gleis bundesstraße autobahn")
    address_words = word_set("com org net edu gov info shop blog app")

    # --- other ---
    version_word = "Version"
    squared, cubed = "hoch zwei", "hoch drei"
    bible_books = word_set("""
    genesis exodus levitikus numeri deuteronomium mose josua richter samuel könige chronik hiob psalm sprüche prediger jesaja
    jeremia hesekiel daniel matthäus markus lukas johannes mt mk lk joh apostelgeschichte römer korinther galater epheser
    philipper kolosser thessalonicher timotheus titus hebräer jakobus petrus offenbarung sure koran ps gen ex jes röm
    """)
    feminine_nouns = word_set("""
    frau stadt nacht hand person tochter mutter schwester zahl uhr tür wand bank million milliarde kuh maus wurst stunde kraft
    macht zeit welt arbeit antwort fahrt schuld wahl liga gans nuss frucht haut luft brust faust post
    """)  # fmt: skip
    masculine_nouns = word_set(
        "name junge kunde kollege käse affe hase löwe experte neffe gedanke buchstabe russe franzose"
    )
    neuter_nouns = word_set("""
    jh jhd jhdt mal jahr jahrhundert jahrhunderts jahrtausend kapitel quartal halbjahr semester buch spiel kind haus land bild wort tor auto
    reich obergeschoss untergeschoss og ug lebensjahr rennen schuljahr ei bier glas brot blatt tier dorf geschlecht gesetz konzert
    ende auge gebäude interesse
    """)  # fmt: skip

    # --- rules ---
    rules = (
        Rule(ISO_DATE, lambda match: _date(match, int(match[3]), int(match[2]), int(match[1]))),
        Rule(NUMERIC_DATE, _numeric_date),
        Rule(DAY_MONTH_YEAR, _day_month_year),
        Rule(FIRST_OF_TWO_ORDINALS, _first_of_two_ordinals),
        Rule(ORDINAL, _ordinal),
        Rule(FINAL_ORDINAL, _final_ordinal),
        Rule(ORDINAL_ALONE, _ordinal_alone),
        Rule(DECADE, _decade),
        Rule(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d))?[ \u00a0]?(?:Stunden|Std\b(?:\.(?=\s+[a-zäöü]))?|h)(?!\w)", _duration),
        Rule(MULTIPLE, lambda match: ("hundert" if match[1] == "100" else _number(match[1])) + match[2]),
        Rule(r"(\d{1,2})h(?!\w)", _hour),
        Rule(
            r"(\d+(?:,\d+)?)[ \u00a0]?%(?:-?ig)(\w*)",
            lambda match: f"{'hundert' if match[1] == '100' else _number(match[1])}prozentig{match[2]}",
        ),
        Rule(POSTCODE, lambda match: LANGUAGE.digits(match[0])),
        Rule(r"(\d+) ?[x×](?= [^\W\d_]|[.,;:!?)]|\Z)", lambda match: f"{LANGUAGE.cardinal(int(match[1]), 'n')}mal"),
        *european_rules(lambda: LANGUAGE),
        *abbreviation_rules(SPACED_ABBREVIATIONS, ("u. a.", "u. Ä.", "u. ä.", "o. Ä.", "o. ä.", "v. Chr.", "n. Chr.", "e. V.", "a. D.", "a. M.", "u. v. m.")),
        Rule(r"[uvos]\.(?=[ \u00a0]?[^\W_])", lambda match: LETTER_ABBREVIATIONS[match[0]], "letter", frozenset("uvos")),
        hours_rule(lambda: LANGUAGE),
        weekday_range_rule(lambda: LANGUAGE, DAYS),
        month_abbreviation_rule(MONTH_NUMBERS, MONTHS),
        Rule(ROMAN, _roman, "letter", frozenset(ROMANS)),
        Rule(
            rf"({'|'.join(DAYS)})\.?,?(?= (?:den )?\d{{1,2}}\.)",
            lambda match: DAYS[match[1]] + ("," if match[0].endswith(",") else ""),
            "letter",
            frozenset(day.lower() for day in DAYS),
        ),
    )  # fmt: skip

    # --- numbers ---

    def clean(self, words: str) -> str:
        return words

    def cardinal(self, n: int, gender: str = "") -> str:
        spoken = super().cardinal(n)
        if gender and spoken.endswith("eins"):
            return f"{spoken[:-1]}e" if gender == "f" and n == 1 else spoken[:-1]
        return spoken

    def cardinal_before_noun(self, match: re.Match[str]) -> str | None:
        """`mit 1 Hand`: "einer", by the case that the preposition takes."""
        spoken, before = super().cardinal_before_noun(match), word_before(match)
        if spoken not in ("ein", "eine"):
            return spoken
        if before in DATIVE_PREPOSITIONS or before in ("in", "vor"):
            return "einer" if spoken == "eine" else "einem"
        is_masculine = spoken == "ein" and self.gender_of(match[2].lower(), True) == "m"
        return "einen" if is_masculine and before in ACCUSATIVE_PREPOSITIONS else spoken

    def decimals(self, digits: str) -> str:
        return self.digits(digits)

    def ordinal(self, n: int, suffix: str = "") -> str:
        spoken = super().ordinal(n)
        return spoken + (suffix[-1] if suffix and suffix[-1] in "nrsm" else "")

    def year(self, n: int) -> str:
        century, rest = divmod(n, 100)
        if not 1100 <= n < 2000:
            return self.cardinal(n)
        return f"{self.cardinal(century)}hundert{self.cardinal(rest) if rest else ''}"

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        if denominator == 2 and numerator == 1:
            return f"{'ein' if whole == 1 else self.cardinal(whole)}einhalb" if whole else "ein halb"
        names = {
            1: "Eintel",
            2: "Halbe",
            3: "Drittel",
            7: "Siebtel",
            8: "Achtel",
            100: "Hundertstel",
            1000: "Tausendstel",
        }
        name = names.get(denominator) or self.cardinal(denominator).capitalize() + (
            "tel" if denominator < 20 else "stel"
        )
        part = f"{self.cardinal(numerator, 'n')} {name}"
        return part if whole is None else f"{self.cardinal(whole)} {part}"

    def number(self, n: Number, gender: str = "") -> str:
        if n.magnitude and self.magnitudes[n.magnitude].gender == "-" and not n.decimals:
            return self.cardinal(n.whole * 1000)
        return super().number(n, gender)

    def fraction_of(self, whole: int | None, numerator: int, denominator: int, noun: Noun) -> str:
        if (numerator, denominator) != (1, 2) or whole:
            return super().fraction_of(whole, numerator, denominator, noun)
        if noun.gender == "f":
            return f"eine halbe {noun.one}"
        return (
            f"ein {'halbes' if noun.one.lower().endswith(('gramm', 'pfund', 'byte', 'grad')) else 'halber'} {noun.one}"
        )

    def gender_of(self, noun: str, is_one: bool) -> str:
        if noun in self.neuter_nouns:
            return "n"
        if noun in self.masculine_nouns:
            return "m"
        endings = ("e", "ung", "heit", "keit", "schaft", "tion", "sion", "tät", "ik", "liga", "erin")
        return "f" if noun in self.feminine_nouns or noun.endswith(endings) else "m"

    def _is_noun(self, word: str) -> bool:
        return word[0].isupper() and super()._is_noun(word) and word.lower() not in SENTENCE_STARTERS

    def is_pronounceable(self, word: str) -> bool:
        return super().is_pronounceable(
            word.replace("sch", "s").replace("ch", "c").replace("ck", "k").replace("th", "t")
        )

    # --- quantities, dates and times ---

    def measure(self, n: Number, noun: Noun) -> str:
        return super().measure(n, noun if noun.gender else Noun(noun.one, noun.many, "n"))

    def day_of_month(self, day: int) -> str:
        return f"{self.ordinal(day)}r"

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        spoken = f"{self.cardinal(hours, 'n')} Uhr"
        if minutes:
            spoken += f" {self.cardinal(minutes)}"
        if seconds:
            spoken += f" und {self.measure(Number(seconds), self.units['s'])}"
        return spoken

    def roman_numeral(self, n: int, before: str) -> str | None:
        return self.cardinal(n) if before.lower() in self.roman_cues and n not in ROMAN_LETTER_VALUES else None

    def ends_sentence(self, before: str, after: str) -> bool:
        """All nouns are capitalized, so only words that often start a sentence count."""
        first = after.lstrip("\"'“‘«»„([—–-")
        found = re.match(r"[^\W_]+", first)
        return not found or found[0][0].isupper() and found[0].lower() in SENTENCE_STARTERS


LANGUAGE: German = German()
