"""Text to token ids and back: SentencePiece models, and `tokenizer.json`, which most official configs use.

A `tokenizer.json` is a Unigram vocabulary: pieces with log probabilities. Its segmentation is a Viterbi search (Kudo 2018,
arXiv:1804.10959) like that of SentencePiece, but in float64 instead of float32. On long lines and repeated marks ("......") the results
differ, so SentencePiece can't be used for it.
"""

import json
import math
import re
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from ..errors import WeightsError

SPACE = "\u2581"  # the space in pieces
UNKNOWN_PENALTY = 10.0  # log probability of an unknown character, relative to the rarest piece

# The only supported settings of a tokenizer.json; with others the ids would differ.
EXPECTED = {
    "truncation": None,
    "padding": None,
    "normalizer": None,
    "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": False},
    "decoder": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ],
    },
}


class Tokenizer(Protocol):
    """`encode` and `decode` work as in the official package. `pieces` and `join` are their lossless counterparts on text."""

    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, with a start token if the file has one."""

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, without special tokens. Invalid bytes and unknown tokens become replacement characters."""

    def pieces(self, text: str) -> list[str]:
        """The text of each token of `encode(text)`."""

    def join(self, pieces: list[str]) -> str:
        """The text of consecutive pieces, including unknown characters."""


def load_tokenizer(path: Path, n_bins: int) -> Tokenizer:
    """Read a SentencePiece `.model` or a `tokenizer.json` (Unigram with byte fallback) of exactly `n_bins` tokens.

    Raises:
        WeightsError: the file is missing, damaged, not a tokenizer, not supported, or of another model.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"Cannot read the tokenizer {path}: {error.strerror}.") from None
    is_json = path.suffix == ".json" or data[:1] == b"{"
    try:
        tokenizer = UnigramTokenizer(data) if is_json else SentencePieceTokenizer(data)
    except _Unsupported as error:
        raise WeightsError(f"The tokenizer {path} is not supported: {error}.") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError):
        kind = "tokenizer.json" if is_json else "SentencePiece model"
        raise WeightsError(f"{path} is not a whole {kind}: download it again, or name another file.") from None
    size = tokenizer.vocab_size
    if size != n_bins:
        raise WeightsError(f"The tokenizer {path} has {size} tokens, the model {n_bins}: it is another model's.")
    return tokenizer


class _Unsupported(Exception):
    """A valid tokenizer.json with settings that this module does not support."""


class SentencePieceTokenizer:
    """A SentencePiece model (`data`: its bytes), run by the SentencePiece library."""

    def __init__(self, data: bytes):
        from sentencepiece import SentencePieceProcessor

        self._processor = SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(data)
        self.vocab_size: int = self._processor.vocab_size()

    def encode(self, text: str) -> list[int]:
        return list(self._processor.encode(text, out_type=int))

    def decode(self, ids: list[int]) -> str:
        return str(self._processor.decode(ids))

    def pieces(self, text: str) -> list[str]:
        return list(self._processor.encode(text, out_type=str))

    def join(self, pieces: list[str]) -> str:
        return str(self._processor.decode(pieces))  # of strings: ids would turn unknown characters into question marks


class UnigramTokenizer:
    """A tokenizer.json (`data`: its bytes) with the settings of the official configs."""

    def __init__(self, data: bytes):
        spec = json.loads(data, parse_float=_rust_float)
        model = spec["model"]
        if model["type"] != "Unigram" or not model["byte_fallback"]:
            raise _Unsupported(f"its model is {model['type']}, only Unigram with byte fallback is")
        for key, expected in EXPECTED.items():
            if spec[key] != expected:
                raise _Unsupported(f"its {key} is {json.dumps(spec[key], ensure_ascii=False):.100}")
        self._ids = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
        self._scores = {piece: float(score) for piece, score in model["vocab"]}
        if not all(map(math.isfinite, self._scores.values())):
            raise ValueError("a score is not a number")
        self._byte_ids = [self._ids[f"<0x{byte:02X}>"] for byte in range(256)]
        self._bytes = {token: byte for byte, token in enumerate(self._byte_ids)}
        self._longest = max(map(len, self._scores))
        self._unknown_score = min(self._scores.values()) - UNKNOWN_PENALTY

        # Added tokens are found in the text before anything else; the longest wins.
        added = [token for token in spec["added_tokens"] if token["content"]]
        if any(token["single_word"] or token["lstrip"] or token["rstrip"] for token in added):
            raise _Unsupported("an added token is bound to words or spaces")
        self._added = {token["content"]: token["id"] for token in added}
        special = {token["id"] for token in added if token["special"]}
        longest_first = sorted(map(re.escape, self._added), key=len, reverse=True)
        self._added_pattern = re.compile(f"({'|'.join(longest_first) or '(?!)'})")
        self.vocab_size: int = len(model["vocab"]) + sum(content not in self._ids for content in self._added)
        self._texts = {i: text for text, i in (self._ids | self._added).items() if i not in special}
        self._before, self._after = _template(spec["post_processor"])

    def encode(self, text: str) -> list[int]:
        return [token for token, _ in self._tokens(text)]

    def pieces(self, text: str) -> list[str]:
        return [piece for _, piece in self._tokens(text)]

    def join(self, pieces: list[str]) -> str:
        return "".join(pieces)

    def decode(self, ids: list[int]) -> str:
        text = ""
        for is_byte, run in groupby((i for i in ids if i in self._texts), key=self._bytes.__contains__):
            if is_byte:
                raw = bytes(self._bytes[i] for i in run)
                try:
                    text += raw.decode()
                except UnicodeDecodeError:
                    text += "\ufffd" * len(raw)
            else:
                text += "".join(self._texts[i] for i in run).replace(SPACE, " ")
        return text

    def _tokens(self, text: str) -> list[tuple[int, str]]:
        """Each token with its text. The first byte token of a character has the whole character, the others have ""."""
        tokens = [(i, "") for i in self._before]
        for n, part in enumerate(self._added_pattern.split(text)):
            if n % 2:  # split() puts the matches at the odd indices
                tokens.append((self._added[part], part))
                continue
            for piece in self._segment(part.replace(" ", SPACE)):
                if piece in self._ids:
                    tokens.append((self._ids[piece], piece.replace(SPACE, " ")))
                else:
                    spelled = [self._byte_ids[byte] for byte in piece.encode()]
                    tokens += zip(spelled, [piece] + [""] * (len(spelled) - 1), strict=True)
        return tokens + [(i, "") for i in self._after]

    def _segment(self, text: str) -> list[str]:
        """The most likely pieces of a text (Viterbi). Of equally likely ones, the first found, as in `tokenizers`."""
        size = len(text)
        best = [0.0] + [-math.inf] * size  # log probability of the best segmentation of text[:end]
        start = [0] * (size + 1)  # the start of its last piece
        for i in range(size):
            here = best[i]
            for end in range(i + 1, min(i + self._longest, size) + 1):
                score = self._scores.get(text[i:end])
                if score is not None and here + score > best[end]:
                    best[end], start[end] = here + score, i
            if text[i] not in self._scores and here + self._unknown_score > best[i + 1]:
                best[i + 1], start[i + 1] = here + self._unknown_score, i
        pieces = []
        while size:
            pieces.append(text[start[size] : size])
            size = start[size]
        return pieces[::-1]


def _rust_float(literal: str) -> float:
    """Parse a number like `tokenizers` (serde_json): its digits divided by a power of ten, which can be 1 ulp off.

    This ulp decides between segmentations of "bbbbb" that are equally likely otherwise.
    """
    digits, _, power = literal.lower().partition("e")
    whole, _, fraction = digits.partition(".")
    return int(whole + fraction) / 10.0 ** (len(fraction) - int(power or 0))


def _template(post_processor: dict[str, Any] | None) -> tuple[list[int], list[int]]:
    """The ids before and after every text. In the official files: a start token before it."""
    if post_processor is None:
        return [], []
    if post_processor["type"] != "TemplateProcessing":
        raise _Unsupported(f"its post_processor is {post_processor['type']}")
    items = post_processor["single"]
    ids: list[list[int]] = [
        post_processor["special_tokens"][item["SpecialToken"]["id"]]["ids"] if "SpecialToken" in item else []
        for item in items
    ]
    text = next(n for n, item in enumerate(items) if "SpecialToken" not in item)
    return sum(ids[:text], []), sum(ids[text + 1 :], [])
