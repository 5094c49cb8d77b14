"""Portuguese, as it is spoken in Brazil: "dezesseis", "um bilhão", "primeiro de maio"."""

import re

from .base import Number, Rule, parse_currencies, parse_nouns, word_set
from .european import (
    abbreviation_rules,
    metric_units,
    month_abbreviation_rule,
    phone_rule,
    unit_table,
    weekday_range_rule,
    weekday_rule,
)
from .romance import Iberian, romance_rules

MONTHS = (
    "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro", "dezembro",
)  # fmt: skip
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)} | {
    "jan": 1, "fev": 2, "mar": 3, "abr": 4, "mai": 5, "jun": 6, "jul": 7, "ago": 8, "set": 9, "out": 10, "nov": 11, "dez": 12,
}  # fmt: skip
DAYS = {
    "seg": "segunda-feira", "ter": "terça-feira", "qua": "quarta-feira", "qui": "quinta-feira", "sex": "sexta-feira",
    "sáb": "sábado", "dom": "domingo",
}  # fmt: skip
PREFIXES = {
    "n": "nano", "μ": "micro", "m": "mili", "c": "centi", "d": "deci", "h": "hecto", "k": "quilo", "K": "quilo", "M": "mega",
    "G": "giga", "T": "tera", "P": "peta", "p": "pico",
}  # fmt: skip
METRIC = (
    metric_units(
        "m nμmcdk: metro, metros, m",
        {"n": "nanô", "μ": "micrô", "m": "milí", "c": "centí", "d": "decí", "k": "quilô"},
    )
    | metric_units(
        """
    g μmk: grama, gramas, m
    l μmcdh: litro, litros, m
    L m: litro, litros, m
    t -: tonelada, toneladas, f
    s nμm: segundo, segundos, m
    Hz kMGT: hertz, hertz, m
    W mkMGT: watt, watts, m
    Wh kMGT: watt-hora, watts-hora, m
    V mk: volt, volts, m
    A m: ampere, amperes, m
    Ah m: ampere-hora, amperes-hora, m
    Ω kM: ohm, ohms, m
    F μnp: farad, farads, m
    N k: newton, newtons, m
    J kM: joule, joules, m
    cal k: caloria, calorias, f
    Pa hkM: pascal, pascals, m
    bar m: bar, bars, m
    eV kM: elétron-volt, elétrons-volt, m
    mol m: mol, mols, m
    Bq kM: becquerel, becquerels, m
    Sv mμ: sievert, sieverts, m
    """,
        PREFIXES,
    )
    | metric_units(
        """
    B kKMGTP: byte, bytes, m
    bit kMG: bit, bits, m
    """,
        PREFIXES | {"k": "kilo", "K": "kilo"},
    )
)

SPACED_ABBREVIATIONS = {
    "p. ex.": "por exemplo", "a. C.": "antes de Cristo", "d. C.": "depois de Cristo", "a.C.": "antes de Cristo",
    "d.C.": "depois de Cristo", "S. A.": "S A", "P. S.": "pós-escrito", "N. B.": "note bem", "i. e.": "isto é",
    "V. Exa.": "vossa excelência", "V. Ex.ª": "vossa excelência", "V. Sa.": "vossa senhoria", "V. S.ª": "vossa senhoria",
    "S. Exa.": "sua excelência", "a. m.": "a m", "p. m.": "p m", "E. U. A.": "Estados Unidos", "S. M.": "sua majestade",
    "N. do T.": "nota do tradutor",
}  # fmt: skip

PHONE = (
    r"(?:\(\d{2,3}\)[ \u00a0]?)?(?!(?:1\d|20)\d\d-(?:1\d|20)\d\d)9?\d{4}-\d{4}(?!\w|[.,-]\d)"
    r"|\(\d{2,3}\)[ \u00a0]?9?[ \u00a0.]?\d{4}[ \u00a0-]\d{4}(?!\w|[.,-]\d)"
    r"|9\d{2}[ \u00a0]\d{3}[ \u00a0]\d{3}(?!\w|[.,]\d)|0800[ -]\d{3}[ -]\d{4}(?!\w|[.,]\d)|\d{2}[ ]9\d{4}[ -]\d{4}(?!\w|[.,]\d)"
    r"|\+55[ ]?\(?\d{2}\)?[ ]?9?\d{4}[ -]\d{4}(?!\w|[.,]\d)"
)


