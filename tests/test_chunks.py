"""Prepared text and chunks equal those of the official package (goldens: scripts/golden_text.py); no text is lost."""

import gzip
import hashlib
import io
import json
import random
import unicodedata
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import sentencepiece

from pockettts.errors import TextError
from pockettts.reading.chunks import Chunk, prepare, split_sentences, split_text, split_tokens
from pockettts.reading.normalize import Normalizer
from pockettts.reading.pauses import Pause
from pockettts.reading.tokenizer import load_tokenizer

DATA = Path(__file__).parent / "data"
GOLDENS = json.loads(gzip.decompress((DATA / "text_goldens.json.gz").read_bytes()))


def rules(**changes) -> SimpleNamespace:
    base = {
        "pad_with_spaces_for_short_inputs": False,
        "remove_semicolons": False,
        "append_terminal_punctuation": True,
        "capitalize_first_letter": True,
        "replace_characters": {"\u2019": "'"},
        "model_recommended_frames_after_eos": None,
    }
    return SimpleNamespace(**base | changes)


ENGLISH = Normalizer("en")
FRENCH = rules(remove_semicolons=True, replace_characters=dict.fromkeys('"«»', "") | {"\u2019": "'"})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """kind -> tokenizer: the official English one, a SentencePiece model, and one with few characters."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "tokenizer.json").write_bytes(gzip.decompress((DATA / "text_tokenizer.json.gz").read_bytes()))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox, jumps over a lazy dog. " * 20]), model_writer=model,
        vocab_size=60, model_type="bpe", normalization_rule_name="nfkc", minloglevel=2,
    )  # fmt: skip
    (folder / "bpe.model").write_bytes(model.getvalue())
    return {
        "json": load_tokenizer(folder / "tokenizer.json", 4000),
        "sentencepiece": load_tokenizer(DATA / "text_small.model", 500),
        "unknowing": load_tokenizer(folder / "bpe.model", 60),
    }


@pytest.fixture(scope="module")
def remembering(tokenizer):
    """The same tokenizer with a cache: the goldens split the same texts with many sets of rules."""
    return {
        kind: SimpleNamespace(
            pieces=lru_cache(None)(t.pieces), encode=lru_cache(None)(t.encode), decode=t.decode, join=t.join
        )
        for kind, t in tokenizer.items()
    }


@pytest.mark.parametrize(
    "answers", GOLDENS["answers"], ids=lambda a: f"{a['tokenizer']}-{a['max_tokens']}-{a['rules']}"
)
def test_chunks_equal_the_official_ones(remembering, answers):
    rule_set = SimpleNamespace(**GOLDENS["rules"][answers["rules"]])
    assert len(GOLDENS["texts"]) > 400
    for text, answer in zip(GOLDENS["texts"], answers["texts"], strict=True):
        expected = GOLDENS["pool"][answer]
        try:
            chunks = split_sentences(text, remembering[answers["tokenizer"]], rule_set, answers["max_tokens"])
            spoken = [list(prepare(chunk, rule_set)) for chunk in chunks]
        except TextError:
            spoken = None
        if isinstance(expected, str):
            assert hashlib.sha256(json.dumps(spoken, ensure_ascii=False).encode()).hexdigest()[:8] == expected, text[
                :200
            ]
        else:
            assert spoken == expected, text[:200]


@pytest.mark.parametrize(
    ("text", "rule_set", "prepared", "frames"),
    [
        ("hello", rules(), "Hello.", 3),
        ("hello", rules(pad_with_spaces_for_short_inputs=True), "        Hello.", 3),
        ("hello", rules(append_terminal_punctuation=False, capitalize_first_letter=False), "hello", 3),
        ("one two three four five", rules(), "One two three four five.", 1),
        ("it\u2019s\r\n so -", rules(), "It's so.", 3),
        ("« Oui ! », dit-il ; « non »", FRENCH, "Oui ! dit-il , non.", 1),
        ('he said "go,"', rules(), 'He said "go."', 3),
        ("Wait\u2026", rules(), "Wait\u2026", 3),
    ],
)
def test_prepare(text, rule_set, prepared, frames):
    assert prepare(text, rule_set) == (prepared, frames)


def test_numbers_stay_whole(tokenizer):
    text = "It is 3.14 now. " * 30
    for chunk in split_sentences(text, tokenizer["json"], rules(), 20):
        assert chunk.count("3.14") == chunk.count("3")


def test_an_end_token_does_not_split_words(tmp_path):
    """A tokenizer.json that adds a token to the end of every text does not split words spelled in bytes."""
    spec = json.loads(gzip.decompress((DATA / "text_tokenizer.json.gz").read_bytes()))
    spec["post_processor"]["single"].append({"SpecialToken": {"id": "<s>", "type_id": 0}})
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert split_sentences("世界 мир", load_tokenizer(tmp_path / "tokenizer.json", 4000), rules(), 1) == ["世界 мир."]


@pytest.mark.parametrize("text", ["", " ", "\r\n\t", "\u3000\u00a0"])
def test_empty(tokenizer, text):
    with pytest.raises(TextError, match="nothing to speak in an empty text"):
        prepare(text, rules())
    with pytest.raises(TextError, match="nothing to speak in an empty text"):
        split_sentences(text, tokenizer["json"], FRENCH, 50)


def test_nothing_left(tokenizer):
    with pytest.raises(TextError, match="nothing to speak in '« \"\" »'"):
        prepare('« "" »', FRENCH)
    bare = rules(append_terminal_punctuation=False, replace_characters=None)
    with pytest.raises(TextError, match="nothing to speak"):
        split_sentences("\u2581\u2581", tokenizer["sentencepiece"], bare, 50)


def test_not_unicode():
    with pytest.raises(TextError, match="not Unicode at character 5"):
        prepare("caf \udce9", rules())


WORDS = (
    "the quick fox Dr. U.S. 3.14 2.5 don't naïve été 世界 🎉 मर straße \u0301 <s> </s> <unk> <0x41> <0xE2> \u2581 \0"
)
MARKS = "\u200b \ufffd \ufeff \u2028 \x85 ... . , ; : ! ? … — - ' \" « » ( ) [ ]"


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text))).casefold()


@pytest.mark.parametrize("kind", ["json", "sentencepiece", "unknowing"])
def test_no_words_lost(tokenizer, kind):
    """For any text: the chunks have all its letters and digits in order, and each can be spoken."""
    rng = random.Random(3)
    pool = [*WORDS.split(" "), *MARKS.split(" "), "\n", "\r\n", "  "]
    for _ in range(600):
        text = "".join(
            rng.choice(pool) + rng.choice(["", " "]) for _ in range(rng.randint(1, rng.choice([5, 40, 150])))
        )
        rule_set = rng.choice(
            [rules(), FRENCH, rules(replace_characters=None), rules(append_terminal_punctuation=False)]
        )
        try:
            chunks = split_sentences(text, tokenizer[kind], rule_set, rng.choice([1, 10, 50]))
        except TextError:
            assert not letters(text)
            continue
        spoken = "".join(prepare(chunk, rule_set)[0] for chunk in chunks)
        assert letters(spoken) == letters(text), text


def test_long_sentence_is_not_silent(tokenizer, caplog):
    text = "word " * 100
    assert split_sentences(text, tokenizer["json"], rules(), 50) == [prepare(text, rules())[0]]
    assert "without a pause" in caplog.text and "Word word" in caplog.text


def test_unknown_letters_are_not_silent(tokenizer, caplog):
    split_sentences("The 世界 fox, the ñandú.", tokenizer["unknowing"], rules(), 50)
    assert "does not know" in caplog.text and "世" in caplog.text and "界" in caplog.text
    caplog.clear()
    split_sentences("The 世界 fox, the ñandú.", tokenizer["json"], rules(), 50)
    assert not caplog.text


@pytest.mark.parametrize("sentence", ["It is 3.14 now, he said. ", "word ", "1.", "no,pause;", ". "])
def test_linear(tokenizer, sentence):
    """The number of characters that are tokenized grows linearly with the length of the text."""
    seen = 0

    def count(method):
        def counting(arg):
            nonlocal seen
            seen += len(arg)
            return method(arg)

        return counting

    real = tokenizer["sentencepiece"]
    counted = SimpleNamespace(**{name: count(getattr(real, name)) for name in ("pieces", "join", "encode", "decode")})
    text = sentence * (100_000 // len(sentence))
    split_sentences(text, counted, rules(), 50)
    assert seen < 10 * len(text)


@pytest.mark.parametrize("text", ["word hello there " * 700, "漢字かな" * 700, "a" * 5000, "один два " * 900])
def test_no_chunk_is_longer_than_the_limit(tokenizer, text):
    for each in tokenizer.values():
        lists = split_tokens(text, each, 50)
        assert sum(lists, []) == each.encode(text)
        assert len(lists) == 1 or max(map(len, lists)) <= 50
        assert split_tokens(text[:50], each, 50) == [each.encode(text[:50])]


def test_parts(tokenizer):
    """Parts are the chunks of `split` and `prepare` for each piece, and the pauses between them."""
    t = tokenizer["json"]
    text = "It is 3.14 now. " * 30
    assert (
        "".join(chunk.text for chunk in split_text(text, t, rules(), 50, 0, ENGLISH)).count("three point one four")
        == 30
    )
    chunks = list(split_text(text, t, rules(), 50))
    prepared = [prepare(chunk, rules()) for chunk in split_sentences(text, t, rules(), 50)]
    assert len(chunks) > 3 and chunks == [Chunk(t.encode(words), words, frames + 2) for words, frames in prepared]
    assert list(split_text("Red\nBlue [pause:1s], green", t, rules(), 50, 0, ENGLISH)) == [
        Chunk(t.encode("Red."), "Red.", 5), Pause(0.25), Chunk(t.encode("Blue."), "Blue.", 5), Pause(1),
        Chunk(t.encode("Green."), "Green.", 5),
    ]  # fmt: skip
    assert [part.frames_after_eos for part in split_text("Hi", t, rules(model_recommended_frames_after_eos=7), 50)] == [
        7
    ]


def test_a_gap_is_between_all_chunks(tokenizer):
    text = "It is 3.14 now. " * 30 + "[pause:0.1] So. " + "word " * 300
    plain, apart = (list(split_text(text, tokenizer["json"], rules(), 50, gap, ENGLISH)) for gap in (0, 0.75))
    assert [part for part in apart if part != Pause(0.75)] == plain
    assert all(isinstance(a, Chunk) != isinstance(b, Chunk) for a, b in zip(apart, apart[1:], strict=False))


def test_marks_alone_are_not_spoken(tokenizer):
    assert list(split_text("\u2026", tokenizer["json"], rules(), 50, 0, ENGLISH)) == [Pause(0.5)]
    text = 'It is late, he said. "! ... " So it is. \u2026 ?!'
    spoken = [part.text for part in split_text(text, tokenizer["json"], rules(), 5, 0, ENGLISH)]
    assert len(spoken) > 2 and all(map(letters, spoken)) and letters("".join(spoken)) == letters(text)


def test_parts_are_generated_lazily(tokenizer):
    seen = []
    real = tokenizer["json"]
    noting = SimpleNamespace(**{name: getattr(real, name) for name in ("encode", "decode", "join")})
    noting.pieces = lambda text: seen.append(text) or real.pieces(text)
    first = next(split_text("One line.\n" * 10_000, noting, rules(), 50, 0, ENGLISH))
    assert first.text == "One line." and len(seen) < 20


@pytest.mark.parametrize("text, words", [("", "nothing to speak"), (" \n", "nothing to speak"), ("a \udce9", "not Unicode"),
                                         (None, "NoneType")])  # fmt: skip
def test_errors_are_raised_before_the_first_part(tokenizer, text, words):
    with pytest.raises(TextError, match=words):
        split_text(text, tokenizer["json"], rules(), 50)
