"""Find the times of words while a text is spoken, and write them as JSON, SubRip (.srt) or WebVTT (.vtt)."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from ..errors import OptionError, TextError
from ..reading.chunks import CLOSERS, STOPS
from ..reading.normalize import count_letters
from ..reading.tokenizer import Tokenizer
from ..storage.files import cannot_write, check_place, whole_file
from ..synthesis import Block, Take
from .alignment import Faults, Span, Word, find_faults, word_frames, word_spans

MAX_LINE_LENGTH, MAX_LINES = 42, 2  # characters and lines of a subtitle
MAX_CUE_SECONDS = 6.0
MIN_CUE_SECONDS = 0.2
CUE_GAP_SECONDS = 1.0  # silence that ends a subtitle
EXTENSIONS = (".json", ".srt", ".vtt")


def take_faults(take: Take, tokenizer: Tokenizer) -> Faults:
    """The faults of a finished take. Without recorded attention, only the length limit is checked."""
    found, attention = Faults(), take.attention()
    pieces = tokenizer.pieces(take.chunk.text)
    if (
        attention is not None and len(pieces) == attention.shape[1]
    ):  # otherwise the text was truncated at the model's limit
        found = find_faults(attention, word_spans(pieces))
    found.ran_on = take.end is None
    return found


class Timeline:
    """Finds the times of the words of a text. The blocks pass through `follow` or `events`; `words` has the words found so far.

    A chunk without alignment counts as one word.

    Args:
        sample_rate: in Hz.
        lead: the number of frames by which the attention is ahead of the sound.
    """

    def __init__(self, tokenizer: Tokenizer, sample_rate: int, lead: int = 0) -> None:
        self.words: list[Word] = []
        self._tokenizer, self._sample_rate, self._lead = tokenizer, sample_rate, lead

    def follow(self, spoken: Iterable[Block]) -> Iterator[Block]:
        """Pass on the blocks. The words of a take are in `words` after its last block."""
        samples = start = 0
        last: Take | None = None
        for take, block in spoken:
            if take is not last:
                self._add_words(last, start, samples)
                last, start = take, samples
            samples += len(block)
            yield Block(take, block)
        self._add_words(last, start, samples)

    def events(self, spoken: Iterable[Block]) -> Iterator[np.ndarray | Word]:
        """Yield the blocks, and after the last block of a take its words."""
        yielded = 0
        for _, block in self.follow(spoken):
            yield from self.words[yielded:]
            yielded = len(self.words)
            yield block
        yield from self.words[yielded:]

    def _add_words(self, take: Take | None, start: int, stop: int) -> None:
        """Add the words of a take. start, stop: its first sample and the one after its last, after any change of speed."""
        if take is None:
            return
        attention, pieces = take.attention(), self._tokenizer.pieces(take.chunk.text)
        if attention is not None and len(pieces) == attention.shape[1]:
            words = word_spans(pieces)
            attention = attention[: max(1, take.frames - self._lead)]  # the last frames are about sound after the end
            frames = [(first + self._lead, last + self._lead) for first, last in word_frames(attention, words)]
            found = as_written(words, frames, take.chunk.words)
        else:
            found = [
                (" ".join(word for word, _ in take.chunk.words if word) or take.chunk.text.strip(), 0, take.frames)
            ]
        per_frame = (stop - start) / take.frames / self._sample_rate  # seconds
        first = start / self._sample_rate
        self.words += [
            Word(text, round(first + a * per_frame, 3), round(first + b * per_frame, 3)) for text, a, b in found
        ]


def as_written(
    spoken: list[Span], frames: list[tuple[int, int]], written: Sequence[tuple[str, int]]
) -> list[tuple[str, int, int]]:
    """The written words of a chunk, each once, with its first frame and the one after its last.

    written: the written words in order, each with the number of spoken letters; "" is the rest of a word that began in the previous chunk.
    Several spoken words may belong to one written word, such as "$5", and one spoken word to several written ones.
    """
    starts = [0, *accumulate(count for _, count in written)]  # letters before each written word
    found: list[tuple[str, int, int]] = []
    at = letters = 0
    for span, (first, last) in zip(spoken, frames, strict=True):
        letters += count_letters(span.text)
        begun = at
        while at < len(written) and (starts[at] < letters or span is spoken[-1]):
            at += 1
        if words := " ".join(word for word, _ in written[begun:at] if word):
            found.append((words, first, last))
        elif found:
            found[-1] = (*found[-1][:2], last)
    return found


# --- files -------------------------------------------------------------------------------------------------------------------


def check_path(path: str | Path) -> None:
    """Check the path of a timestamp file. Raises OptionError for an unknown extension, and TextError if it can't be written."""
    if Path(path).suffix.lower() not in EXTENSIONS:
        raise OptionError(f"--timestamps {path}: use one of the extensions {', '.join(EXTENSIONS)}")
    try:
        check_place(path)
    except OSError as error:
        raise TextError(cannot_write(path, error)) from None


