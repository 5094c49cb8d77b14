"""Sound as bytes of a format, block by block, for receivers that can't go back in what they have got."""

import numpy as np

from ..errors import AudioError
from .files import pcm16, wav_header

# Format -> its media type. An opus stream is Ogg Opus, as OpenAI's is.
FORMATS = {"wav": "audio/wav", "pcm": "audio/pcm", "mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac"}

# What SoundFile is asked for. MP3 has a constant bit rate, 80 kbit/s: players tell the length of any other kind by a table at
# its start, which is only known at its end.
_LIBSNDFILE = {
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.5},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
}
_SET_OGG_PAGE_LATENCY_MS = 0x1302  # a command of libsndfile, from sndfile.h


class Encoder:
    """16-bit mono sound in one of FORMATS.

        encoder = Encoder("mp3", 24000)
        data = b"".join(encoder.write(block) for block in blocks) + encoder.close()

    pcm is bare little-endian samples; the header of a wav says that its length is unknown. Raises AudioError for a sample rate
    that the format does not have.
    """

    def __init__(self, format: str, sample_rate: int) -> None:
        self._head = wav_header(sample_rate) if format == "wav" else b""
        self._file = None
        if format in _LIBSNDFILE:
            import soundfile

            self._sink = _Sink()
            try:
                self._file = soundfile.SoundFile(self._sink, "w", sample_rate, 1, **_LIBSNDFILE[format])
            except soundfile.LibsndfileError:
                raise AudioError(f"{format} can't hold {sample_rate:,} samples a second: take wav") from None
            if format == "opus":
                _send_pages_often(soundfile, self._file)

    def write(self, block: np.ndarray) -> bytes:
        """Take float32 [samples]; returns the bytes that are ready, maybe none."""
        pcm = pcm16(block)
        if self._file is not None:
            self._file.buffer_write(pcm, "int16")
            return self._sink.take()
        head, self._head = self._head, b""
        return head + pcm

    def close(self) -> bytes:
        """The rest."""
        if self._file is None:
            head, self._head = self._head, b""
            return head
        self._file.close()
        return self._sink.take()


class _Sink:
    """A file for libsndfile. It goes back to its start to fill in lengths: what has been taken by then stays as it is."""

    def __init__(self) -> None:
        self._bytes, self._taken, self._at = bytearray(), 0, 0

    def take(self) -> bytes:
        data = bytes(self._bytes)
        self._taken += len(data)
        self._bytes.clear()
        return data

    def write(self, data: bytes) -> int:
        start = self._at - self._taken
        if start >= 0:
            self._bytes[start : start + len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._taken + len(self._bytes))[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def _send_pages_often(soundfile, file) -> None:
    """Let an Ogg page hold 100 ms and not a second. SoundFile has no name for this, so it takes what is beneath it."""
    latency = soundfile._ffi.new("double *", 100)
    soundfile._snd.sf_command(file._file, _SET_OGG_PAGE_LATENCY_MS, latency, 8)
