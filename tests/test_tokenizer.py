"""Ids and decoded text equal those of the `tokenizers` and `sentencepiece` libraries; bad files are rejected."""

import gzip
import io
import json
import random
from pathlib import Path

import pytest
import sentencepiece
import tokenizers

from pockettts.errors import WeightsError
from pockettts.reading.tokenizer import load_tokenizer

DATA = Path(__file__).parent / "data"
OFFICIAL = gzip.decompress((DATA / "text_tokenizer.json.gz").read_bytes())  # the official English one, 4000 tokens

WORDS = {
    "english": "the quick brown fox didn't jump over their lazy neighbour's dogs although everyone thought it would",
    "french": "où l'été dernier j'ai mangé des crêpes à la crème brûlée près du château là-bas garçon cœur naïve",
    "german": "über schöne Straßen führen größere Mädchen ihre Füchse Geschwindigkeitsbegrenzung für Äpfel Öl weiß",
    "italian": "perché così la città è più bella dell'università già però caffè lunedì virtù gli gnocchi sciocchezze",
    "spanish": "¿dónde está el niño pequeño? mañana comeré piña según María pingüino corazón ¡rápido! señor también",
    "portuguese": "não há pão às três coração irmã avô você português maçã limões água àquela ideias ações fé",
    "dutch": "geïnteresseerde coöperatie zei 's ochtends dat zeeën ijs vroegen scheepvaartmaatschappij één reünie",
}
ODD = (
    "🎉 👍🏽 👨‍👩‍👧‍👦 🇫🇷 1️⃣ ❤️ 世界 你好。 こんにちは 안녕하세요 สวัสดี नमस्ते مرحبا שלום Привет Γειά 𝟑.𝟏𝟒 ½ x² ﬁ Ω € "
    "\u2581 \u2581\u2581 a\u2581b \0 a\0b \x01\x02 \x1b[0m \x7f \x85 \u200b \u200d \ufeff \ufffd \u0301 e\u0301\u0302 "
    "\u00ad \u2028 <s> </s> <unk> <pad> <<s>> <s <0x41> <0xE2> <0x0a> <tag> & % $5.00 3.14 1,000 ... ...... !!!! ?!?! "
    "---- '''' bbbbbbbbb ababababa eeeeeeeeeeee hahahaha https://example.com/a?b=c#d me@example.org C++ {x:[1]}"
)


def lines() -> list[str]:
    """1,000 lines in seven languages; every third has unusual characters."""
    rng = random.Random(7)
    spaces = [" "] * 9 + ["  ", "   ", "\t", "\n", "\r\n", "\u00a0", ""]
    found = ["", " ", "   ", "\0", "\n"]
    while len(found) < 1000:
        pool = rng.choice(list(WORDS.values())).split() + (ODD.split(" ") if len(found) % 3 == 0 else [])
        said = (
            rng.choice(pool) + rng.choice(["", "", "", ",", ".", "!", "...", ";", "?"])
            for _ in range(rng.randint(1, 30))
        )
        found.append("".join(word + rng.choice(spaces) for word in said))
    found[500] = " ".join(found[100:500])  # some 50,000 characters
    found[501] = "." * 3000
    return found


def write(path: Path, content) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """(our tokenizer, the official library's) for the same file."""
    path = write(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json", OFFICIAL)
    return load_tokenizer(path, 4000), tokenizers.Tokenizer.from_file(str(path))


def test_json_ids_and_text(official):
    ours, theirs = official
    rng = random.Random(1)
    assert len(set(lines())) > 980
    for line in lines():
        ids = theirs.encode(line).ids
        assert ours.encode(line) == ids, line[:100]
        a, b = sorted(rng.choices(range(len(ids) + 1), k=2))
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours.decode(ids[a:b]) == theirs.decode(ids[a:b])


def test_json_decodes_any_ids(official):
    ours, theirs = official
    rng = random.Random(2)
    for _ in range(2000):
        ids = [rng.randrange(rng.choice([260, 4100])) for _ in range(rng.randrange(20))]
        assert ours.decode(ids) == theirs.decode(ids), ids


def test_json_pieces_keep_the_text(official):
    ours, _ = official
    for line in lines():
        pieces = ours.pieces(line)
        assert ours.join(pieces) == line.replace("\u2581", " ")
        assert len(pieces) == len(ours.encode(line))


def test_json_breaks_ties_consistently(official):
    """The segmentations of these texts are equally likely except for rounding; SentencePiece, in float32, would choose others."""
    ours, theirs = official
    for text in ("Wait" + "." * 50, "b" * 20, "baibai" * 12):
        assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.parametrize("template", [None, "$A", "<s> $A </s>"])
def test_json_variants(tmp_path, template):
    """Other templates, and an added token that is not special and not in the vocabulary."""
    spec = json.loads(OFFICIAL)
    new = dict(spec["added_tokens"][0], id=4000, content="[laughs]", special=False)
    spec["added_tokens"].append(new)
    if template != "<s> $A </s>":
        spec["post_processor"] = None
    theirs = tokenizers.Tokenizer.from_str(json.dumps(spec))
    if template:
        special = [("<s>", 1), ("</s>", 2)]
        theirs.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=special)
    path = tmp_path / "tokenizer.json"
    theirs.save(str(path))
    ours = load_tokenizer(path, 4001)
    for text in ("", "Ha [laughs] ha.", "[laughs][laugh]", "<s>[laughs]"):
        ids = theirs.encode(text).ids
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids)


