"""Read sound files of any kind as blocks of samples, with libsndfile, or with PyAV if libsndfile can't read the kind.

The kind is detected from the content, not from the name. FFmpeg gets only kinds from a list, and opens no other file or address.
"""

import os
import re
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError
from .formats import has_extra

_BLOCK = 65536  # numbers to read at once, of all channels
_STREAMED = 2_000_000_000  # bytes; a WAV header with more was written before the length was known
_ENDLESS = 2**62  # samples; libsndfile's count for a FLAC without a length
_LIBMPG123 = re.compile(rb"\s*(\[\S*libmpg123/|Note: |Warning: )")
_stderr_lock = threading.Lock()


@contextmanager
def open_sound(path: str | Path) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    """The sample rate of a sound file in Hz, and its blocks, float32 [samples, channels].

    Raises:
        AudioError: the file is damaged, is not a sound file, or needs PyAV, which is not installed.
        OSError: the file can't be read.
    """
    with open(path, "rb", buffering=0) as file:  # libsndfile reads from the position of the descriptor
        kind = _av_kind(file.read(16))
        file.seek(0)
        with _with_av(path, file, kind) if kind else _with_sndfile(path, file) as sound:
            yield sound


def _av_kind(start: bytes) -> str | None:
    """The kind of a file with these first bytes if only PyAV can read it; else None."""
    if start[4:8] == b"ftyp":
        return "MP4 (m4a)"
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return "WebM or Matroska"
    if start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xF6 == 0xF0:
        return "AAC"
    if start.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
        return "WMA"
    if start.startswith(b"#!AMR"):
        return "AMR"
    return None


@contextmanager
def _with_av(path: str | Path, file: FileIO, kind: str) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    if not has_extra("av"):
        raise AudioError(f"{path} is {kind}, which needs the extra av: pip install 'pockettts[av]', or give a wav file")
    import av

    options = {"format_whitelist": "mov,matroska,webm,aac,asf,amr,amrnb,amrwb", "protocol_whitelist": "none"}
    try:
        with av.open(file, "r", options=options) as container:
            streams = container.streams.audio
            if not streams:
                raise AudioError(f"{path} is {kind} without a sound track: give a recording")
            yield streams[0].codec_context.sample_rate, _av_blocks(container)
    except av.FFmpegError as error:
        raise AudioError(f"{path} is damaged ({error.strerror}): get it again") from None


def _av_blocks(container: Any) -> Iterator[np.ndarray]:
    import av

    resampler = av.AudioResampler(format="flt")  # float, interleaved; rate and channels stay
    for frame in container.decode(audio=0):
        for part in resampler.resample(frame):
            yield part.to_ndarray().reshape(-1, part.layout.nb_channels)


@contextmanager
def _with_sndfile(path: str | Path, file: FileIO) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    import soundfile

    # With a name, libsndfile would trust its suffix; with a descriptor, it detects the kind from the content.
    source = _mended_wav(file) or file.fileno()
    try:
        with _quiet(file), soundfile.SoundFile(source, closefd=False) as sound:
            if _is_cut_off(sound):
                raise AudioError(f"{path} is truncated, its end is missing: get it again")
            yield sound.samplerate, _sndfile_blocks(sound)
    except soundfile.LibsndfileError as error:
        why = error.error_string.strip(" .") if os.path.getsize(path) else "empty"
        raise AudioError(f"{path} is damaged or not a sound file ({why}): give a wav, flac, ogg or mp3 file") from None


def _sndfile_blocks(sound: Any) -> Iterator[np.ndarray]:
    import soundfile

    frames = max(1, _BLOCK // sound.channels)
    if sound.frames < _ENDLESS:
        while len(block := sound.read(frames, dtype="float32", always_2d=True)):
            yield block
        return
    # A piped FLAC. SoundFile raises an error instead of returning the last block, so this calls libsndfile directly.
    block = np.empty((frames, sound.channels), np.float32)
    pointer = soundfile._ffi.cast("float *", block.ctypes.data)
    while count := soundfile._snd.sf_readf_float(sound._file, pointer, frames):
        yield block[:count].copy()


def _is_cut_off(sound: Any) -> bool:
    """Whether a file is shorter than its header says. libsndfile only logs this."""
    sizes = re.search(r"(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", sound.extra_info)
    return sizes is not None and int(sizes[2]) < int(sizes[1]) < _STREAMED


class _Patched:
    """A readable file with some bytes replaced. libsndfile reads it through callbacks."""

    def __init__(self, file: FileIO, patches: dict[int, bytes]) -> None:
        self._file, self._patches = file, patches
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        start = self._file.tell()
        data = bytearray(self._file.read(size))
        for offset, patch in self._patches.items():
            for at, byte in enumerate(patch, offset - start):
                if 0 <= at < len(data):
                    data[at] = byte
        return bytes(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: bytes) -> int:
        raise OSError("this file is read-only")


def _mended_wav(file: FileIO) -> _Patched | None:
    """A WAV that was written to a pipe, with its true length in the header instead of 0 or the largest possible length.

    None for any other file. A length of 0 is correct if only whole chunks follow.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    riff = file.read(12)
    at = 12
    is_wav, mended = riff[:4] == b"RIFF" and riff[8:] == b"WAVE", None
    while is_wav and at + 8 <= end:
        file.seek(at)
        name, size = struct.unpack("<4sI", file.read(8))
        start = at + 8
        if name == b"data":
            if end > start and (size >= _STREAMED or size == 0 and not _has_chunks(file, start, end)):
                length = min(end - start, 0xFFFFFFFF - start)
                mended = _Patched(file, {4: struct.pack("<I", start + length - 8), at + 4: struct.pack("<I", length)})
            break
        at = start + size + size % 2
    file.seek(0)
    return mended


def _has_chunks(file: FileIO, at: int, end: int) -> bool:
    """Whether the file consists of whole RIFF chunks from `at` to its end."""
    while at + 8 <= end:
        file.seek(at)
        name, size = struct.unpack("<4sI", file.read(8))
        if not name.isascii() or not name.decode("ascii").isprintable():
            return False
        at += 8 + size + size % 2
    return at in (end, end + 1)


@contextmanager
def _quiet(file: FileIO) -> Iterator[None]:
    """Suppress the messages about MP3 files that libmpg123, inside libsndfile, prints on stderr; it has no option for that.

    Other output to stderr is delayed until the end of the block.
    """
    file.seek(0)
    start = file.read(3)
    file.seek(0)
    is_mp3 = start == b"ID3" or len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0
    if not is_mp3:
        yield
        return
    with _stderr_lock, tempfile.TemporaryFile() as messages:
        try:
            stderr = os.dup(2)
        except OSError:  # stderr is closed
            yield
            return
        try:
            os.dup2(messages.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            messages.seek(0)
            with suppress(OSError):
                for line in messages:
                    if not _LIBMPG123.match(line):
                        os.write(stderr, line)
            os.close(stderr)
