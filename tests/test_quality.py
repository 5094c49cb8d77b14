"""Warnings about recordings: real speech, and degraded versions of it."""

import io

import numpy as np
import pytest
import soundfile
from conftest import SPEECH

from pockettts.sound.files import read
from pockettts.sound.quality import problems

RATE = 24_000
RNG = np.random.default_rng(0)


@pytest.fixture(params=["her", "him"], scope="module")
def speech(request):
    return read(SPEECH / f"{request.param}.ogg", RATE)[0]


def noisy(x, snr, color=0):
    """Add noise at this SNR in dB: white, pink (color 1) or brown (color 2)."""
    spectrum = np.fft.rfft(RNG.standard_normal(len(x)))
    noise = np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** (color / 2), len(x))
    return (x + noise / noise.std() * np.sqrt(np.mean(x**2)) * 10 ** (-snr / 20)).astype(np.float32)


def peaking_at(x, db):
    return x * np.float32(10 ** (db / 20) / np.abs(x).max())


def overdriven(x, db):
    return np.clip(peaking_at(x, db), -1, 1)


def coded(x, format, subtype):
    file = io.BytesIO()
    soundfile.write(file, np.clip(x, -1, 1), RATE, subtype, format=format)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def without_pauses(x):
    frames = x[: len(x) // 480 * 480].reshape(-1, 480)
    return frames[np.abs(frames).max(axis=1) > 0.02].ravel()


@pytest.mark.parametrize("change", [
    lambda x: x, without_pauses, lambda x: noisy(x, 20), lambda x: noisy(x, 15, 1), lambda x: peaking_at(x, -0.1),
    lambda x: peaking_at(x, -30), lambda x: coded(x, "MP3", "MPEG_LAYER_III"), lambda x: coded(x, "WAV", "PCM_U8"),
    lambda x: coded(x, "WAV", "ULAW"), lambda x: np.concatenate([0 * x, x, 0 * x]), lambda x: np.tile(x, 6)[: 30 * RATE],
])  # fmt: skip
def test_good_recordings_pass(speech, change):
    assert problems(change(speech), RATE) == []


@pytest.mark.parametrize(("change", "words"), [
    (lambda x: x[: RATE], "give 5 to 30 s"),
    (lambda x: np.concatenate([x[: RATE], np.zeros(25 * RATE, np.float32)]), "give 5 to 30 s"),      # silence does not count as speech
    (lambda x: x[:10], "only 0.0 s"),
    (lambda x: overdriven(x, 12), "clipped"),
    (lambda x: 0.2 * overdriven(x, 8), "clipped"),
    (lambda x: coded(overdriven(x, 12), "MP3", "MPEG_LAYER_III"), "clipped"),
    (lambda x: noisy(x, 0), "more noise than voice"),
    (lambda x: noisy(x, 0, 1), "more noise than voice"),
    (lambda x: np.float32(0.1) * RNG.standard_normal(len(x), np.float32), "more noise than voice"),
    (lambda x: peaking_at(x, -50), "nearly silent"),
    (lambda x: 0 * x, "nearly silent"),
])  # fmt: skip
def test_problems_of_bad_recordings_are_reported(speech, change, words):
    (problem,) = problems(change(speech), RATE)
    assert words in problem and "\n" not in problem


def test_all_problems_are_reported(speech):
    assert len(problems(noisy(speech[:RATE], -5), RATE)) == len(problems(overdriven(speech, 12)[:RATE], RATE)) == 2
