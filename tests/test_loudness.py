"""BS.1770 loudness equals known values and FFmpeg's; targets are reached; peaks stay below the ceiling."""

import math
import re
import shutil
import subprocess
import wave

import numpy as np
import pytest

from pockettts.sound.encode import pcm16, wav_header
from pockettts.sound.files import Writer, read
from pockettts.sound.loudness import CEILING, Limiter, Loudness, Meter, level

RATE = 24_000


def speech(seconds=12.0, seed=0, rms=0.05):
    """Noise modulated like syllables and sentences, with peaks about 15 dB above its mean."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    syllables = np.abs(np.sin(2 * np.pi * 2.1 * time)) ** 2 * (np.sin(2 * np.pi * 0.17 * time) > -0.7)
    noise = np.convolve(rng.standard_normal(len(time)), np.hanning(12), "same")
    sound = syllables * noise
    return (sound * rms / np.sqrt(np.square(sound).mean())).astype(np.float32)


def loudness_of(audio, rate=RATE):
    meter = Meter(rate)
    for start in range(0, len(audio), 1920):
        meter.write(audio[start : start + 1920])
    return meter.integrated()


def streamed(stage, audio, size=1920):
    out = [stage.write(audio[start : start + size]) for start in range(0, len(audio), size)]
    return np.concatenate([*out, stage.flush()])


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000])
def test_a_sine_of_1_khz(rate):
    """BS.1770: a sine of 997 Hz at full scale in one channel has -3.01 LUFS."""
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * rate) / rate).astype(np.float32)
    assert abs(loudness_of(0.1 * sine, rate) + 23.01) < 0.05


def test_k_weighting_attenuates_low_and_boosts_high_sounds():
    time = np.arange(3 * RATE) / RATE
    low, middle, high = (loudness_of((0.1 * np.sin(2 * np.pi * f * time)).astype("f")) for f in (40, 1000, 6000))
    assert low < middle - 4 and 2.5 < high - middle < 4


def test_gates():
    sound = speech()
    loud = loudness_of(sound)
    assert abs(loudness_of(np.concatenate([sound, np.zeros(60 * RATE, np.float32)])) - loud) < 0.1
    assert abs(loudness_of(np.concatenate([sound, sound * 0.02])) - loud) < 0.2
    assert loudness_of(np.zeros(RATE, np.float32)) == loudness_of(np.zeros(0, np.float32)) == -math.inf
    assert abs(loudness_of(0.1 * np.sin(np.arange(3000) * 0.26).astype(np.float32)) + 23) < 1.5  # less than 400 ms


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
@pytest.mark.parametrize("target", [-30, -23, -16, -12])
def test_ffmpeg_measures_the_target_loudness(tmp_path, target):
    with Writer(tmp_path / "x.wav", RATE, loudness=target) as file:
        for block in np.array_split(speech(), 150):
            file.write(block)
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]
    command = ["ffmpeg", "-nostats", "-i", tmp_path / "x.wav", "-af", "ebur128=peak=true", "-f", "null", "-"]
    summary = subprocess.run(command, capture_output=True, text=True).stderr.split("Summary")[1]
    measured, peak = (float(re.search(rf"{name}: +(\S+)", summary)[1]) for name in ("I", "Peak"))
    assert abs(measured - target) <= 0.4 and peak <= -0.3
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getnframes() == len(speech())


def test_memory_of_the_meter_is_flat():
    meter = Meter(RATE)
    meter.write(speech())

    def size():
        return sum(array.nbytes for array in vars(meter).values() if isinstance(array, np.ndarray))

    before = size()
    for _ in range(20):
        meter.write(speech(3.0))
    assert size() == before and sum(map(len, meter._pending)) < RATE


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spoken", [0.02, 0.05, 0.15])
def test_a_stream_approaches_its_target(seed, spoken):
    sound = speech(30.0, seed, spoken)
    out = streamed(Loudness(-16, RATE), sound)
    assert len(out) == len(sound) and np.abs(out).max() <= 10 ** (CEILING / 20) + 1e-6
    assert abs(loudness_of(out[5 * RATE :]) + 16) < 0.8
    known = streamed(Loudness(-16, RATE, prior=loudness_of(sound)), sound)
    assert abs(loudness_of(known) + 16) < 0.5


def test_block_size_makes_no_difference():
    sound = speech(4.0) * 4
    for stage in (lambda: Loudness(-14, RATE, 1.3), lambda: Limiter(RATE)):
        whole = streamed(stage(), sound)
        for size in (1, 333, 1920, 50_000) if stage().__class__ is Limiter else (333, 1920, 50_000):
            np.testing.assert_array_equal(streamed(stage(), sound[:20_000], size), streamed(stage(), sound[:20_000]))
        assert len(whole) == len(sound)


def test_low_latency_and_writing_after_a_flush():
    stage, sound = Loudness(-20, RATE), speech(1.0)
    assert 1920 - len(stage.write(sound[:1920])) <= 0.045 * RATE
    stage.flush()
    assert len(streamed(stage, sound)) == len(sound)


def test_quiet_sound_passes_the_limiter_bit_for_bit():
    sound = speech()
    assert np.abs(sound).max() < 0.7
    np.testing.assert_array_equal(streamed(Limiter(RATE), sound), sound)


@pytest.mark.parametrize("gain", [4, 8, 100])
def test_nothing_clips_even_between_samples(gain):
    out = streamed(Limiter(RATE), speech(3.0) * gain)
    spectrum = np.fft.rfft(out)
    between = np.fft.irfft(np.pad(spectrum, (0, 7 * len(out) // 2)), 8 * len(out)) * 8
    assert np.abs(out).max() <= 10 ** (CEILING / 20) + 1e-6
    assert 0.8 < np.abs(between).max() < 1


@pytest.mark.parametrize("at", [0, 1, 37, 119, 120, 479, 480, 600])
def test_a_peak_near_the_start_or_end_is_limited_too(at):
    for sound in (np.zeros(3000, np.float32), np.full(3000, 0.1, np.float32)):
        sound[at] = 30
        for side in (sound, sound[::-1]):
            assert 0.5 < np.abs(streamed(Limiter(RATE), side, 700)).max() <= 0.8913


def test_the_limiter_does_not_change_samples_far_from_a_peak():
    sound = speech(3.0)
    sound[RATE] = 1.8
    out = streamed(Limiter(RATE), sound)
    np.testing.assert_array_equal(out[: RATE - 300], sound[: RATE - 300])
    np.testing.assert_array_equal(out[2 * RATE :], sound[2 * RATE :])
    assert 0.8 < out[RATE] <= 0.8913


def test_volume():
    sound = speech(3.0)
    np.testing.assert_allclose(level(sound, RATE, None, 0.5), sound / 2, atol=1e-7)
    assert not level(sound, RATE, None, 0).any() and not level(sound, RATE, -16, 0).any()
    assert abs(loudness_of(level(sound, RATE, -30, 2)) - (-30 + 6.02)) < 0.1
    assert np.abs(level(sound, RATE, None, 10)).max() <= 0.892


def test_silence_stays_silent():
    silence = np.zeros(RATE, np.float32)
    assert not level(silence, RATE, -16).any() and not streamed(Loudness(-16, RATE), silence).any()
    assert len(level(silence[:0], RATE, -16)) == 0


def test_a_stream_is_adjusted_too(tmp_path):
    with open(tmp_path / "out", "wb") as out, Writer(f"/dev/fd/{out.fileno()}", RATE, volume=0.5) as file:
        for block in np.array_split(speech(2.0), 20):
            file.write(block)
    data = (tmp_path / "out").read_bytes()
    assert data[:44] == wav_header(RATE) and len(data) == 44 + len(pcm16(speech(2.0)))
    (tmp_path / "out.wav").write_bytes(data)
    np.testing.assert_allclose(read(tmp_path / "out.wav", RATE)[0], speech(2.0) / 2, atol=1e-4)
