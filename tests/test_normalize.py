"""Text normalization: tables of written forms, texts that do not change, markup, signs, and the mapping of words."""

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pockettts.cli import main
from pockettts.errors import TextError
from pockettts.reading.languages import find_language
from pockettts.reading.lexicon import EMPTY, parse_lexicon, read_lexicon
from pockettts.reading.normalize import Normalizer, clean_text, count_letters, normalize
from pockettts.reading.sentences import sentence_ends, split_at

TABLES = Path(__file__).parent / "data" / "spoken"  # by language code: written, tab, spoken; `# kind` between them


def spoken(text: str, language: str = "en", **options) -> str:
    return normalize(clean_text(text), language, **options).text


def table(language: str) -> dict[str, list[tuple[str, str]]]:
    """The pairs of a language, by kind."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for line in (TABLES / f"{language}.tsv").read_text("utf-8").splitlines():
        written, tab, said = line.partition("\t")
        if not tab:
            rows = kinds.setdefault(line.removeprefix("# "), [])
        else:
            rows.append((written, said))
    return kinds


KINDS = [(path.stem, kind) for path in sorted(TABLES.glob("*.tsv")) for kind in table(path.stem)]


@pytest.mark.parametrize(("language", "kind"), KINDS)
def test_written_forms(language, kind):
    rows = table(language)[kind]
    assert {written: spoken(written, language) for written, _ in rows} == dict(rows)


@pytest.mark.parametrize(
    ("language", "least"), [("en", 150), *((code, 60) for code in ("de", "es", "fr", "it", "nl", "pt"))]
)
def test_the_tables_are_large(language, least):
    assert sum(map(len, table(language).values())) >= least


def stands_anywhere(written: str) -> bool:
    """Whether the form does not depend on its position: a dot may end a sentence, and a sign at the start may be a list marker."""
    return written[-1] not in ".)" and written[0] not in ">#-−~±<≥+'" and written not in ("THE END", "the U.K.")


@pytest.mark.parametrize(
    "written", [row[0] for rows in table("en").values() for row in rows if stands_anywhere(row[0])]
)
def test_forms_are_said_the_same_in_a_sentence(written):
    alone = spoken(written)
    assert spoken(f"so {written}, so") in (f"so {alone}, so", f"so {alone}., so")


UNCHANGED = [
    "The quick brown fox jumps over the lazy dog.",
    "It was late, and nobody came; she waited anyway.",
    "\u201cThere are worse things,\u201d he told the dog. The dog did not think so.",
    "Don't you think it's John's? I'd say so \u2014 but who knows\u2026",
    "What?! No... Well, yes!",
    "a well-known mother-in-law",
    "He may march on Sunday.",
    "I think, therefore I am.",
    "The iPhone and macOS are made by McDonald O'Neill.",
    "It rained (a lot) in Paris.",
    "No. I said no.",
    "She is in the act of leaving.",
    "He said: \u201cgo\u201d.",
    "Caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00fcber.",
    "\u4e16\u754c \u043c\u0438\u0440",
    "rock 'n' roll",
    "We met at the bus stop on the way home.",
    "And then? Nothing.",
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_plain_words_stay(text):
    assert spoken(text) == text
    assert not normalize(clean_text(text), "en").edits


@pytest.mark.parametrize(("text", "said"), [
    ("sold 1,250,000 units for $3,499,000 at 10:45",
     "sold one million two hundred fifty thousand units for three million four hundred ninety nine thousand dollars at ten forty five"),
    ("John 3:16", "John three sixteen"),
    ("T.S. Eliot called the F.B.I. Agents came", "T S Eliot called the F B I. Agents came"),
    ("1 in 5 people, 5 in a row", "one in five people, five in a row"),
    ("He came.Then he left,and so on", "He came. Then he left, and so on"),
    ("It is Node.js, not end.Then", "It is Node dot j s, not end. Then"),
    ("he left at 5 p.m. he said", "he left at five p m he said"),
    ("He left at 5 p.m. She stayed.", "He left at five p m. She stayed."),
    ("Use the <audio> tag", "Use the audio tag"),
    ("if a<sub and b>c then", "if a less than sub and b greater than c then"),
    ("Hello \U0001f60a world", "Hello world"),
    ("Yes \U0001f44d\U0001f3fd, sure", "Yes, sure"),
    ("fine\u203d ok \u2605\u2605\u2606", "fine ok"),
    ("a \u25a0 b", "a b"),
    ("word\u25a0word", "word word"),
    ("1\ufe0f\u20e3 item", "one item"),
    ("\ufb01nd the \uff21\uff22\uff23 in \U0001d407\U0001d41e\U0001d425\U0001d425\U0001d428", "find the A B C in Hello"),
    ("co\u00adoperate zero\u200bwidth \ufefftext \u202eback", "cooperate zerowidth text back"),
    ("\x1b[31mred\x1b[0m alert\x07", "red alert"),
    ("e\u0301te\u0301", "\u00e9t\u00e9"),
    ("Dr.Smith", "Doctor Smith"),
])  # fmt: skip
def test_texts(text, said):
    assert spoken(text) == said


def test_emoji_are_read_if_asked_for():
    assert spoken("Hi \U0001f60a!", emoji="read") == "Hi smiling face with smiling eyes!"
    assert spoken("Hi \u25a0!", emoji="read") == "Hi!"


@pytest.mark.parametrize("code", ["xx", "sv", ""])
def test_unknown_languages_use_only_rules_without_words(code):
    assert spoken("5 \u25a0 **bold** \ufb01nd $3", code).startswith("5 bold find")


def test_languages_are_found_by_code_name_and_model():
    assert {find_language(name).code for name in ("en", "EN-us", "en_GB", "english", "English", "english_24l")} == {
        "en"
    }


# --- markup ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "said"), [
    ("**bold** and *it* and __so__ and _on_", "bold and it and so and on"),
    ("***both*** ~~gone~~ ==marked== `code()`", "both gone marked code()"),
    ("snake_case_name and 2*3 and a * b", None),
    ("## A heading ##", "A heading"), ("# Chapter II", "Chapter two"), ("- an item", "an item"), ("* [x] done", "done"),
    ("> quoted text", "quoted text"), ("see [the docs](https://example.com/a_(b)) now", "see the docs now"),
    ("![a cat](cat.png) sleeps", "a cat sleeps"), ("a claim[^1] made", "a claim made"), ("[^1]: the note", "the note"),
    ("<https://example.com>", "example dot com"), ("\\*not bold\\*", "not bold"),
    ("[Nguyen](win) came", "win came"), ("array[0](x) y", None), ("[a](b/c.md)", "a"),
    ("<b>bold</b> &amp; <i>so</i>", "bold and so"), ("one<br>two<br/>three", "one two three"),
    ("<p>One.</p><p>Two.</p>", "One. Two."), ("AT&amp;T &lt;tag&gt; &eacute;t&eacute;", None), ("fish &chips; &", None),
    ("<script>var x = 1;</script>text", "text"), ("<!-- no -->yes", "yes"), ("<a href=\"https://x.y/z\">here</a>", "here"),
    ("vector<int> x", "vector int x"), ("1 < 2 > 0", "one less than two greater than zero"),
    ("<sub alias=\"World Wide Web\">WWW</sub> page", "World Wide Web page"), ("H<sub>2</sub>O", "H two O"),
])  # fmt: skip
def test_markup(text, said):
    found = spoken(text)
    if said is None:  # whatever is said of signs: no word is lost
        assert [w for w in re.findall(r"[a-z]{2,}", text.replace("amp", "").replace("eacute", ""))
                if w not in found.lower() and w not in ("lt", "gt")] == []  # fmt: skip
    else:
        assert found == said


def test_blocks_of_markup_keep_their_lines():
    text = "# Title\n\n```python\nx = 5\n```\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\n[ref]: https://x.y\nsee [it][ref]\n<!-- a\nb -->\nend"
    assert clean_text(text).split("\n") == [
        "Title", "", "", "x = 5", "", "", "a, b", "", "1, 2", "", "", "see it", "", "", "end",
    ]  # fmt: skip
    assert clean_text("```\nnever closed") == "```\nnever closed"
    assert clean_text("a | b\nc | d") == "a | b\nc | d"


@pytest.mark.parametrize(("given", "said"), [
    ('<say-as interpret-as="characters">B2b</say-as>', "B two b"), ('<say-as interpret-as="digits">123</say-as>', "one two three"),
    ('<say-as interpret-as="date" format="dmy">3/4/2026</say-as>', "April third twenty twenty six"),
    ('<say-as interpret-as="date">3/4/2026</say-as>', "March fourth twenty twenty six"),
    ('<say-as interpret-as="telephone">5551234</say-as>', "five five five one two three four"),
    ('<say-as interpret-as="ordinal">3</say-as>', "third"), ('<say-as interpret-as="mood">5 km</say-as>', "five kilometers"),
    ('<sub alias="World Wide Web">WWW</sub>', "World Wide Web"), ("Tom &amp; I", "Tom and I"),
])  # fmt: skip
def test_ssml(given, said):
    from pockettts.reading.pauses import split_at_pauses

    (piece,) = split_at_pauses(clean_text(f"<speak>He said {given} then.</speak>"))
    assert normalize(piece, "en").text == f"He said {said} then."


@pytest.mark.parametrize("line", ["<b>", "**a", "[a](", "`", "<!-- ", "<speak>", "&amp", "_a_ ", "| a ", "[x][", "~~", "\u25a0 ", "1,000 ",
                                  "a.b", "(((", "1/2/", "3:", "+1 ", "http://", "A.", "<a b=", "=="])  # fmt: skip
def test_time_is_linear(line):
    """If it were not, this would take minutes."""
    spoken(line * 8_000)


# --- where sentences end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    "He came at 5 p.m. he said", "Node.js is here. It runs.", "The U.S. troops left.", "Dr. Smith and No. 5 and e.g. this.",
    "See https://www.example.com/docs/index.html?page=2 now.", "J. R. R. Tolkien wrote.", "It is v. 2.0.1 now.", "\"Stop!\" he said.",
    "Wait... what", "anna.smith@example.co.uk wrote", "He met Mr. T. Jones.", "vs. others", "approx. 5",
])  # fmt: skip
def test_texts_of_one_sentence(text):
    end = text.find(". It")
    parts = split_at(text, sentence_ends(text, find_language("en")))
    assert parts == ([text] if end < 0 else [text[: end + 1], text[end + 2 :]])


def test_closing_marks_belong_to_their_sentence():
    text = "(It was hot.) She left. \u201cNo!\u201d He did. \u201cGo.\u201d"
    assert split_at(text, sentence_ends(text, find_language("en"))) == [
        "(It was hot.)", "She left.", "\u201cNo!\u201d", "He did.", "\u201cGo.\u201d",
    ]  # fmt: skip


# --- every word in its place -------------------------------------------------------------------------------------------------

PARTS = [
    *(row[0] for rows in table("en").values() for row in rows), *UNCHANGED, "Tom & Jerry", "\U0001f60a", "\u25a0", "***", "**bold**",
    "_it_", "\ufb01nd", "co\u00adop", "[Nguyen](win)", "end.Then", "&", "@", "#", "\u2014", "-", "...", "(", ")", "x\u00b2",
    "10\u207b\u00b3", "5 km", "p.m.", "U.S.", "e.g.", "Mr.", "ok", "\u00df", "\u0130", "\u4e16\u754c", "\u00bd", "<b>x</b>",
    "&amp;", "a<b", "c>d", "\xa0", "|",
]  # fmt: skip


def test_no_word_is_lost_or_doubled():
    """The words of the map are those of the source, in order, and its letter counts sum to the spoken letters."""
    rng = random.Random(5)
    for _ in range(600):
        text = clean_text(rng.choice(["", " "]).join(rng.choice([*PARTS, " "]) for _ in range(rng.randint(1, 25))))
        found = normalize(text, "en", emoji=rng.choice(["drop", "read"]))
        words = found.words()
        if words:
            assert " ".join(word for word, _ in words).split() == found.source.split(), text
        assert sum(count for _, count in words) == count_letters(found.text), text
        assert all(count > 0 for _, count in words)


def test_letters_spoken_for_each_word():
    found = normalize(clean_text("On Nov. 28th, 2026 Tom & Jerry paid $3.5 million \u2014 **well**, 5 km."), "en")
    assert [word for word, _ in found.words()] == [
        "On", "Nov.", "28th,", "2026", "Tom", "&", "Jerry", "paid", "$3.5", "million \u2014", "well,", "5", "km.",
    ]  # fmt: skip
    assert dict(found.words())["&"] == 3 and dict(found.words())["km."] == len("kilometers")


# --- pronunciation lists -----------------------------------------------------------------------------------------------------


def test_lexicon(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text(
        "# mine\nKubernetes  koo-ber-net-eez\nnginx\tengine x\nSQL  sequel\nNew York  noo york\n[de]\nnginx  ennjinx\n",
        "utf-8",
    )
    lexicon = read_lexicon(file)
    assert spoken("Kubernetes, NGINX and nginx-pods on SQL in New York's heart; sql, kubernetes", lexicon=lexicon) == (
        "koo-ber-net-eez, engine x and engine x-pods on sequel in noo york's heart; sql, kubernetes"
    )
    assert spoken("nginxes renginx kubernetesish", lexicon=lexicon) == "nginxes renginx kubernetesish"
    assert lexicon.table("de")["nginx"] == "ennjinx" and lexicon.table("en")["nginx"] == "engine x"


@pytest.mark.parametrize("line", ["word", "  ", "-  x"])
def test_malformed_lexicon_lines(line):
    if line.strip():
        with pytest.raises(TextError, match="line 2"):
            parse_lexicon(["a  b", line], "list")
    else:
        assert parse_lexicon([line], "list") == EMPTY


def test_unreadable_lexicons(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9  x")
    for name, words in (("none", "can't read"), ("latin", "not UTF-8")):
        with pytest.raises(TextError, match=words):
            read_lexicon(tmp_path / name)


# --- the command -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Run `pockettts normalize` with these arguments; returns its output."""
    monkeypatch.setenv("POCKETTTS_LEXICON", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*args, code=0):
        assert main(["normalize", *map(str, args)]) == code
        return capsys.readouterr().out

    return run


