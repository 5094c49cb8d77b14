"""The journal: a file beside the output from which `--resume` continues.

The journal keeps the sound as 16-bit PCM, whatever the format of the output. A resumed run encodes this sound again, so the output has the
same bytes as without the interruption. The journal starts with a JSON header of HEADER bytes: the facts that must not change, and the
progress. The header is followed by the chunks of the unfinished file: for each, four numbers (`_FRAME`), the name of the voice, and the sound.
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
HASHED = {"text", "lexicon", "voice map"}  # facts that are hashes, which a message does not show
STATE = ("facts", "chapter", "chunks", "characters", "size")  # keys of the header
_FRAME = struct.Struct("<4I")  # chapter, samples of silence, bytes of the speaker's name, bytes of sound


class Note(NamedTuple):
    """About a piece of sound: the index of its chapter in the file, the samples of silence at its start, and its voice."""

    part: int
    lead: int
    voice: str


class ResumeState:
    """The journal of an output. It is written after each chunk, and removed when the output is finished.

    Attributes:
        facts: text, voice and options, which must be the same to continue: numbers, strings or None by name.
        chapter: the number of finished files.
        chunks: the number of finished chunks of the next file.
        characters: the number of finished characters in all files.
    """

    def __init__(self, output: str | Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = Path(f"{output}.resume"), facts
        self.chapter = self.chunks = self.characters = self._size = 0
        self._file: BinaryIO | None = None
        self.is_begun = False  # whether it has a finished chunk

    def reopen(self) -> None:
        """Continue the last run, or begin anew if it has no finished chunk. A seed of None becomes the seed of that run.

        Raises OptionError: there is no journal, it belongs to another text or other options, or another run uses it.
        """
        try:
            self._reopen()
        except BaseException:
            if self._file is not None:
                self._file.close()  # unlocks it
                self._file = None
            raise

    def _reopen(self) -> None:
        try:
            self._file = _locked(open(self.path, "r+b"))  # noqa: SIM115 (until `close`)
            content = self._file.read(HEADER)
            if not content:  # the last run was interrupted before its first chunk
                return
            header = json.loads(content)
            facts, self.chapter, self.chunks, self.characters, self._size = map(header.__getitem__, STATE)
        except FileNotFoundError:
            raise OptionError(f"{self.path} is not there, so there is nothing to resume: leave --resume out") from None
        except OSError as error:
            raise OptionError(cannot_write(self.path, error)) from None
        except (ValueError, KeyError, TypeError):
            raise OptionError(f"{self.path} is damaged: remove it, and leave --resume out") from None
        self.is_begun = True
        if self.facts["seed"] is None:
            self.facts["seed"] = facts.get("seed")
        for name, value in self.facts.items():
            if facts.get(name) != value:
                value = facts.get(name)
                was = "" if name in HASHED else f" (it was {'the default' if value is None else repr(value):.50})"
                raise OptionError(
                    f"{self.path} was begun with another {name.replace('_', ' ')}{was}: use that, or leave --resume out"
                )

    def pieces(self) -> Iterator[tuple[Note, bytes]]:
        """The pieces of the unfinished file, as notes with 16-bit samples. Raises OptionError if the journal is damaged."""
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
        """Record finished chunks.

        Args:
            data: 16-bit samples.
            characters, chunks: the number of spoken characters and chunks.

        Raises:
            TextError: the journal can't be written.
            OptionError: another run uses it.
        """
        try:
            if self._file is None:
                self.path.touch()
                self._file = _locked(open(self.path, "r+b"))  # noqa: SIM115
                self._file.truncate(0)
            voice = note.voice.encode()
            frame = _FRAME.pack(note.part, note.lead, len(voice), len(data)) + voice + data
            self._file.seek(HEADER + self._size)
            self._file.write(frame)
            self.chunks += chunks
            self.characters += characters
            self._size += len(frame)
            self._write_header()
        except OSError as error:
            raise TextError(cannot_write(self.path, error)) from None

    def next_chapter(self) -> None:
        """Record that a file is finished."""
        self.chapter, self.chunks, self._size = self.chapter + 1, 0, 0
        if self._file is not None:
            try:
                self._write_header()
                self._file.truncate(HEADER)
            except OSError as error:
                raise TextError(cannot_write(self.path, error)) from None

    def _write_header(self) -> None:
        """Write the header. This is the last step of a change: before it, the journal has its old state."""
        assert self._file is not None
        state = [self.facts, self.chapter, self.chunks, self.characters, self._size]
        header = json.dumps(dict(zip(STATE, state, strict=True))).encode()
        self._file.seek(0)
        self._file.write(header.ljust(HEADER))
        self._file.flush()
        self.is_begun = True

    def close(self, finished: bool) -> None:
        """Close the journal. It is removed if the output is finished, or if it has no chunk."""
        if self._file is not None:
            with suppress(OSError):  # the disk is full; the header does not count these bytes
                self._file.close()
        if finished or self._file is not None and not self.is_begun:
            self.path.unlink(missing_ok=True)


def _locked(file: BinaryIO) -> BinaryIO:
    """Lock an open journal, so that two runs can't write to it. Raises OptionError if another run has locked it."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        file.close()
        raise OptionError(
            f"{file.name} is in use: another run makes the same file; wait for it, or use another name"
        ) from None
    except (ImportError, OSError):  # some network file systems have no locks
        pass
    return file
