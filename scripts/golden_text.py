"""Write tests/data/text_*: the chunks of the official package for about 400 texts, for tests/test_text.py.

Needs the official package:  pip install torch==2.13.0 pocket-tts==4.0.1

    python scripts/golden_text.py TOKENIZER_JSON

TOKENIZER_JSON is the official English tokenizer. For each tokenizer (that one and a small SentencePiece model trained here), each set
of text rules and each text, the goldens hold the chunks that the official package would speak, each with the number of frames after
EOS; or null if it rejects the text. Long results are stored as a hash.
"""

import gzip
import hashlib
import json
import random
import sys
from itertools import product
from pathlib import Path

DATA = Path(__file__).parent.parent / "tests" / "data"
MAX_TOKENS = (50, 15)
LONG = 60  # characters; of longer results only the hash is stored

TEXTS = (
    """\
Hello, world!
hello
Hi
Yes.
No!
Why?
OK...
ok,
well -
one two three four
one two three four five
one two three four five six
one two three four —
one, two; three: four
The quick brown fox jumps over the lazy dog.
the quick brown fox jumps over the lazy dog
He paid 3.14 dollars. She paid 2.50.
Version 1.2.3 is out. Version 1.2.4 is not.
It costs 1,234.56 euros, i.e. 1.234,56 € in German.
In 1999. 2000 was next.
I have 3. 4 of them are red.
The score was 3.2. 5 players left.
0.5 is a half. .5 too. 5. is five.
Call 555.1234 now.Call 555 . 1234 later.
At 10.30 p.m. we left. At 11.15 a.m. we came back.
Pi is 3.14159265358979323846264338327950288419716939937510.
３．１４ is pi. ３.１４ as well. Then ٣.١٤ and 𝟑.𝟏𝟒.
1.e4 and 1.5e-3 and .1.
Dr. Smith met Mr. and Mrs. Jones at 5 p.m. on St. James St.
The U.S.A. and the U.K. and the E.U. agreed.
e.g. this, i.e. that, etc.
J. R. R. Tolkien wrote it.
See www.example.com/path?query=1&x=2#top or mail me@example.org.
https://example.com
Visit https://example.com/a/b.html. Then leave!
Wait... what?
Wait…what?
Wait… What?!
Wait. . . what?
Well......... yes.
Well....then
...and then
…and then
.
..
...
....
…
!
?!?!
,
;
:
-
—
–
--
''
""
"
'
()
[]
« »
“”
.,;:!?
;;;
(.)
"."
'...'
" "
"Hello," she said.
"Hello", she said.
"Hello!" she said.
"Hello!", she said.
"Hello?" "Yes!" "Who is it?"
She said "hello"
She said "hello."
She said 'hello,'
She said “hello”
She said “hello.”
She said ‘hello’ and ’bye
“Why?” he asked; “because,” she said.
“Hi?”, she said.
„Guten Tag“, sagte er. „Wie geht's?“
»Nein«, sagte sie, »niemals!«
«Bonjour», dit-il. « Ça va ? »
« Oui ! », cria-t-elle ; « viens : maintenant ! »
It's the dog's bone, isn't it?
It’s the dog’s bone, isn’t it?
rock ’n’ roll ‘til dawn
(an aside)
(an aside.)
[see note 1]
He left (at last).
He left (at last.)
He left (at last),
He left (at last,)
He "left (at 'last')".
He left."')]
He left,"')]
He left -"')] 
He left – 
He left —
He left - - -
He left,;:
He left:
He left ;
He left . ,
He left ! ; really
Stop.,
Stop. , now
Stop!; Go?: Wait.
a — b – c - d
word—word–word-word
A dash — with, commas; and: colons — ends.
Semicolons; everywhere; in; this; one
one;two;three
Colons: here: and: there:
Ratio 16:9 at 10:30:45.
Mixed?! Closers!") Then more.
Line one
 leading and trailing 
	tabs	between	words	
Two  spaces  here.   Three   there.
Many          spaces          here.
¿Qué tal? ¡Muy bien! Gracias.
¿Dónde está la biblioteca? Está en la calle 3.5, señor.
Il fait 3,5 degrés ; c'est froid. N'est-ce pas ?
L'été dernier, j'ai mangé des crêpes à la crème brûlée où ça coûtait 12 €.
Ich heiße Jürgen. Größe: 1,80 m; Gewicht: 75 kg.
ß is a letter
ŉ and ǆ and ﬁ
Perché no? Città, università, così.
Não há nada às três. Coração, pão e limões!
De geïnteresseerde coöperatie zei: ’s ochtends, 's avonds.
Hij zei: "Nee, dank u"; zij zei: "Ja".
Привет, мир! Как дела? Хорошо.
Γειά σου Κόσμε; Τι κάνεις;
مرحبا بالعالم. كيف حالك؟
שלום עולם. מה שלומך?
你好，世界。你好吗？我很好！
你好. 世界. 再见.
こんにちは、世界。元気ですか？
안녕하세요. 잘 지내세요?
สวัสดีชาวโลก
नमस्ते दुनिया। आप कैसे हैं?
🎉
🎉🎉🎉 Party! 🎉
Thumbs up 👍🏽. Family 👨‍👩‍👧‍👦! Flag 🇫🇷?
I ❤️ you.
1️⃣ first 2️⃣ second.
naïve café résumé
nai\u0308ve cafe\u0301 re\u0301sume\u0301
\u0301alone
a\u0301\u0302\u0303\u0304\u0305b
zero\u200bwidth\u200cjoiners\u200dhere
\u200b
\ufeffBOM first
soft\u00adhyphen
non\u00a0breaking\u00a0space
line\u2028separator\u2029paragraph
\u3000ideographic\u3000space\u3000
nul\0inside
bell\x07escape\x1b[0m
\x0bvertical\x0cfeed\x85next
\ufffd replaced
under\u2581score \u2581 block
x² + y² = z²
½ cup of flour, ¼ cup of sugar
$5.00, £3.50, €2.99 and ¥100.
50% off! Only 9.99!!
#hashtag @mention ~tilde ^caret *star* _under_ `tick` |pipe| \\back/ <tag> {brace}
C++ and C# and .NET and F#
a/b/c and/or 1/2
2 + 2 = 4.
A. B. C. D. E. F. G. H. I. J. K. L. M. N. O. P. Q. R. S. T. U. V. W. X. Y. Z.
1. First. 2. Second. 3. Third.
1) first 2) second 3) third
- item one
* item two
I
a
I.
a!
I?
Ωmega
éclair
élan vital. été.
iPhone is here. eBay too.
MACHINE LEARNING IS FUN
aAaAa
mcDonald
ALL CAPS!!! REALLY??? YES...
no.spaces.between.these.words
no,commas,spaced,either
no!bangs!spaced?either
Hello.World
Hello .World
Hello . World
Hello ! World ? Yes .
"Quote at start. And more" then.
'Single. Quotes.' Here.
(Parens. Inside.) Outside.
End with quote."
End with paren.)
End with quote"
End with paren)
End with bracket]
End with guillemet »
End with «
Trailing backslash \\
Trailing slash /
Trailing ellipsis…
Trailing ellipsis …
Trailing dots ...
Trailing comma,
Trailing comma ,
Trailing comma,"
Trailing comma", 
Mr. 3.5.
Mr.3.5.
Section 3.5.2, part 1.
v1.0.0-beta.2
127.0.0.1 is home.
12.
12.5
12.5.
.5
-5.5
5.-
"""
    + '"quoted"; “curly”; „low“; «guillemets»; ’apostrophes‘ – and dashes — all.\n'
)