def test_command(command, tmp_path):
    assert command("It costs $3.50.") == "It costs three dollars and fifty cents.\n"
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffOne 1\r\n\r\n\u25a0\rDr. No [pause 1.0] end\n".encode())
    assert command("-f", file) == "One one\n\n\nDoctor No [pause:1s] end\n"
    assert command("--verbatim", "It costs $3.50.") == "It costs $3.50.\n"
    (tmp_path / "list.txt").write_text("No  nope\n")
    assert command("--lexicon", tmp_path / "list.txt", "Dr. No") == "Doctor nope\n"
    command("--lexicon", tmp_path / "none.txt", "x", code=1)
    command("-f", tmp_path / "none.txt", code=1)


def test_a_users_own_list(command, tmp_path):
    (tmp_path / "config" / "pockettts").mkdir(parents=True)
    (tmp_path / "config" / "pockettts" / "lexicon.txt").write_text("GIF  jif\n")
    if sys.platform != "win32":
        assert command("a GIF") == "a jif\n"


def test_documents(command, tmp_path):
    file = tmp_path / "a.md"
    file.write_text("# Chapter I\n\nIt cost $5,\nthey *say*.\n\n- 1 km\n- 2 km\n\n# Chapter II\n\nThe end.\n")
    assert command("-f", file) == (
        "Chapter one\nIt cost five dollars, they say.\none kilometer\ntwo kilometers\n\nChapter two\nThe end.\n"
    )


