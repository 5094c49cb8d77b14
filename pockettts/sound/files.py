"""Sound in and out: files of any kind to float32 samples, and samples to files and streams. Always mono."""

import errno
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import AudioError
from ..storage.files import cannot_write, is_written_in_place, whole_file

_BLOCK = 65536  # samples to read or bytes to encode at once: given minutes, libsndfile's Vorbis overruns the stack
_RATES = range(1_000, 768_001)  # Hz
_LOUDEST = 100.0  # full scale is 1: beyond this, numbers are no sound
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SERIAL = b"tts1"
_UNKNOWN = 0xFFFFFFFF  # the size of a WAV that is still being made


def read(path: str | Path, sample_rate: int, max_seconds: float | None = None) -> tuple[np.ndarray, bool]:
    """The sound of a file (wav, flac, ogg, opus, mp3, ...), channels averaged, resampled to `sample_rate` Hz.

    Returns: float32 [samples], and whether the file holds more than the `max_seconds` that were read.

    Raises:
        AudioError: no such file, or one that holds no sound, or damaged sound.
    """
    import soundfile

    if not os.path.isfile(path):
        what = "is not a file" if os.path.exists(path) else "does not exist"
        raise AudioError(f"{path} {what}: give the path of a sound file")
    try:
        # Given a name, libsndfile would go by its suffix; given a descriptor, it goes by what is in the file.
        with open(path, "rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            audio, cut = _samples(path, sound, max_seconds)
            rate = sound.samplerate
    except OSError as error:
        raise AudioError(f"{path} can't be read ({error.strerror or error}): check it, or give another") from None
    except soundfile.LibsndfileError as error:
        why = error.error_string.strip(" .") if os.path.getsize(path) else "empty"
        raise AudioError(f"{path} is damaged or not a sound file ({why}): give a wav, flac, ogg or mp3 file") from None
    if rate != sample_rate:
        import soxr

        audio = soxr.resample(audio, rate, sample_rate, "VHQ")
    if len(audio) == 0:
        raise AudioError(f"{path} holds no sound: give a file of a few seconds")
    return audio, cut


def _samples(path: str | Path, sound, max_seconds: float | None) -> tuple[np.ndarray, bool]:
    """The first `max_seconds` of an open sound file, as `read`, but at the file's own rate."""
    if sound.samplerate not in _RATES:
        raise AudioError(f"{path} has {sound.samplerate:,} samples a second: give a file with 8,000 to 48,000")
    if _is_cut_off(sound):
        raise AudioError(f"{path} is truncated, its end is missing: get it again")
    limit = math.inf if max_seconds is None else int(max_seconds * sound.samplerate)
    frames = max(1, _BLOCK // sound.channels)
    blocks, count = [np.zeros(0, np.float32)], 0
    while count < limit:
        block = sound.read(min(frames, limit - count), dtype="float32", always_2d=True)  # [frames, channels]
        if len(block) == 0:
            break
        if not np.abs(block).max() <= _LOUDEST:  # so written, NaN counts too
            raise AudioError(f"{path} holds numbers that are no sound (NaN or far above 1): save it as 16-bit wav")
        blocks.append(block.mean(axis=1))
        count += len(block)
    return np.concatenate(blocks), len(sound.read(1)) > 0


def _is_cut_off(sound) -> bool:
    """Whether a file is shorter than its header says, which libsndfile only logs.

    Streamed files say about 2 or 4 GB, since their writers could not know.
    """
    import re

    sizes = re.search(r"(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", sound.extra_info)
    return bool(sizes) and int(sizes[2]) < int(sizes[1]) < 2_000_000_000


def end_on_pause(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """A voice prompt, float32 [samples], cut after its last loud 20 ms, faded out over 20 ms, with 80 ms of silence.

    Loud is what is less than 35 dB below the loudest 20 ms. A prompt that stops on speech makes the model go on with
    it; a long silence delays the first word.

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
    rise = np.arange(fade) * float(np.float32(1 / max(1, fade - 1)))  # rounded as torch.linspace is, from both ends
    fall = np.where(np.arange(fade) < fade // 2, 1 - rise, rise[::-1]).astype(np.float32)
    return np.concatenate([audio[: end - fade], audio[end - fade : end] * fall, pause])


def pcm16(block: np.ndarray) -> bytes:
    """Samples of -1 to 1 (beyond that, clipped) as 16-bit little-endian PCM.

    Source: `pocket_tts.data.audio.StreamingWAVWriter`: times 32767, truncated.
    """
    return (np.clip(block, -1, 1) * 32767).astype("<i2").tobytes()


def from_pcm16(data: bytes) -> np.ndarray:
    """Samples, float32, of which `pcm16` makes these bytes again."""
    numbers = np.frombuffer(data, "<i2").astype(np.float32)
    return (numbers + np.sign(numbers) / 2) / 32767


def wav_header(sample_rate: int, samples: int | None = None) -> bytes:
    """The 44 bytes before 16-bit mono PCM; without `samples`, those of a stream whose length nobody knows yet."""
    size = _UNKNOWN if samples is None else min(2 * samples, _UNKNOWN)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", min(size + 36, _UNKNOWN), b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16),  # PCM, one channel, ..., bytes and bits a sample
        *(b"data", size),
    )


class StreamWriter:
    """16-bit sound into an open binary stream, sent block by block: a WAV of unknown length, or with `raw` bare PCM.

        with StreamWriter(sys.stdout.buffer, 24000) as stream:
            stream.write(block)

    What the stream raises (`BrokenPipeError`) passes through. The stream is left open.
    """

    def __init__(self, stream: BinaryIO, sample_rate: int, raw: bool = False) -> None:
        self.stream, self.sample_rate, self.raw = stream, sample_rate, raw
        self.samples = 0

    def __enter__(self) -> "StreamWriter":
        if not self.raw:
            self._send(wav_header(self.sample_rate))
        return self

    def write(self, block: np.ndarray) -> None:
        """Send float32 [samples]."""
        self._send(pcm16(block))
        self.samples += len(block)

    def __exit__(self, *error: object) -> None:
        pass

    def _send(self, data: bytes) -> None:
        self.stream.write(data)
        self.stream.flush()


class Writer:
    """A sound file that appears whole or not at all: wav (16 bit), flac, ogg, opus or mp3 by its extension.

        with Writer("hello.wav", 24000) as file:
            file.write(block)

    Opening it shows at once whether it can be written. Memory stays flat, however long the sound.

    Raises:
        AudioError: an extension that is not known, or a file that can't be written.
    """

    def __init__(self, path: str | Path, sample_rate: int) -> None:
        suffix = Path(path).suffix.lower()
        if suffix not in _ENCODERS and not is_written_in_place(path):  # /dev/null has no extension: wav
            raise AudioError(f"can't tell the format of {path} by its name: let it end in {', '.join(_ENCODERS)}")
        self.path, self.sample_rate = Path(path), sample_rate
        self._encoder = _ENCODERS.get(suffix, _wav)

    def __enter__(self) -> "Writer":
        with self._explained(), ExitStack() as stack:
            temporary = stack.enter_context(whole_file(self.path))
            self._write = stack.enter_context(self._encoder(temporary, self.sample_rate))
            self._stack = stack.pop_all()
        return self

    def write(self, block: np.ndarray) -> None:
        """Append float32 [samples]."""
        with self._explained():
            self._write(block)

    def __exit__(self, *error: object) -> None:
        with self._explained():
            self._stack.__exit__(*error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AudioError(cannot_write(self.path, error)) from None


@contextmanager
def _wav(path: Path, sample_rate: int) -> Iterator[Callable[[np.ndarray], None]]:
    """What writes blocks into a new wav file."""
    with open(path, "wb") as file, StreamWriter(file, sample_rate) as stream:
        yield stream.write
        if file.seekable():
            file.seek(0)
            file.write(wav_header(sample_rate, stream.samples))


@contextmanager
def _encoded(format: str, subtype: str, path: Path, sample_rate: int) -> Iterator[Callable[[np.ndarray], None]]:
    """What writes blocks into a new file in one of libsndfile's formats.

    libsndfile is given the path. Python's file objects it would write through callbacks, where Ctrl-C gets lost.
    """
    import soundfile

    with open(path, "wb") as file:
        if not file.seekable():
            raise AudioError(f"{path} is a pipe, which can't take {path.suffix}: write a file, or .wav")
    try:
        sound = soundfile.SoundFile(path, "w", sample_rate, 1, subtype, format=format)
    except soundfile.LibsndfileError:
        raise AudioError(f"{path.suffix} can't hold {sample_rate:,} samples a second: write .wav") from None

    def write(block: np.ndarray) -> None:
        pcm = pcm16(block)
        with _reasons(path):
            for start in range(0, len(pcm), _BLOCK):
                sound.buffer_write(pcm[start : start + _BLOCK], "int16")

    with _reasons(path), sound:
        yield write
        _check_room(path)
    if format == "OGG":
        _same_serial(path)


def _same_serial(path: Path) -> None:
    """Give the pages of an Ogg file a serial number that is always the same, where libsndfile takes one from the clock.

    So the same sound is the same bytes. The number is under each page's checksum. Source: RFC 3533, section 6.
    """
    with open(path, "r+b") as file:
        while header := file.read(27):
            segments = file.read(header[26])
            body = file.read(sum(segments))
            header = header[:14] + _SERIAL + header[18:22] + bytes(4) + header[26:]
            file.seek(-len(header + segments + body), os.SEEK_CUR)
            file.write(header[:22] + _ogg_checksum(header + segments + body) + header[26:] + segments + body)


def _ogg_checksum(page: bytes) -> bytes:
    """zlib's CRC-32 but for three things: bits come in the other order, it starts at 0, and it is not inverted at the end."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(_MIRRORED)


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    """Makes an OSError of libsndfile's "System error"."""
    import soundfile

    try:
        yield
    except soundfile.LibsndfileError as error:
        _check_room(path)
        raise OSError(errno.EIO, error.error_string.strip(" .")) from None


def _check_room(path: Path) -> None:
    """Raise OSError unless the file can still grow. What libsndfile can't write on closing, it drops without a word."""
    with open(path, "ab") as file:
        size = file.tell()
        file.write(bytes(_BLOCK))
        file.truncate(size)


_ENCODERS = {
    ".wav": _wav,
    ".flac": partial(_encoded, "FLAC", "PCM_16"),
    ".ogg": partial(_encoded, "OGG", "VORBIS"),
    ".opus": partial(_encoded, "OGG", "OPUS"),
    ".mp3": partial(_encoded, "MP3", "MPEG_LAYER_III"),
}
