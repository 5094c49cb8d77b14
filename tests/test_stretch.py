"""Speed changes: the right length and pitch, no clicks, and independence of the block size."""

import numpy as np
import pytest

from pockettts.sound.stretch import Stretcher

RATE = 24000
SPEEDS = [0.25, 0.5, 0.8, 1.25, 2, 3.3, 4]


def stretched(sound, speed, size=1920):
    stretcher = Stretcher(speed, RATE)
    blocks = [stretcher.write(sound[i : i + size]) for i in range(0, len(sound), size)]
    return np.concatenate([*blocks, stretcher.flush()])


def tone(frequency, seconds=1.5):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    """Pulses of a gliding pitch through three formants, in syllables with hisses between: float32, 3 s."""
    time = np.arange(3 * RATE) / RATE
    pulses = np.diff(np.floor(np.cumsum(110 + 30 * np.sin(4 * time)) / RATE), prepend=0)
    ring = time[:1200]
    voiced = sum(np.convolve(pulses, np.exp(-4 * width * ring) * np.sin(2 * np.pi * formant * ring))[: len(time)]
                 for formant, width in ((600, 60), (1300, 80), (2500, 120)))  # fmt: skip
    syllables = np.sin(2 * np.pi * 2 * time)
    hiss = 0.05 * np.random.default_rng(1).standard_normal(len(time))
    return (0.7 * voiced / np.abs(voiced).max() * np.clip(syllables, 0, 1) + hiss * (syllables < -0.5)).astype(
        np.float32
    )


def test_normal_speed_is_bit_identical(speech):
    assert np.array_equal(stretched(speech, 1), speech)


@pytest.mark.parametrize("speed", SPEEDS)
def test_length(speech, speed):
    for samples in (0, 1, 100, 1919, 1920, 5000, len(speech)):
        out = stretched(speech[:samples], speed)
        assert len(out) == round(samples / speed) and out.dtype == np.float32
    assert np.array_equal(stretched(np.zeros(9600, np.float32), speed), np.zeros(round(9600 / speed), np.float32))


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("frequency", [80, 220, 1000])
def test_pitch_and_loudness_stay(speed, frequency):
    out = stretched(tone(frequency, 2), speed)[1200:-3000]  # at the end the last window fades out
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)), 1 << 19))
    assert abs(np.argmax(spectrum) * RATE / (1 << 19) - frequency) < 0.5
    rms = np.sqrt(np.square(out[: len(out) // 1200 * 1200].reshape(-1, 1200)).mean(axis=1))
    assert np.abs(rms / np.sqrt(0.125) - 1).max() < 0.05


@pytest.mark.parametrize("speed", SPEEDS)
def test_no_clicks(speech, speed):
    """No step between samples is larger than in the input."""
    assert np.abs(np.diff(stretched(speech, speed))).max() < 1.02 * np.abs(np.diff(speech)).max()


@pytest.mark.parametrize("speed", SPEEDS)
def test_block_size_makes_no_difference(speech, speed):
    whole = stretched(speech, speed, len(speech))
    for size in (7, 480, 5000):
        assert np.array_equal(stretched(speech, speed, size), whole)


def test_it_streams_and_restarts_after_a_flush(speech):
    """The output follows the input with low latency; a flush resets the state."""
    stretcher = Stretcher(1.5, RATE)
    written = made = 0
    for i in range(0, len(speech), 480):
        written += len(speech[i : i + 480])
        made += len(stretcher.write(speech[i : i + 480]))
        assert written / 1.5 - 0.06 * RATE < made <= written / 1.5
    stretcher.flush()
    assert len(stretcher.flush()) == 0
    again = np.concatenate([stretcher.write(speech), stretcher.flush()])
    assert np.array_equal(again, stretched(speech, 1.5))