def write(path: str | Path, words: list[Word], aligned: bool) -> None:
    """Write words in the format of the file's extension, completely or not at all.

    Args:
        path: its extension is one of EXTENSIONS.
        aligned: False if each "word" is a whole chunk, since the model has no alignment heads.

    Raises:
        TextError: the file can't be written.
    """
    content = {".json": as_json, ".srt": as_srt, ".vtt": as_vtt}[Path(path).suffix.lower()](words, aligned)
    try:
        with whole_file(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    except OSError as error:
        raise TextError(cannot_write(path, error)) from None


def as_json(words: list[Word], aligned: bool) -> str:
    """{"unit": "word" | "chunk", "words": [{"text", "start", "end"}, ...]}, in seconds, with one line per word."""
    rows = [
        json.dumps({"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}, ensure_ascii=False)
        for word in words
    ]
    return f'{{"unit": "{"word" if aligned else "chunk"}", "words": [\n' + ",\n".join(rows) + "\n]}\n"


def as_srt(words: list[Word], aligned: bool) -> str:
    """Subtitles of at most two lines."""
    return "\n".join(
        f"{n}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{_lines((word.text, '') for word in cue)}\n"
        for n, (start, end, cue) in enumerate(_cues(words), 1)
    )


def as_vtt(words: list[Word], aligned: bool) -> str:
    """Subtitles of at most two lines, with the time of each word after the first one."""
    from html import escape

    cues = ["WEBVTT\n"]
    for start, end, cue in _cues(words):
        times = [start] + [word.start for word in cue]
        marks = [f"<{_clock(at, '.')}>" if before < at < end else "" for before, at in pairwise(times)]
        lines = _lines((escape(word.text, quote=False), mark) for word, mark in zip(cue, marks, strict=True))
        cues.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{lines}\n")
    return "\n".join(cues)


def _cues(words: list[Word]) -> Iterator[tuple[float, float, list[Word]]]:
    """Group words into subtitles: start, end, words."""
    cue: list[Word] = []
    for word, following in zip(words, [*words[1:], None], strict=False):
        cue.append(word)
        if following is None or _ends(cue, following):
            end = max(word.end, cue[0].start + MIN_CUE_SECONDS)
            if following and following.start > cue[0].start:
                end = min(end, following.start)
            yield cue[0].start, end, cue
            cue = []


def _ends(cue: list[Word], following: Word) -> bool:
    """Whether a subtitle ends before the following word: at the end of a sentence, at a silence, or when it is full."""
    return (
        cue[-1].text.rstrip(CLOSERS)[-1:] in STOPS
        or following.start - cue[-1].end > CUE_GAP_SECONDS
        or following.end - cue[0].start > MAX_CUE_SECONDS
        or len(" ".join(word.text for word in [*cue, following])) > MAX_LINE_LENGTH * MAX_LINES
    )


def _lines(words: Iterable[tuple[str, str]]) -> str:
    """Wrap words into lines. Each word has a time mark before it, which does not count as text."""
    lines: list[list[str]] = [[]]
    used = 0
    for text, mark in words:
        for word in text.split():  # a chunk without alignment has several
            if used and used + len(word) > MAX_LINE_LENGTH:
                lines.append([])
                used = 0
            lines[-1].append(mark + word)
            used += len(word) + 1
            mark = ""
    return "\n".join(map(" ".join, lines))


def _clock(seconds: float, point: str) -> str:
    """A time as hh:mm:ss and milliseconds."""
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
