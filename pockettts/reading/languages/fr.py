"""French, as it is spoken in France: "soixante-dix", "quatre-vingts", prices without "centimes", telephone numbers in pairs."""

import re

from .base import ROMANS, Noun, Number, Rule, parse_currencies, parse_nouns, word_set
from .european import (
    abbreviation_rules,
    metric_units,
    month_abbreviation_rule,
    unit_table,
    weekday_range_rule,
    weekday_rule,
)
from .romance import Romance, elision_rule, romance_rules

MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)} | {
    "janv": 1, "jan": 1, "févr": 2, "fév": 2, "fevrier": 2, "avr": 4, "juil": 7, "aout": 8, "sept": 9, "oct": 10, "nov": 11,
    "déc": 12, "decembre": 12,
}  # fmt: skip
DAYS = {
    "lun": "lundi", "mar": "mardi", "mer": "mercredi", "jeu": "jeudi", "ven": "vendredi", "sam": "samedi", "dim": "dimanche",
}  # fmt: skip
PREFIXES = {
    "n": "nano", "μ": "micro", "m": "milli", "c": "centi", "d": "déci", "h": "hecto", "k": "kilo", "K": "kilo", "M": "méga",
    "G": "giga", "T": "téra", "P": "péta", "p": "pico",
}  # fmt: skip
METRIC = metric_units(
    """
    m nμmcdk: mètre, mètres, m
    g μmk: gramme, grammes, m
    l μmcdh: litre, litres, m
    L m: litre, litres, m
    t kM: tonne, tonnes, f
    s nμm: seconde, secondes, f
    o kKMGTP: octet, octets, m
    B kKMGTP: octet, octets, m
    bit kMG: bit, bits, m
    Hz kMGT: hertz, hertz, m
    W mkMGT: watt, watts, m
    Wh kMGT: wattheure, wattheures, m
    V mk: volt, volts, m
    A m: ampère, ampères, m
    Ah m: ampèreheure, ampèreheures, m
    Ω kM: ohm, ohms, m
    F μnp: farad, farads, m
    N k: newton, newtons, m
    J kM: joule, joules, m
    cal k: calorie, calories, f
    Pa hkM: pascal, pascals, m
    bar m: bar, bars, m
    eV kM: électronvolt, électronvolts, m
    mol m: mole, moles, f
    Bq kM: becquerel, becquerels, m
    Sv mμ: sievert, sieverts, m
    """,
    PREFIXES,
)

SPACED_ABBREVIATIONS = {
    "p. ex.": "par exemple", "c. à d.": "c'est-à-dire", "c.-à-d.": "c'est-à-dire", "av. J.-C.": "avant Jésus-Christ",
    "ap. J.-C.": "après Jésus-Christ", "apr. J.-C.": "après Jésus-Christ", "J.-C.": "Jésus-Christ",
    "s. v. p.": "s'il vous plaît", "S. A.": "S A", "N. B.": "nota bene", "P. S.": "post-scriptum",
    "R. S. V. P.": "répondez s'il vous plaît", "n. d. l. r.": "note de la rédaction", "s. d.": "sans date", "É.-U.": "États-Unis",
    "r. d. v.": "rendez-vous", "N. D. T.": "note du traducteur",
}  # fmt: skip
POLITE_TITLES = {"M": "monsieur", "MM": "messieurs", "Mme": "madame", "Mlle": "mademoiselle"}
HOUR_MINUTES = r"(\d{1,2})[ \u00a0\u202f]?h[ \u00a0\u202f]?(\d{1,2})[ \u00a0\u202f]?(?:min|mn)\b\.?"
ROMAN_ORDINAL = r"([IVX]+)(ers?|re|ère|e|ème|ième|ᵉ|ᵉʳ)(?![\w])"
ROMAN_TRIGGERS = frozenset(
    numeral + ending for numeral in ROMANS for ending in ("er", "re", "ère", "e", "ème", "ième", "ᵉ", "ᵉʳ", "ers")
)


