"""What was spoken of a long text so far, so that `--resume` can go on from there: a file beside the output.

The sound is kept as 16-bit PCM, whatever format the output has: encoded anew, with what follows, it gives the same bytes as if
nobody had interrupted. Before it comes a header with JSON: what was spoken how, and how far that got.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import OptionError, TextError
from ..sound.encode import from_pcm16
from ..storage.files import cannot_write

HEADER = 32768  # bytes
BLOCK = 65536  # bytes read at once
STATE = ("facts", "chapter", "chunks", "characters", "starts", "size")  # in the header


class ResumeState:
    """The journal of an output. It is written chunk by chunk, and removed when the text is finished.

    facts: what must be the same to go on: text, voice, options; numbers, strings or None by name. chapter: how many files are
    finished. chunks: how many of the next one are. characters: of all that is spoken. starts: of chapters of the present file, the
    index and the first sample; none if there are too many of them to keep.
    """

    def __init__(self, output: str | Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = Path(f"{output}.resume"), facts
        self.chapter = self.chunks = self.characters = self._size = 0
        self.starts: list[tuple[int, int]] = []
        self._file: BinaryIO | None = None
        self.is_begun = False  # there is something to go on from

    def reopen(self) -> None:
        """Go on where the last run ended; a seed that is None is then that run's.

        Raises OptionError: there is no journal, or it is of another text, or of other options.
        """
        try:
            self._file = open(self.path, "r+b")  # noqa: SIM115 (until `close`)
            header = json.loads(self._file.read(HEADER))
            facts, self.chapter, self.chunks, self.characters, self.starts, self._size = map(header.__getitem__, STATE)
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
                was = "" if name == "text" else f" (it was {facts.get(name)!r:.50})"
                raise OptionError(
                    f"{self.path} was begun with another {name.replace('_', ' ')}{was}: take that, or leave --resume out"
                )

    def blocks(self) -> Iterator[np.ndarray]:
        """The sound of the present file so far, float32 [samples]."""
        if self._file is not None:
            self._file.seek(HEADER)
            for start in range(0, self._size, BLOCK):
                yield from_pcm16(self._file.read(min(BLOCK, self._size - start)))

    def add(self, data: bytes, characters: int, chunks: int = 1) -> None:
        """Chunks were spoken, of so many characters: 16-bit samples."""
        try:
            if self._file is None:
                self._file = open(self.path, "w+b")  # noqa: SIM115
            self._file.seek(HEADER + self._size)
            self._file.write(data)
            self.chunks, self.characters, self._size = (
                self.chunks + chunks,
                self.characters + characters,
                self._size + len(data),
            )
            self._note()
        except OSError as error:
            raise TextError(cannot_write(self.path, error)) from None

    def next_chapter(self) -> None:
        self.chapter, self.chunks, self.starts, self._size = self.chapter + 1, 0, [], 0
        if self._file is not None:
            self._note()
            self._file.truncate(HEADER)

    def _note(self) -> None:
        """The header is written last: until then, what came before counts."""
        assert self._file is not None
        state = [self.facts, self.chapter, self.chunks, self.characters, self.starts, self._size]
        header = json.dumps(dict(zip(STATE, state, strict=True))).encode()
        if len(header) > HEADER:
            header = json.dumps(dict(zip(STATE, state, strict=True)) | {"starts": []}).encode()
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
