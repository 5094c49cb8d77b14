"""English, as most Americans speak it."""

import re

from ..neighbors import ADDRESS, next_word, previous_word
from .base import ROMANS, Language, Noun, Number, Rule, parse_currencies, parse_nouns, word_set

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

COMPASS = {"N": "North", "S": "South", "E": "East", "W": "West"}
AFTER_COMPASS = r"(?:America|American|Americans|Africa|African|Korea|Korean|Carolina|Dakota|Virginia|Ireland|Asia|Europe|Sudan|Timor|Macedonia)\b"
SOFTWARE = word_set("""
python version java node ubuntu debian fedora windows macos ios android linux kernel php ruby rust go release firmware django chrome
postgresql mysql kubernetes
""")
ERAS = word_set("AD CE BC BCE")
MONEY_NOUNS = word_set("bill bills banknote banknotes coin coins")
SCREEN_LINES = word_set("240 360 480 576 720 1080 1440 2160 4320")
IRREGULAR_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}

NOT_PLURAL = word_set("this was has does thus across less unless always perhaps besides whereas sales series")


def _feet_and_inches(match: re.Match[str]) -> str:
    """`5'10"`, `5'10½"`"""
    half = {"\u00bd": " and a half", "\u00bc": " and a quarter", "\u00be": " and three quarters"}.get(
        match[3] or "", ""
    )
    return f"{LANGUAGE.cardinal(int(match[1]))} foot {LANGUAGE.cardinal(int(match[2]))}{half}"


def _feet(match: re.Match[str]) -> str:
    """`6' tall`, `6\u2032`"""
    n = int(match[1] or match[3])
    is_adjective = (
        match[3]
        and re.match(r" [a-z]", match.string[match.end() :])
        and next_word(match.string, match.end()) not in LANGUAGE.common_words
    )
    return f"{LANGUAGE.cardinal(n)} {'foot' if n == 1 or is_adjective else 'feet'}{match[2] or ''}"


def _degrees(match: re.Match[str]) -> str:
    """`40°26'46"`"""
    names = ("degree", "minute", "second")
    parts = ((int(part), name) for part, name in zip(match.groups(), names, strict=True) if part)
    return " ".join(f"{LANGUAGE.cardinal(n)} {name}{'' if n == 1 else 's'}" for n, name in parts)


def _inches(match: re.Match[str]) -> str | None:
    """A 12\" pizza, unless a quotation that began before it ends there."""
    text = match.string
    if text.count('"', 0, match.start()) % 2 or text.count("\u201c", 0, match.start()) > text.count(
        "\u201d", 0, match.start()
    ):
        return None
    whole, _, decimals = match[1].partition(".")
    return f"{LANGUAGE.number(Number(int(whole), decimals))} inch"


def _toll_free(match: re.Match[str]) -> str:
    """`1-800-FLOWERS`"""
    number = "eight hundred" if match[1] == "800" else LANGUAGE.digits(match[1])
    word = match[2] if not LANGUAGE.is_pronounceable(match[2].lower()) else match[2].lower()
    return f"one {number} {word}"


def _verse(match: re.Match[str]) -> str | None:
    """`John 3:16-18`"""
    if previous_word(match.string, match.start()).lower() not in LANGUAGE.bible_books:
        return None
    chapter, first, last = (LANGUAGE.cardinal(int(part)) if part else "" for part in match.groups())
    return f"{chapter} {LANGUAGE.range(first, last) if last else first}"


def _inch_fraction(match: re.Match[str]) -> str | None:
    """`3/8"`"""
    return f"{LANGUAGE.fraction(None, int(match[1]), int(match[2]))} inch" if int(match[2]) else None


def _software_version(match: re.Match[str]) -> str | None:
    """`Python 3.10`: a version, not a decimal."""
    if previous_word(match.string, match.start()).lower() not in SOFTWARE or match[2].startswith("0"):
        return None
    return f"{LANGUAGE.cardinal(int(match[1]))} point {LANGUAGE.cardinal(int(match[2]))}"


def _drive(match: re.Match[str]) -> str | None:
    """123 Maple Dr."""
    is_road = ADDRESS.search(match.string, max(0, match.start() - 50), match.start())
    return "drive" if is_road and not re.match(r"\.? [A-Z]", match.string[match.end() :]) else None


