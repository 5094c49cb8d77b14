"""Check whether a recording is good enough as a voice prompt, and describe its problems.

The limits were measured on 865 utterances of clean speech, joined to 5 to 15 s, and on degraded versions: white, pink and brown
noise, clipping, cuts, Opus, mp3, mu-law at 8 kHz, and 8 bits. Each limit lies between the values of good and bad recordings: clean
speech has a range of 24 dB or more, 19 without pauses, 15 with noise 10 dB below it, 11 at 5 dB, 7 at 0 dB;
its peaks are 10 to 15 dB above its loud parts, 2 to 8 when clipped by 12 dB; at most 2 in 100,000 samples are at its
peak, 50 to 150 when clipped by 6 dB.
"""

import numpy as np

LEAST_SPEECH = 2.0  # seconds
QUIETEST = -45.0  # dBFS, level of the loud parts
LEAST_RANGE = 12.0  # dB from the quietest tenth of the 20 ms frames to the loud ones
LEAST_CREST = 7.0  # dB from the loud parts to the peak
MOST_AT_PEAK = 0.002  # fraction of the samples within 2% of the peak


def problems(samples: np.ndarray, sample_rate: int) -> list[str]:
    """The problems of a recording, float32 [N], and what to do about them: one line each. Empty if there are none."""
    width = max(1, sample_rate // 50)
    frames = samples[: len(samples) // width * width].reshape(-1, width)
    if len(frames) == 0:
        return [_too_short(len(samples) / sample_rate)]
    levels = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)  # dBFS per 20 ms frame
    quiet, loud = np.percentile(levels, 10), np.percentile(levels[levels > levels.max() - 35], 93)
    peak = np.abs(samples).max()
    if loud < QUIETEST:
        return [f"nearly silent ({loud:.0f} dB): the voice will be faint and noisy; record it louder, or amplify it"]
    found = []
    seconds = np.count_nonzero(levels > loud - 25) * width / sample_rate
    if seconds < LEAST_SPEECH:
        found.append(_too_short(seconds))
    if loud - quiet < LEAST_RANGE:
        found.append(
            f"more noise than voice (only {loud - quiet:.0f} dB between them), and the noise is cloned too: "
            "record it where it is quiet, or clean it up"
        )
    elif 20 * np.log10(peak) - loud < LEAST_CREST or np.mean(np.abs(samples) > 0.98 * peak) > MOST_AT_PEAK:
        found.append("clipped, and the distortion is cloned too: record it again with less gain")
    return found


def _too_short(seconds: float) -> str:
    return f"only {seconds:.1f} s of speech, too little to tell a voice by: give 5 to 30 s"
