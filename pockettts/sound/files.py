"""Sound in and out: files of any kind to float32 samples, and samples to files and streams. Always mono."""

import errno
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np

from ..errors import AudioError
from ..storage.files import cannot_write, check_place, is_stream, open_stream, whole_file
from .decode import open_sound
from .encode import Encoder, from_pcm16, pcm16
from .formats import FORMATS, Format, of_path
from .loudness import Loudness, balance, level_blocks
from .tags import Tags, check_cover, missing_extra, write_tags

_BLOCK = 65536  # samples of a temporary file to read at once
_RATES = range(1_000, 768_001)  # Hz
_MAX_ABS = 100.0  # full scale is 1; larger numbers are not sound

logger = logging.getLogger("pockettts")


def read(path: str | Path, sample_rate: int, max_seconds: float | None = None) -> tuple[np.ndarray, bool]:
    """Read a sound file, with channels averaged, resampled to `sample_rate` Hz.

    It reads wav, flac, ogg, opus, mp3, aiff and others; with the extra av also m4a, aac, webm and others.

    Returns: float32 [samples], and whether the file is longer than the `max_seconds` that were read.

    Raises:
        AudioError: the file does not exist, has no sound, or is damaged.
    """
    if not os.path.isfile(path):
        what = "is not a file" if os.path.exists(path) else "does not exist"
        raise AudioError(f"{path} {what}: give the path of a sound file")
    try:
        with open_sound(path) as (rate, blocks):
            if rate not in _RATES:
                raise AudioError(f"{path} has {rate:,} samples per second: give a file with 8,000 to 48,000")
            audio, cut = _mono(path, blocks, math.inf if max_seconds is None else int(max_seconds * rate))
    except OSError as error:
        raise AudioError(f"{path} can't be read ({error.strerror or error}): check it, or give another") from None
    if rate != sample_rate:
        import soxr

        audio = soxr.resample(audio, rate, sample_rate, "VHQ")
    if len(audio) == 0:
        raise AudioError(f"{path} has no sound: give a file of a few seconds")
    return audio, cut


def _mono(path: str | Path, blocks: Iterator[np.ndarray], limit: float) -> tuple[np.ndarray, bool]:
    """The first `limit` samples of blocks [samples, channels], with channels averaged, and whether there are more."""
    parts, count = [np.zeros(0, np.float32)], 0
    for block in blocks:
        if not np.abs(block).max(initial=0) <= _MAX_ABS:  # True for NaN too
            raise AudioError(f"{path} has values that are not sound (NaN or far above 1): save it as 16-bit wav")
        parts.append(block.mean(axis=1))
        count += len(block)
        if count > limit:
            return np.concatenate(parts)[: int(limit)], True
    return np.concatenate(parts), False