def _rating(match: re.Match[str]) -> str:
    """`4/5 stars`"""
    whole, _, decimals = match[1].partition(".")
    return f"{LANGUAGE.number(Number(int(whole), decimals))} {LANGUAGE.out_of} {LANGUAGE.cardinal(int(match[2]))}"


def _versus(match: re.Match[str]) -> str | None:
    """`Roe v. Wade`"""
    return "versus" if previous_word(match.string, match.start())[:1].isupper() else None


def _section(match: re.Match[str]) -> str:
    """`401(k)`, `501(c)(3)`"""
    parts = re.findall(r"[a-z]+|\d+", match[2])
    return " ".join(
        [
            LANGUAGE.serial_number(match[1]),
            *(LANGUAGE.cardinal(int(part)) if part.isdecimal() else part for part in parts),
        ]
    )


def _hours(match: re.Match[str]) -> str:
    """`1h30m`"""
    return LANGUAGE.duration(int(match[1]), int(match[2]), 0)


def _wireless(match: re.Match[str]) -> str:
    """`802.11ac`"""
    return " ".join(["eight oh two point", LANGUAGE.cardinal(int(match[1])), *match[2]])


def _short_year(match: re.Match[str]) -> str:
    """`'99`"""
    return LANGUAGE.year(1900 + int(match[1])).removeprefix("nineteen ")


def _resolution(match: re.Match[str]) -> str:
    """`1920x1080`"""
    return f"{LANGUAGE.serial_number(match[1])} by {LANGUAGE.serial_number(match[2])}"


