"""Measure loudness (ITU-R BS.1770), adjust it to a target, and limit peaks so that nothing clips.

Three ways to use it:

- A whole sound in memory: `level(audio, rate, target)`.
- A whole sound in a file that can be read twice: `level_blocks`; `files.Writer(path, rate, loudness=target)` uses it.
- A stream: `Loudness`. Its gain starts from the known loudness of the voice and then follows the measurement slowly.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

CEILING: Final = -1.0  # dBTP; true peaks stay below it
PRIOR: Final = -26.0  # LUFS of an unknown voice: most voices are within 3 LU of it
_ABSOLUTE_GATE: Final = -70.0  # LUFS; quieter blocks of 400 ms are silence
_RELATIVE_GATE: Final = -10.0  # LU relative to the mean of the other blocks; quieter blocks are pauses
_BIN: Final = 0.1  # LU; width of a bin of the histogram
_BINS: Final = 1000  # -70 to +30 LUFS
_MAX_GAIN: Final = 30.0  # dB; a larger gain would only amplify noise
_MAX_CORRECTION: Final = 6.0  # dB; the largest loss of loudness by limiting that is compensated
_MAX_BALANCE: Final = 12.0  # dB; the largest gain or attenuation that makes speakers equally loud
_TOLERANCE: Final = 0.05  # LU
_SLEW: Final = 6.0  # dB per second; the fastest change of a stream's gain
_PRIOR_BLOCKS: Final = 5.0  # weight of the prior, in blocks of 400 ms, of which there are 10 per second
_RELEASE: Final = 60.0  # dB per second; the limiter's recovery
_LOOK_AHEAD: Final = 0.005  # seconds that the limiter starts before a peak
_HOP: Final = 0.02  # seconds; gains are computed per hop, so that the block size makes no difference
_TAPS: Final = 8  # samples on each side for interpolation between two samples


class Meter:
    """Measures the integrated loudness and the peak of mono sound, with constant memory.

        meter = Meter(24_000)
        for block in blocks: meter.write(block)
        meter.integrated()

    The K-weighting is an FFT convolution (overlap-save) with the impulse response of its two filters. Blocks of 400 ms are counted in a
    histogram with bins of 0.1 LU, which is the accuracy of the relative gate.

    Source: ITU-R BS.1770-5, annex 1; the filters are adapted to the sample rate with the bilinear transform.

    Attributes:
        peak: the largest absolute sample.
    """

    def __init__(self, sample_rate: int) -> None:
        self._hop = round(0.1 * sample_rate)
        self._segment = 4 * self._hop  # samples to filter at once
        taps = 1 << (sample_rate // 6).bit_length()  # 0.17 s: after that the response is below -170 dB
        self._fft_size = 1 << (self._segment + taps).bit_length()
        response = np.fft.irfft(_k_weighting(sample_rate, 2 * taps))[:taps]
        self._response = np.fft.rfft(response, self._fft_size)
        self._history = np.zeros(taps - 1, np.float32)
        self._pending: list[np.ndarray] = []
        self._pending_count = 0
        self._hops = np.zeros(0)  # mean squares of the last three hops
        self._counts, self._energies = np.zeros(_BINS, np.int64), np.zeros(_BINS)
        self._samples = 0
        self.peak = 0.0

    def write(self, block: np.ndarray) -> bool:
        """Take float32 [samples]. Returns whether there is a new measurement."""
        if len(block) == 0:
            return False
        self.peak = max(self.peak, float(np.abs(block).max()))
        self._pending.append(block)
        self._pending_count += len(block)
        if self._pending_count < self._segment:
            return False
        samples = np.concatenate(self._pending)
        while len(samples) >= self._segment:
            self._measure(samples[: self._segment])
            samples = samples[self._segment :]
        self._pending, self._pending_count = [samples], len(samples)
        return True

    def integrated(self) -> float:
        """The integrated loudness so far, in LUFS; -inf for silence. Sound shorter than 400 ms counts as one block."""
        counts, energies = self._counts, self._energies
        if self._pending_count:
            tail = self._filtered(np.concatenate(self._pending))
            hops = tail[: len(tail) // self._hop * self._hop].reshape(-1, self._hop)
            blocks = _blocks(np.concatenate([self._hops, np.square(hops).mean(axis=1)]))
            if self._samples == 0 and len(blocks) == 0:
                blocks = np.array([np.square(tail).mean()])
            counts, energies = counts.copy(), energies.copy()
            _count(blocks, counts, energies)
        return _gated(counts, energies)

    def running(self) -> tuple[int, float]:
        """The number of blocks above the absolute gate so far (10 per second), and their gated loudness in LUFS."""
        return int(self._counts.sum()), _gated(self._counts, self._energies)

    def _measure(self, samples: np.ndarray) -> None:
        """Count the blocks that end in these samples, [segment]."""
        hops = np.square(self._filtered(samples).reshape(-1, self._hop)).mean(axis=1)
        hops = np.concatenate([self._hops, hops])
        _count(_blocks(hops), self._counts, self._energies)
        self._hops = hops[-3:]
        self._history = np.concatenate([self._history, samples])[len(samples) :]
        self._samples += len(samples)

    def _filtered(self, samples: np.ndarray) -> np.ndarray:
        """The K-weighted samples after the history, float64."""
        known = len(self._history)
        spectrum = np.fft.rfft(np.concatenate([self._history, samples]), self._fft_size)
        weighted: np.ndarray = np.fft.irfft(spectrum * self._response)
        return weighted[known : known + len(samples)]


def _k_weighting(sample_rate: int, size: int) -> np.ndarray:
    """The complex response of the K filter, a shelf and a high-pass, at the `size // 2 + 1` frequencies of an rfft."""
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)  # z^-1
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = (high + band * k / q + k * k + 2 * (k * k - high) * z + (high - band * k / q + k * k) * z**2) / (
        1 + k / q + k * k + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z**2
    )
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    high_pass = (1 - z) ** 2 / (1 + 2 * (k * k - 1) / a0 * z + (1 - k / q + k * k) / a0 * z**2)
    response: np.ndarray = shelf * high_pass
    return response


def _blocks(hops: np.ndarray) -> np.ndarray:
    """The mean squares of all blocks of four hops."""
    return np.convolve(hops, np.full(4, 0.25), "valid") if len(hops) >= 4 else np.zeros(0)


def _count(blocks: np.ndarray, counts: np.ndarray, energies: np.ndarray) -> None:
    """Add the blocks above the absolute gate to a histogram."""
    levels = -0.691 + 10 * np.log10(blocks + 1e-30)
    loud = levels >= _ABSOLUTE_GATE
    bins = np.minimum(((levels[loud] - _ABSOLUTE_GATE) / _BIN).astype(np.int64), _BINS - 1)
    np.add.at(counts, bins, 1)
    np.add.at(energies, bins, blocks[loud])


def _gated(counts: np.ndarray, energies: np.ndarray) -> float:
    """The loudness in LUFS of the blocks in a histogram above the relative gate; -inf if there are none."""
    total = counts.sum()
    if total == 0:
        return -math.inf
    gate = -0.691 + 10 * math.log10(energies.sum() / total) + _RELATIVE_GATE
    first = max(0, math.ceil((gate - _ABSOLUTE_GATE) / _BIN))
    return -0.691 + 10 * math.log10(energies[first:].sum() / counts[first:].sum())


class Limiter:
    """Keeps true peaks below a ceiling. Sound without peaks near the ceiling is unchanged.

    The gain starts to fall 5 ms before a peak and recovers at 60 dB per second. The output has as many samples as the input, with
    a delay of at most 25 ms; `flush` returns the rest.
    """

    def __init__(self, sample_rate: int, ceiling: float = CEILING) -> None:
        self._ceiling = 10 ** (ceiling / 20)
        self._ahead = round(_LOOK_AHEAD * sample_rate)
        self._hop = round(_HOP * sample_rate)
        self._slope = np.arange(1, self._hop + 1) * (_RELEASE / sample_rate)  # dB of recovery after 1, 2, ... samples
        window = np.hanning(self._ahead + 3)[1:-1]
        self._window = window / window.sum()  # [ahead + 1]
        self._input: np.ndarray
        self._restart()

    def write(self, block: np.ndarray) -> np.ndarray:
        """Take float32 [samples]; returns the output that is final by now, float32."""
        self._input = np.concatenate([self._input, block])
        return self._output()

    def flush(self) -> np.ndarray:
        """The rest. The next `write` starts a new sound."""
        count = len(self._input) - self._skip
        if count <= 0:
            return np.zeros(0, np.float32)
        padding = self._ahead + _TAPS + self._hop
        out = self.write(np.zeros(padding, np.float32))[:count]
        self._restart()
        return out

    def _restart(self) -> None:
        # `_input` starts `_skip` samples before the next output sample, for interpolation.
        self._skip = _TAPS
        self._input = np.zeros(_TAPS, np.float32)
        self._recovery = 0.0  # gain in dB of the last sample whose peak is known
        self._wanted = np.zeros(0)  # gains in dB from the next output sample up to `ahead` samples later
        self._past = np.zeros(self._ahead)  # gains in dB of the last output samples, before smoothing
        self._is_first = True

    def _output(self) -> np.ndarray:
        out: list[np.ndarray] = []
        while True:
            # The first hop also needs the gains of the samples in the look-ahead.
            count = self._hop + (0 if len(self._wanted) else self._ahead)
            start = self._skip + len(self._wanted)
            if len(self._input) < start + count + _TAPS:
                return np.concatenate(out) if out else np.zeros(0, np.float32)
            peaks = self._peaks(self._input[start - _TAPS : start + count + _TAPS])
            needed = np.minimum(0.0, 20 * np.log10(self._ceiling / np.maximum(peaks, self._ceiling)))
            self._wanted = np.concatenate([self._wanted, self._limit_recovery(needed)])
            samples = self._input[self._skip : self._skip + self._hop]
            out.append(samples * self._gain() if self._wanted.any() or self._past.any() else samples)
            self._is_first = False
            self._wanted = self._wanted[self._hop :]
            self._input = self._input[self._hop :]

    def _limit_recovery(self, needed: np.ndarray) -> np.ndarray:
        """The gains in dB with limited recovery: each rises at most by the slope above the one before."""
        out = np.zeros(len(needed))
        for start in range(0, len(needed), self._hop):
            part = needed[start : start + self._hop]
            slope = self._slope[: len(part)]
            part = np.minimum(np.minimum.accumulate(part - slope), self._recovery) + slope
            out[start : start + len(part)] = part = np.minimum(part, 0.0)
            self._recovery = float(part[-1])
        return out

    def _gain(self) -> np.ndarray:
        """The factors of the next hop, float32: the minimum over the look-ahead, smoothed."""
        minima = np.lib.stride_tricks.sliding_window_view(self._wanted[: self._hop + self._ahead], self._ahead + 1)
        minima = minima.min(axis=1)
        if self._is_first:  # a peak at the start has no look-ahead: use its gain from the first sample
            self._past = np.full(self._ahead, minima[0])
        minima = np.concatenate([self._past, minima])
        self._past = minima[len(minima) - self._ahead :]
        factors: np.ndarray = 10 ** (np.convolve(minima, self._window, "valid") / 20)
        return factors.astype(np.float32)

    def _peaks(self, samples: np.ndarray) -> np.ndarray:
        """The absolute peak near each sample, with 4x oversampling, float64; without `_TAPS` samples at both ends."""
        middle: np.ndarray = np.abs(samples[_TAPS:-_TAPS]).astype(np.float64)
        if np.abs(samples).max() * 2 < self._ceiling:  # true peaks are less than twice the samples
            return middle
        for taps in _INTERPOLATORS:
            between = np.abs(np.convolve(samples, taps, "valid"))  # [i]: between samples i + TAPS - 1 and i + TAPS
            middle = np.maximum(middle, np.maximum(between[:-1], between[1:]))
        return middle


def _interpolators() -> list[np.ndarray]:
    """Interpolation filters for 1/4, 1/2 and 3/4 between two samples: sinc times a Hann window, [2 * TAPS] each."""
    filters = []
    for fraction in (0.25, 0.5, 0.75):
        at = np.arange(-_TAPS + 1, _TAPS + 1) - fraction
        taps = np.sinc(at) * np.square(np.cos(np.pi * at / (2 * _TAPS + 1)))
        filters.append(taps[::-1] / taps.sum())
    return filters


_INTERPOLATORS: Final = _interpolators()


class Loudness:
    """Adjusts a stream of sound to a target loudness, times a volume, without clipping.

        loudness = Loudness(-16.0, 24_000)
        out = [loudness.write(block) for block in blocks] + [loudness.flush()]

    Without `measured`, the gain starts from `prior`, the expected loudness of this voice, and follows the measurement by at most 6 dB per
    second. A server can use `measured` after the first text of a voice as the `prior` of the next one.

    The output has as many samples as the input, with a delay of at most 45 ms, and does not depend on the block size.

    Args:
        target: target in LUFS, such as -16 for podcasts or -23 for broadcast; None: only the volume is applied.
        sample_rate: in Hz.
        volume: an additional factor.
        measured: loudness of the whole sound in LUFS, if known: then the gain is constant.
        prior: expected loudness in LUFS; None: `PRIOR`.
    """

    def __init__(
        self,
        target: float | None,
        sample_rate: int,
        volume: float = 1.0,
        *,
        measured: float | None = None,
        prior: float | None = None,
    ) -> None:
        self._target, self._volume, self._hop = target, volume, round(_HOP * sample_rate)
        self._is_fixed = target is None or measured is not None
        self._prior = PRIOR if prior is None else prior
        self._gain = self._wanted_gain(self._prior if measured is None else measured)  # dB
        self._aim = self._gain  # dB; the gain moves toward it
        self._step = _SLEW * _HOP  # dB per hop
        self._meter = Meter(sample_rate)
        self._limiter = Limiter(sample_rate)
        self._input = np.zeros(0, np.float32)

    @property
    def measured(self) -> float:
        """The loudness of the input so far in LUFS, before the gain; -inf for silence. Unknown with `measured` or without a target."""
        return self._meter.integrated()

    def write(self, block: np.ndarray) -> np.ndarray:
        """Take float32 [samples]; returns the output that is final by now, float32 [any number of samples]."""
        self._input = np.concatenate([self._input, block])
        whole = len(self._input) // self._hop * self._hop
        hops, self._input = self._input[:whole], self._input[whole:]
        return self._limit(hops)

    def flush(self) -> np.ndarray:
        """The rest, float32 [samples]. After it you can write more: the gain continues."""
        rest, self._input = self._input, np.zeros(0, np.float32)
        return np.concatenate([self._limit(rest), self._limiter.flush()])

    def _limit(self, samples: np.ndarray) -> np.ndarray:
        if not self._is_fixed:
            hops = [samples[start : start + self._hop] for start in range(0, len(samples), self._hop)]
            samples = np.concatenate([self._follow(hop) for hop in hops]) if hops else samples
        else:
            samples = samples * np.float32(self._factor(self._gain))
        return self._limiter.write(samples)

    def _follow(self, hop: np.ndarray) -> np.ndarray:
        """Apply the gain to a hop. The gain moves toward the one that the measurement requires."""
        before = self._gain
        if self._meter.write(hop):
            blocks, loudness = self._meter.running()
            if blocks:
                expected = (self._prior * _PRIOR_BLOCKS + loudness * blocks) / (_PRIOR_BLOCKS + blocks)
                self._aim = self._wanted_gain(expected)
        self._gain += min(self._step, max(-self._step, self._aim - self._gain))
        if before == self._gain:
            return hop * np.float32(self._factor(before))
        ramp = np.linspace(self._factor(before), self._factor(self._gain), len(hop), dtype=np.float32)
        return hop * ramp

    def _wanted_gain(self, loudness: float) -> float:
        """The gain in dB from a loudness to the target; 0 for silence."""
        if self._target is None or math.isinf(loudness):
            return 0.0
        return min(_MAX_GAIN, self._target - loudness)

    def _factor(self, gain: float) -> float:
        return self._volume * 10 ** (gain / 20)


def level_blocks(
    read: Callable[[], Iterable[np.ndarray]], sample_rate: int, target: float | None, volume: float = 1.0
) -> Iterator[np.ndarray]:
    """Adjust a whole sound to a target loudness, in two passes, or a few more if peaks are limited.

    Args:
        read: returns all blocks, float32 [samples], each time it is called.
        sample_rate, target, volume: as in `Loudness`.
    """
    meter = Meter(sample_rate)
    for block in read() if target is not None else ():
        meter.write(block)
    measured, correction = meter.integrated(), 0.0

    def leveled() -> Iterator[np.ndarray]:
        aim = None if target is None else target + correction
        loudness = Loudness(aim, sample_rate, volume, measured=measured)
        for block in read():
            yield loudness.write(block)
        yield loudness.flush()

    if target is not None and math.isfinite(measured) and volume > 0:
        aim = target + 20 * math.log10(volume)
        peak = meter.peak * 10 ** ((aim - measured) / 20)
        slope, last = 1.0, None  # LU per dB of gain; limiting reduces it
        for _ in range(6 if peak > 10 ** (CEILING / 20) / 2 else 0):
            after = Meter(sample_rate)
            for block in leveled():
                after.write(block)
            missing = aim - after.integrated()
            if abs(missing) < _TOLERANCE or correction == _MAX_CORRECTION:
                break
            if last is not None and correction > last[0]:
                slope = min(1.0, max(0.2, (last[1] - missing) / (correction - last[0])))
            last = correction, missing
            correction = min(_MAX_CORRECTION, max(0.0, correction + missing / slope))
    yield from leveled()


def balance(parts: Iterable[tuple[str, np.ndarray]], sample_rate: int) -> dict[str, float]:
    """The factors that make all speakers of a sound as loud as the one who speaks most.

    Args:
        parts: the sound in order, as (speaker, float32 [samples]).
    """
    meters: dict[str, Meter] = {}
    lengths: dict[str, int] = {}
    for name, block in parts:
        meters.setdefault(name, Meter(sample_rate)).write(block)
        lengths[name] = lengths.get(name, 0) + len(block)
    loudness = {name: meter.integrated() for name, meter in meters.items()}
    audible = [name for name in loudness if math.isfinite(loudness[name])]
    aim = loudness[max(audible, key=lengths.__getitem__)] if audible else 0.0
    gains = {name: max(-_MAX_BALANCE, min(_MAX_BALANCE, aim - loudness[name])) for name in audible}
    return {name: 10 ** (gains.get(name, 0.0) / 20) for name in loudness}


def level(audio: np.ndarray, sample_rate: int, target: float | None, volume: float = 1.0) -> np.ndarray:
    """Adjust a whole sound, float32 [samples], to a target loudness in LUFS, times a volume; see `Loudness`."""
    return np.concatenate(list(level_blocks(lambda: [audio], sample_rate, target, volume)))
