"""Spanish. Where the countries differ, what most speakers say: "primero de mayo", "tres dólares con cincuenta centavos"."""

import re

from .base import Rule, parse_currencies, parse_nouns, word_set
from .european import (
    abbreviation_rules,
    hours_rule,
    metric_units,
    month_abbreviation_rule,
    phone_rule,
    unit_table,
    weekday_range_rule,
    weekday_rule,
)
from .romance import Iberian, romance_rules

MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
)  # fmt: skip
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)} | {
    "ene": 1, "feb": 2, "mar": 3, "abr": 4, "may": 5, "jun": 6, "jul": 7, "ago": 8, "sep": 9, "sept": 9, "set": 9, "setiembre": 9,
    "oct": 10, "nov": 11, "dic": 12,
}  # fmt: skip
DAYS = {
    "lun": "lunes", "mar": "martes", "mié": "miércoles", "mie": "miércoles", "jue": "jueves", "vie": "viernes", "sáb": "sábado",
    "sab": "sábado", "dom": "domingo",
}  # fmt: skip
PREFIXES = {
    "n": "nano", "μ": "micro", "m": "mili", "c": "centi", "d": "deci", "h": "hecto", "k": "kilo", "K": "kilo", "M": "mega",
    "G": "giga", "T": "tera", "P": "peta", "p": "pico",
}  # fmt: skip
METRIC = metric_units(
    "m nμmcdk: metro, metros, m",
    {"n": "nanó", "μ": "micró", "m": "milí", "c": "centí", "d": "decí", "k": "kiló"},
) | metric_units(
    """
    g μmk: gramo, gramos, m
    l μmcdh: litro, litros, m
    L m: litro, litros, m
    t kM: tonelada, toneladas, f
    s nμm: segundo, segundos, m
    B kKMGTP: byte, bytes, m
    bit kMG: bit, bits, m
    Hz kMGT: hercio, hercios, m
    W mkMGT: vatio, vatios, m
    Wh kMGT: vatio hora, vatios hora, m
    V mk: voltio, voltios, m
    A m: amperio, amperios, m
    Ah m: amperio hora, amperios hora, m
    Ω kM: ohmio, ohmios, m
    F μnp: faradio, faradios, m
    N k: newton, newtons, m
    J kM: julio, julios, m
    cal k: caloría, calorías, f
    Pa hkM: pascal, pascales, m
    bar m: bar, bares, m
    eV kM: electronvoltio, electronvoltios, m
    mol m: mol, moles, m
    Bq kM: becquerel, becquereles, m
    Sv mμ: sievert, sieverts, m
    """,
    PREFIXES,
)

SPACED_ABBREVIATIONS = {
    "EE. UU.": "Estados Unidos", "EE. UU": "Estados Unidos", "p. ej.": "por ejemplo", "a. C.": "antes de Cristo",
    "d. C.": "después de Cristo", "a. de C.": "antes de Cristo", "d. de C.": "después de Cristo", "a. m.": "a m",
    "p. m.": "p m", "S. A.": "S A", "S. L.": "S L", "RR. HH.": "recursos humanos", "JJ. OO.": "juegos olímpicos",
    "FF. AA.": "fuerzas armadas", "CC. OO.": "Comisiones Obreras", "FF. CC.": "ferrocarriles", "DD. HH.": "derechos humanos",
    "Bs. As.": "Buenos Aires", "q. e. p. d.": "que en paz descanse", "P. D.": "posdata", "N. del T.": "nota del traductor",
    "s. f.": "sin fecha", "S. M.": "su majestad", "S. S.": "su santidad", "c. c.": "centímetros cúbicos",
    "m. n.": "moneda nacional",
}  # fmt: skip

