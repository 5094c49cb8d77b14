"""Plan the sound files of a document, and the chunks of each file in order."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..documents.reader import Chapter, Document
from ..documents.subtitles import Cue
from ..errors import OptionError, TextError
from ..reading.chunks import Chunk
from ..reading.pauses import SCENE, Pause
from ..reading.voice_marks import split_at_voices

Split = Callable[[str], Iterator[Chunk | Pause]]  # see `chunks.split_text`


@dataclass(frozen=True)
class Job:
    """A text, and the output to make from it.

    Attributes:
        name: the name of the source, for messages.
        output: the path of the sound file.
        read: returns the document. Raises TextError.
        voice: the name of the voice; "": the default voice.
        by_chapter: make one file per chapter; `output` is the pattern for their names.
        may_be_whole: with `by_chapter`, make a single file of a document with one chapter; otherwise that is an error.
        chapters: the numbers of the chapters to speak, such as "3-7,12"; None: all.
    """

    name: str
    output: str
    read: Callable[[], Document]
    voice: str = ""
    by_chapter: bool = False
    may_be_whole: bool = False
    chapters: str | None = None


@dataclass(frozen=True)
class Track:
    """A sound file to make from chapters or subtitles. number: the number of its first chapter in the document, from 1."""

    path: str
    chapters: tuple[Chapter, ...]
    number: int = 1
    cues: Sequence[Cue] = ()


@dataclass(frozen=True)
class Piece:
    """A chunk with the silence before it. The last piece of a file may have only silence.

    Attributes:
        number: the index of the chunk in the file.
        part: the index of its chapter or subtitle in the track.
        silence: in seconds.
        voice: the name of the voice; "": the default voice.
    """

    number: int
    part: int
    silence: float
    chunk: Chunk | None
    voice: str


def select_chapters(given: str, count: int) -> list[int]:
    """The indices, in order and from 0, of the chapters in a selection such as `3-7,12`. Raises OptionError."""
    found: set[int] = set()
    for part in given.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})?\s*(-)?\s*(\d{1,6})?\s*", part)
        first = int(match[1] or 1) if match and (match[1] or match[3]) else 0
        last = int(match[3] or count) if match and match[2] else first
        if not 1 <= first <= last <= count:
            raise OptionError(
                f"--chapters {given[:40]!r}: write numbers and ranges from 1 to {count}, such as 3-7,12; --list shows them"
            )
        found |= set(range(first - 1, last))
    return sorted(found)


def with_chapters(document: Document, given: str | None) -> Document:
    """The document with the selected chapters only. Raises OptionError."""
    if given is None:
        return document
    return replace(document, chapters=[document.chapters[n] for n in select_chapters(given, len(document.chapters))])


def tracks(job: Job, document: Document, count: int) -> list[Track]:
    """The sound files of a job. Raises TextError if a document with one chapter should be split.

    Args:
        document: has only the selected chapters.
        count: the number of all chapters.
    """
    if not job.by_chapter or count == 1 and job.may_be_whole:
        return [Track(job.output, tuple(document.chapters), cues=document.cues)]
    if count == 1:
        raise TextError(f"{job.name} has no chapters that can be told apart: leave --split out")
    numbers = [n + 1 for n in select_chapters(job.chapters or f"1-{count}", count)]
    digits, target = len(str(count)), Path(job.output)
    found = []
    for number, chapter in zip(numbers, document.chapters, strict=True):
        title = re.sub(r"[\W_]+", "-", chapter.title)[:40].strip("-").lower()
        name = "-".join([target.stem, f"{number:0{max(2, digits)}}", *([title] if title else [])])
        found.append(Track(str(target.with_name(name + target.suffix)), (chapter,), number))
    return found


def pieces(track: Track, split: Split, default: str, is_voice: Callable[[str], bool] | None) -> Iterator[Piece]:
    """The chunks of a track in order, with the silence between them.

    Args:
        split: splits a text into chunks and pauses.
        default: the voice of text without a mark.
        is_voice: whether there is a voice of this name; None: marks such as `[voice:NAME]` are ordinary text.
    """
    number, silence, part = 0, 0.0, 0
    texts = [(cue.text, cue.speaker) for cue in track.cues] or [(chapter.text, "") for chapter in track.chapters]
    for part, (text, speaker) in enumerate(texts):
        if part and not track.cues:
            silence = max(silence, SCENE)
        own = speaker if speaker and is_voice is not None and is_voice(speaker) else default
        for voice, said, gap in [("", text, 0.0)] if is_voice is None else split_at_voices(text, is_voice):
            silence = max(silence, gap) if number else silence
            for item in split(said) if said.strip() else ():
                if isinstance(item, Pause):
                    silence += item.seconds
                else:
                    yield Piece(number, part, silence, item, voice or own)
                    number, silence = number + 1, 0.0
    if silence:
        yield Piece(number, part, silence, None, "")