def test_json_unknown_characters(tmp_path):
    """Characters that occur only in longer pieces: the score of bytes decides where these pieces are used."""
    spec = json.loads(OFFICIAL)
    spec["model"]["vocab"] = [[p, s] for p, s in spec["model"]["vocab"] if p not in set("abehinorst")]
    path = write(tmp_path / "tokenizer.json", spec)
    ours, theirs = load_tokenizer(path, len(spec["model"]["vocab"])), tokenizers.Tokenizer.from_file(str(path))
    for line in lines():
        assert ours.encode(line) == theirs.encode(line).ids, line[:100]


def test_sentencepiece_model():
    path = DATA / "text_small.model"
    ours, theirs = load_tokenizer(path, 500), sentencepiece.SentencePieceProcessor(model_file=str(path))
    for line in lines():
        ids = theirs.encode(line)
        assert ours.encode(line) == ids
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours.join(ours.pieces(line)) == theirs.decode(ids)
        assert len(ours.pieces(line)) == len(ids)


def test_sentencepiece_keeps_unknown_characters(tmp_path):
    model = io.BytesIO()
    sentences = " ".join(WORDS["english"].split() * 20)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([sentences]), model_writer=model, vocab_size=60, model_type="bpe", minloglevel=2
    )
    ours = load_tokenizer(write(tmp_path / "bpe.model", model.getvalue()), 60)
    assert "\u2047" in ours.decode(ours.encode("the 世界 fox"))
    assert ours.join(ours.pieces("the 世界 fox")) == "the 世界 fox"


def broken() -> dict[str, tuple[bytes, str]]:
    """name -> (content, expected message)."""
    spec = json.loads(OFFICIAL)
    small = (DATA / "text_small.model").read_bytes()
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE()).to_str()

    def changed(**changes) -> bytes:
        return json.dumps(spec | changes).encode()

    def model(**changes) -> bytes:
        return changed(model=spec["model"] | changes)

    vocab = spec["model"]["vocab"]
    bound = [spec["added_tokens"][0] | {"lstrip": True}]
    always = spec["pre_tokenizer"] | {"prepend_scheme": "always"}
    return {
        "empty.model": (b"", "not a whole SentencePiece model"),
        "cut.model": (small[: len(small) // 2], "not a whole SentencePiece model"),
        "text.model": (b"These are words, not pieces.", "not a whole SentencePiece model"),
        "sound.model": (b"RIFF\x24\0\0\0WAVEfmt ", "not a whole SentencePiece model"),
        "short.model": (small, "500 tokens, the model 4000"),
        "empty.json": (b"", "not a whole tokenizer.json"),
        "cut.json": (OFFICIAL[:100_000], "not a whole tokenizer.json"),
        "list.json": (b"[]", "not a whole tokenizer.json"),
        "other.json": (b'{"model": null}', "not a whole tokenizer.json"),
        "deep.json": (b'{"model":' + b"[" * 100_000, "not a whole tokenizer.json"),
        "binary.json": (bytes(range(256)), "not a whole tokenizer.json"),
        "nan.json": (model(vocab=vocab[:-1] + [["x", float("nan")]]), "not a whole tokenizer.json"),
        "huge.json": (OFFICIAL.replace(b"-2.884568691253662", b"-2.0e99999"), "not a whole tokenizer.json"),
        "bytes.json": (model(vocab=vocab[:100]), "not a whole tokenizer.json"),
        "few.json": (model(vocab=vocab[:-1]), "3999 tokens, the model 4000"),
        "bpe.json": (bpe.encode(), "its model is BPE"),
        "unknown.json": (model(byte_fallback=False), "byte fallback"),
        "normal.json": (changed(normalizer={"type": "NFKC"}), "its normalizer is"),
        "prepend.json": (changed(pre_tokenizer=always), "its pre_tokenizer is"),
        "decoder.json": (changed(decoder={"type": "Metaspace"}), "its decoder is"),
        "post.json": (changed(post_processor={"type": "ByteLevel"}), "its post_processor is"),
        "bound.json": (changed(added_tokens=bound), "added token"),
    }


BROKEN = broken()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file(tmp_path, name, capfd):
    content, says = BROKEN[name]
    path = write(tmp_path / name, content)
    with pytest.raises(WeightsError) as caught:
        load_tokenizer(path, 4000)
    message = str(caught.value)
    assert str(path) in message and says in message and "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing.model", tmp_path / "missing.json"):
        with pytest.raises(WeightsError, match="Cannot read the tokenizer"):
            load_tokenizer(path, 4000)