WORDS = """\
the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not
what all were we when your can said there use an each which she do how their if will up other about out many then
them these so some her would make like him into time has look two more write go see number no way could people my
than first water been call who oil its now find long down day did get come made may part être où français déjà naïf
garçon straße über schön größer mañana niño corazón perché città você coração não coöperatie geïnteresseerd
antidisestablishmentarianism Rindfleischetikettierung l'homme don't they're 3.14 42 1,000 Dr. e.g. U.S. 7.5% €9.99
мир 世界 🎉
"""


def corpus() -> list[str]:
    rng = random.Random(20260117)
    texts = TEXTS.split("\n")
    texts += ["", " ", "\n", "\t \r\n", "\u00a0", "\u3000"]
    texts += [
        "Line one\nLine two",
        "Line one.\nLine two.\n\nLine four.",
        "Line one,\r\nline two;\r\nline three.\r\n",
        "\r\rcarriage\rreturns\r",
        "\n\n\nblank lines first\n\n\n",
        "a\n\n\n\n\nb. c\n\n\n\nd",
        "  \n indented\n    more indented\n",
        "Poem:\n  roses are red,\n  violets are blue;\n  sugar is sweet.\n",
        "a  b   c    d     e      f",
        "end.  Next.   Next.    Next.     Next",
        "comma,  then,   then,    then",
    ]
    words = WORDS.split()

    def sentence(low: int, high: int, pauses: float = 0.12) -> str:
        said = [rng.choice(words) + (rng.choice([",", ",", ";", ":", " —", " –"]) if rng.random() < pauses else "")
                for _ in range(rng.randint(low, high))]  # fmt: skip
        return " ".join(said).capitalize() + rng.choice([".", ".", ".", "!", "?", "...", "…", "?!", '."', ".)", ""])

    texts += [" ".join(sentence(1, 25) for _ in range(rng.randint(1, 8))) for _ in range(60)]
    texts += ["\n".join(sentence(3, 14) for _ in range(rng.randint(2, 10))) for _ in range(15)]
    texts += [sentence(60, 150, pauses) for pauses in (0, 0, 0.05, 0.2, 0.5) for _ in range(3)]  # very long sentences
    marks = list(".,;:!?…—–-'\"“”„«»’‘()[] ") + ["...", " ", " ", "  ", "\n", "\r\n", "3.", ".5", "1.2"]
    texts += ["".join(rng.choice(marks + words[:20]) for _ in range(rng.randint(1, 60))) for _ in range(60)]
    texts += [" ".join(sentence(4, 30) for _ in range(300)), " ".join(sentence(100, 400) for _ in range(5))]
    texts += [
        " ".join(rng.choice(words[:90]) for _ in range(5000)),
        "a" * 3000,
        "ha" * 500 + ".",
        "." * 500,
        "1.5" * 300,
    ]
    texts += ["世界" * 400, "Wait" + "." * 77 + " " + "e" * 99, "no,spaces" * 200, ". ".join("abcdefgh" * 40)]
    return list(dict.fromkeys(texts))