class English(Language):
    code = "en"
    num2words_code = "en"

    # --- numbers ---
    ordinal_suffix = "(?:st|nd|rd|th)"
    magnitudes = parse_nouns("""
        thousand k K: thousand
        million m M mn mm MM mil mio: million
        billion bn b B bil: billion
        trillion tn T trn: trillion
        quadrillion: quadrillion
        hundred: hundred
        dozen: dozen
    """)  # fmt: skip

    # --- money, units ---
    currency_signs = {**Language.currency_signs, "Rs.": "INR", "Rs": "INR"}
    currencies = parse_currencies("""
        USD: dollar, dollars | cent, cents
        EUR: euro, euros | cent, cents
        GBP: pound, pounds | penny, pence
        JPY: yen
        CNY: yuan | fen
        INR: rupee, rupees | paisa, paise
        RUB: ruble, rubles | kopek, kopeks
        KRW: won
        ILS: shekel, shekels | agora, agorot
        TRY: lira | kurus
        UAH: hryvnia, hryvnias | kopiyka, kopiykas
        CAD: Canadian dollar, Canadian dollars | cent, cents
        AUD: Australian dollar, Australian dollars | cent, cents
        NZD: New Zealand dollar, New Zealand dollars | cent, cents
        HKD: Hong Kong dollar, Hong Kong dollars | cent, cents
        SGD: Singapore dollar, Singapore dollars | cent, cents
        MXN: Mexican peso, Mexican pesos | centavo, centavos
        BRL: Brazilian real, Brazilian reais | centavo, centavos
        CHF: Swiss franc, Swiss francs | centime, centimes
        SEK: Swedish krona, Swedish kronor | ore
        NOK: Norwegian krone, Norwegian kroner | ore
        DKK: Danish krone, Danish kroner | ore
        PLN: zloty, zlotys | grosz, groszy
        CZK: Czech koruna, Czech korunas | haler, halers
        HUF: forint, forints
        ZAR: rand | cent, cents
        BTC: bitcoin, bitcoins
        ETH: ether
        ¢: cent, cents
    """)
    units = parse_nouns("""
        %: percent
        ‰: per mille
        pp: percentage point, percentage points
        ° deg: degree, degrees
        °C ℃: degree Celsius, degrees Celsius
        °F ℉: degree Fahrenheit, degrees Fahrenheit
        K: kelvin, kelvins
        nm: nanometer, nanometers
        μm um: micrometer, micrometers
        mm: millimeter, millimeters
        cm: centimeter, centimeters
        dm: decimeter, decimeters
        m: meter, meters
        km: kilometer, kilometers
        mi: mile, miles
        yd yds: yard, yards
        ft: foot, feet
        in: inch, inches
        nmi: nautical mile, nautical miles
        ly: light year, light years
        mm²: square millimeter, square millimeters
        mm2: square millimeter, square millimeters
        cm² cm2: square centimeter, square centimeters
        m² m2 sqm: square meter, square meters
        km² km2 sqkm: square kilometer, square kilometers
        mi² mi2: square mile, square miles
        ft² ft2 sqft: square foot, square feet
        in² in2: square inch, square inches
        ha: hectare, hectares
        ac: acre, acres
        cm³ cm3: cubic centimeter, cubic centimeters
        cc: c c
        m³ m3: cubic meter, cubic meters
        km³ km3: cubic kilometer, cubic kilometers
        ft³ ft3: cubic foot, cubic feet
        ml mL: milliliter, milliliters
        cl cL: centiliter, centiliters
        dl dL: deciliter, deciliters
        l L ℓ: liter, liters
        hl hL: hectoliter, hectoliters
        gal: gallon, gallons
        qt: quart, quarts
        pt: pint, pints
        tsp: teaspoon, teaspoons
        tbsp: tablespoon, tablespoons
        μg ug mcg: microgram, micrograms
        mg: milligram, milligrams
        g: gram, grams
        kg: kilogram, kilograms
        t: ton, tons
        kt: kiloton, kilotons
        Mt: megaton, megatons
        oz: ounce, ounces
        lb lbs: pound, pounds
        st: stone, stone
        ns: nanosecond, nanoseconds
        μs us: microsecond, microseconds
        ms: millisecond, milliseconds
        s sec secs: second, seconds
        min mins: minute, minutes
        h hr hrs: hour, hours
        d: day, days
        wk wks: week, weeks
        mo: month, months
        yr yrs: year, years
        bit: bit, bits
        kbit kb Kb: kilobit, kilobits
        Mbit Mb: megabit, megabits
        Gbit Gb: gigabit, gigabits
        kB KB: kilobyte, kilobytes
        MB: megabyte, megabytes
        GB: gigabyte, gigabytes
        TB: terabyte, terabytes
        PB: petabyte, petabytes
        KiB: kibibyte, kibibytes
        MiB: mebibyte, mebibytes
        GiB: gibibyte, gibibytes
        TiB: tebibyte, tebibytes
        bps: bit per second, bits per second
        kbps Kbps: kilobit per second, kilobits per second
        Mbps mbps: megabit per second, megabits per second
        Gbps gbps: gigabit per second, gigabits per second
        fps: frame per second, frames per second
        rpm RPM: revolution per minute, revolutions per minute
        bpm BPM: beat per minute, beats per minute
        Hz: hertz
        kHz: kilohertz
        MHz: megahertz
        GHz: gigahertz
        THz: terahertz
        mW: milliwatt, milliwatts
        W: watt, watts
        kW: kilowatt, kilowatts
        MW: megawatt, megawatts
        GW: gigawatt, gigawatts
        TW: terawatt, terawatts
        Wh: watt hour, watt hours
        kWh kwh: kilowatt hour, kilowatt hours
        MWh: megawatt hour, megawatt hours
        GWh: gigawatt hour, gigawatt hours
        TWh: terawatt hour, terawatt hours
        mV: millivolt, millivolts
        V: volt, volts
        kV: kilovolt, kilovolts
        mA: milliampere, milliamperes
        A: ampere, amperes
        mAh: milliampere hour, milliampere hours
        Ah: ampere hour, ampere hours
        Ω: ohm, ohms
        kΩ: kilohm, kilohms
        MΩ: megohm, megohms
        μF uF: microfarad, microfarads
        nF: nanofarad, nanofarads
        pF: picofarad, picofarads
        F: degree Fahrenheit, degrees Fahrenheit
        N: newton, newtons
        kN: kilonewton, kilonewtons
        Nm: newton meter, newton meters
        J: joule, joules
        kJ: kilojoule, kilojoules
        MJ: megajoule, megajoules
        eV: electron volt, electron volts
        cal: calorie, calories
        kcal: kilocalorie, kilocalories
        Pa: pascal, pascals
        hPa: hectopascal, hectopascals
        kPa: kilopascal, kilopascals
        MPa: megapascal, megapascals
        bar: bar, bars
        mbar: millibar, millibars
        psi: pound per square inch, pounds per square inch
        mmHg: millimeter of mercury, millimeters of mercury
        hp HP: horsepower
        dB db: decibel, decibels
        lm: lumen, lumens
        lx: lux
        cd: candela, candelas
        mol: mole, moles
        Bq: becquerel, becquerels
        Sv: sievert, sieverts
        mSv: millisievert, millisieverts
        px: pixel, pixels
        MP: megapixel, megapixels
        dpi: dot per inch, dots per inch
        ppm: part per million, parts per million
        ppb: part per billion, parts per billion
        mph MPH: mile per hour, miles per hour
        km/h kmh kph: kilometer per hour, kilometers per hour
        m/s: meter per second, meters per second
        m/s² m/s2: meter per second squared, meters per second squared
        mpg: mile per gallon, miles per gallon
        kn kts: knot, knots
    """) | {
        "sq ft": Noun("square foot", "square feet"), "sq. ft.": Noun("square foot", "square feet"),
        "sq mi": Noun("square mile", "square miles"),
        "sq. mi.": Noun("square mile", "square miles"), "sq in": Noun("square inch", "square inches"),
        "sq m": Noun("square meter", "square meters"), "sq km": Noun("square kilometer", "square kilometers"),
        "cu ft": Noun("cubic foot", "cubic feet"), "cu. ft.": Noun("cubic foot", "cubic feet"),
        "fl oz": Noun("fluid ounce", "fluid ounces"), "fl. oz.": Noun("fluid ounce", "fluid ounces"),
    }  # fmt: skip

    # --- dates and times ---
    months = {name.lower(): number for number, name in enumerate(MONTHS, 1)} | {
        "jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11, "dec": 12,
    }  # fmt: skip
    month_names = MONTHS
    weekdays = {day.lower()[:n]: day for day in DAYS for n in (3, 4, 5)} | {day.lower(): day for day in DAYS}
    date_order = "mdy"
    date_separator = r"\s+(?:of\s+)?"
    ambiguous_months = word_set("may march mar")
    month_first = True
    hms_is_duration = True
    day_periods = {"am": "a m", "pm": "p m", "a.m.": "a m", "p.m.": "p m", "a.m": "a m", "p.m": "p m", "AM": "A M", "PM": "P M",
                 "A.M.": "A M", "P.M.": "P M",}  # fmt: skip
    year_cues = word_set("""
    in since until till of from by year circa ca c around before after during between
    to and spring summer fall autumn winter
    """)
    decade_cues = word_set("the early late mid his her my your their our its")
    decade_suffix = r"['’]?s"

    # --- words ---
    titles = {
        "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Ms", "Mx.": "Mx", "Dr.": "Doctor", "Drs.": "Doctors", "Prof.": "Professor",
        "St.": "Saint", "Sgt.": "Sergeant", "Capt.": "Captain", "Cpt.": "Captain", "Cmdr.": "Commander", "Col.": "Colonel",
        "Gen.": "General", "Lt.": "Lieutenant", "Maj.": "Major", "Cpl.": "Corporal", "Pvt.": "Private", "Adm.": "Admiral",
        "Rev.": "Reverend", "Fr.": "Father", "Sr.": "Sister", "Br.": "Brother", "Hon.": "Honorable", "Gov.": "Governor",
        "Sen.": "Senator", "Rep.": "Representative", "Pres.": "President", "Supt.": "Superintendent", "Messrs.": "Messers",
        "Mme.": "Madame", "Mlle.": "Mademoiselle", "Mt.": "Mount", "Ft.": "Fort", "Mr": "Mister", "Mrs": "Missus", "Dr": "Doctor",
    }  # fmt: skip
    number_abbreviations = {
        "no.": "number", "nos.": "numbers", "nr.": "number", "p.": "page", "pp.": "pages", "pg.": "page", "vol.": "volume",
        "vols.": "volumes", "ch.": "chapter", "chap.": "chapter", "sec.": "section", "sect.": "section", "fig.": "figure",
        "figs.": "figures", "eq.": "equation", "art.": "article", "ed.": "edition", "ex.": "example", "l.": "line", "ll.": "lines",
        "v.": "version", "ver.": "version", "pt.": "part", "par.": "paragraph", "para.": "paragraph", "app.": "appendix",
        "apt.": "apartment", "ste.": "suite", "ca.": "circa", "c.": "circa", "b.": "born", "d.": "died", "tel.": "telephone",
        "ext.": "extension", "art": "art", "rt.": "route", "hwy.": "highway", "op.": "opus", "rev.": "revision", "A.D.": "A D",
        "Gen.": "Genesis", "Cor.": "Corinthians", "Ps.": "Psalm", "Matt.": "Matthew",
        "Rom.": "Romans", "Isa.": "Isaiah", "lot.": "lot",
        "No": "number", "Nº": "number",
    }  # fmt: skip
    plurals = {
        "page": "pages",
        "figure": "figures",
        "chapter": "chapters",
        "section": "sections",
        "line": "lines",
        "number": "numbers",
    }
    abbreviations = {
        "e.g.": "for example", "eg.": "for example", "i.e.": "that is", "ie.": "that is", "vs.": "versus", "vs": "versus",
        "cf.": "compare", "viz.": "namely", "approx.": "approximately", "est.": "established", "w/": "with", "w/o": "without",
        "b/c": "because", "c/o": "care of", "a.k.a.": "a k a", "incl.": "including", "resp.": "respectively",
        "dept.": "department", "govt.": "government", "intl.": "international", "natl.": "national", "assn.": "association",
        "assoc.": "association", "misc.": "miscellaneous", "max.": "maximum", "min.": "minimum", "avg.": "average",
        "temp.": "temperature", "w.r.t.": "with respect to", "attn.": "attention", "ibid.": "ibid", "op. cit.": "op cit",
        "24/7": "twenty four seven", "24/7/365": "twenty four seven three sixty five", "9/11": "nine eleven", "WWI": "World War one", "WWII": "World War two",
    }  # fmt: skip
    ending_abbreviations = {
        "etc.": "et cetera", "etc": "et cetera", "al.": "al", "inc.": "incorporated", "ltd.": "limited", "corp.": "corporation",
        "co.": "company", "bros.": "brothers", "jr.": "junior", "Sr.": "senior", "Esq.": "esquire", "ave.": "avenue",
        "blvd.": "boulevard", "St.": "street", "Rd.": "road", "Ln.": "lane", "Pkwy.": "parkway", "Sq.": "square", "hrs.": "hours",
        "hr.": "hour", "mins.": "minutes", "secs.": "seconds", "ft.": "feet", "lb.": "pounds", "lbs.": "pounds", "oz.": "ounces",
        "yrs.": "years", "yr.": "year", "a.m.": "a m", "p.m.": "p m", "A.M.": "A M", "P.M.": "P M", "B.C.": "B C", "A.D.": "A D",
        "B.C.E.": "B C E", "C.E.": "C E", "Ph.D.": "P H D", "PhD": "P H D", "PhDs": "P H D's", "M.D.": "M D", "B.A.": "B A", "M.A.": "M A",
        "B.Sc.": "B S C", "M.Sc.": "M S C", "D.C.": "D C", "U.S.": "U S", "U.S.A.": "U S A", "U.K.": "U K", "U.N.": "U N", "E.U.": "E U",
        "Mon.": "Monday", "Tue.": "Tuesday", "Tues.": "Tuesday", "Wed.": "Wednesday", "Thu.": "Thursday", "Thur.": "Thursday",
        "Thurs.": "Thursday", "Fri.": "Friday", "Sat.": "Saturday", "Jan.": "January", "Feb.": "February", "Mar.": "March",
        "Apr.": "April", "Jun.": "June", "Jul.": "July", "Aug.": "August", "Sep.": "September", "Sept.": "September",
        "Oct.": "October", "Nov.": "November", "Dec.": "December",
    }  # fmt: skip
    articles = word_set("the a an")
    letter_cues = word_set("""
    vitamin vitamins hepatitis influenza plan grade grades option team point drive letter key gate terminal platform block building row
    line lane column category item answer question exhibit list pool tier side studio an strain protein factor proteins option
    company party patient subject model sample formula product step variant route zone sector bed ward wing hall court pier dock
    """)
    symbols = {
        "&": "and", "+": "plus", "=": "equals", "@": "at", "<": "less than", ">": "greater than", "≤": "less than or equal to",
        "≥": "greater than or equal to", "≠": "not equal to", "≈": "approximately", "~": "about", "±": "plus or minus", "×": "times",
        "÷": "divided by", "√": "square root of", "∞": "infinity", "π": "pi", "%": "percent", "°": "degrees", "§§": "sections", "§": "section",
        "©": "copyright", "®": "registered", "™": "trademark", "€": "euro", "$": "dollar", "£": "pound", "¥": "yen", "→": "to", "∑": "sum",
        "∆": "delta", "µ": "micro", "Ω": "ohm", "^": "to the power of", "−": "minus", "·": "times", "/": "slash", "\\": "backslash",
        "_": "underscore", "№": "number", "²": "squared", "³": "cubed", "¢": "cent", "‰": "per mille",
    }  # fmt: skip
    sign_names = {
        "&": "ampersand", "(": "open parenthesis", ")": "close parenthesis", "[": "open bracket", "]": "close bracket",
        "{": "open brace", "}": "close brace", "|": "vertical bar", "'": "apostrophe", "^": "caret", "`": "backtick", "<": "less than",
        ">": "greater than", "*": "asterisk", "—": "em dash", "–": "en dash", "…": "ellipsis",
    }  # fmt: skip
    address_marks = {
        ".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark", "=": "equals", "&": "and",
        "#": "hash", "%": "percent", "+": "plus", "~": "tilde", "\\": "backslash", ",": "comma", ";": "semicolon", "!": "exclamation mark",
        "*": "star", "(": "", ")": "", "'": "", "$": "dollar",
    }  # fmt: skip
    read_acronyms = word_set("""
    AIDS NASA NATO UNICEF UNESCO OPEC NAFTA ASEAN FIFA UEFA SCUBA LASER RADAR SONAR SIM PIN RAM ROM LAN WAN GIF JPEG MIDI BIOS ASCII
    UNIX LINUX COVID SARS MERS SWAT SEAL OSHA FEMA YOLO LOL ZIP CAD BASIC COBOL JSON YAML WASM SaaS RAID VAT GMAT ACE BAFTA GIS
    OK POTUS SCOTUS FOMO IKEA NASDAQ DARPA CAPTCHA GUI CERN DOS VoIP PAC NIMBY WASP LIDAR
    """)  # fmt: skip
    spelled_acronyms = word_set("IEEE UCLA AARP AOL IOU OECD YMCA UEA AAA EEA ISBN ISSN")
    common_words = word_set("""
    the and for are but not you all any can had her was one our out day get has him his how man new now old see two way who boy did its let
    put say she too use that with have this will your from they know want been good much some time very when come here just like long make
    many more only over such take than them well were what about after again below could every first found great house large learn never
    other place plant point right small sound spell still study their there these thing think three water where which world would write a an
    as at be by do go he if in is it me my no of on or so to up us we am dear free best sale stop open closed danger warning keep off end
    chapter part book please thank thanks yes hello attention notice important read do don't can't won't all rights reserved help happy
    """)  # fmt: skip
    roman_cues = word_set("""
    chapter part volume vol act scene section book war phase type bowl article appendix figure table class level stage title canto episode
    psalm grade schedule group category division unit version mark series season round lesson annex clause paragraph exhibit plate number
    symphony concerto sonata opus rocky final fantasy apollo gemini saturn tier step century dynasty
    """)  # fmt: skip
    regnal_names = word_set("""
    elizabeth henry charles james george edward richard william john louis philip francis frederick ferdinand leopold alexander peter
    catherine ivan paul pius benedict leo gregory clement innocent urban sixtus xerxes darius ramses rameses napoleon otto alfonso pedro
    maximilian wilhelm friedrich karl christian gustav oscar haakon harald olav albert constantine justinian ptolemy cyrus mary umberto victor
    emmanuel juan carlos felipe joseph rudolf sigismund stephen bela michael boniface
    callixtus celestine eugene julius martin nicholas
    """)  # fmt: skip
    telephone_cues = word_set("call dial phone telephone tel fax mobile cell hotline whatsapp sms text")
    serial_cues = word_set("""
    boeing airbus flight route highway interstate room suite area channel gate bus train runway apartment extension pin
    """)
    address_words = word_set("com org net edu gov info biz co mil dev app zip exe doc bin lib src usr api")

    # --- other ---
    bible_books = word_set("""
    genesis exodus leviticus numbers deuteronomy joshua judges ruth samuel kings chronicles ezra nehemiah esther job psalm psalms proverbs
    ecclesiastes isaiah jeremiah lamentations ezekiel daniel hosea joel amos obadiah jonah micah nahum habakkuk zephaniah haggai zechariah
    malachi matthew mark luke john acts romans corinthians galatians ephesians philippians colossians thessalonians timothy titus philemon
    hebrews james peter jude revelation gen ex deut ps prov isa jer ezek dan matt mk lk jn rom cor gal eph phil col thess tim heb jas rev
    """)

    # --- rules ---
    rules = (
        Rule(r"(\d{1,3})° ?(\d{1,2})['\u2032](?: ?(\d{1,2})[\"\u2033])?", _degrees),
        Rule(r"(\d+(?:\.\d+)?)(?:[\"\u201d](?= [a-z])|\u2033(?!\w))", _inches),
        Rule(r"1-(8(?:00|88|77|66|55|44|33))-([A-Z]{4,})(?!\w)", _toll_free),
        Rule(r"(\d{1,2})['\u2032] ?(\d{1,2})([\u00bd\u00bc\u00be])?[\"\u2033\u201d]", _feet_and_inches),
        Rule(r"(\d{3,4})[x×](\d{3,4})(?!\w)", _resolution),
        Rule(r"[248]K(?!\w)", lambda match: f"{LANGUAGE.cardinal(int(match[0][0]))} K"),
        Rule(r"([CJ])\+\+(?!\w)", lambda match: f"{match[1]} plus plus", "letter", word_set("c j")),
        Rule(r"([A-G])#(?!\w)", lambda match: f"{match[1]} sharp", "letter", word_set("a b c d e f g")),
        Rule(
            r"([123])(?= (?:Samuel|Kings|Chronicles|Corinthians|Cor\.|Thessalonians|Timothy|Peter|John) \d)",
            lambda match: LANGUAGE.ordinal(int(match[1])).capitalize(),
        ),
        Rule(r"(\d{1,2}(?:\.\d)?)/(\d{1,2})(?= (?:stars?|points)\b)", _rating),
        Rule(r"v\.(?= [A-Z])", _versus, "letter", word_set("v")),
        Rule(r"(\d{1,3}):(\d{1,3})(?:[-\u2013](\d{1,3}))?(?!\w|[.,:]\d)", _verse),
        Rule(
            r"([IVX]+)(?= (?:century|centuries|dynasty)\b)",
            lambda match: LANGUAGE.roman_ordinal(match[1]),
            "letter",
            frozenset(ROMANS),
        ),
        Rule(r"Dr(?:\.(?= [a-z])|(?=\.?(?:[,;:]|\s*\Z)))", _drive, "letter", word_set("dr")),
        Rule(r"(\d+)/(\d+)[\"\u2033](?!\w)", _inch_fraction),
        Rule(
            r"(10{2,5})s(?= of\b)",
            lambda match: f"{LANGUAGE.cardinal(int(match[1])).removeprefix('one ')}s",
        ),
        Rule(
            r"([1-9]\d\d)([A-Z])(?= [A-Z][a-z])",
            lambda match: f"{LANGUAGE.serial_number(match[1])} {match[2]}",
        ),
        Rule(r"(\d{1,3})\.(\d{1,2})(?!\w|[.,]\d)", _software_version),
        Rule(
            r"IV(?= (?:drips?|lines?|fluids?|bags?|antibiotics|therapy|infusions?|access|poles?|tubes?|push)\b)",
            lambda match: "I V",
            "letter",
            word_set("iv"),
        ),
        Rule(rf"([NSEW])\.(?= {AFTER_COMPASS})", lambda match: COMPASS[match[1]], "letter", word_set("n s e w")),
        Rule(
            r"(\d{1,5}) ([NSEW])\.?(?= [A-Z][a-z]+ (?:St|Ave|Rd|Blvd|Dr|Ln|Ct|Street|Avenue|Road|Drive|Lane)\b)",
            lambda match: f"{LANGUAGE.cardinal(int(match[1]))} {COMPASS[match[2]]}",
        ),
        Rule(r"(\d{3})((?:\((?:[a-z]|\d{1,2})\))+)", _section),
        Rule(r"802\.(\d{1,2})([a-z]{0,2})(?!\w)", _wireless),
        Rule(
            r"(\d{3,4})([pi])(?!\w)",
            lambda match: f"{LANGUAGE.serial_number(match[1])} {match[2]}" if match[1] in SCREEN_LINES else None,
        ),
        Rule(
            r"(\d{1,2})[\u2032']( ?)(?=(?:tall|long|wide|high|deep|by)\b)|(\d{1,2})\u2032(?!\w)",
            _feet,
        ),
        Rule(r"(\d{1,3})h ?(\d{1,2})m(?:in)?(?!\w)", _hours),
        Rule(r"(?<![^\W_])['\u2019](\d\d)(?![\w'\u2019])", _short_year, "other"),
        Rule(r"911(?![\w]|[,.-]\d)", lambda match: "nine one one"),
        Rule(r"v(?=\d+(?:\.\d+)*(?!\w))", lambda match: "version", "letter", word_set("v")),
    )

    def clean(self, words: str) -> str:
        return super().clean(words).replace(" and ", " ")

    def year(self, n: int) -> str:
        century, rest = divmod(n, 100)
        if not 1000 < n < 10000 or n % 1000 == 0 or century % 10 == 0 and rest < 10:
            return self.cardinal(n)
        if rest == 0:
            return f"{self.cardinal(century)} hundred"
        return f"{self.cardinal(century)} {'oh ' if rest < 10 else ''}{self.cardinal(rest)}"

    def decade(self, n: int) -> str:
        *rest, last = self.year(n).split()
        return " ".join([*rest, last[:-1] + "ies" if last.endswith("y") else last + ("es" if last == "six" else "s")])

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        one, many = IRREGULAR_DENOMINATORS.get(denominator) or (
            self.ordinal(denominator),
            self.ordinal(denominator) + "s",
        )
        if denominator > 100 or denominator == 1:
            one = many = f"over {self.cardinal(denominator)}"
        part = f"{self.cardinal(numerator)} {one if numerator == 1 else many}"
        if whole is None:
            return part
        return f"{self.cardinal(whole)} and {'a half' if (numerator, denominator) == (1, 2) else part}"

    def date(self, day: int | None, month: int, year: int | None, month_first: bool = False) -> str:
        name = MONTHS[month - 1]
        if day is not None:
            name = f"{name} {self.ordinal(day)}" if month_first else f"the {self.ordinal(day)} of {name}"
        return name if year is None else f"{name} {self.year(year)}"

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        parts = [self.cardinal(hours)]
        if minutes:
            parts.append(f"oh {self.cardinal(minutes)}" if minutes < 10 else self.cardinal(minutes))
        elif hours == 0 or hours > 12:
            parts.append("hundred")
        elif not period and seconds is None:
            parts.append("o'clock")
        if seconds is not None:
            parts.append(f"and {self.cardinal(seconds)} {'second' if seconds == 1 else 'seconds'}")
        return " ".join(parts)

    def duration(self, hours: int, minutes: int, seconds: int) -> str:
        parts = [(hours, "hour"), (minutes, "minute"), (seconds, "second")]
        spoken = [f"{self.cardinal(n)} {name}{'' if n == 1 else 's'}" for n, name in parts if n]
        if not spoken:
            return "zero seconds"
        return f"{' '.join(spoken[:-1])} and {spoken[-1]}" if seconds and len(spoken) > 1 else " ".join(spoken)

    def serial_number(self, digits: str) -> str:
        if len(digits) == 3 and digits[0] != "0" and digits[1] == "0" and digits[2] != "0":
            return f"{self.cardinal(int(digits[0]))} oh {self.cardinal(int(digits[2]))}"
        if len(digits) == 3 and "0" not in digits[:2]:
            rest = digits[1:]
            return f"{self.cardinal(int(digits[0]))} {self.cardinal(int(rest))}"
        if len(digits) == 4 and digits[0] != "0" and digits[2:] != "00":
            return self.year(int(digits)) if digits[1] != "0" or digits[2] != "0" else self.cardinal(int(digits))
        return super().serial_number(digits)

    def roman_numeral(self, n: int, before: str) -> str | None:
        name = before.lower()
        if name in self.roman_cues:
            return self.cardinal(n)
        if name in self.regnal_names:
            return f"the {self.ordinal(n)}"
        return self.ordinal(n) if name == "the" and 1 < n < 50 else None

    def roman_after_name(self, n: int) -> str | None:
        return f"the {self.ordinal(n)}"

    def is_attributive(self, before: str, after: str) -> bool:
        return (
            before.lower() in ("a", "an") and after.islower() and after not in self.common_words or after in MONEY_NOUNS
        )

    def reads_as_year(self, n: int, before: str, after: str) -> bool:
        if after in ERAS:
            return True
        if n < 1900 or before in self.year_cues or before in self.months:
            return super().reads_as_year(n, before, after)
        is_counted = after.islower() and len(after) > 3 and after.endswith("s") and after not in NOT_PLURAL
        return n < 2100 and not is_counted and after not in ("people", "men", "women", "children")


LANGUAGE: English = English()
