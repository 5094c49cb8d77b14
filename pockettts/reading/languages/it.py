"""Italian. Numbers are one word up to the millions; Roman numerals after names and centuries are ordinals."""

import re

from .base import ROMANS, Noun, Number, Rule, parse_currencies, parse_nouns, word_set
from .european import (
    ROMAN_LETTER_VALUES,
    abbreviation_rules,
    hours_rule,
    metric_units,
    month_abbreviation_rule,
    phone_rule,
    unit_table,
    weekday_range_rule,
    weekday_rule,
    word_before,
)
from .romance import Romance, elision_rule, romance_rules

MONTHS = (
    "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre",
)  # fmt: skip
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)} | {
    "gen": 1, "genn": 1, "feb": 2, "febbr": 2, "mar": 3, "apr": 4, "mag": 5, "giu": 6, "lug": 7, "ago": 8, "sett": 9, "ott": 10,
    "nov": 11, "dic": 12,
}  # fmt: skip
DAYS = {
    "lun": "lunedì", "mar": "martedì", "mer": "mercoledì", "gio": "giovedì", "ven": "venerdì", "sab": "sabato", "dom": "domenica",
}  # fmt: skip
PREFIXES = {
    "n": "nano", "μ": "micro", "m": "milli", "c": "centi", "d": "deci", "h": "etto", "k": "chilo", "K": "chilo", "M": "mega",
    "G": "giga", "T": "tera", "P": "peta", "p": "pico",
}  # fmt: skip
METRIC = metric_units(
    """
    m nμmcdk: metro, metri, m
    g μmk: grammo, grammi, m
    l μmcdh: litro, litri, m
    L m: litro, litri, m
    t -: tonnellata, tonnellate, f
    s nμm: secondo, secondi, m
    cal k: caloria, calorie, f
    """,
    PREFIXES,
) | metric_units(
    """
    B kKMGTP: byte, byte, m
    bit kMG: bit, bit, m
    Hz kMGT: hertz, hertz, m
    W mkMGT: watt, watt, m
    Wh kMGT: wattora, wattora, m
    V mk: volt, volt, m
    A m: ampere, ampere, m
    Ah m: amperora, amperora, m
    Ω kM: ohm, ohm, m
    F μnp: farad, farad, m
    N k: newton, newton, m
    J kM: joule, joule, m
    Pa hkM: pascal, pascal, m
    bar m: bar, bar, m
    eV kM: elettronvolt, elettronvolt, m
    mol m: mole, moli, f
    Bq kM: becquerel, becquerel, m
    Sv mμ: sievert, sievert, m
    """,
    PREFIXES | {"k": "kilo", "K": "kilo"},
)

SPACED_ABBREVIATIONS = {
    "p. es.": "per esempio", "ad es.": "ad esempio", "per es.": "per esempio", "a. C.": "avanti Cristo",
    "d. C.": "dopo Cristo", "a.C.": "avanti Cristo", "d.C.": "dopo Cristo", "S. p. A.": "S P A", "S. r. l.": "S R L",
    "P. S.": "post scriptum", "N. B.": "nota bene", "c. d.": "cosiddetto", "u. s.": "ultimo scorso",
    "n. d. r.": "nota della redazione", "s. l. m.": "sul livello del mare", "S. M.": "sua maestà", "S. S.": "sua santità",
    "a. m.": "a m", "p. m.": "p m", "i. e.": "cioè",
}  # fmt: skip


PARTS_OF_WORKS = {
    "capitolo": "m", "atto": "m", "libro": "m", "canto": "m", "tomo": "m", "volume": "m", "titolo": "m", "parte": "f", "scena": "f",
    "sezione": "f", "classe": "f", "cap": "m", "vol": "m", "tit": "m", "sez": "f",
}  # fmt: skip
CLOCK = r"(\d{1,2})\.([0-5]\d)(?!\w|[.,]\d)"
CLOCK_CUES = word_set("alle dalle ore delle le h")
PHONE = (
    r"(?:3\d{2}[ \u00a0./-]\d{6,7}|3\d{2}[ \u00a0.-]\d{3}[ \u00a0.-]\d{3,4}|3\d{2}(?:[ \u00a0.-]\d\d){2}[ \u00a0.-]\d{3}"
    r"|800[ \u00a0.-]\d{3}[ \u00a0.-]?\d{3})(?!\w|[.,]\d)"
)
ONE_BEFORE_VOWEL = r"(?i)1[ \u00a0]([aeiouàèéìòù][^\W\d_]+)(?![\w'’])"  # "un'ora"
DEGREE = r"°(?=[ \u00a0](?!di\b|[CFNSEO]\b|nord|sud|est|ovest|sotto|sopra|all)[^\W\d_])"


