"""Align words with frames, and find missed and repeated words, from the attention of the alignment heads.

Weights are float32 [frames, tokens], the mean over the heads. A row need not sum to 1, since heads also attend to the voice. The limits
of `find_faults` were measured on the bundled model: docs/speech-quality.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ..reading.tokenizer import SPACE

BYTE = re.compile("<0x[0-9A-F]{2}>")  # how SentencePiece writes a byte
MISSED_PEAK = 0.2  # a word was missed if its peak attention is below this share of the median peak
CERTAIN_PEAK = 0.5  # a frame counts if its attention to a word is at least this share of the median peak
REPEATED_FRAMES = 3  # consecutive such frames on words that are two or more words back: these words were repeated


@dataclass(frozen=True)
class Word:
    """A written word with its punctuation, and its start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Span:
    """The tokens of a word: from its first letter or digit (`start`) to after its last one (`stop`)."""

    text: str
    start: int
    stop: int


@dataclass
class Faults:
    """The faults of a take: missed words, repeated words, and whether it reached the length limit."""

    missed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    ran_on: bool = False

    def __len__(self) -> int:
        """A score for comparisons; 0 is good."""
        return len(self.missed) + len(self.repeated) + 10 * self.ran_on

    def __str__(self) -> str:
        found = [
            f"{' '.join(words):.60} was {what}"
            for words, what in ((self.missed, "left out"), (self.repeated, "said twice"))
            if words
        ]
        return ", ".join(found + ["it ran to the length limit"] * self.ran_on)


def word_spans(pieces: list[str]) -> list[Span]:
    """The words of a text, which are separated by spaces. pieces: the text of each token (`Tokenizer.pieces`).

    Marks without letters or digits belong to the previous word, or to the first one.
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
    """Decode characters that SentencePiece spells in bytes, such as `<0xC3>` `<0xA9>`: the first piece is the character, others are ""."""
    for is_byte, group in groupby(pieces, key=lambda piece: bool(BYTE.fullmatch(piece))):
        run = list(group)
        if not is_byte:
            yield from run
            continue
        for character in bytes(int(piece[3:5], 16) for piece in run).decode(errors="replace"):
            yield from (character, *[""] * (len(character.encode()) - 1))


def align(weights: np.ndarray) -> np.ndarray:
    """The token of each frame, int64 [frames]: the monotonic path with the largest sum of weights, float32 [frames, tokens].

    Monotonic alignment search (Glow-TTS, arXiv 2005.11129), except that it may skip tokens and sums weights instead of logarithms, so a
    frame with diffuse attention has little influence. O(frames * tokens).
    """
    frames, tokens = weights.shape
    came_from = np.zeros((frames, tokens), np.int64)
    best = np.zeros(tokens)
    for f in range(frames):
        furthest = np.maximum.accumulate(best)
        came_from[f] = np.maximum.accumulate(np.where(best == furthest, np.arange(tokens), 0))
        best = furthest + weights[f]
    aligned = np.empty(frames, np.int64)
    at = int(best.argmax())
    for f in range(frames - 1, -1, -1):
        aligned[f] = at
        at = came_from[f, at]
    return aligned


def word_frames(weights: np.ndarray, words: list[Span]) -> list[tuple[int, int]]:
    """For each word, in order, its first frame and the one after its last.

    The alignment may skip a short word. Such a word gets one frame, taken from its neighbors if necessary. So every word has a duration,
    unless there are fewer frames than words.

    Args:
        weights: float32 [frames, tokens].
    """
    aligned = align(weights)
    found = [tuple(np.searchsorted(aligned, [word.start, word.stop]).tolist()) for word in words]
    end = 0
    for i, (first, last) in enumerate(found):
        first = max(first, end)
        end = max(last, first + 1)
        found[i] = first, end
    start = len(weights)
    for i, (first, last) in reversed(list(enumerate(found))):
        last = min(last, start)
        start = max(0, min(first, last - 1))
        found[i] = start, last
    return found


def find_faults(weights: np.ndarray, words: list[Span]) -> Faults:
    """Find words without attention, and words that get attention again after later words. weights: float32 [frames, tokens]."""
    if not len(weights) or not words:
        return Faults()
    attention = np.stack([weights[:, word.start : word.stop].sum(axis=1) for word in words], axis=1)  # [frames, words]
    peaks = attention.max(axis=0)
    ordered = np.sort(peaks)
    # np.median would import numpy.ma, which takes 15 ms.
    median = float(ordered[(len(words) - 1) // 2] + ordered[len(words) // 2]) / 2
    missed = [word.text for word, peak in zip(words, peaks, strict=True) if peak < MISSED_PEAK * median]
    certain = attention.argmax(axis=1)[attention.max(axis=1) >= CERTAIN_PEAK * median].tolist()
    repeated: dict[int, None] = {}
    furthest = last = -1
    returned: list[int] = []
    for at in certain:
        returned = [*returned, at] if at <= furthest - 2 else []
        if len(returned) >= REPEATED_FRAMES:
            repeated |= dict.fromkeys(returned)
        if at == last:  # a single frame may be an outlier
            furthest = max(furthest, at)
        last = at
    return Faults(missed, [words[i].text for i in repeated])
