"""The alignment of text and speech: when each word is spoken, and which words are left out or repeated.

Input: the attention of the alignment heads to the text tokens, float32 [frames, tokens], averaged over the heads. A row is one frame;
it need not sum to 1, since the heads also attend to the voice prompt. The limits of `faults` were measured on the bundled model: docs/speech-quality.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ..reading.tokenizer import SPACE

BYTE = re.compile("<0x[0-9A-F]{2}>")
MISSED = 0.2  # a word was left out if its peak attention is below this fraction of the median
SURE = 0.5  # a frame certainly belongs to a word if its attention is above this fraction of the median peak
RETURN = 3  # a word is repeated if this many such frames in a row go back to it, two or more words back


@dataclass(frozen=True)
class Word:
    """A word as it was written, with the punctuation attached to it, and its start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Span:
    """The tokens start .. stop of a word, from its first letter or digit to its last."""

    text: str
    start: int
    stop: int


@dataclass
class Faults:
    """The errors of a take: words left out, words said twice, and whether it ran to the length limit."""

    missed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    ran_on: bool = False

    def __len__(self) -> int:
        """The number of errors, weighted; 0 is none."""
        return len(self.missed) + len(self.repeated) + 10 * self.ran_on

    def __str__(self) -> str:
        found = [
            f"{' '.join(words):.60} was {what}"
            for words, what in ((self.missed, "left out"), (self.repeated, "said twice"))
            if words
        ]
        return ", ".join(found + ["it ran to the length limit"] * self.ran_on)


def spans(pieces: list[str]) -> list[Span]:
    """The words of a text, separated by spaces, as ranges of tokens. pieces: the text of each token, see `Tokenizer.pieces`.

    A piece of text without a letter or digit is attached to the word before it, or to the first word.
    """
    tokens = [(i, piece.replace(SPACE, " ")) for i, piece in enumerate(_characters(pieces))]
    begun = np.cumsum([piece[:1] == " " for _, piece in tokens])
    words: list[Span] = []
    before = ""
    for _, run in groupby(tokens, key=lambda token: begun[token[0]]):
        group = list(run)
        text = "".join(piece for _, piece in group).strip()
        spoken = [i for i, piece in group if any(map(str.isalnum, piece))]
        if spoken:
            words.append(Span(f"{before} {text}".strip(), spoken[0], spoken[-1] + 1))
            before = ""
        elif words:
            words[-1] = Span(f"{words[-1].text} {text}".strip(), words[-1].start, words[-1].stop)
        else:
            before = f"{before} {text}".strip()
    return words


def _characters(pieces: list[str]) -> Iterator[str]:
    """The pieces with byte tokens decoded: of `<0xC3>` `<0xA9>` the first becomes "é" and the second ""."""
    for is_byte, group in groupby(pieces, key=lambda piece: bool(BYTE.fullmatch(piece))):
        run = list(group)
        if not is_byte:
            yield from run
            continue
        for character in bytes(int(piece[3:5], 16) for piece in run).decode(errors="replace"):
            yield from (character, *[""] * (len(character.encode()) - 1))


def path(weights: np.ndarray) -> np.ndarray:
    """The token of each frame, int [frames]: the monotonic path with the largest sum of attention.

    Monotonic alignment search (Glow-TTS, arXiv 2005.11129), with two differences: the path may skip tokens, and it sums weights, not
    logarithms, so a frame without a clear focus has little influence. O(frames * tokens).
    """
    frames, tokens = weights.shape
    came_from = np.zeros((frames, tokens), np.int64)
    best = np.zeros(tokens)
    for f in range(frames):
        furthest = np.maximum.accumulate(best)
        came_from[f] = np.maximum.accumulate(np.where(best == furthest, np.arange(tokens), 0))
        best = furthest + weights[f]
    places = np.empty(frames, np.int64)
    at = int(best.argmax())
    for f in range(frames - 1, -1, -1):
        places[f] = at
        at = came_from[f, at]
    return places


def times(weights: np.ndarray, words: list[Span]) -> list[tuple[int, int]]:
    """The frames start, stop of each word, in order. A skipped word has start == stop."""
    places = path(weights)
    return [tuple(np.searchsorted(places, [word.start, word.stop]).tolist()) for word in words]


def faults(weights: np.ndarray, words: list[Span]) -> Faults:
    """The words that get no attention, and the words that get it again after later words."""
    if not len(weights) or not words:
        return Faults()
    looks = np.stack([weights[:, word.start : word.stop].sum(axis=1) for word in words], axis=1)  # [frames, words]
    peaks = looks.max(axis=0)
    ordered = np.sort(peaks)
    usual = (
        float(ordered[(len(words) - 1) // 2] + ordered[len(words) // 2]) / 2
    )  # np.median would import numpy.ma: 15 ms
    missed = [word.text for word, peak in zip(words, peaks, strict=True) if peak < MISSED * usual]
    sure = looks.argmax(axis=1)[looks.max(axis=1) >= SURE * usual].tolist()
    repeated: dict[int, None] = {}
    furthest = last = -1
    returned: list[int] = []
    for at in sure:
        returned = [*returned, at] if at <= furthest - 2 else []
        if len(returned) >= RETURN:
            repeated |= dict.fromkeys(returned)
        if at == last:  # ignore single frames
            furthest = max(furthest, at)
        last = at
    return Faults(missed, [words[i].text for i in repeated])