PHONE = (
    r"(?:[6-9]\d{2}[ \u00a0.-]\d{3}[ \u00a0.-]\d{3}|9\d[ \u00a0.-]\d{3}[ \u00a0.-]\d{2}[ \u00a0.-]\d{2}"
    r"|[6-9]\d{2}(?:[ \u00a0.-]\d{2}){3}|\d{2}[ -]\d{4}[ -]\d{4}"
    r"|(?!(?:1\d|20)\d\d-(?:1\d|20)\d\d)\d{4}-\d{4})(?!\w|[.,-]\d|[ \u00a0]?[€$%])"
)
HOURS = ("h", "hs", "hrs", "horas", "hora")


class Spanish(Iberian):
    code = "es"
    num2words_code = "es"

    # --- numbers ---
    group_with_spaces = True
    point = "coma"
    dot = "punto"
    minus = "menos"
    ordinal_suffix = (
        r"(?:\.?(?:[ºª]s?|er|ero|era|ro|ra|do|da|to|ta|mo|ma|vo|va|no|na|os|as)"
        r"|°(?=[ \u00a0](?!de\b|[CFNSEOW]\b|bajo|norte|sur)[^\W\d_]))"
    )
    magnitudes = parse_nouns("""
        k K: mil, mil, -
        mil: mil, mil, -
        millón millones mill. mills. M MM: millón, millones, m
        billón billones: billón, billones, m
    """)
    range_word = "a"
    ratio_word = "a"
    out_of = "de"
    times_sign = "por"
    by = "por"

    # --- money, units ---
    currency_signs = {
        **Iberian.currency_signs,
        "euros": "EUR", "euro": "EUR", "dólares": "USD", "dólar": "USD", "MX$": "MXN", "S/": "PEN",
    }  # fmt: skip
    currencies = parse_currencies("""
        EUR: euro, euros, m | céntimo, céntimos, m
        USD: dólar, dólares, m | centavo, centavos, m
        GBP: libra, libras, f | penique, peniques, m
        MXN: peso mexicano, pesos mexicanos, m | centavo, centavos, m
        ARS: peso argentino, pesos argentinos, m | centavo, centavos, m
        COP: peso colombiano, pesos colombianos, m | centavo, centavos, m
        CLP: peso chileno, pesos chilenos, m
        PEN: sol, soles, m | céntimo, céntimos, m
        BRL: real, reales, m | centavo, centavos, m
        JPY: yen, yenes, m
        CNY: yuan, yuanes, m
        INR: rupia, rupias, f | paisa, paisas, f
        RUB: rublo, rublos, m | kopek, kopeks, m
        KRW: won, wones, m
        ILS: séquel, séqueles, m
        TRY: lira, liras, f
        UAH: grivna, grivnas, f
        CAD: dólar canadiense, dólares canadienses, m | centavo, centavos, m
        AUD: dólar australiano, dólares australianos, m | centavo, centavos, m
        CHF: franco suizo, francos suizos, m | céntimo, céntimos, m
        SEK: corona sueca, coronas suecas, f
        NOK: corona noruega, coronas noruegas, f
        DKK: corona danesa, coronas danesas, f
        PLN: esloti, eslotis, m
        CZK: corona checa, coronas checas, f
        BTC: bitcóin, bitcoins, m
        ¢: centavo, centavos, m
    """)
    money_and = "con"
    of_magnitude = "de"
    units = unit_table(
        METRIC,
        square=lambda name, many: f"{name} {'cuadrados' if many else 'cuadrado'}",
        cube=lambda name, many: f"{name} {'cúbicos' if many else 'cúbico'}",
        others="""
            %: por ciento
            Nm: newton metro, newtons metro, m
            ‰: por mil
            °: grado, grados, m
            °C ºC: grado Celsius, grados Celsius, m
            °F ºF: grado Fahrenheit, grados Fahrenheit, m
            K: kelvin, kelvins, m
            ha: hectárea, hectáreas, f
            cc: centímetro cúbico, centímetros cúbicos, m
            min mins min.: minuto, minutos, m
            seg seg.: segundo, segundos, m
            h hrs hrs. hs: hora, horas, f
            kgs Kg: kilogramo, kilogramos, m
            kms Km: kilómetro, kilómetros, m
            CV: caballo, caballos, m
            hp HP: caballo de fuerza, caballos de fuerza, m
            dB: decibelio, decibelios, m
            px: píxel, píxeles, m
            MP: megapíxel, megapíxeles, m
            lx: lux
            lm: lumen, lúmenes, m
            cd: candela, candelas, f
            ppm: parte por millón, partes por millón, f
            rpm: revolución por minuto, revoluciones por minuto, f
            lpm: latido por minuto, latidos por minuto, m
            fps: cuadro por segundo, cuadros por segundo, m
            mmHg: milímetro de mercurio, milímetros de mercurio, m
            km/h kmh Km/h: kilómetro por hora, kilómetros por hora, m
            m/s: metro por segundo, metros por segundo, m
            mph: milla por hora, millas por hora, f
            Mbps: megabit por segundo, megabits por segundo, m
            Gbps: gigabit por segundo, gigabits por segundo, m
            M€: millón de euros, millones de euros, m
            k€: mil euros
            mi: milla, millas, f
            ft: pie, pies, m
            lb lbs: libra, libras, f
            oz: onza, onzas, f
            gal: galón, galones, m
            l/100km: litro a los cien kilómetros, litros a los cien kilómetros, m
        """,
    )
    per = "por"

    # --- dates and times ---
    months = MONTH_NUMBERS
    month_names = MONTHS
    date_separator = r"\s+(?:del?\s+)?"
    time_separator = r":|[ ]?h[ ]?(?=\d\d)|\.(?=\d\d[ \u00a0]?(?:h|hs|hrs|horas)\b)"
    day_periods = {
        "a. m.": "a m", "p. m.": "p m", "a.m.": "a m", "p.m.": "p m", "am": "a m", "pm": "p m", "AM": "a m", "PM": "p m",
        "A.M.": "a m", "P.M.": "p m", "a. m": "a m", "p. m": "p m", "h": "", "hs": "", "hrs": "", "h.": "", "hs.": "",
        "hrs.": "", "horas": "", "hora": "",
    }  # fmt: skip
    year_cues = word_set("en desde hasta año años del de hacia entre y verano invierno otoño primavera")

    # --- words ---
    titles = {
        "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Sres.": "señores", "Sras.": "señoras", "D.": "don",
        "Da.": "doña", "D.ª": "doña", "Dña.": "doña", "Dr.": "doctor", "Dra.": "doctora", "Dres.": "doctores",
        "Prof.": "profesor", "Profa.": "profesora", "Lic.": "licenciado", "Licda.": "licenciada", "Ing.": "ingeniero",
        "Arq.": "arquitecto", "Gral.": "general", "Cnel.": "coronel", "Cap.": "capitán", "Tte.": "teniente", "Sgto.": "sargento",
        "Sto.": "santo", "Sta.": "santa", "Fr.": "fray", "Pbro.": "presbítero", "Mons.": "monseñor", "Excmo.": "excelentísimo",
        "Excma.": "excelentísima", "Ilmo.": "ilustrísimo", "Ilma.": "ilustrísima", "Rvdo.": "reverendo", "Pdte.": "presidente",
        "Pdta.": "presidenta", "Hno.": "hermano", "Hna.": "hermana", "Mtro.": "maestro", "Mtra.": "maestra",
        "Sr": "señor", "Sra": "señora", "Dr": "doctor", "Dra": "doctora", "Srta": "señorita",
    }  # fmt: skip
    number_abbreviations = {
        "n.º": "número", "nº": "número", "núm.": "número", "No.": "número", "núms.": "números", "nro.": "número",
        "Nro": "número", "pág.": "página", "págs.": "páginas", "p.": "página", "pp.": "páginas", "s.": "siglo", "ss.": "siglos",
        "cap.": "capítulo", "caps.": "capítulos", "art.": "artículo", "arts.": "artículos", "vol.": "volumen", "t.": "tomo",
        "fig.": "figura", "sec.": "sección", "ed.": "edición", "tel.": "teléfono", "tfno.": "teléfono", "teléf.": "teléfono",
        "tlf.": "teléfono", "ext.": "extensión", "km.": "kilómetro", "km": "kilómetro", "av.": "avenida", "c.": "circa",
        "ca.": "circa", "v.": "versículo", "lám.": "lámina", "apdo.": "apartado", "aptdo.": "apartado", "dpto.": "departamento",
        "op.": "opus", "CP": "C P",
        "máx.": "máximo", "mín.": "mínimo",
    }  # fmt: skip
    plurals = {
        "página": "páginas",
        "número": "números",
        "capítulo": "capítulos",
        "artículo": "artículos",
        "figura": "figuras",
    }
    abbreviations = {
        "aprox.": "aproximadamente", "vs.": "versus", "vs": "versus", "cf.": "compárese",
        "admón.": "administración", "depto.": "departamento", "dpto.": "departamento", "esq.": "esquina", "incl.": "inclusive",
        "izq.": "izquierda", "dcha.": "derecha", "der.": "derecha", "prov.": "provincia", "pza.": "plaza", "pl.": "plaza",
        "avda.": "avenida", "av.": "avenida", "ctra.": "carretera", "c/": "calle", "p.ej.": "por ejemplo", "ej.": "ejemplo",
        "pág.": "página", "tel.": "teléfono", "núm.": "número", "ref.": "referencia", "gob.": "gobierno", "univ.": "universidad",
        "EEUU": "Estados Unidos", "EE.UU": "Estados Unidos", "vda.": "viuda", "adj.": "adjunto",
        "atte.": "atentamente", "fdo.": "firmado", "hab.": "habitantes", "c/u": "cada uno", "24/7": "veinticuatro siete",
        "s/n": "sin número",
    }  # fmt: skip
    ending_abbreviations = {
        "etc.": "etcétera", "etc": "etcétera", "Ud.": "usted", "Uds.": "ustedes", "Vd.": "usted", "Vds.": "ustedes",
        "Cía.": "compañía", "Hnos.": "hermanos", "S.A.": "S A", "S.L.": "S L", "S.A.U.": "S A U", "a.m.": "a m", "p.m.": "p m",
        "Jr.": "júnior", "ss.": "siguientes", "sig.": "siguiente", "seg.": "segundos", "hrs.": "horas",
        "O.N.U.": "ONU", "U.E.": "U E", "D.N.I.": "D N I",
        "D.F.": "D F",
    }  # fmt: skip
    articles = word_set("el la los las un una")
    letter_cues = word_set(
        "vitamina vitaminas hepatitis plan tipo punto grupo clase puerta bloque edificio fila columna letra tecla opción línea zona equipo modelo"
    )
    symbols = {
        "&": "y", "+": "más", "=": "igual a", "@": "arroba", "<": "menor que", ">": "mayor que", "≤": "menor o igual que",
        "≥": "mayor o igual que", "≠": "distinto de", "≈": "aproximadamente", "~": "aproximadamente", "±": "más menos",
        "×": "por", "÷": "dividido entre", "√": "raíz cuadrada de", "∞": "infinito", "π": "pi", "%": "por ciento",
        "‰": "por mil", "°": "grados", "§§": "secciones", "§": "sección", "©": "copyright", "€": "euros", "$": "dólares", "£": "libras",
        "¥": "yenes", "→": "a", "^": "elevado a", "−": "menos", "·": "por", "/": "barra", "\\": "barra invertida",
        "_": "guion bajo", "№": "número", "¢": "centavos", "Ω": "ohmios", "µ": "micro",
    }  # fmt: skip
    sign_names = {
        "(": "abre paréntesis", ")": "cierra paréntesis", "[": "abre corchete", "]": "cierra corchete", "{": "abre llave",
        "}": "cierra llave", "|": "barra vertical", "<": "menor que", ">": "mayor que", "'": "apóstrofo",
        "#": "almohadilla", "=": "igual", "–": "raya", "—": "raya",
    }  # fmt: skip
    address_marks = {
        ".": "punto", "/": "barra", "@": "arroba", "-": "guion", "_": "guion bajo", ":": "dos puntos", "?": "signo de interrogación",
        "=": "igual", "&": "y", "#": "numeral", "%": "por ciento", "+": "más", "~": "tilde", "\\": "barra invertida", ",": "coma",
        ";": "punto y coma", "!": "signo de exclamación", "*": "asterisco", "$": "dólar", "(": "", ")": "", "'": "",
    }  # fmt: skip
    number_sign_word = "número"
    vowels = "aeiouyáéíóúü"
    read_acronyms = word_set("""
    PSOE ONU OTAN UNESCO UNICEF NASA FIFA UEFA SIDA OVNI OMS OEA OPEP AVE IVA PIN SIM RAM ROM LAN GIF BIOS COVID RENFE SEAT TALGO INEM
    PYME PYMES ETA OVNIS PIB MIR FARC UNAM NAFTA MERCOSUR UNASUR SARS IKEA FAO PAN PRI OTI LASER RADAR NIE COPE
    """)  # fmt: skip
    spelled_acronyms = word_set("OCDE ADN UAE CEOE IEEE ISBN")
    common_words = word_set("""
    el la los las lo un una unos unas y o u e pero no ni sí si que qué quien quién cual cuál cuando cuándo donde dónde como cómo
    porque por para con sin sobre entre hasta desde hacia contra según de del al a en yo tú él ella usted nosotros ellos ellas
    ustedes me te se nos os le les mi mis tu tus su sus nuestro nuestra es son soy eres somos está están estoy era fue ser estar
    hay ha han he haber hacer hace hizo tiene tienen tengo tener puede pueden poder debe ir va van ver más menos muy mucho mucha
    muchos poco poca todo toda todos todas nada nadie algo alguien cada otro otra otros ya aún también tampoco siempre nunca ahora
    hoy ayer mañana aquí allí así bien mal mejor peor bueno buena malo nuevo nueva grande gran vida casa día días año años tiempo
    mundo hombre mujer gracias favor hola atención importante peligro prohibido abierto cerrado salida entrada alto fin capítulo
    parte libro este esta estos estas ese esa eso aquel uno dos tres solo solamente tan tanto antes después mientras durante tras
    pues entonces amor dios ayuda gratis oferta ojo pare
    """)  # fmt: skip
    roman_cues = word_set("""
    capítulo parte tomo volumen acto escena sección libro artículo título anexo apéndice figura tabla lámina clase nivel fase tipo
    grupo categoría temporada serie episodio sinfonía sonata opus número versión canto concilio apolo apollo géminis división liga
    bowl
    """)  # fmt: skip
    telephone_cues = word_set("teléfono tel móvil celular fax llame llama whatsapp llamar")
    serial_cues = word_set("airbus boeing vuelo")
    address_words = word_set("com org net edu gob gov info blog app")
    feminine_regnal_names = word_set("isabel catalina maría cristina ana juana margarita beatriz")
    regnal_names = feminine_regnal_names | word_set("""
    felipe carlos alfonso luis enrique jorge eduardo guillermo juan pablo pedro fernando sancho ramiro ordoño bermudo garcía jaime
    francisco jacobo ricardo federico benedicto pío león gregorio clemente inocencio urbano sixto napoleón nicolás iván alejandro
    otón leopoldo maximiliano rodolfo constantino justiniano ptolomeo ramsés jerjes darío ciro teodosio víctor amadeo umberto
    manuel josé alberto balduino gustavo óscar haakon harald olav abderramán mohamed hasán abdalá martín adriano julio celestino
    bonifacio nicolas
    """)  # fmt: skip

    # --- other ---
    version_word = "versión"
    squared, cubed = "al cuadrado", "al cubo"
    first_of_month = "primero"
    date_joiner = " de "
    label_words = roman_cues | word_set("""
    página páginas número números artículo artículos línea apartado piso puerta canal ruta autopista carretera kilómetro día código
    calle avenida nota pregunta ejercicio tema unidad lección apartamento habitación sala vuelo bus autobús aula mesa lote
    """)
    century_cues = word_set("siglo siglos s ss")
    date_cues = frozenset(DAYS.values()) | word_set("día")
    bible_books = word_set("""
    génesis éxodo levítico números deuteronomio josué jueces samuel reyes crónicas job salmo salmos proverbios eclesiastés isaías
    jeremías ezequiel daniel mateo marcos lucas juan hechos romanos corintios gálatas efesios filipenses colosenses tesalonicenses
    timoteo tito hebreos santiago apocalipsis sura
    """)
    non_nouns = common_words - word_set("""
    casa día días año años tiempo mundo hombre mujer vida salida entrada parte capítulo libro ayuda oferta
    """) | word_set("""
    ante bajo cabe horas hora euros am pm mil millón millones billones llegó dice trata es habla empieza termina equivale
    mide pesa vale
    """)
    half, half_and = ("medio", "media"), "y"
    roman_ordinal_nouns = {
        "guerra": "f", "república": "f", "reich": "m", "congreso": "m", "edición": "f", "cumbre": "f", "centenario": "m",
        "aniversario": "m", "conferencia": "f", "jornada": "f", "jornadas": "f", "festival": "m", "premio": "m", "concurso": "m",
        "milenio": "m", "dinastía": "f", "cruzada": "f", "internacional": "f", "legislatura": "f", "semana": "f", "feria": "f",
        "encuentro": "m", "simposio": "m", "asamblea": "f", "bienal": "f", "torneo": "m", "copa": "f", "juegos": "m",
        "foro": "m", "plan": "m", "concilio": "m", "trimestre": "m",
    }  # fmt: skip
    feminine_nouns = word_set("""
    mujer mujeres noche noches vez veces clase clases calle calles parte partes tarde tardes muerte muertes frase frases fase
    fases base bases ley leyes flor flores voz voces luz luces cruz cruces red redes pared paredes imagen imágenes orden órdenes
    mano manos llave llaves nube nubes leche sangre gente sal sales piel pieles nave naves serie series especie especies miel
    señal señales moto motos foto fotos torre torres cumbre cumbres tesis crisis dosis fuente fuentes mente mentes suerte
    """)  # fmt: skip
    masculine_nouns = word_set("""
    dálmata dálmatas día días mapa mapas planeta planetas tema temas problema problemas programa programas sistema sistemas idioma
    idiomas clima climas poema poemas dilema dilemas síntoma síntomas drama dramas esquema esquemas telegrama cometa cometas poeta
    poetas atleta atletas artista artistas turista turistas periodista periodistas futbolista futbolistas ciclista ciclistas
    tenista tenistas policía policías tranvía guardia guardias colega colegas pirata piratas gorila gorilas sofá sofás panda
    pandas diagrama diagramas aroma aromas papa papas kilograma
    """)  # fmt: skip
    feminine_endings = ("a", "ción", "sión", "dad", "tad", "tud")
    feminine_plural_endings = ("as", "ciones", "siones", "dades", "tades", "tudes")

    # --- rules ---
    rules = (
        phone_rule(lambda: LANGUAGE, PHONE),
        Rule(r"(\d+)x(?= (?:más|menos|mayor|mejor))", lambda match: f"{LANGUAGE.cardinal(int(match[1]), 'f')} veces"),
        *romance_rules(lambda: LANGUAGE, "número"),
        *abbreviation_rules(SPACED_ABBREVIATIONS, ("a. C.", "d. C.", "a. de C.", "d. de C.", "EE. UU.", "S. A.", "S. L.", "a. m.", "p. m.", "q. e. p. d.")),
        weekday_rule(DAYS, MONTH_NUMBERS),
        hours_rule(lambda: LANGUAGE),
        weekday_range_rule(lambda: LANGUAGE, DAYS),
        month_abbreviation_rule(MONTH_NUMBERS, MONTHS),
    )  # fmt: skip

    # --- numbers ---

    def cardinal(self, n: int, gender: str = "") -> str:
        spoken = re.sub(r"uno(?= mil)", "un", super().cardinal(n)).replace("veintiun ", "veintiún ")
        if gender == "m":
            return re.sub(r"veintiuno$", "veintiún", re.sub(r"\buno$", "un", spoken))
        if gender == "f":
            millions, mark, rest = spoken.rpartition("millón " if "millón " in spoken else "millones ")
            rest = re.sub(r"(cient|quinient|novecient|setecient)os\b", r"\1as", rest)
            return millions + mark + re.sub(r"uno$", "una", rest)
        return spoken

    def ordinal(self, n: int, suffix: str = "") -> str:
        spoken = super().ordinal(n, suffix)
        return re.sub(r"(primer|tercer)o$", r"\1", spoken) if suffix.lstrip(".") == "er" else spoken

    def masculine_ordinal(self, n: int) -> str:
        spoken = super().masculine_ordinal(n).replace("décimoprimero", "undécimo").replace("décimosegundo", "duodécimo")
        spoken = spoken.replace("quadra", "cuadra")
        if 13 <= n <= 19:
            spoken = spoken.replace("décimo octavo", "decimoctavo").replace("décimo ", "decimo")
        return spoken

    def roman_before_noun(self, match: re.Match[str]) -> str | None:
        spoken = super().roman_before_noun(match)
        return spoken and re.sub(r"\b(primer|tercer)o$", r"\1", spoken)

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        if denominator == 2 and numerator == 1 and whole:
            return f"{self.cardinal(whole)} y medio"
        if denominator > 100 and denominator != 1000:
            over = f"{self.cardinal(numerator)} sobre {self.cardinal(denominator)}"
            return over if whole is None else f"{self.cardinal(whole)} y {over}"
        names = {2: "medio", 3: "tercio", 100: "centésimo", 1000: "milésimo"}
        name = names.get(denominator)
        if name is None:
            name = self.ordinal(denominator) if denominator <= 10 else self._denominator(denominator)
        part = f"{self.cardinal(numerator, 'm')} {name}{'' if numerator == 1 else 's'}"
        return part if whole is None else f"{self.cardinal(whole)} y {part}"

    def _denominator(self, n: int) -> str:
        """12: "doceavo", 24: "veinticuatroavo"."""
        spoken = self.cardinal(n)
        plain = spoken.translate(str.maketrans("áéíóú", "aeiou"))
        return plain + ("vo" if plain.endswith("a") else "avo")

    # --- dates and times ---

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        spoken = self.cardinal(hours, "f")
        hour = "hora" if hours == 1 else "horas"
        if 1 <= hours <= 12 and period not in HOURS and seconds is None:
            parts = {0: "", 15: "y cuarto", 30: "y media"}
            return f"{spoken} {parts.get(minutes, f'y {self.cardinal(minutes)}')}".strip()
        if not minutes and not seconds:
            return f"{spoken} {hour}"
        zero = f"{self.cardinal(0)} " if minutes < 10 else ""
        spoken = (
            f"{spoken} {hour} {self.cardinal(minutes)}" if hours == 0 else f"{spoken} {zero}{self.cardinal(minutes)}"
        )
        spoken += f" {hour}" if period in HOURS and hours else ""
        return (
            spoken
            if not seconds
            else f"{spoken} y {self.cardinal(seconds, 'm')} {'segundo' if seconds == 1 else 'segundos'}"
        )


LANGUAGE: Spanish = Spanish()