def test_chunks(command):
    lines = command("--chunks", "He came at 5 p.m. " + "He said so, and so on; it was long. " * 12).splitlines()
    assert len(lines) > 2 and all(line.endswith((".", "on")) and line[0] in "HI" for line in lines)


def test_no_model_is_loaded():
    code = (
        "import sys; from pockettts.cli import main; main(['normalize', 'plain words']); "
        "print('num2words' in sys.modules, 'numpy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "plain words\nFalse False\n"


def test_speed():
    """A book of 100,000 words takes a second and a line a millisecond on an idle machine; measured in CPU time."""
    prose = " ".join(UNCHANGED[:8]) + " On Nov. 28th Dr. Smith paid $3.50."
    words = prose.split()
    paragraphs = [" ".join(words[(i + j) % len(words)] for j in range(80)) for i in range(1250)]
    normalizer = Normalizer("en")
    normalizer.normalize(prose)
    start = time.process_time()
    clean_text("\n".join(paragraphs))
    for paragraph in paragraphs:
        assert normalizer.normalize(paragraph).text
    assert time.process_time() - start < 4


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "it", "pt", "nl", "xx"])
def test_any_characters(language):
    """For any characters there is no error, lines stay, and every word is mapped."""
    rng = random.Random(7)
    signs = "\u00b2\u00b3\u00bd\u2076\u207b\u2082\u2026\u2014.,;:!?()[]<>@#$%^&*_+=/\\|~`'\"\u2019\u201c0123456789"
    signs += "IVXLCDMabcKMGT \n\t\u0663\u096a"
    for _ in range(150):
        parts = [rng.choice(PARTS) if rng.random() < 0.3 else rng.choice([rng.choice(signs), chr(rng.randrange(32, 0x3000))])
                 for _ in range(rng.randint(1, 30))]  # fmt: skip
        given = "".join(parts)
        text = clean_text(given)
        assert text.count("\n") == given.count("\n"), given
        found = normalize(text, language)
        assert " ".join(word for word, _ in found.words()).split() in ([], found.source.split()), given
        assert sum(count for _, count in found.words()) == count_letters(found.text), given
