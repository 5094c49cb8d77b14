"""How far a text is spoken, on a terminal; and the figures at the end."""

import sys
from collections.abc import Iterable, Iterator
from time import perf_counter

from .common import print_message

WIDTH = 30  # of the bar


class Progress:
    """Counts what is spoken of a text of so many characters, of which `done` were spoken before. With a total of 0 there is no end.

    audio, work, first: seconds of sound; to make it; and to make its first block. words: of the whole, if they are to be shown.
    """

    def __init__(self, total: int, done: int, sample_rate: int, quiet: bool, words: int = 0) -> None:
        self.total, self.before, self.done, self.sample_rate, self.words = total, done, done, sample_rate, words
        self._where = ""
        self.audio = self.work = self.first = 0.0
        self._shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._start, self._last_shown, self._width = perf_counter(), 0.0, 0

    def timed(self, spoken: Iterable[tuple]) -> Iterator[tuple]:
        """The same (take, block) pairs. While the caller has one, the clock stands: players take their time."""
        start, last = perf_counter(), None
        for take, block in spoken:
            self.work += perf_counter() - start
            self.first = self.first or self.work
            self.audio += len(block) / self.sample_rate
            if last is not None and take is not last:
                self.done += last.chunk.characters
            last = take
            self._show()
            yield take, block
            start = perf_counter()
        self.work += perf_counter() - start

    def add(self, characters: int, audio: float, work: float, where: str) -> None:
        """A chunk was spoken, at such a place of the book."""
        self.done += characters
        self.audio += audio
        self.work += work
        self.first = self.first or work
        self._where = where
        self._show()

    @property
    def _share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def _left(self) -> float:
        """Seconds until the end, as fast as so far."""
        spent = perf_counter() - self._start
        return max(0.0, spent * (self.total - self.done) / max(1, self.done - self.before))

    def outlook(self) -> str:
        """How far it is, how fast, and how long it will take."""
        speed = self.audio / max(perf_counter() - self._start, 1e-9)
        words = f"{round(self.words * self._share):,} of {self.words:,} words, " if self.words else ""
        return f"{words}{self._share:.0%}, {clock(self._left())} left, {speed:.1f} times real-time"

    def _show(self) -> None:
        if self._shown and perf_counter() - self._last_shown > 0.1:
            self._last_shown = perf_counter()
            line = self._bar()
            print_message(line.ljust(self._width), end="\r")
            self._width = len(line)

    def _bar(self) -> str:
        spoken, line = f"{self.audio:.1f} s of audio", ""
        if self.total and self.done > self.before:  # one chunk is known to be finished
            bar = f"[{'#' * round(self._share * WIDTH):{WIDTH}}]"
            if self.words:
                return f"{bar} {self._where}{self.outlook()}, {clock(self.audio)} of audio"
            line = f"{bar} {self._share:4.0%}, {clock(self._left())} left, "
        return line + spoken

    def clear(self) -> None:
        """Make room for a line."""
        if self._width:
            print_message(" " * self._width, end="\r")
            self._width = 0

    def figures(self) -> str:
        return (
            f"{self.audio:.2f} s of audio, RTF {self.work / max(self.audio, 1e-9):.3f}, TTFA {1000 * self.first:.0f} ms"
        )


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
