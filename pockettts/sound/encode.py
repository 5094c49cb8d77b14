"""The encoder: blocks of samples to bytes of a format. Files, stdout and HTTP all use it.

    encoder = Encoder("mp3", 24_000)
    data = b"".join(encoder.write(block) for block in blocks) + encoder.close()

For a file that can seek, pass `seekable=True` and write `encoder.patches` to it afterward: they hold the lengths, which are not known
before the end. The same samples give the same bytes for any block size.
"""

import os
import struct
import threading
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from ..errors import AudioError
from .formats import FORMATS, Format
from .tags import Tags, iso_639_2, list_info

_SAMPLES = 32768  # samples to encode at once: with minutes, libsndfile's Vorbis encoder overflows the stack
_UNKNOWN = 0xFFFFFFFF  # size in the header of an unfinished WAV
_SET_OGG_PAGE_LATENCY_MS = 0x1302  # a command of libsndfile, from sndfile.h
_PAGE_MS = 100.0  # length of an Ogg page in a stream; libsndfile's default is a second
_FRAGMENT_US = 160_000  # length of an MP4 fragment in a stream
_SERIAL = b"tts1"
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def pcm16(block: np.ndarray) -> bytes:
    """Samples, float32 [samples], clipped to -1 .. 1, as 16-bit little-endian PCM.

    Source: `pocket_tts.data.audio.StreamingWAVWriter`: times 32767, truncated.
    """
    data: bytes = (np.clip(block, -1, 1) * 32767).astype("<i2").tobytes()
    return data


def from_pcm16(data: bytes) -> np.ndarray:
    """The inverse of `pcm16`: float32 [samples] that it converts to these bytes."""
    numbers = np.frombuffer(data, "<i2").astype(np.float32)
    return (numbers + np.sign(numbers) / 2) / 32767


def wav_header(sample_rate: int, samples: int | None = None, trailer: int = 0) -> bytes:
    """The 44-byte header of a WAV with 16-bit mono PCM.

    Args:
        sample_rate: in Hz.
        samples: the number of samples; None: a stream of unknown length.
        trailer: the size in bytes of other chunks after the samples.
    """
    size = _UNKNOWN if samples is None else min(2 * samples, _UNKNOWN)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", min(size + 36 + trailer, _UNKNOWN), b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16),  # PCM, one channel, ..., bytes and bits per sample
        *(b"data", size),
    )