class French(Romance):
    code = "fr"
    num2words_code = "fr"

    # --- numbers ---
    group_with_spaces = True
    point = "virgule"
    dot = "point"
    minus = "moins"
    ordinal_suffix = r"(?:ers?|[rR]e|ère|ères|res?|es?|[èe]mes?|nde?s?|des?|ds?|ᵉ|ᵉʳ)"
    magnitudes = parse_nouns("""
        k K: mille, mille, -
        mille: mille, mille, -
        million millions M: million, millions, m
        milliard milliards Md Mds Mrd: milliard, milliards, m
        billion billions: billion, billions, m
    """)
    range_word = "à"
    ratio_word = "à"
    out_of = "sur"
    times_sign = "fois"
    by = "par"

    # --- money, units ---
    currency_signs = {
        **Romance.currency_signs, "euros": "EUR", "euro": "EUR", "dollars": "USD", "dollar": "USD", "francs": "FRF",
    }  # fmt: skip
    currencies = parse_currencies("""
        EUR: euro, euros, m | centime, centimes, m
        USD: dollar, dollars, m | cent, cents, m
        GBP: livre, livres, f | penny, pence, m
        CHF: franc suisse, francs suisses, m | centime, centimes, m
        FRF: franc, francs, m | centime, centimes, m
        JPY: yen, yens, m
        CNY: yuan, yuans, m
        INR: roupie, roupies, f | paisa, paisas, m
        RUB: rouble, roubles, m | kopeck, kopecks, m
        KRW: won, wons, m
        ILS: shekel, shekels, m
        TRY: livre turque, livres turques, f
        UAH: hryvnia, hryvnias, f
        CAD: dollar canadien, dollars canadiens, m | cent, cents, m
        AUD: dollar australien, dollars australiens, m | cent, cents, m
        BRL: real, reals, m | centavo, centavos, m
        MXN: peso mexicain, pesos mexicains, m | centavo, centavos, m
        SEK: couronne suédoise, couronnes suédoises, f
        NOK: couronne norvégienne, couronnes norvégiennes, f
        DKK: couronne danoise, couronnes danoises, f
        PLN: zloty, zlotys, m
        CZK: couronne tchèque, couronnes tchèques, f
        XOF: franc C F A, francs C F A, m
        BTC: bitcoin, bitcoins, m
        ¢: cent, cents, m
    """)
    money_and = ""
    minor_is_named = False
    of_magnitude = "de"
    units = unit_table(
        METRIC,
        square=lambda name, many: f"{name} {'carrés' if many else 'carré'}",
        cube=lambda name, many: f"{name} {'cubes' if many else 'cube'}",
        others="""
            %: pour cent
            Nm: newton-mètre, newtons-mètres, m
            ‰: pour mille
            °: degré, degrés, m
            °C ºC: degré Celsius, degrés Celsius, m
            °F ºF: degré Fahrenheit, degrés Fahrenheit, m
            K: kelvin, kelvins, m
            ha: hectare, hectares, m
            min mn min.: minute, minutes, f
            h: heure, heures, f
            sec sec.: seconde, secondes, f
            Kg kgs: kilogramme, kilogrammes, m
            Km kms: kilomètre, kilomètres, m
            ch cv CV: cheval, chevaux, m
            dB: décibel, décibels, m
            px: pixel, pixels, m
            MP: mégapixel, mégapixels, m
            lx: lux, lux, m
            lm: lumen, lumens, m
            cd: candela, candelas, f
            ppm: partie par million, parties par million, f
            dpi: point par pouce, points par pouce, m
            mmHg: millimètre de mercure, millimètres de mercure, m
            km/h kmh Km/h: kilomètre par heure, kilomètres par heure, m
            m/s: mètre par seconde, mètres par seconde, m
            mph: mille par heure, milles par heure, m
            tr/min: tour par minute, tours par minute, m
            Mbit/s Mbps: mégabit par seconde, mégabits par seconde, m
            Mo/s: mégaoctet par seconde, mégaoctets par seconde, m
            Gbit/s Gbps: gigabit par seconde, gigabits par seconde, m
            hab/km² hab./km²: habitant par kilomètre carré, habitants par kilomètre carré, m
            F: franc, francs, m
            M€: million d'euros, millions d'euros, m
            Md€ Mds€: milliard d'euros, milliards d'euros, m
            k€: mille euros
            hab hab.: habitant, habitants, m
            mi: mille, milles, m
            ft: pied, pieds, m
            lb lbs: livre, livres, f
            oz: once, onces, f
            l/100km: litre aux cent kilomètres, litres aux cent kilomètres, m
        """,
    )
    per = "par"

    # --- dates and times ---
    months = MONTH_NUMBERS
    month_names = MONTHS
    day_suffix = "er"
    date_separator = r"\s+"
    time_separator = r":|[ \u00a0\u202f]?[hH][ \u00a0\u202f]?(?=\d\d)"
    day_periods = {"h": "", "H": "", "heures": "", "heure": ""}
    year_cues = word_set("en depuis l'an an avant après vers entre et de dès jusqu'en été hiver automne printemps")

    # --- words ---
    titles = {
        "M.": "monsieur", "MM.": "messieurs", "Mme": "madame", "Mmes": "mesdames", "Mlle": "mademoiselle",
        "Mlles": "mesdemoiselles", "Mr": "monsieur", "Mr.": "monsieur", "Mme.": "madame", "Mlle.": "mademoiselle",
        "Dr": "docteur", "Dr.": "docteur", "Drs": "docteurs", "Pr": "professeur", "Pr.": "professeur", "Prof.": "professeur",
        "Me": "maître", "Mgr": "monseigneur", "Mgr.": "monseigneur", "St": "saint", "Ste": "sainte", "St.": "saint",
        "Ste.": "sainte", "Cdt": "commandant", "Col.": "colonel", "Cne": "capitaine", "Cap.": "capitaine", "Gal": "général",
        "Gén.": "général", "Lt": "lieutenant", "Lt.": "lieutenant", "Vve": "veuve", "bd": "boulevard", "Bd": "boulevard",
    }  # fmt: skip
    number_abbreviations = {
        "nº": "numéro", "no.": "numéro", "no": "numéro", "num.": "numéro", "p.": "page", "pp.": "pages",
        "pg.": "page", "vol.": "volume", "chap.": "chapitre", "ch.": "chapitre", "art.": "article", "fig.": "figure",
        "t.": "tome", "éd.": "édition", "tél.": "téléphone", "Tél": "téléphone", "ex.": "exemple", "v.": "vers", "l.": "ligne",
        "al.": "alinéa", "env.": "environ", "ca.": "circa", "bd": "boulevard", "app.": "appartement", "appt.": "appartement",
        "bât.": "bâtiment", "CP": "C P", "op.": "opus",
        "max.": "maximum", "min.": "minimum",
    }  # fmt: skip
    abbreviations = {
        "p.ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "càd": "c'est-à-dire", "cf.": "confer", "vs.": "contre",
        "vs": "contre", "av.": "avenue", "bd.": "boulevard",
        "boul.": "boulevard", "pl.": "place", "tél.": "téléphone", "tél": "téléphone", "apr.": "après",
        "dép.": "département", "dept.": "département", "hab.": "habitants", "qqch.": "quelque chose", "qqn.": "quelqu'un",
        "qqch": "quelque chose", "qqn": "quelqu'un", "réf.": "référence", "resp.": "respectivement", "sté": "société",
        "Cie": "compagnie", "Éts": "établissements", "Ets": "établissements", "svp": "s'il vous plaît", "SVP": "s'il vous plaît",
        "NB": "nota bene", "N.B.": "nota bene", "7j/7": "sept jours sur sept", "24h/24": "vingt-quatre heures sur vingt-quatre",
        "24/7": "vingt-quatre heures sur vingt-quatre", "rdv": "rendez-vous", "RDV": "rendez-vous", "bcp": "beaucoup",
        "qq.": "quelque", "temp.": "température", "univ.": "université", "C.-B.": "Colombie-Britannique",
    }  # fmt: skip
    ending_abbreviations = {
        "etc.": "et cetera", "etc": "et cetera", "S.A.": "S A", "S.A.R.L.": "S A R L", "Cie.": "compagnie", "Jr.": "junior",
        "S.N.C.F.": "S N C F", "O.N.U.": "ONU", "U.E.": "U E", "U.S.A.": "U S A", "ss.": "suivants", "sqq.": "et suivants",
    }  # fmt: skip
    articles = word_set("le la les un une")
    plurals = {"page": "pages", "numéro": "numéros", "chapitre": "chapitres", "article": "articles"}
    letter_cues = word_set(
        "vitamine vitamines hépatite plan type point groupe classe porte bloc bâtiment rangée colonne lettre touche option ligne zone équipe modèle"
    )
    symbols = {
        "&": "et", "+": "plus", "=": "égale", "@": "arobase", "<": "inférieur à", ">": "supérieur à", "≤": "inférieur ou égal à",
        "≥": "supérieur ou égal à", "≠": "différent de", "≈": "environ", "~": "environ", "±": "plus ou moins", "×": "fois",
        "÷": "divisé par", "√": "racine carrée de", "∞": "infini", "π": "pi", "%": "pour cent", "‰": "pour mille", "°": "degrés",
        "§§": "paragraphes", "§": "paragraphe", "©": "copyright", "€": "euros", "$": "dollars", "£": "livres", "¥": "yens", "→": "vers",
        "^": "puissance", "−": "moins", "·": "fois", "/": "slash", "\\": "antislash", "_": "tiret bas", "№": "numéro",
        "¢": "cents", "Ω": "ohms", "µ": "micro",
    }  # fmt: skip
    sign_names = {
        "&": "esperluette", "(": "parenthèse ouvrante", ")": "parenthèse fermante", "[": "crochet ouvrant",
        "]": "crochet fermant", "{": "accolade ouvrante", "}": "accolade fermante", "|": "barre verticale",
        "<": "inférieur à", ">": "supérieur à", "'": "apostrophe", "–": "tiret", "—": "tiret",
    }  # fmt: skip
    address_marks = {
        ".": "point", "/": "slash", "@": "arobase", "-": "tiret", "_": "tiret bas", ":": "deux points", "?": "point d'interrogation",
        "=": "égal", "&": "et", "#": "dièse", "%": "pour cent", "+": "plus", "~": "tilde", "\\": "antislash", ",": "virgule",
        ";": "point-virgule", "!": "point d'exclamation", "*": "étoile", "$": "dollar", "(": "", ")": "", "'": "",
    }  # fmt: skip
    number_sign_word = "numéro"
    vowels = "aeiouyàâäéèêëîïôöùûüœæ"
    read_acronyms = word_set("""
    ONU OTAN UNESCO UNICEF NASA FIFA UEFA SIDA OVNI OPEP PIN SIM RAM ROM LAN GIF BIOS COVID FNAC SMIC INSEE CAPES ENA SICAV ZEP
    PACS CAF SAMU DOM TOM SARS IKEA AFNOR CNIL ASSEDIC CEDEX CROUS DRAC LASER RADAR NAFTA FAO MEDEF ALENA ARTE INRA INSERM
    """)  # fmt: skip
    spelled_acronyms = word_set("OCDE IEEE ISBN RATP AOC")
    common_words = word_set("""
    le la les un une des du de d l et ou mais donc or ni car que qui quoi dont où ce cet cette ces mon ma mes ton ta tes son sa
    ses notre nos votre vos leur leurs je tu il elle on nous vous ils elles me te se lui eux y en au aux à dans par pour avec sans
    sur sous entre chez vers depuis pendant avant après contre jusque est sont suis es êtes sommes était être a ai as avons avez
    ont avoir fait faire va vais vont aller peut peux pouvoir doit dois faut veut vouloir dit dire voir plus moins très trop peu
    beaucoup tout tous toute toutes rien personne jamais toujours encore déjà aussi bien mal ici là maintenant demain hier
    aujourd'hui non oui si pas ne comme quand comment pourquoi bon bonne nouveau nouvelle grand grande petit petite vie jour jours
    an ans année temps monde homme femme merci attention important danger interdit ouvert fermé sortie entrée fin chapitre partie
    livre même autre autres chaque quelque dieu amour liberté égalité fraternité aide gratuit stop bonjour alors ainsi
    """)  # fmt: skip
    roman_cues = word_set("""
    chapitre partie tome volume acte scène section livre article titre annexe figure tableau planche classe niveau phase type groupe
    catégorie saison série épisode symphonie sonate opus numéro version chant apollo gemini division ligue leçon vatican
    """)  # fmt: skip
    telephone_cues = word_set("téléphone tél tel mobile portable fax appelez appeler composez whatsapp")
    serial_cues = word_set("airbus boeing vol")
    address_words = word_set("com org net edu gouv info blog app")
    feminine_regnal_names = word_set(
        "élisabeth elisabeth catherine marie christine anne jeanne marguerite béatrix isabelle"
    )
    regnal_names = feminine_regnal_names | word_set("""
    louis charles henri françois philippe napoléon georges édouard edouard guillaume jean paul pierre jacques richard frédéric
    benoît pie léon grégoire clément innocent urbain sixte nicolas ivan alexandre othon léopold maximilien rodolphe constantin
    justinien ptolémée ramsès xerxès darius cyrus théodose victor amédée humbert emmanuel joseph albert baudouin gustave oscar
    haakon harald olav alphonse ferdinand jules célestin boniface martin adrien mohammed hassan félipe lothaire hugues robert
    pépin clovis childéric chilpéric dagobert thierry
    """)  # fmt: skip

    # --- other ---
    version_word = "version"
    squared, cubed = "au carré", "au cube"
    first_of_month = "premier"
    label_words = roman_cues | word_set("""
    page pages numéro ligne lignes paragraphe étage chambre porte chaîne route nationale autoroute rue avenue boulevard kilomètre jour
    code note question exercice thème leçon bus tram métro vol salle table lot le du au
    """)  # fmt: skip
    date_cues = frozenset(DAYS.values()) | word_set("date")
    bible_books = word_set("""
    genèse exode lévitique nombres deutéronome josué juges samuel rois chroniques job psaume psaumes proverbes ecclésiaste isaïe
    ésaïe jérémie ézéchiel daniel matthieu marc luc jean actes romains corinthiens galates éphésiens philippiens colossiens
    thessaloniciens timothée tite hébreux jacques apocalypse sourate
    """)
    non_nouns = common_words - word_set("personne vie année femme sortie entrée fin partie aide") | word_set("""
    heure heures million millions mille contre virgule arrive dit parle commence existe
    """)  # fmt: skip
    half, half_and = ("demi", "demie"), "et"
    max_regnal_ordinal = 1
    feminine_nouns = word_set("""
    personne fois page heure minute seconde semaine année journée nuit femme fille sœur mère voiture maison école ville chose
    tonne place pièce partie équipe étoile main mort voix part livre banque plage route rue tour mer fleur forêt eau peau fin faim
    clé clef image étape lettre ligne table porte fenêtre chambre classe phrase base feuille famille vie vache langue guerre
    bataille île pomme tasse cuillère bouteille boîte douzaine dizaine centaine photo vidéo moto radio chanson leçon raison saison
    maladie victoire défaite course entreprise usine chaise robe jupe chemise jambe tête dent oreille branche couche carte liste
    note règle scène salle planète lune cible arme bombe balle pierre plante branche racine province région commune montagne
    rivière adresse église messe prière dame reine princesse poule chèvre souris brebis fourmi sortie entrée aide
    """)  # fmt: skip

    # --- rules ---
    rules = (
        Rule(HOUR_MINUTES, lambda match: LANGUAGE.duration(int(match[1]), int(match[2]), 0)),
        Rule(
            r"0 8\d\d(?: \d{2,3}){2,3}(?!\w|[.,]\d)",
            lambda match: LANGUAGE.telephone(["0", *match[0].split()[1:]]),
        ),
        Rule(r"0\d{9}(?!\w|[.,]\d)", lambda match: LANGUAGE.telephone([match[0]])),
        Rule(r"(?<=années )80(?!\w|[.,]\d)", lambda match: "quatre-vingt"),
        Rule(
            r"(\d+)(?:,(\d+))?[ \u00a0\u202f]?M(?=[ \u00a0]d(?:e |['\u2019]))",
            lambda match: LANGUAGE.number(Number(int(match[1]), match[2] or "", False, "million")),
        ),
        Rule(
            r"(?<=[IVX]e )s\.(?!\s*\Z)|(?<=[IVX]e )s(?=\.)",
            lambda match: "siècle",
            "letter",
            frozenset("s"),
        ),
        *romance_rules(lambda: LANGUAGE, "numéro"),
        *abbreviation_rules(
            SPACED_ABBREVIATIONS, ("av. J.-C.", "ap. J.-C.", "apr. J.-C.", "J.-C.", "s. v. p.", "S. A.")
        ),
        Rule(ROMAN_ORDINAL, lambda match: LANGUAGE.roman_ordinal(match[1], match[2]), "letter", ROMAN_TRIGGERS),
        Rule(
            r"(M|MM|Mme|Mlle)\.?(?= (?:et M|les? |la |l'))",
            lambda match: POLITE_TITLES[match[1]],
            "letter",
            word_set("m mm mme mlle"),
        ),
        weekday_rule(DAYS, MONTH_NUMBERS),
        weekday_range_rule(lambda: LANGUAGE, DAYS),
        month_abbreviation_rule(MONTH_NUMBERS, MONTHS),
        elision_rule(lambda: LANGUAGE),
    )

    # --- numbers ---

    def cardinal(self, n: int, gender: str = "") -> str:
        spoken = super().cardinal(n)
        return re.sub(r"\bun$", "une", spoken) if gender == "f" else spoken

    def ordinal(self, n: int, suffix: str = "") -> str:
        ending = suffix.lower()
        plural = "s" if ending.endswith("s") else ""
        ending = ending.removesuffix("s")
        is_feminine = ending in ("re", "ère", "nde", "a")
        if n == 1:
            spoken = "première" if is_feminine else "premier"
        elif ending in ("nd", "nde", "d", "de") and n == 2:
            spoken = "seconde" if ending.endswith("e") else "second"
        else:
            spoken = re.sub("^un ", "", re.sub("(cent|vingt)sième", r"\1ième", super().ordinal(n)))
        return spoken + plural

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        if denominator == 2 and numerator == 1:
            return f"{self.cardinal(whole)} et demi" if whole else "un demi"
        one, many = {2: ("demi", "demis"), 3: ("tiers", "tiers"), 4: ("quart", "quarts")}.get(denominator) or (
            self.ordinal(denominator), f"{self.ordinal(denominator)}s",
        )  # fmt: skip
        if denominator >= 20 and denominator not in (100, 1000) or denominator == 1:
            one = many = f"sur {self.cardinal(denominator)}"
        part = f"{self.cardinal(numerator)} {one if numerator == 1 else many}"
        return part if whole is None else f"{self.cardinal(whole)} et {part}"

    def gender_of(self, noun: str, is_one: bool) -> str:
        if not is_one:
            if not noun.endswith("s"):
                return ""
            noun = noun[:-1]
        endings = (
            "tion",
            "sion",
            "té",
            "ée",
            "ure",
            "ance",
            "ence",
            "ette",
            "esse",
            "elle",
            "aine",
            "ise",
            "ude",
            "rie",
            "gie",
            "phie",
        )
        return "f" if noun in self.feminine_nouns or noun.endswith(endings) else "m"

    # --- quantities, dates and times ---

    def is_singular(self, n: Number) -> bool:
        """Nouns are singular up to two: "1,5 million", "zéro euro"."""
        return not n.magnitude and n.whole < 2

    def fraction_of(self, whole: int | None, numerator: int, denominator: int, noun: Noun) -> str:
        if (numerator, denominator) == (1, 2) and not whole:
            return f"{'une' if noun.gender == 'f' else 'un'} demi-{noun.one}"
        return super().fraction_of(whole, numerator, denominator, noun)

    def with_of(self, name: str) -> str:
        return f"d'{name}" if name[0] in "aeéiouhœy" and not name.startswith(("yen", "yuan", "hryv")) else f"de {name}"

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        spoken = f"{self.cardinal(hours, 'f')} {'heure' if hours < 2 else 'heures'}"
        if minutes:
            spoken += f" {self.cardinal(minutes, 'f')}"
        if seconds:
            spoken += f" et {self.cardinal(seconds, 'f')} {'seconde' if seconds == 1 else 'secondes'}"
        return spoken

    def telephone(self, groups: list[str]) -> str:
        """In pairs: "zéro un, vingt-trois". Numbers with groups of three or five digits are read digit by digit."""
        if any(len(group) in (3, 5) for group in groups[1:]):
            return super().telephone(groups)
        spoken = []
        for group in groups:
            digits = group.lstrip("+")
            plus = "plus " if group[0] == "+" else ""
            pairs = [digits] if len(digits) < 4 else [digits[i : i + 2] for i in range(0, len(digits), 2)]
            spoken += [plus + self._pair(pair) for pair in pairs]
        return ", ".join(spoken)

    def _pair(self, digits: str) -> str:
        zeros = len(digits) - len(digits.lstrip("0"))
        rest = self.cardinal(int(digits)) if digits.lstrip("0") else ""
        return " ".join([*["zéro"] * zeros, rest]).strip()


LANGUAGE: French = French()