def rule_sets() -> list[dict]:
    """All different sets of text rules of the official configs, and a few more."""
    import yaml
    from pocket_tts.utils.config import CONFIGS_DIR, Config

    names = ["pad_with_spaces_for_short_inputs", "remove_semicolons", "append_terminal_punctuation"]
    names += ["capitalize_first_letter", "replace_characters"]
    found = []
    for path in sorted(CONFIGS_DIR.glob("*.yaml")):
        config = Config(**yaml.safe_load(path.read_text()))
        rules = {name: getattr(config, name) for name in names}
        if rules not in found:
            found.append(rules)
    return found + [
        dict(zip(names, (False, False, False, False, None), strict=True)),
        dict(zip(names, (True, True, True, True, None), strict=True)),
        dict(zip(names, (False, False, False, True, {"a": "", "e": "3"}), strict=True)),
    ]


def official(tokenizer, text: str, rules: dict, max_tokens: int) -> list | None:
    from pocket_tts.models.text_chunking import prepare_text_prompt, split_into_best_sentences

    try:
        chunks = split_into_best_sentences(tokenizer, text, max_tokens, **rules)
        return [prepare_text_prompt(chunk, **rules) for chunk in chunks]
    except ValueError:
        return None


def train(path: Path, texts: list[str]) -> None:
    """Train a SentencePiece model of 500 pieces, with byte fallback and otherwise the library's defaults."""
    import sentencepiece

    lines = [line for text in texts for line in text.replace("\0", "").splitlines() if len(line) < 4000]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(path.with_suffix("")), vocab_size=500, byte_fallback=True,
        character_coverage=0.98, minloglevel=2, normalization_rule_name="identity",
    )  # fmt: skip
    path.with_suffix(".vocab").unlink()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data, mtime=0))
    print(path.name, path.stat().st_size)


def main() -> None:
    from pocket_tts.modules.text_conditioner import build_tokenizer

    texts, rules = corpus(), rule_sets()
    DATA.mkdir(exist_ok=True)
    if not (DATA / "text_small.model").exists():
        train(DATA / "text_small.model", texts)
    paths = {"json": sys.argv[1], "sentencepiece": DATA / "text_small.model"}
    pool, answers = {}, []
    for (kind, path), max_tokens in product(paths.items(), MAX_TOKENS):
        tokenizer = build_tokenizer({"json": 4000, "sentencepiece": 500}[kind], str(path))
        for r, rule_set in enumerate(rules):
            row = []
            for text in texts:
                answer = json.dumps(official(tokenizer, text, rule_set, max_tokens), ensure_ascii=False)
                if len(answer) > LONG:
                    answer = json.dumps(hashlib.sha256(answer.encode()).hexdigest()[:8])
                row.append(pool.setdefault(answer, len(pool)))
            answers.append({"tokenizer": kind, "max_tokens": max_tokens, "rules": r, "texts": row})
    print(len(texts), "texts", len(rules), "sets of rules", len(pool), "different results")
    goldens = {"texts": texts, "rules": rules, "pool": [json.loads(a) for a in pool], "answers": answers}
    write(DATA / "text_goldens.json.gz", json.dumps(goldens, ensure_ascii=False, separators=(",", ":")).encode())
    write(DATA / "text_tokenizer.json.gz", Path(sys.argv[1]).read_bytes())


if __name__ == "__main__":
    main()
