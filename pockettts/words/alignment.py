"""When each word is spoken, and which words are not: from how much the alignment heads look at each token, frame by frame.

Weights are float32 [frames, tokens], the mean over the heads; a row is one frame's and need not add up to 1, since heads look at the
voice as well. The limits of `faults` were measured on the bundled model: docs/speech-quality.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ..reading.tokenizer import SPACE

BYTE = re.compile("<0x[0-9A-F]{2}>")
MISSED = 0.2  # a word that is never looked at with this part of what others get was left out
SURE = 0.5  # a frame is of a word, beyond doubt, that it looks at with this part of what words get at their best
RETURN = 3  # such frames in a row on a word that is two or more back: it is said again


@dataclass(frozen=True)
class Word:
    """A word as it was written, with what clings to it, and when it is spoken: seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Span:
    """A word's place among the tokens: from its first letter or digit, to behind its last."""

    text: str
    start: int
    stop: int


@dataclass
class Faults:
    """What is wrong with a take: words that were left out, words that were said twice, and whether it ran to the length limit."""

    missed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    ran_on: bool = False

    def __len__(self) -> int:
        """How bad it is; 0 is good."""
        return len(self.missed) + len(self.repeated) + 10 * self.ran_on

    def __str__(self) -> str:
        found = [
            f"{' '.join(words):.60} was {what}"
            for words, what in ((self.missed, "left out"), (self.repeated, "said twice"))
            if words
        ]
        return ", ".join(found + ["it ran to the length limit"] * self.ran_on)


def spans(pieces: list[str]) -> list[Span]:
    """The words that tokens make, which are parted by spaces; `pieces` is what each token stands for, as `Tokenizer.pieces`.

    What has no letter or digit is no word of its own: it clings to the word before, or to the first.
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
    """Pieces where a character that SentencePiece spells in bytes, `<0xC3>` `<0xA9>`, is the first of them, and the others are ""."""
    for is_byte, group in groupby(pieces, key=lambda piece: bool(BYTE.fullmatch(piece))):
        run = list(group)
        if not is_byte:
            yield from run
            continue
        for character in bytes(int(piece[3:5], 16) for piece in run).decode(errors="replace"):
            yield from (character, *[""] * (len(character.encode()) - 1))


def path(weights: np.ndarray) -> np.ndarray:
    """Which token each frame is of, int [frames]: of all ways that never go back, the one that is looked at most, in sum.

    Monotonic alignment search (Glow-TTS, arXiv 2005.11129), but it may pass tokens over, and sums weights, not their logarithms: so a
    frame that looks nowhere in particular decides nothing. O(frames * tokens).
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
    """The frames of each word: its first, and the one behind its last. In order; a word that was passed over has none."""
    places = path(weights)
    return [tuple(np.searchsorted(places, [word.start, word.stop]).tolist()) for word in words]


def faults(weights: np.ndarray, words: list[Span]) -> Faults:
    """Words that are never looked at, and words that are looked at again after others have followed."""
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
        if at == last:  # one frame alone may be a slip
            furthest = max(furthest, at)
        last = at
    return Faults(missed, [words[i].text for i in repeated])