class Encoder:
    """Encodes mono sound in a format of `FORMATS`, with 16 bits per sample in lossless formats.

    Args:
        form: a format or its name.
        sample_rate: in Hz.
        seekable: the bytes go to a file whose start can be overwritten (`patches`). Otherwise they are a stream, with short pages
            or fragments, and a WAV header with an unknown length.
        tags: written to seekable files only: the LIST INFO of a WAV, and the language and chapters of an M4A or M4B. Until `close`
            they can be replaced (`encoder.tags = ...`), except the language. `tags.write_tags` adds all other tags to the finished file.

    Attributes:
        patches: after `close`, pairs of an offset and the bytes to write there.

    Raises:
        AudioError: the format's extra is not installed, or the format does not support this sample rate.
    """

    def __init__(
        self, form: str | Format, sample_rate: int, *, seekable: bool = False, tags: Tags | None = None
    ) -> None:
        self.form = (FORMATS[form] if isinstance(form, str) else form).check()
        self.tags = tags or Tags()
        self.patches: list[tuple[int, bytes]] = []
        self._sink = _Sink(seekable)
        self._writer = _WRITERS[self.form.writer](self.form, sample_rate, self._sink, self.tags)
        self._pcm = bytearray()  # not encoded yet
        is_batched = seekable and self.form.writer != "pcm"  # a stream is encoded block by block, for low latency
        self._min_bytes = 2 * _SAMPLES if is_batched else 1  # encode when there are at least this many bytes
        self._lock = threading.Lock()
        self._filter: Callable[[bytes], bytes] = _same_serial if self.form.container == "OGG" else bytes

    def write(self, block: np.ndarray) -> bytes:
        """Take float32 [samples]; returns the bytes that are ready, possibly none."""
        self._pcm += pcm16(block)
        while len(self._pcm) >= self._min_bytes:
            piece = bytes(self._pcm[: 2 * _SAMPLES])
            del self._pcm[: 2 * _SAMPLES]
            self._call(self._writer.write, piece)
        return self._filter(self._sink.take())

    def close(self) -> bytes:
        """Returns the rest. Call this once, also to abandon a sound, since it frees the memory of the libraries."""
        if self._pcm:
            piece, self._pcm = bytes(self._pcm), bytearray()
            self._call(self._writer.write, piece)
        self._call(self._writer.close, self.tags)
        self.patches = self._sink.patches
        return self._filter(self._sink.take())

    def _call(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call a library in a thread, where no signal handler runs: a KeyboardInterrupt in a callback from C would be lost.

        The lock is for a second Ctrl-C, which may come while the first one waits for the thread.
        """
        if self.form.writer == "pcm" or threading.current_thread() is not threading.main_thread():
            call(*arguments)
            return
        errors: list[BaseException] = []

        def run() -> None:
            with self._lock:
                try:
                    call(*arguments)
                except BaseException as error:
                    errors.append(error)

        thread = threading.Thread(target=run, name="pockettts-encode")
        try:
            thread.start()
            thread.join()
        except BaseException:
            if thread.is_alive():
                thread.join()
            raise
        if errors:
            raise errors[0]


class _Sink:
    """The file that the libraries write to. Bytes that `take` has returned can't be changed: later writes to them become patches."""

    def __init__(self, seekable: bool) -> None:
        self.can_seek = seekable
        self.patches: list[tuple[int, bytes]] = []
        self._bytes, self._taken, self._at = bytearray(), 0, 0

    def take(self) -> bytes:
        data = bytes(self._bytes)
        self._taken += len(data)
        self._bytes.clear()
        return data

    def write(self, data: bytes) -> int:
        data, count = bytes(data), len(data)
        before = max(0, min(count, self._taken - self._at))  # bytes in the taken part
        if before:
            self.patches.append((self._at, data[:before]))
        if before < count:
            start = self._at + before - self._taken
            self._bytes[start : start + count - before] = data[before:]
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._taken + len(self._bytes))[whence]
        return self._at

    def seekable(self) -> bool:
        return self.can_seek

    def tell(self) -> int:
        return self._at


class _Writer(Protocol):
    """Encodes 16-bit PCM to a sink."""

    def __init__(self, form: Format, sample_rate: int, sink: _Sink, tags: Tags) -> None: ...
    def write(self, pcm: bytes) -> None: ...
    def close(self, tags: Tags) -> None: ...