TAXPAYER_NUMBER = r"(?:\d{3}\.\d{3}\.\d{3}-\d\d|\d\d\.\d{3}\.\d{3}/\d{4}-\d\d)(?!\w|-\d)"  # CPF, CNPJ


class Portuguese(Iberian):
    code = "pt"
    num2words_code = "pt_BR"

    # --- numbers ---
    point = "vírgula"
    dot = "ponto"
    minus = "menos"
    ordinal_suffix = r"(?:\.?[ºª]s?|°(?=[ \u00a0](?!de\b|[CFNSLO]\b)[^\W\d_])|[oa]s?(?![\w]))"
    magnitudes = parse_nouns("""
        k K: mil, mil, -
        mil: mil, mil, -
        milhão milhões mi mi. M: milhão, milhões, m
        bilhão bilhões bi bi.: bilhão, bilhões, m
        trilhão trilhões tri: trilhão, trilhões, m
    """)
    range_word = "a"
    ratio_word = "a"
    out_of = "de"
    times_sign = "vezes"
    by = "por"

    # --- money, units ---
    currency_signs = {
        **Iberian.currency_signs, "reais": "BRL", "real": "BRL", "euros": "EUR", "euro": "EUR", "dólares": "USD", "dólar": "USD",
        "U$": "USD", "MZN": "MZN", "Kz": "AOA",
    }  # fmt: skip
    currencies = parse_currencies("""
        BRL: real, reais, m | centavo, centavos, m
        EUR: euro, euros, m | centavo, centavos, m
        USD: dólar, dólares, m | centavo, centavos, m
        GBP: libra, libras, f | centavo, centavos, m
        JPY: iene, ienes, m
        CNY: iuane, iuanes, m
        INR: rupia, rupias, f
        RUB: rublo, rublos, m | copeque, copeques, m
        KRW: won, wons, m
        ILS: shekel, shekels, m
        TRY: lira, liras, f
        UAH: hryvnia, hryvnias, f
        CAD: dólar canadense, dólares canadenses, m | centavo, centavos, m
        AUD: dólar australiano, dólares australianos, m | centavo, centavos, m
        MXN: peso mexicano, pesos mexicanos, m | centavo, centavos, m
        ARS: peso argentino, pesos argentinos, m | centavo, centavos, m
        CHF: franco suíço, francos suíços, m | centavo, centavos, m
        AOA: kwanza, kwanzas, m
        MZN: metical, meticais, m
        PTE: escudo, escudos, m | centavo, centavos, m
        SEK: coroa sueca, coroas suecas, f
        NOK: coroa norueguesa, coroas norueguesas, f
        DKK: coroa dinamarquesa, coroas dinamarquesas, f
        PLN: zloty, zlotys, m
        CZK: coroa tcheca, coroas tchecas, f
        BTC: bitcoin, bitcoins, m
        ¢: centavo, centavos, m
    """)
    money_and = "e"
    of_magnitude = "de"
    units = unit_table(
        METRIC,
        square=lambda name, many: f"{name} {'quadrados' if many else 'quadrado'}",
        cube=lambda name, many: f"{name} {'cúbicos' if many else 'cúbico'}",
        others="""
            %: por cento
            Nm: newton-metro, newtons-metro, m
            ‰: por mil
            °: grau, graus, m
            °C ºC: grau Celsius, graus Celsius, m
            °F ºF: grau Fahrenheit, graus Fahrenheit, m
            K: kelvin, kelvins, m
            ha: hectare, hectares, m
            cc: centímetro cúbico, centímetros cúbicos, m
            min mins min.: minuto, minutos, m
            seg seg.: segundo, segundos, m
            h hs hrs: hora, horas, f
            Kg kgs: quilograma, quilogramas, m
            Km kms: quilômetro, quilômetros, m
            cv CV: cavalo, cavalos, m
            hp HP: cavalo de força, cavalos de força, m
            dB: decibel, decibéis, m
            px: pixel, pixels, m
            MP: megapixel, megapixels, m
            lx: lux, lux, m
            lm: lúmen, lúmens, m
            cd: candela, candelas, f
            ppm: parte por milhão, partes por milhão, f
            rpm: rotação por minuto, rotações por minuto, f
            bpm: batimento por minuto, batimentos por minuto, m
            mmHg: milímetro de mercúrio, milímetros de mercúrio, m
            km/h Km/h kmh: quilômetro por hora, quilômetros por hora, m
            m/s: metro por segundo, metros por segundo, m
            mph: milha por hora, milhas por hora, f
            Mbps Mbit/s: megabit por segundo, megabits por segundo, m
            Gbps Gbit/s: gigabit por segundo, gigabits por segundo, m
            hab./km²: habitante por quilômetro quadrado, habitantes por quilômetro quadrado, m
            M€: milhão de euros, milhões de euros, m
            mi: milha, milhas, f
            ft: pé, pés, m
            lb lbs: libra, libras, f
            oz: onça, onças, f
            l/100km: litro por cem quilômetros, litros por cem quilômetros, m
        """,
    )
    per = "por"

    # --- dates and times ---
    months = MONTH_NUMBERS
    month_names = MONTHS
    date_separator = r"\s+(?:de\s+)?"
    time_separator = r":|[ ]?[hH][ ]?(?=\d\d)"
    day_periods = {
        "h": "", "hs": "", "hrs": "", "horas": "", "hora": "", "H": "", "h.": "", "a.m.": "a m", "p.m.": "p m", "am": "a m",
        "pm": "p m", "AM": "a m", "PM": "p m",
    }  # fmt: skip
    year_cues = word_set("em desde até ano anos de do entre e verão inverno outono primavera")

    # --- words ---
    titles = {
        "Sr.": "senhor", "Sra.": "senhora", "Srta.": "senhorita", "Srs.": "senhores", "Sras.": "senhoras", "D.": "dom",
        "Dª.": "dona", "Dr.": "doutor", "Dra.": "doutora", "Drs.": "doutores", "Prof.": "professor", "Profa.": "professora",
        "Prof.ª": "professora", "Profª.": "professora", "Profª": "professora", "Dr.ª": "doutora", "Sr.ª": "senhora",
        "Eng.": "engenheiro", "Arq.": "arquiteto", "Adv.": "advogado", "Gen.": "general", "Gal.": "general", "Cel.": "coronel",
        "Cap.": "capitão", "Ten.": "tenente", "Sgt.": "sargento", "Sto.": "santo", "Sta.": "santa", "S.": "são", "Pe.": "padre",
        "Fr.": "frei", "Ir.": "irmã", "Mons.": "monsenhor", "Exmo.": "excelentíssimo", "Exma.": "excelentíssima",
        "Ilmo.": "ilustríssimo", "Ilma.": "ilustríssima", "Rev.": "reverendo", "Pres.": "presidente", "Dep.": "deputado",
        "Sen.": "senador", "Gov.": "governador", "Min.": "ministro", "Sr": "senhor", "Sra": "senhora", "Dr": "doutor",
        "Dra": "doutora", "Mal.": "marechal", "Des.": "desembargador",
    }  # fmt: skip
    number_abbreviations = {
        "n.º": "número", "nº": "número", "nºs": "números", "núm.": "número", "nr.": "número", "n.": "número",
        "pág.": "página", "págs.": "páginas", "pag.": "página", "p.": "página", "pp.": "páginas", "cap.": "capítulo",
        "caps.": "capítulos", "art.": "artigo", "arts.": "artigos", "vol.": "volume", "vols.": "volumes", "t.": "tomo",
        "fig.": "figura", "figs.": "figuras", "tab.": "tabela", "sec.": "seção", "ed.": "edição", "inc.": "inciso",
        "tel.": "telefone", "apto.": "apartamento", "ap.": "apartamento", "bl.": "bloco", "cj.": "conjunto",
        "km.": "quilômetro", "km": "quilômetro", "c.": "cerca de", "ca.": "cerca de", "v.": "versículo", "op.": "opus",
        "CEP": "CEP", "l.": "linha", "par.": "parágrafo", "s.": "século",
        "máx.": "máximo", "mín.": "mínimo",
    }  # fmt: skip
    plurals = {
        "página": "páginas",
        "número": "números",
        "capítulo": "capítulos",
        "artigo": "artigos",
        "figura": "figuras",
    }
    abbreviations = {
        "aprox.": "aproximadamente", "vs.": "versus", "vs": "versus", "cf.": "confira",
        "p.ex.": "por exemplo", "obs.": "observação", "av.": "avenida", "pça.": "praça",
        "pç.": "praça", "al.": "alameda", "rod.": "rodovia", "estr.": "estrada", "tel.": "telefone", "depto.": "departamento",
        "dept.": "departamento", "univ.": "universidade", "gov.": "governo", "adm.": "administração", "ref.": "referência",
        "séc.": "século", "sécs.": "séculos", "pág.": "página", "hab.": "habitantes", "núm.": "número", "c/": "com", "s/": "sem",
        "p/": "para", "vc": "você", "vcs": "vocês", "tb": "também", "tbm": "também", "pq": "porque", "qdo": "quando",
        "EUA": "Estados Unidos", "E.U.A.": "Estados Unidos", "incl.": "inclusive", "esq.": "esquerda",
        "dir.": "direita", "24/7": "vinte e quatro horas por dia", "s/n": "sem número", "resp.": "respectivamente",
        "fl.": "folha", "fls.": "folhas",
    }  # fmt: skip
    ending_abbreviations = {
        "etc.": "et cetera", "etc": "et cetera", "Cia.": "companhia", "Ltda.": "limitada", "Ltda": "limitada", "S.A.": "S A",
        "S/A": "S A", "Jr.": "júnior", "Fº.": "filho", "ss.": "seguintes",
        "O.N.U.": "ONU", "a.m.": "a m", "p.m.": "p m",
        "hrs.": "horas", "seg.": "segundos",
    }  # fmt: skip
    articles = word_set("o a os as um uma")
    letter_cues = word_set(
        "vitamina vitaminas hepatite plano tipo ponto grupo classe portão bloco prédio fila coluna letra tecla opção linha zona equipe modelo"
    )
    symbols = {
        "&": "e", "+": "mais", "=": "igual a", "@": "arroba", "<": "menor que", ">": "maior que", "≤": "menor ou igual a",
        "≥": "maior ou igual a", "≠": "diferente de", "≈": "aproximadamente", "~": "aproximadamente", "±": "mais ou menos",
        "×": "vezes", "÷": "dividido por", "√": "raiz quadrada de", "∞": "infinito", "π": "pi", "%": "por cento", "‰": "por mil",
        "°": "graus", "§§": "parágrafos", "§": "parágrafo", "©": "copyright", "€": "euros", "$": "dólares", "£": "libras", "¥": "ienes", "→": "para",
        "^": "elevado a", "−": "menos", "·": "vezes", "/": "barra", "\\": "barra invertida", "_": "sublinhado", "№": "número",
        "¢": "centavos", "Ω": "ohms", "µ": "micro",
    }  # fmt: skip
    sign_names = {
        "&": "e comercial", "(": "abre parêntese", ")": "fecha parêntese", "[": "abre colchete", "]": "fecha colchete",
        "{": "abre chave", "}": "fecha chave", "|": "barra vertical", "<": "menor que", ">": "maior que", "'": "apóstrofo",
        "–": "travessão", "—": "travessão",
    }  # fmt: skip
    address_marks = {
        ".": "ponto", "/": "barra", "@": "arroba", "-": "hífen", "_": "underline", ":": "dois pontos", "?": "interrogação",
        "=": "igual", "&": "e", "#": "cerquilha", "%": "por cento", "+": "mais", "~": "til", "\\": "barra invertida",
        ",": "vírgula", ";": "ponto e vírgula", "!": "exclamação", "*": "asterisco", "$": "cifrão", "(": "", ")": "", "'": "",
    }  # fmt: skip
    number_sign_word = "número"
    vowels = "aeiouyáâãàéêíóôõúü"
    read_acronyms = word_set("""
    ONU OTAN UNESCO UNICEF NASA FIFA UEFA AIDS OMS OPEP PIB PIN SIM RAM ROM LAN GIF BIOS COVID IBOVESPA PETROBRAS EMBRAPA SENAI
    SESC SENAC SEBRAE IBAMA FUNAI ENEM PROUNI FIES CAPES USP CEP BOVESPA COPOM ANVISA INCRA INFRAERO ANATEL ANEEL SUS INEP SESI
    TAM GOL VARIG IKEA SARS LASER RADAR PROCON DETRAN IBOPE MASP UNICAMP UNESP PUC FUVEST MERCOSUL SIDA OVNI TAP PIS MAM IVA SAMU
    FAB
    """)  # fmt: skip
    spelled_acronyms = word_set("IBGE INSS OCDE IEEE ISBN OAB IPVA IPTU")
    common_words = word_set("""
    o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com sem sobre entre até desde e ou mas que quem
    qual quando onde como porque se não sim nem eu tu ele ela você nós eles elas vocês me te lhe nos meu minha teu seu sua nosso
    nossa este esta estes estas esse essa isso isto aquele aquela aquilo é são sou somos era eram foi ser está estão estar há ter
    tem têm tenho fazer faz ir vai vão ver vou pode podem poder deve quer querer diz dizer mais menos muito muita muitos pouco
    tudo todo toda todos todas nada alguém ninguém cada outro outra outros já ainda também sempre nunca agora hoje ontem amanhã
    aqui ali lá assim bem mal melhor bom boa novo nova grande vida casa dia dias ano anos tempo mundo homem mulher obrigado
    obrigada favor atenção importante perigo proibido aberto fechado saída entrada fim capítulo parte livro ao aos à às depois
    antes durante contra só apenas então pois deus amor ajuda grátis pare olá
    """)  # fmt: skip
    roman_cues = word_set("""
    capítulo parte tomo volume ato cena seção secção livro artigo título anexo apêndice figura tabela classe nível fase tipo grupo
    categoria temporada série episódio sinfonia sonata opus número versão canto apollo gemini divisão liga concílio inciso etapa
    """)  # fmt: skip
    telephone_cues = word_set("telefone tel celular fax ligue liga whatsapp telemóvel")
    serial_cues = word_set("airbus boeing voo")
    address_words = word_set("com org net edu gov info blog app")
    feminine_regnal_names = word_set("isabel catarina maria cristina ana joana margarida beatriz elizabeth elisabete")
    regnal_names = feminine_regnal_names | word_set("""
    pedro joão josé manuel afonso sancho dinis fernando duarte sebastião henrique filipe felipe carlos luís luis jorge eduardo
    guilherme paulo francisco jaime ricardo frederico bento pio leão gregório clemente inocêncio urbano sisto napoleão nicolau
    ivan alexandre oto leopoldo maximiliano rodolfo constantino justiniano ptolomeu ramsés xerxes dario ciro teodósio vítor amadeu
    humberto alberto balduíno gustavo óscar haakon harald olavo alfonso juan júlio celestino bonifácio martinho adriano miguel
    """)  # fmt: skip

    # --- other ---
    version_word = "versão"
    squared, cubed = "ao quadrado", "ao cubo"
    first_of_month = "primeiro"
    date_joiner = " de "
    label_words = roman_cues | word_set("""
    página páginas número números linha apartamento andar porta canal rodovia estrada quilômetro código rua avenida nota pergunta
    exercício tema unidade lição quarto sala voo ônibus mesa lote bloco questão item alínea dia
    """)
    century_cues = word_set("século séculos séc sécs")
    date_cues = frozenset(DAYS.values()) | word_set("dia segunda terça quarta quinta sexta")
    bible_books = word_set("""
    gênesis êxodo levítico números deuteronômio josué juízes samuel reis crônicas jó salmo salmos provérbios eclesiastes isaías
    jeremias ezequiel daniel mateus marcos lucas joão atos romanos coríntios gálatas efésios filipenses colossenses
    tessalonicenses timóteo tito hebreus tiago apocalipse sura
    """)
    non_nouns = common_words - word_set("casa dia dias ano anos tempo mundo homem mulher vida saída entrada parte capítulo livro ajuda") | word_set("""
    horas hora euros reais real mil milhão milhões diz trata fala começa termina vale mede pesa
    """)  # fmt: skip
    half, half_and = ("meio", "meia"), "e"
    roman_ordinal_nouns = {
        "guerra": "f", "república": "f", "reich": "m", "congresso": "m", "edição": "f", "cúpula": "f", "centenário": "m",
        "aniversário": "m", "conferência": "f", "jornada": "f", "festival": "m", "prêmio": "m", "concurso": "m", "milênio": "m",
        "dinastia": "f", "cruzada": "f", "internacional": "f", "legislatura": "f", "semana": "f", "feira": "f", "encontro": "m",
        "simpósio": "m", "assembleia": "f", "bienal": "f", "torneio": "m", "copa": "f", "fórum": "m", "concílio": "m",
        "trimestre": "m", "seminário": "m",
    }  # fmt: skip
    feminine_nouns = word_set("""
    mulher mulheres noite noites vez vezes classe classes parte partes tarde tardes morte mortes frase frases fase fases base
    bases lei leis flor flores voz vozes luz luzes cruz cruzes rede redes parede paredes mão mãos árvore árvores ordem ordens
    nuvem nuvens chave chaves série séries espécie espécies gente torre torres fonte fontes mente mentes sorte cor cores dor dores
    sede ponte pontes tribo tribos maçã maçãs irmã irmãs mãe mães foto fotos moto motos crise crises análise análises tese teses
    pele avó cidade
    """)  # fmt: skip
    masculine_nouns = word_set("""
    dálmata dálmatas dia dias mapa mapas planeta planetas tema temas problema problemas programa programas sistema sistemas idioma
    idiomas clima climas poema poemas dilema dilemas sintoma sintomas drama dramas esquema esquemas cometa cometas poeta poetas
    atleta atletas artista artistas turista turistas jornalista jornalistas grama gramas quilograma quilogramas guarda guardas
    colega colegas pirata piratas sofá sofás papa papas aroma aromas diagrama diagramas coração corações avião aviões caminhão
    caminhões milhão milhões bilhão bilhões cão cães pão pães irmão irmãos leão leões botão botões cartão cartões
    """)  # fmt: skip
    feminine_endings = ("a", "ção", "são", "dade", "tude", "gem")
    feminine_plural_endings = ("as", "ções", "sões", "dades", "tudes", "gens")

    # --- rules ---
    rules = (
        phone_rule(lambda: LANGUAGE, PHONE),
        phone_rule(lambda: LANGUAGE, PHONE, "other"),
        Rule(
            r"(\d{1,2})[ \u00a0]?h[ \u00a0]?(\d{1,2})[ \u00a0]?min\b\.?",
            lambda match: LANGUAGE.time(int(match[1]), int(match[2])),
        ),
        Rule(r"[Rr]\.(?= [A-ZÀ-Þ][^,.;\n]{2,40},? (?:n\.?º ?)?\d)", lambda match: "rua", "letter", word_set("r")),
        Rule(r"D\.(?= [A-ZÀ-Þ]\w*a\b)", lambda match: "dona", "letter", word_set("d")),
        phone_rule(lambda: LANGUAGE, TAXPAYER_NUMBER),
        *romance_rules(lambda: LANGUAGE, "número"),
        *abbreviation_rules(SPACED_ABBREVIATIONS, ("a. C.", "d. C.", "a.C.", "d.C.", "S. A.", "E. U. A.")),
        weekday_rule(DAYS, MONTH_NUMBERS),
        weekday_range_rule(lambda: LANGUAGE, DAYS),
        month_abbreviation_rule(MONTH_NUMBERS, MONTHS),
    )

    # --- numbers ---

    def cardinal(self, n: int, gender: str = "") -> str:
        spoken = super().cardinal(n)
        if gender == "f":
            millions, mark, rest = spoken.rpartition("ões ") if "ões " in spoken else spoken.rpartition("ão ")
            rest = re.sub(
                r"\bdois(?=$| mil)", "duas", re.sub(r"(ent)os\b", r"\1as", re.sub(r"\bum(?=$| mil)", "uma", rest))
            )
            return millions + mark + rest.replace("duzentos", "duzentas")
        return spoken

    def fraction(self, whole: int | None, numerator: int, denominator: int) -> str:
        if denominator == 2 and numerator == 1:
            return f"{self.cardinal(whole)} e meio" if whole else "um meio"
        names = {2: "meio", 3: "terço", 100: "centésimo", 1000: "milésimo"}
        if name := names.get(denominator) or (self.ordinal(denominator) if denominator <= 10 else None):
            name += "" if numerator == 1 else "s"
        else:
            name = f"{self.cardinal(denominator)} avos"
        part = f"{self.cardinal(numerator)} {name}"
        return part if whole is None else f"{self.cardinal(whole)} e {part}"

    # --- dates and times ---

    def is_singular_magnitude(self, n: Number) -> bool:
        """ "1,5 milhão", but "1,5 litros"."""
        return n.whole == 1

    def time(self, hours: int, minutes: int, seconds: int | None = None, period: str = "") -> str:
        parts = [f"{self.cardinal(hours, 'f')} {'hora' if hours == 1 else 'horas'}"]
        if period in ("am", "pm"):
            parts = [self.cardinal(hours, "f")]
            return f"{parts[0]} e {self.cardinal(minutes)}" if minutes else parts[0]
        if minutes:
            parts.append(f"{self.cardinal(minutes)} {'minuto' if minutes == 1 else 'minutos'}")
        if seconds:
            parts.append(f"{self.cardinal(seconds)} {'segundo' if seconds == 1 else 'segundos'}")
        return " e ".join(parts)


LANGUAGE: Portuguese = Portuguese()
