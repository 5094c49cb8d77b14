"""Whether a recording will do as a voice: what is wrong with it, in words for people.

The limits were found on 865 utterances of clean speech, joined to 5 to 15 s, and on worse versions of them: white, pink and brown
noise, gain into clipping, cuts, and those through Opus, mp3, mu-law at 8 kHz and 8 bits. Each lies in the gap between what is still
good and what is not: clean speech has a range of 24 dB and more, of 19 without any pause, of 15 with noise 10 dB below it, of 11 at
5 dB, 7 at 0 dB; its peaks are 10 to 15 dB above its loud parts, clipped by 12 dB 2 to 8; at most 2 in 100,000 samples are at its
peak, 50 to 150 when clipped by 6 dB.
"""

import numpy as np

LEAST_SPEECH = 2.0  # seconds
QUIETEST = -45.0  # dBFS of the loud parts
LEAST_RANGE = 12.0  # dB from the quietest tenth of all 20 ms to the loud ones
LEAST_CREST = 7.0  # dB from the loud parts to the peak
MOST_AT_PEAK = 0.002  # of all samples, within 2% of the peak


def problems(samples: np.ndarray, sample_rate: int) -> list[str]:
    """Why a voice made of these samples, float32 [N], will be a bad one, and what to do: a line each; none if all is well."""
    width = max(1, sample_rate // 50)
    frames = samples[: len(samples) // width * width].reshape(-1, width)
    if len(frames) == 0:
        return [_too_short(len(samples) / sample_rate)]
    levels = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)  # dBFS of each 20 ms
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
