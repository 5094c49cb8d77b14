"""What was spoken of a long text so far, so that `--resume` can go on from there: a file beside the output.

The sound is kept as 16-bit PCM, whatever format the output has: encoded anew, with what follows, it gives the same bytes as if
nobody had interrupted. First comes a header with JSON: what was spoken how, and how far that got. Then, of each chunk, four numbers
(`_FRAME`), who spoke, and the sound.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import OptionError, TextError
from ..storage.files import cannot_write

HEADER = 32768  # bytes
HASHED = {"text", "lexicon", "voice map"}  # facts that say nothing to people
STATE = ("facts", "chapter", "chunks", "characters", "size")  # in the header
_FRAME = struct.Struct("<4I")  # chapter, samples of silence, bytes of the speaker's name, bytes of sound


class Note(NamedTuple):
    """What is known of a piece of sound: the chapter in its file, from 0; the samples of silence at its start; and who speaks."""

    part: int
    lead: int
    voice: str


class ResumeState:
    """The journal of an output. It is written chunk by chunk, and removed when the text is finished.

    facts: what must be the same to go on: text, voice, options; numbers, strings or None by name. chapter: how many files are
    finished. chunks: how many of the next one are. characters: of all that is spoken.
    """

    def __init__(self, output: str | Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = Path(f"{output}.resume"), facts
        self.chapter = self.chunks = self.characters = self._size = 0
        self._file: BinaryIO | None = None
        self.is_begun = False  # there is something to go on from

    def reopen(self) -> None:
        """Go on where the last run ended, or begin if it wrote nothing down. A seed that is None is then that run's.

        Raises OptionError: there is no journal, or it is of another text, or of other options.
        """
        try:
            self._file = _locked(open(self.path, "r+b"))  # noqa: SIM115 (until `close`)
            content = self._file.read(HEADER)
            if not content:  # the last run was interrupted before its first chunk
                return
            header = json.loads(content)
            facts, self.chapter, self.chunks, self.characters, self._size = map(header.__getitem__, STATE)
        except FileNotFoundError:
            raise OptionError(
                f"{self.path} is not there, so there is nothing to go on from: leave --resume out"
            ) from None
        except OSError as error:
            raise OptionError(cannot_write(self.path, error)) from None
        except (ValueError, KeyError, TypeError):
            raise OptionError(f"{self.path} is damaged: remove it, and leave --resume out") from None
        self.is_begun = True
        if self.facts["seed"] is None:
            self.facts["seed"] = facts.get("seed")
        for name, value in self.facts.items():
            if facts.get(name) != value:
                was = "" if name in HASHED else f" (it was {facts.get(name)!r:.50})"
                raise OptionError(
                    f"{self.path} was begun with another {name.replace('_', ' ')}{was}: take that, or leave --resume out"
                )

    def pieces(self) -> Iterator[tuple[Note, bytes]]:
        """The present file so far: notes, and 16-bit samples. Raises OptionError if the journal is damaged."""
        end = HEADER + self._size
        if self._file is None:
            return
        self._file.seek(HEADER)
        while self._file.tell() < end:
            frame = self._file.read(_FRAME.size)
            part, lead, name, size = _FRAME.unpack(frame) if len(frame) == _FRAME.size else (0, 0, 0, end)
            if self._file.tell() + name + size > end:
                raise OptionError(f"{self.path} is damaged: remove it, and leave --resume out")
            voice = self._file.read(name).decode("utf-8", "replace")
            yield Note(part, lead, voice), self._file.read(size)

    def add(self, data: bytes, characters: int, note: Note, chunks: int = 1) -> None:
        """Chunks were spoken, of so many characters: 16-bit samples."""
        try:
            if self._file is None:
                self.path.touch()
                self._file = _locked(open(self.path, "r+b"))  # noqa: SIM115
                self._file.truncate(0)
            voice = note.voice.encode()
            frame = _FRAME.pack(note.part, note.lead, len(voice), len(data)) + voice + data
            self._file.seek(HEADER + self._size)
            self._file.write(frame)
            self.chunks, self.characters, self._size = (
                self.chunks + chunks,
                self.characters + characters,
                self._size + len(frame),
            )
            self._note()
        except OSError as error:
            raise TextError(cannot_write(self.path, error)) from None

    def next_chapter(self) -> None:
        """A file is whole."""
        self.chapter, self.chunks, self._size = self.chapter + 1, 0, 0
        if self._file is not None:
            try:
                self._note()
                self._file.truncate(HEADER)
            except OSError as error:
                raise TextError(cannot_write(self.path, error)) from None

    def _note(self) -> None:
        """The header is written last: until then, what came before counts."""
        assert self._file is not None
        state = [self.facts, self.chapter, self.chunks, self.characters, self._size]
        header = json.dumps(dict(zip(STATE, state, strict=True))).encode()
        self._file.seek(0)
        self._file.write(header.ljust(HEADER))
        self._file.flush()
        self.is_begun = True

    def close(self, finished: bool) -> None:
        """Keep it for the next run; or remove it, if the text is finished or nothing could be written down."""
        if self._file is not None:
            with suppress(OSError):  # what the disk had no room for, and nobody counts on
                self._file.close()
        if finished or self._file is not None and not self.is_begun:
            self.path.unlink(missing_ok=True)


def _locked(file: BinaryIO) -> BinaryIO:
    """A journal that no other run has open; two that write into one would spoil it. Raises OptionError."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        file.close()
        raise OptionError(
            f"{file.name} is in use: another run makes the same file; wait for it, or take another name"
        ) from None
    except (ImportError, OSError):  # some network file systems have no locks
        pass
    return file