class _Pcm:
    """Writes WAV, or samples without a header."""

    def __init__(self, form: Format, sample_rate: int, sink: _Sink, tags: Tags) -> None:
        self._sink, self._is_wav, self._sample_rate, self._size = sink, form.name == "wav", sample_rate, 0
        if self._is_wav:
            sink.write(wav_header(sample_rate))

    def write(self, pcm: bytes) -> None:
        self._sink.write(pcm)
        self._size += len(pcm)

    def close(self, tags: Tags) -> None:
        if self._is_wav and self._sink.can_seek:
            info = list_info(tags)
            self._sink.write(info)
            self._sink.seek(0)
            self._sink.write(wav_header(self._sample_rate, self._size // 2, len(info)))


class _Sndfile:
    """Writes the formats of libsndfile."""

    def __init__(self, form: Format, sample_rate: int, sink: _Sink, tags: Tags) -> None:
        import soundfile

        options = {} if sink.can_seek else form.stream_options
        try:
            self._file = soundfile.SoundFile(sink, "w", sample_rate, 1, form.codec, format=form.container, **options)
        except soundfile.LibsndfileError:
            raise AudioError(f"{form.name} does not support {sample_rate:,} samples per second: use wav") from None
        if form.container == "OGG" and not sink.can_seek:
            # Limit Ogg pages to 100 ms. SoundFile has no option for this, so this calls libsndfile directly.
            latency = soundfile._ffi.new("double *", _PAGE_MS)
            soundfile._snd.sf_command(self._file._file, _SET_OGG_PAGE_LATENCY_MS, latency, 8)

    def write(self, pcm: bytes) -> None:
        self._file.buffer_write(pcm, "int16")

    def close(self, tags: Tags) -> None:
        self._file.close()


class _Av:
    """Writes AAC with PyAV (FFmpeg), as ADTS or in MP4."""

    def __init__(self, form: Format, sample_rate: int, sink: _Sink, tags: Tags) -> None:
        import av
        from av.codec.context import Flags

        self._av, self._is_mp4, self._sink = av, form.container == "ipod", sink
        self._sample_rate, self._samples = sample_rate, 0
        options = {"fflags": "+bitexact"}  # no version and no time, for reproducible bytes
        if not sink.can_seek:
            options |= {"fflags": "+bitexact+flush_packets", "movflags": "+empty_moov+default_base_moof",
                        "frag_duration": str(_FRAGMENT_US)}  # fmt: skip
        target = sink if sink.can_seek else _WriteOnly(sink)
        try:
            self._container: Any = av.open(target, "w", form.container, container_options=options)
            stream: Any = self._container.add_stream(form.codec, rate=sample_rate, layout="mono")
            stream.bit_rate = form.bit_rate
            if tags.language and self._is_mp4:
                stream.metadata["language"] = iso_639_2(tags.language)
            self._stream = stream
            self._stream.codec_context.flags |= Flags.bitexact
            self._container.start_encoding()
        except (av.FFmpegError, ValueError):
            raise AudioError(f"{form.name} does not support {sample_rate:,} samples per second: use wav") from None

    def write(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, "<i2")[None]  # [1, samples]: one channel, packed
        frame = self._av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate, frame.pts = self._sample_rate, self._samples
        self._samples += samples.shape[1]
        self._container.mux(self._stream.encode(frame))

    def close(self, tags: Tags) -> None:
        if self._samples:
            self._container.mux(self._stream.encode(None))
        if tags.chapters and self._is_mp4 and self._sink.can_seek:
            self._container.set_chapters([
                {"id": number, "start": round(chapter.start * 1000), "end": round(chapter.end * 1000),
                 "time_base": Fraction(1, 1000), "metadata": {"title": chapter.title}}
                for number, chapter in enumerate(tags.chapters, 1)
            ])  # fmt: skip
        self._container.close()


class _WriteOnly:
    """A sink that can't seek, so that FFmpeg does not try."""

    def __init__(self, sink: _Sink) -> None:
        self.write = sink.write


_WRITERS: dict[str, Callable[[Format, int, _Sink, Tags], _Writer]] = {"pcm": _Pcm, "sndfile": _Sndfile, "av": _Av}


def _same_serial(pages: bytes) -> bytes:
    """Set the serial number of whole Ogg pages to a constant, for reproducible bytes: libsndfile takes it from the clock.

    The number is covered by each page's checksum. Source: RFC 3533, section 6.
    """
    out, at = [], 0
    while at < len(pages):
        header = pages[at : at + 27 + pages[at + 26]]
        body = pages[at + len(header) : at + len(header) + sum(header[27:])]
        at += len(header) + len(body)
        header = header[:14] + _SERIAL + header[18:22] + bytes(4) + header[26:]
        out += [header[:22], _ogg_checksum(header + body), header[26:], body]
    return b"".join(out)


def _ogg_checksum(page: bytes) -> bytes:
    """CRC-32 like zlib's, except that the bit order is reversed, it starts at 0, and it is not inverted at the end."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(_MIRRORED)