class Italian(Romance):
    code = "it"
    num2words_code = "it"

    # --- numbers ---
    point = "virgola"
    dot = "punto"
    minus = "meno"
    ordinal_suffix = rf"(?:[ºª]|esim[oaie]|{DEGREE})"
    magnitudes = parse_nouns("""
        k K: mila, mila, -
        mila: mila, mila, -
        milione milioni mln Mln M: milione, milioni, m
        miliardo miliardi mld Mld mrd: miliardo, miliardi, m
        bilione bilioni: bilione, bilioni, m
    """)
    range_word = "a"
    ratio_word = "a"
    out_of = "su"
    times_sign = "per"
    by = "per"

    # --- money, units ---
    currency_signs = {
        **Romance.currency_signs, "euro": "EUR", "dollari": "USD", "dollaro": "USD", "₤": "ITL", "Euro": "EUR", "Lit.": "ITL",
    }  # fmt: skip
    currencies = parse_currencies("""
        EUR: euro, euro, m | centesimo, centesimi, m
        USD: dollaro, dollari, m | centesimo, centesimi, m
        GBP: sterlina, sterline, f | penny, pence, m
        CHF: franco svizzero, franchi svizzeri, m | centesimo, centesimi, m
        ITL: lira, lire, f
        JPY: yen, yen, m
        CNY: yuan, yuan, m
        INR: rupia, rupie, f
        RUB: rublo, rubli, m | copeco, copechi, m
        KRW: won, won, m
        ILS: shekel, shekel, m
        TRY: lira turca, lire turche, f
        UAH: grivnia, grivnie, f
        CAD: dollaro canadese, dollari canadesi, m | centesimo, centesimi, m
        AUD: dollaro australiano, dollari australiani, m | centesimo, centesimi, m
        BRL: real, real, m | centavo, centavos, m
        MXN: peso messicano, pesos messicani, m | centavo, centavos, m
        SEK: corona svedese, corone svedesi, f
        NOK: corona norvegese, corone norvegesi, f
        DKK: corona danese, corone danesi, f
        PLN: zloty, zloty, m
        CZK: corona ceca, corone ceche, f
        BTC: bitcoin, bitcoin, m
        ¢: centesimo, centesimi, m
    """)
    money_and = "e"
    of_magnitude = "di"
    per = "al"
    units = unit_table(
        METRIC,
        square=lambda name, many: f"{name} {'quadrati' if many else 'quadrato'}",
        cube=lambda name, many: f"{name} {'cubi' if many else 'cubo'}",
        others="""
            %: per cento
            Nm: newton metro, newton metro, m
            ‰: per mille
            °: grado, gradi, m
            °C ºC: grado Celsius, gradi Celsius, m
            °F ºF: grado Fahrenheit, gradi Fahrenheit, m
            K: kelvin, kelvin, m
            ha: ettaro, ettari, m
            hg: ettogrammo, ettogrammi, m
            mq: metro quadrato, metri quadrati, m
            kmq: chilometro quadrato, chilometri quadrati, m
            mc: metro cubo, metri cubi, m
            cc: centimetro cubo, centimetri cubi, m
            q: quintale, quintali, m
            min min.: minuto, minuti, m
            sec sec.: secondo, secondi, m
            h: ora, ore, f
            Kg: chilogrammo, chilogrammi, m
            Km: chilometro, chilometri, m
            CV cv: cavallo, cavalli, m
            dB: decibel, decibel, m
            px: pixel, pixel, m
            MP: megapixel, megapixel, m
            lx: lux, lux, m
            lm: lumen, lumen, m
            cd: candela, candele, f
            ppm: parte per milione, parti per milione, f
            mmHg: millimetro di mercurio, millimetri di mercurio, m
            km/h Km/h kmh: chilometro orario, chilometri orari, m
            m/s: metro al secondo, metri al secondo, m
            mph: miglio orario, miglia orarie, m
            giri/min: giro al minuto, giri al minuto, m
            Mbit/s Mbps: megabit al secondo, megabit al secondo, m
            Gbit/s Gbps: gigabit al secondo, gigabit al secondo, m
            ab./km²: abitante per chilometro quadrato, abitanti per chilometro quadrato, m
            M€: milione di euro, milioni di euro, m
            mi: miglio, miglia, m
            ft: piede, piedi, m
            lb lbs: libbra, libbre, f
            oz: oncia, once, f
            l/100km: litro per cento chilometri, litri per cento chilometri, m
        """,
    )

    # --- dates and times ---
    months = MONTH_NUMBERS
    month_names = MONTHS
    day_suffix = "[º°]"
    date_separator = r"\s+(?:del\s+)?"
    time_separator = r":|\.(?=\d\d[ \u00a0]?h\b)"
    day_periods = {"a.m.": "a m", "p.m.": "p m", "am": "a m", "pm": "p m", "AM": "a m", "PM": "p m"}
    year_cues = word_set("nel dal del fino al anno l'anno dopo prima tra fra e estate inverno dell'anno in")

    # --- words ---
    titles = {
        "Sig.": "signor", "Sig.ra": "signora", "Sig.na": "signorina", "Sigg.": "signori", "Sigg.ri": "signori", "sig.": "signor",
        "sig.ra": "signora", "sig.na": "signorina", "Dott.": "dottor", "dott.": "dottor", "Dott.ssa": "dottoressa",
        "dott.ssa": "dottoressa", "Dr.": "dottor", "Dr.ssa": "dottoressa", "Prof.": "professor", "prof.": "professor",
        "Prof.ssa": "professoressa", "prof.ssa": "professoressa", "Ing.": "ingegner", "ing.": "ingegner", "Avv.": "avvocato",
        "avv.": "avvocato", "Arch.": "architetto", "Geom.": "geometra", "Rag.": "ragionier", "On.": "onorevole",
        "on.": "onorevole", "Sen.": "senatore", "Gen.": "generale", "Col.": "colonnello", "Cap.": "capitano", "Ten.": "tenente",
        "Mons.": "monsignor", "Rev.": "reverendo", "Cav.": "cavalier", "Comm.": "commendator", "S.": "san",
        "d.ssa": "dottoressa", "D.ssa": "dottoressa", "Mr.": "mister", "Mrs.": "missis", "Spett.": "spettabile",
        "Egr.": "egregio", "Gent.": "gentile", "Gent.ma": "gentilissima", "Ill.mo": "illustrissimo",
    }  # fmt: skip
    number_abbreviations = {
        "nº": "numero", "n.": "numero", "nn.": "numeri", "nr.": "numero", "num.": "numero", "p.": "pagina", "pp.": "pagine",
        "pag.": "pagina", "pagg.": "pagine", "cap.": "capitolo", "capp.": "capitoli", "art.": "articolo", "artt.": "articoli",
        "vol.": "volume", "voll.": "volumi", "fig.": "figura", "figg.": "figure", "tab.": "tabella", "sez.": "sezione",
        "ed.": "edizione", "tel.": "telefono", "int.": "interno", "es.": "esempio", "c.": "circa", "ca.": "circa", "v.": "verso",
        "vv.": "versi", "par.": "paragrafo", "lett.": "lettera", "op.": "opera", "t.": "tomo",
        "cell.": "cellulare", "CAP": "CAP",
        "max.": "massimo", "min.": "minimo", "sec.": "secolo",
    }  # fmt: skip
    plurals = {
        "pagina": "pagine",
        "numero": "numeri",
        "capitolo": "capitoli",
        "articolo": "articoli",
        "figura": "figure",
    }
    abbreviations = {
        "es.": "esempio", "p.es.": "per esempio", "cfr.": "confronta", "ca.": "circa", "vs.": "contro", "vs": "contro",
        "avv.": "avvocato", "tel.": "telefono", "c/o": "presso",
        "c.a.": "circa", "pag.": "pagina", "prov.": "provincia", "ag.": "agenzia", "ns.": "nostro", "rif.": "riferimento",
        "p.zza": "piazza", "P.zza": "piazza", "P.za": "piazza", "V.le": "viale", "v.le": "viale",
        "C.so": "corso", "c.so": "corso", "L.go": "largo", "f.lli": "fratelli", "F.lli": "fratelli", "S.p.A.": "S P A",
        "s.p.a.": "S P A", "SpA": "S P A", "S.r.l.": "S R L", "s.r.l.": "S R L", "Srl": "S R L", "spett.": "spettabile",
        "egr.": "egregio", "gent.": "gentile", "op.cit.": "opera citata", "n.d.r.": "nota della redazione",
        "ndr": "nota della redazione", "p.v.": "prossimo venturo", "u.s.": "ultimo scorso", "c.m.": "corrente mese",
        "abit.": "abitanti", "a/r": "andata e ritorno", "24/7": "ventiquattro ore su ventiquattro",
    }  # fmt: skip
    ending_abbreviations = {
        "ecc.": "eccetera", "ecc": "eccetera", "etc.": "eccetera", "segg.": "seguenti", "sgg.": "seguenti", "Jr.": "junior",
        "Inc.": "incorporated",
        "O.N.U.": "ONU", "U.E.": "U E", "U.S.A.": "USA", "a.m.": "a m", "p.m.": "p m", "dx.": "destra", "sx.": "sinistra",
    }  # fmt: skip
    articles = word_set("il lo la i gli le un una")
    letter_cues = word_set(
        "vitamina vitamine epatite piano tipo punto gruppo classe porta blocco edificio fila colonna lettera tasto opzione linea zona squadra modello"
    )
    symbols = {
        "&": "e", "+": "più", "=": "uguale", "@": "chiocciola", "<": "minore di", ">": "maggiore di", "≤": "minore o uguale a",
        "≥": "maggiore o uguale a", "≠": "diverso da", "≈": "circa", "~": "circa", "±": "più o meno", "×": "per", "÷": "diviso",
        "√": "radice quadrata di", "∞": "infinito", "π": "pi greco", "%": "per cento", "‰": "per mille", "°": "gradi",
        "§§": "paragrafi", "§": "paragrafo", "©": "copyright", "€": "euro", "$": "dollari", "£": "sterline", "¥": "yen", "→": "a", "^": "elevato a",
        "−": "meno", "·": "per", "/": "barra", "\\": "barra rovesciata", "_": "trattino basso", "№": "numero", "¢": "centesimi",
        "Ω": "ohm", "µ": "micro",
    }  # fmt: skip
    sign_names = {
        "&": "e commerciale", "(": "parentesi aperta", ")": "parentesi chiusa", "[": "parentesi quadra aperta",
        "]": "parentesi quadra chiusa", "{": "parentesi graffa aperta", "}": "parentesi graffa chiusa",
        "|": "barra verticale", "<": "minore di", ">": "maggiore di", "'": "apostrofo", "–": "lineetta", "—": "lineetta",
    }  # fmt: skip
    address_marks = {
        ".": "punto", "/": "barra", "@": "chiocciola", "-": "trattino", "_": "trattino basso", ":": "due punti",
        "?": "punto interrogativo", "=": "uguale", "&": "e", "#": "cancelletto", "%": "per cento", "+": "più", "~": "tilde",
        "\\": "barra rovesciata", ",": "virgola", ";": "punto e virgola", "!": "punto esclamativo", "*": "asterisco",
        "$": "dollaro", "(": "", ")": "", "'": "",
    }  # fmt: skip
    number_sign_word = "numero"
    vowels = "aeiouyàèéìòù"
    read_acronyms = word_set("""
    ONU NATO UNESCO UNICEF NASA FIFA UEFA AIDS UFO OPEC PIL PIN SIM RAM ROM LAN GIF BIOS COVID FIAT RAI ENI ENEL IVA IRPEF INPS
    ISTAT INAIL CONI SIAE CAP ASL ATAC CISL UIL FIOM IKEA SARS USA DOC DOP COOP ISEE IMU TAR ANSA ANPI CAI LASER RADAR CAF COBAS
    TIM UNI ISO ANAS ACI ALITALIA EXPO SERT BOT FAO CERN POS SPID PEC
    """)  # fmt: skip
    spelled_acronyms = word_set("IEEE ISBN CGIL")
    common_words = word_set("""
    il lo la i gli le l un uno una di a da in con su per tra fra del dello della dei degli delle al allo alla ai agli alle dal
    dalla nel nella nei nelle sul sulla e ed o ma se che chi cui non né sì no come quando dove perché quanto quale questo questa
    questi queste quello quella io tu lui lei noi voi loro mi ti ci vi si mio mia tuo sua suo nostro vostro è sono sei siamo siete
    era erano essere ho hai ha abbiamo avete hanno avere fare fa fatto va vado andare può posso potere deve dovere vuole volere
    dice dire più meno molto molta molti poco troppo tutto tutti tutta tutte niente nulla qualcosa ogni altro altra altri altre
    già ancora sempre mai ora oggi ieri domani qui qua là bene male meglio buono buona nuovo nuova grande vita giorno giorni anno
    anni tempo mondo uomo donna grazie attenzione importante pericolo vietato aperto chiuso uscita entrata ingresso fine capitolo
    parte libro prima dopo durante contro senza anche solo così poi quindi dio amore aiuto gratis stop ciao lavoro
    """)  # fmt: skip
    roman_cues = word_set("""
    capitolo parte tomo volume atto scena sezione libro articolo titolo allegato appendice figura tabella tavola classe livello
    fase tipo gruppo categoria stagione serie episodio sinfonia sonata opera numero versione canto apollo gemini divisione lega
    """)  # fmt: skip
    telephone_cues = word_set("telefono tel cellulare fax chiamare chiama chiamate whatsapp")
    serial_cues = word_set("airbus boeing volo")
    address_words = word_set("com org net edu gov info blog app")
    feminine_regnal_names = word_set(
        "elisabetta caterina maria cristina anna giovanna margherita beatrice isabella vittoria"
    )
    regnal_names = feminine_regnal_names | word_set("""
    luigi carlo enrico francesco filippo napoleone giorgio edoardo guglielmo giovanni paolo pietro giacomo riccardo federico
    benedetto pio leone gregorio clemente innocenzo urbano sisto nicola ivan alessandro ottone leopoldo massimiliano rodolfo
    costantino giustiniano tolomeo ramses serse dario ciro teodosio vittorio amedeo umberto emanuele giuseppe alberto baldovino
    gustavo oscar haakon harald olav alfonso ferdinando giulio celestino bonifacio martino adriano felipe juan carlos cosimo
    lorenzo ludovico corrado manfredi berengario callisto eugenio marino niccolò stefano silvestro
    """)  # fmt: skip

    # --- other ---
    version_word = "versione"
    squared, cubed = "al quadrato", "al cubo"
    first_of_month = "primo"
    label_words = roman_cues | word_set("""
    pagina pagine numero riga paragrafo piano stanza camera porta canale strada statale autostrada via viale corso chilometro
    giorno codice nota domanda esercizio lezione autobus tram metro volo sala tavolo lotto il al dal del binario linea
    """)  # fmt: skip
    century_cues = word_set("secolo secoli sec")
    date_cues = frozenset(DAYS.values())
    bible_books = word_set("""
    genesi esodo levitico numeri deuteronomio giosuè giudici samuele re cronache giobbe salmo salmi proverbi isaia geremia
    ezechiele daniele matteo marco luca giovanni atti romani corinzi galati efesini filippesi colossesi tessalonicesi timoteo tito
    ebrei giacomo apocalisse sura
    """)
    non_nouns = common_words - word_set("vita giorno giorni anno anni tempo uomo donna uscita entrata parte libro capitolo") | word_set("""
    ore euro milione milioni mila mille dice parla inizia comincia finisce vale
    """)  # fmt: skip
    half, half_and = ("mezzo", "mezza"), "e"
    max_regnal_ordinal = 40
    roman_ordinal_nouns = {
        "secolo": "m", "guerra": "f", "repubblica": "f", "reich": "m", "congresso": "m", "edizione": "f",
        "vertice": "m", "centenario": "m", "anniversario": "m", "conferenza": "f", "giornata": "f", "festival": "m",
        "premio": "m", "concorso": "m", "millennio": "m", "dinastia": "f", "crociata": "f", "internazionale": "f",
        "legislatura": "f", "settimana": "f", "fiera": "f", "incontro": "m", "assemblea": "f", "biennale": "f", "torneo": "m",
        "coppa": "f", "olimpiade": "f", "concilio": "m", "trimestre": "m", "capitolo": "m", "canto": "m", "piano": "m",
        "municipio": "m", "circoscrizione": "f", "classe": "f", "liceo": "m", "emendamento": "m",
    }  # fmt: skip
    feminine_nouns = word_set("""
    notte mano parte voce luce croce rete parete legge nave chiave classe frase fase base morte mente gente fonte torre neve
    pelle carne pace nube stazione moglie madre arte sorte sete fede estate radio moto foto auto crisi tesi analisi ipotesi città
    virtù
    """)  # fmt: skip
    masculine_nouns = word_set(
        "problema programma sistema tema clima poema dramma schema telegramma pianeta cometa poeta atleta turista artista papa panda"
    )

    # --- rules ---
    rules = (
        Rule(CLOCK, lambda match: LANGUAGE.clock(match)),
        Rule(r"h(?= ?\d{1,2}[:.][0-5]\d(?!\w))", lambda match: "ore", "letter", frozenset("h")),
        phone_rule(lambda: LANGUAGE, PHONE),
        Rule(r"(?<=['’])1(?= )", lambda match: "uno"),  # "l'1 maggio"
        Rule(r"(\d{1,2})a(?= [a-zà-ù]{3,})", lambda match: LANGUAGE.ordinal(int(match[1]), "a")),
        Rule(ONE_BEFORE_VOWEL, lambda match: LANGUAGE.one(match)),
        Rule(r"(\d+)x(?= (?:più|meno|maggiore|migliore))", lambda match: f"{LANGUAGE.cardinal(int(match[1]))} volte"),
        Rule(
            r"([IVX]+)(?= (?:e|o) (?:il |nel )?[IVX]+ secolo|[-\u2013][IVX]+ secolo)",
            lambda match: LANGUAGE.roman_ordinal(match[1]),
            "letter",
            frozenset(ROMANS),
        ),
        Rule(
            r"([IVX]+) sec\.(?!\w)",
            lambda match: (spoken := LANGUAGE.roman_ordinal(match[1])) and f"{spoken} secolo",
            "letter",
            frozenset(ROMANS),
        ),
        *romance_rules(lambda: LANGUAGE, "numero"),
        *abbreviation_rules(SPACED_ABBREVIATIONS, ("a. C.", "d. C.", "a.C.", "d.C.", "S. p. A.", "S. r. l.", "s. l. m.")),
        Rule(r"([IVX]+)[°º](?!\w)", lambda match: LANGUAGE.roman_ordinal(match[1]), "letter", frozenset(ROMANS)),
        Rule(
            r"'(\d0)(?!\w|[.,]\d)(?=[ ,.;)]|\Z)",
            lambda match: LANGUAGE.cardinal(int(match[1])),
            "other",
        ),
        weekday_rule(DAYS, MONTH_NUMBERS),
        hours_rule(lambda: LANGUAGE),
        weekday_range_rule(lambda: LANGUAGE, DAYS),
        month_abbreviation_rule(MONTH_NUMBERS, MONTHS),
        elision_rule(lambda: LANGUAGE),
    )  # fmt: skip

    # --- numbers ---

    def cardinal(self, n: int, gender: str = "") -> str:
        spoken = re.sub(r"(ion[ei]|iard[oi]) e (?=\w{5})", r"\1 ", re.sub(r"(?<=\w)tre\b", "tré", super().cardinal(n)))
        spoken = spoken.replace("dicotto", "diciotto")  # num2words elides too much in 118
        if n == 1 and gender:
            return "una" if gender == "f" else "un"
        return spoken

    def ordinal(self, n: int, suffix: str = "") -> str:
        spoken = re.sub("^un ", "", super().ordinal(n)).replace("dicott", "diciott")
        ending = suffix[-1:]
        return spoken[:-1] + ("a" if ending in ("a", "ª") else ending if ending in ("i", "e") and ending else "o")

    def roman_numeral(self, n: int, before: str) -> str | None:
        """Parts of a work have ordinals: "atto terzo"."""
        if (gender := PARTS_OF_WORKS.get(before.lower())) and n <= 100 and n not in ROMAN_LETTER_VALUES:
            return self.ordinal_in_gender(n, gender)
        return super().roman_numeral(n, before)

    def number(self, n: Number, gender: str = "") -> str:
        if n.magnitude and self.magnitudes[n.magnitude].one == "mila" and not n.decimals:
            return self.cardinal(n.whole * 1000)
        return super().number(n, gender)

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        if denominator == 2 and numerator == 1:
            return f"{self.cardinal(whole)} e mezzo" if whole else "un mezzo"
        one = "mezzo" if denominator == 2 else self.ordinal(denominator)
        part = f"{self.cardinal(numerator, 'm')} {one if numerator == 1 else one[:-1] + 'i'}"
        return part if whole is None else f"{self.cardinal(whole)} e {part}"

    def fraction_of(self, whole: int | None, numerator: int, denominator: int, noun: Noun) -> str:
        if (numerator, denominator) == (1, 2) and not whole and noun.one == "ora":
            return "mezz'ora"
        return super().fraction_of(whole, numerator, denominator, noun)

    def gender_of(self, noun: str, is_one: bool) -> str:
        if not is_one:
            return "f" if noun.endswith(("e", "zioni", "sioni", "tà")) else "m" if noun.endswith("i") else ""
        if noun in self.masculine_nouns:
            return "m"
        is_feminine = noun in self.feminine_nouns or noun.endswith(
            ("a", "zione", "sione", "tà", "tù", "trice", "gione")
        )
        return "f" if is_feminine else "m" if noun[-1] in "oeìùbcdfglmnprstxy" else ""

    def clock(self, match: re.Match[str]) -> str | None:
        """`alle 14.30`."""
        hours = int(match[1])
        return self.time(hours, int(match[2])) if hours <= 24 and word_before(match) in CLOCK_CUES else None

    def one(self, match: re.Match[str]) -> str | None:
        """`1 ora`: "un'ora"."""
        noun = match[1]
        if word_before(match) in self.label_words or not self._is_noun(noun) and noun != "ora":
            return None
        return f"un'{noun}" if self.gender_of(noun.lower(), True) == "f" else None

    def cardinal_before_noun(self, match: re.Match[str]) -> str | None:
        """`1 studente`: "uno studente"."""
        if match[1] != "1" or not super().cardinal_before_noun(match):
            return None
        return _article(match[2].lower(), self.gender_of(match[2].lower(), True))

    def measure(self, n: Number, noun: Noun) -> str:
        if not n.is_one:
            return super().measure(n, noun)
        minus = f"{self.minus} " if n.negative else ""
        return minus + (_one(noun.one, noun.gender) if noun.gender else f"{self.cardinal(1)} {noun.one}")

    # --- dates and times ---

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        spoken = self.cardinal(hours, "f" if hours == 1 else "")
        if minutes:
            spoken += f" e {self.cardinal(minutes)}"
        if seconds:
            spoken += f" e {self.cardinal(seconds, 'm')} {'secondo' if seconds == 1 else 'secondi'}"
        return spoken


def _article(noun: str, gender: str) -> str:
    if gender == "f" or not gender and noun.endswith("a"):
        return "una"
    return "uno" if re.match(r"s[bcdfglmnpqrtvz]|z|gn|ps|pn|x|y(?!e)", noun.lower()) else "un"


def _one(noun: str, gender: str) -> str:
    """One of a noun: "un'ora", "una tonnellata"."""
    article = _article(noun, gender)
    return f"un'{noun}" if article == "una" and noun[0] in "aeiou" else f"{article} {noun}"


LANGUAGE: Italian = Italian()
