"""Change the speed of speech without changing its pitch.

WSOLA (Verhelst and Roelands, 1993): the output is a sum of overlapping windows of the input. Each window starts near its nominal
position in the input, at the position that best continues the previous window. This keeps whole periods of a voice, so pitch and
timbre stay the same.
"""

import numpy as np

HOP = 0.0125  # seconds; a window is two hops, long enough for two periods of a low voice
REACH = 0.01  # seconds that a window may start from its nominal position; a period of a low voice


class Stretcher:
    """Makes a stream of sound `speed` times as fast (0.25 to 4). A speed of 1 changes no samples.

        stretcher = Stretcher(1.5, 24000)
        out = [stretcher.write(block) for block in blocks] + [stretcher.flush()]

    The output has `round(samples / speed)` samples, which do not depend on how the input was split into blocks.
    """

    def __init__(self, speed: float, sample_rate: int) -> None:
        self.speed = speed
        self._hop, self._reach = round(HOP * sample_rate), round(REACH * sample_rate)
        angles = (np.arange(self._hop, dtype=np.float32) + 0.5) * np.float32(np.pi / 2 / self._hop)
        self._rise = np.square(np.sin(angles))  # [hop], half a Hann window; with its reverse it adds up to 1
        self._fft_size = 1 << (2 * self._hop + 2 * self._reach).bit_length()
        self._input: np.ndarray
        self._received: int
        self._hops: int
        self._restart()

    def write(self, block: np.ndarray) -> np.ndarray:
        """Take float32 [samples]; returns the output that is final by now, float32 [any number of samples]."""
        if self.speed == 1:
            return block
        self._input = np.concatenate([self._input, block])
        self._received += len(block)
        return self._output(self._received)

    def flush(self) -> np.ndarray:
        """The rest, float32 [samples]. The next `write` starts a new sound."""
        length = round(self._received / self.speed) - self._hops * self._hop
        if length <= 0:
            self._restart()
            return np.zeros(0, np.float32)
        end = self._received + round((self._hop + self._reach) * (2 + self.speed))
        self._input = np.concatenate([self._input, np.zeros(end - self._received, np.float32)])
        rest = self._output(end)[:length]
        self._restart()
        return rest

    def _restart(self) -> None:
        self._input = np.zeros(0, np.float32)  # the samples that may still be needed
        self._start = 0  # index of the first of them
        self._received = self._hops = 0
        self._next = 0  # position in the input that continues the last window
        self._tail = np.zeros(self._hop, np.float32)  # the second half of the last window

    def _output(self, received: int) -> np.ndarray:
        """All hops that no longer change, with the input up to sample `received`."""
        hops = []
        while True:
            due = round(self._hops * self._hop * self.speed)
            last = max(due + self._reach, self._next) + 2 * self._hop
            if max(last, (self._hops + 1) * self._hop * self.speed) > received:
                break
            start = self._best(due) if self._hops else 0
            window = self._samples(start, 2 * self._hop)
            first = window[: self._hop] if self._hops == 0 else self._tail + self._rise * window[: self._hop]
            self._tail = self._rise[::-1] * window[self._hop :]
            self._next = start + self._hop
            self._hops += 1
            hops.append(first)
        done = max(0, min(self._next, round(self._hops * self._hop * self.speed) - self._reach))
        self._input, self._start = self._input[max(0, done - self._start) :], max(done, self._start)
        return np.concatenate(hops) if hops else np.zeros(0, np.float32)

    def _best(self, due: int) -> int:
        """The start of the window near `due` that is most similar to the continuation of the last one, by normalized cross-correlation.

        Computed with FFTs: their rounding does not depend on the memory address of the samples, as that of BLAS may.
        """
        low = max(0, due - self._reach)
        size = 2 * self._hop
        wanted = self._samples(self._next, size).astype(np.float64)
        nearby = self._samples(low, due + self._reach - low + size).astype(np.float64)
        starts = len(nearby) - size + 1
        product = np.fft.irfft(
            np.fft.rfft(nearby, self._fft_size) * np.fft.rfft(wanted, self._fft_size).conj(), self._fft_size
        )[:starts]
        sums = np.concatenate([[0], np.cumsum(np.square(nearby))])
        similarity = product / np.sqrt(sums[size:] - sums[:-size] + 1e-9 * size)
        # Prefer the nearest of equally similar windows: in silence all are.
        distance = np.abs(np.arange(low, low + starts) - due) / self._reach
        return low + int(np.argmax(similarity - 1e-3 * np.sqrt(np.square(wanted).sum()) * distance))

    def _samples(self, start: int, count: int) -> np.ndarray:
        return self._input[start - self._start : start - self._start + count]