def end_on_pause(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut a voice prompt, float32 [samples], after its last loud 20 ms, fade it out over 20 ms, and add 80 ms of silence.

    Loud means less than 35 dB below the loudest 20 ms. If a prompt ends within speech, the model continues it; a long
    silence delays the first word.

    Source: `pocket_tts.data.audio_utils.end_on_pause`.
    """
    width = max(1, int(0.02 * sample_rate))
    count = len(audio) // width
    if count == 0:
        return audio
    rms = np.sqrt(np.square(audio[: count * width].reshape(count, width)).mean(axis=1)) + np.float32(1e-12)
    loud = np.flatnonzero(rms > rms.max() * 10 ** (-35 / 20))
    end = (loud[-1] + 1) * width
    fade = min(int(0.02 * sample_rate), end)
    pause = np.zeros(int(0.08 * sample_rate), np.float32)
    rise = np.arange(fade) * float(np.float32(1 / max(1, fade - 1)))  # rounded like torch.linspace, from both ends
    fall = np.where(np.arange(fade) < fade // 2, 1 - rise, rise[::-1]).astype(np.float32)
    return np.concatenate([audio[: end - fade], audio[end - fade : end] * fall, pause])


def check_output(path: str | Path) -> None:
    """Raise AudioError if a sound file can't be written at `path`: its extension is unknown, or no file can be created there."""
    Writer(path, 1)
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        check_place(path)
    except OSError as error:
        raise AudioError(cannot_write(path, error)) from None


class StreamWriter:
    """Writes sound to an open binary stream, in a format of `FORMATS` (see `encode.Encoder`). Each block is sent immediately.

        with StreamWriter(sys.stdout.buffer, 24_000) as stream:
            stream.write(block)

    Errors of the stream (`BrokenPipeError`) are raised. The stream stays open.
    """

    def __init__(self, stream: BinaryIO, sample_rate: int, form: str | Format = "wav") -> None:
        self._stream, self._encoder = stream, Encoder(form, sample_rate)

    def __enter__(self) -> "StreamWriter":
        self.write(np.zeros(0, np.float32))  # send the header before the first sound
        return self

    def write(self, block: np.ndarray) -> None:
        """Send float32 [samples]."""
        self._send(self._encoder.write(block))

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        rest = self._encoder.close()
        if error is None:
            self._send(rest)

    def _send(self, data: bytes) -> None:
        if data:
            self._stream.write(data)
            self._stream.flush()


class Writer:
    """Writes a sound file in the format of its extension, completely or not at all.

        with Writer("hello.wav", 24_000) as file:
            file.write(block)

    If the file can't be written, the start of the block raises the error. Memory use is constant. A stream such as /dev/stdout, a FIFO
    or /dev/null is written in place, block by block; without an extension it gets a WAV of unknown length.

    Args:
        path: the file. Its extension is one of `formats.extensions()`.
        sample_rate: in Hz.
        tags: the tags of the file. They can be replaced (`file.tags = ...`) until the end of the block, when the times of chapters
            are known. Streams have no tags.
        loudness: target integrated loudness of the whole file in LUFS. The sound is stored in an unnamed file in the folder of `path` until
            its loudness is known; a stream is adjusted by `loudness.Loudness` while it is written.
        volume: an additional factor. Peaks are limited, so that nothing clips.

    Attributes:
        samples: the number of samples written so far.
        speaker: the speaker of the next blocks. With `loudness`, all speakers of a file are made equally loud.

    Raises:
        AudioError: the extension is unknown, an extra is not installed, or the file can't be written.
        BrokenPipeError: the reader of the stream has closed it.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        *,
        tags: Tags | None = None,
        loudness: float | None = None,
        volume: float = 1.0,
    ) -> None:
        self.path, self.sample_rate, self.samples = Path(path), sample_rate, 0
        self.tags = tags or Tags()
        self.speaker = ""
        self._speakers: list[tuple[int, str]] = []  # (first sample, name) of each part
        self._loudness, self._volume = loudness, volume
        self._is_stream = is_stream(path)
        # A stream such as /dev/null has no extension. A folder passes here, since `whole_file` raises a better error.
        is_wav = os.path.isdir(path) or self._is_stream and not Path(path).suffix
        self._form = FORMATS["wav"] if is_wav else of_path(path)

    def __enter__(self) -> "Writer":
        self._context = self._open()
        with self._audio_errors():
            self._write = self._context.__enter__()
        return self

    def write(self, block: np.ndarray) -> None:
        """Append float32 [samples]."""
        if not self._speakers or self._speakers[-1][1] != self.speaker:
            self._speakers.append((self.samples, self.speaker))
        with self._audio_errors():
            self._write(block)
        self.samples += len(block)

    def __exit__(self, *error: Any) -> None:
        with self._audio_errors():
            self._context.__exit__(*error)

    @contextmanager
    def _open(self) -> Iterator[Callable[[np.ndarray], None]]:
        """Open the file. Yields the function that writes blocks; the file is complete at the end."""
        with whole_file(self.path) as place:
            with open_stream(place) if self._is_stream else open(place, "wb") as file:
                encoder = Encoder(self._form, self.sample_rate, seekable=not self._is_stream, tags=self.tags)

                def write(block: np.ndarray) -> None:
                    file.write(encoder.write(block))
                    file.flush()

                try:
                    write(np.zeros(0, np.float32))
                    with self._leveled(write, place) as leveled:
                        yield leveled
                except BaseException:
                    encoder.close()
                    raise
                encoder.tags = tags = self._checked_tags()
                file.write(encoder.close())
                for offset, data in encoder.patches if file.seekable() else ():
                    file.seek(offset)
                    file.write(data)
            if not self._is_stream:
                write_tags(place, self._form, tags)

    @contextmanager
    def _leveled(self, write: Callable[[np.ndarray], None], place: Path) -> Iterator[Callable[[np.ndarray], None]]:
        """Yield the function that writes blocks with the requested loudness."""
        if self._loudness is None and self._volume == 1:
            yield write
        elif self._is_stream or self._loudness is None:
            loudness = Loudness(self._loudness, self.sample_rate, self._volume)
            yield lambda block: write(loudness.write(block))
            write(loudness.flush())
        else:
            with TemporaryFile(dir=place.parent) as spool:
                yield lambda block: _append(spool, block)
                read = partial(_blocks_of, spool)
                if len({name for _, name in self._speakers}) > 1:
                    factors = balance(_parts_of(spool, self._speakers), self.sample_rate)
                    read = partial(_balanced, spool, self._speakers, factors)
                for block in level_blocks(read, self.sample_rate, self._loudness, self._volume):
                    write(block)

    def _checked_tags(self) -> Tags:
        """The tags that can be written. Others are left out with a warning, so that the sound is not lost."""
        tags = self.tags
        if tags.cover and (why := check_cover(tags.cover)):
            logger.warning("%s: %s, and is left out", self.path, why)
            tags = tags.replace(cover=b"")
        if why := missing_extra(self._form, tags):
            logger.warning("%s: %s; they are left out", self.path, why)
        return tags

    @contextmanager
    def _audio_errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise AudioError(cannot_write(self.path, error)) from None


def _parts_of(spool: BinaryIO, speakers: list[tuple[int, str]]) -> Iterator[tuple[str, np.ndarray]]:
    """The blocks of a file of 16-bit samples, float32 [samples], each with its speaker. speakers: (first sample, name) of each part."""
    ends = [2 * start for start, _ in speakers[1:]] + [spool.seek(0, os.SEEK_END)]
    for (start, name), end in zip(speakers, ends, strict=True):
        for at in range(2 * start, end, 2 * _BLOCK):
            spool.seek(at)
            yield name, from_pcm16(spool.read(min(2 * _BLOCK, end - at)))


def _balanced(spool: BinaryIO, speakers: list[tuple[int, str]], factors: dict[str, float]) -> Iterator[np.ndarray]:
    """The blocks of `_parts_of`, each multiplied by the factor of its speaker."""
    for name, block in _parts_of(spool, speakers):
        yield block * np.float32(factors[name])


def _append(spool: BinaryIO, block: np.ndarray) -> None:
    spool.write(pcm16(block))


def _blocks_of(spool: BinaryIO) -> Iterator[np.ndarray]:
    """The blocks of a file of 16-bit samples from its start, float32 [samples]."""
    spool.seek(0)
    while data := spool.read(2 * _BLOCK):
        yield from_pcm16(data)
