"""Encoders: joined bytes are a complete file, streams have low latency, and other decoders can read the result."""

import io
import signal
import threading

import numpy as np
import pytest
import soundfile

from pockettts.errors import AudioError
from pockettts.sound.encode import Encoder, pcm16
from pockettts.sound.formats import FORMATS as FILE_FORMATS, SERVED as FORMATS

TIME = np.arange(120_000) / 24_000
SWELL = (0.4 * np.sin(2 * np.pi * 440 * TIME) * np.sin(2 * np.pi * TIME) ** 2).astype(np.float32)
BLOCKS = np.split(SWELL, 125)


def encoded(format, blocks=BLOCKS):
    """The bytes for each block, and the rest."""
    encoder = Encoder(format, 24_000)
    return [encoder.write(block) for block in blocks] + [encoder.close()]


def test_pcm_samples_are_unchanged():
    assert b"".join(encoded("pcm")) == pcm16(SWELL)
    wav = b"".join(encoded("wav"))
    assert wav[:4] == b"RIFF" and wav[40:44] == b"\xff" * 4 and wav[44:] == pcm16(SWELL)
    assert len(b"".join(encoded("wav", []))) == 44 and encoded("pcm", []) == [b""]


def test_flac_is_lossless():
    with soundfile.SoundFile(io.BytesIO(b"".join(encoded("flac")))) as file:
        assert file.read(119_999, dtype="int16").tobytes() == pcm16(SWELL)[:-2]


@pytest.mark.parametrize("format, delay", [("mp3", 3000), ("opus", 0)])
def test_lossy_formats_are_close(format, delay):
    heard, rate = soundfile.read(io.BytesIO(b"".join(encoded(format))), dtype="float32")
    assert rate == 24_000 and 0 <= len(heard) - len(SWELL) <= delay
    loudness = [np.square(x[:120_000]).reshape(-1, 600).mean(axis=1) for x in (heard, SWELL)]
    assert max(np.corrcoef(loudness[0][lag:], loudness[1][: 200 - lag])[0, 1] for lag in range(5)) > 0.99


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_come_with_the_first_block_and_keep_coming(format):
    pieces = encoded(format)
    assert pieces[0] or any(pieces[:4]) and format == "aac", "AAC has frames of 43 ms, and looks one ahead"
    gaps = np.diff([i for i, piece in enumerate(pieces) if piece])
    assert gaps.max() <= 6, "sound waits in the encoder for half a second"


@pytest.mark.parametrize(
    "form", [form for form in FILE_FORMATS.values() if form.extensions], ids=lambda form: form.name
)
def test_bytes_do_not_depend_on_the_block_size(form):
    for seekable in (False, True):
        made = []
        for cuts in (125, 30, 1):
            encoder = Encoder(form, 24_000, seekable=seekable)
            data = b"".join(encoder.write(block) for block in np.split(SWELL, cuts)) + encoder.close()
            made.append((data, encoder.patches))
        assert form.writer == "sndfile" and not seekable or made[0] == made[1] == made[2]
        assert encoder.patches == [] or seekable or form.writer == "sndfile"


@pytest.mark.parametrize("form", ["opus", "mp3", "flac"])
def test_ctrl_c_is_not_lost_in_a_library(form):
    """It is raised while libsndfile calls back into Python, which ignores exceptions there."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 240_000).astype(np.float32)
    encoder = Encoder(form, 24_000)
    sink_write, pressed = encoder._sink.write, []

    def write(data):
        if not pressed:
            pressed.append(True)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return sink_write(data)

    encoder._sink.write = write
    with pytest.raises(KeyboardInterrupt):
        for _ in range(5):
            encoder.write(noise)
    assert pressed and encoder.close()


def test_an_unsupported_sample_rate():
    with pytest.raises(AudioError, match="opus does not support 22,050 samples per second: use wav"):
        Encoder("opus", 22_050)
