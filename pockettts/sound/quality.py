"""Check whether a recording is good enough for a voice, and describe its problems.

The limits were set with 865 utterances of clean speech, joined to 5 to 15 s, and degraded versions of them: white, pink and brown
noise, clipping, short excerpts, and Opus, MP3, mu-law at 8 kHz and 8-bit coding. Each limit lies between acceptable and bad recordings:

- Dynamic range: clean speech has 24 dB or more, 19 without pauses; with noise at 10 dB SNR 15, at 5 dB 11, at 0 dB 7.
- Peaks above the loud parts: 10 to 15 dB in clean speech; 2 to 8 dB if it is clipped by 12 dB.
- Samples at the peak: at most 2 in 100,000 in clean speech; 50 to 150 if it is clipped by 6 dB.
"""

import numpy as np

MIN_SPEECH = 2.0  # seconds
MIN_LEVEL = -45.0  # dBFS of the loud parts
MIN_RANGE = 12.0  # dB from the 10th percentile of the levels of 20 ms frames to the loud parts
MIN_CREST = 7.0  # dB from the loud parts to the peak
MAX_AT_PEAK = 0.002  # share of samples within 2% of the peak


def problems(samples: np.ndarray, sample_rate: int) -> list[str]:
    """The problems of a recording, float32 [N], as a voice, and what to do: one line each; empty if it is good."""
    width = max(1, sample_rate // 50)
    frames = samples[: len(samples) // width * width].reshape(-1, width)
    if len(frames) == 0:
        return [_too_short(len(samples) / sample_rate)]
    levels = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)  # dBFS of each frame of 20 ms
    quiet, loud = np.percentile(levels, 10), np.percentile(levels[levels > levels.max() - 35], 93)
    peak = np.abs(samples).max()
    if loud < MIN_LEVEL:
        return [f"nearly silent ({loud:.0f} dBFS): the voice will be faint and noisy; record it louder, or amplify it"]
    found = []
    seconds = np.count_nonzero(levels > loud - 25) * width / sample_rate
    if seconds < MIN_SPEECH:
        found.append(_too_short(seconds))
    if loud - quiet < MIN_RANGE:
        found.append(
            f"more noise than voice (only {loud - quiet:.0f} dB between them), and the noise is cloned too: "
            "record it in a quiet place, or remove the noise"
        )
    elif 20 * np.log10(peak) - loud < MIN_CREST or np.mean(np.abs(samples) > 0.98 * peak) > MAX_AT_PEAK:
        found.append("clipped, and the distortion is cloned too: record it again with less gain")
    return found


def _too_short(seconds: float) -> str:
    return f"only {seconds:.1f} s of speech, too little for a voice: give 5 to 30 s"
