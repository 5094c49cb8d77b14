"""Progress on a terminal, and the summary at the end."""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .common import print_message

if TYPE_CHECKING:
    from ..books.plan import Job, Piece
    from ..books.production import Work
    from ..synthesis import Block

WIDTH = 30  # of the bar
MAX_LOG = 100  # lines at the end

logger = logging.getLogger("pockettts")


class Progress:
    """Counts the spoken part of a text and shows it.

    Args:
        total: characters of the text; 0: unknown.
        done: characters that an earlier run has spoken.
        words: words of the text, if they are shown.

    Attributes:
        audio: seconds of sound.
        work, first: processing time of all blocks and of the first block, in seconds.
    """

    def __init__(self, total: int, done: int, sample_rate: int, quiet: bool, words: int = 0) -> None:
        self.total, self.before, self.done, self.sample_rate, self.words = total, done, done, sample_rate, words
        self._where = ""
        self.audio = self.work = self.first = 0.0
        self._shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._start, self._last_shown, self._width = perf_counter(), 0.0, 0

    def timed(self, spoken: "Iterable[Block]") -> "Iterator[Block]":
        """Pass on the blocks and count them. The time that the caller spends on a block does not count as work."""
        start, last = perf_counter(), None
        for event in spoken:
            take, block = event
            self.work += perf_counter() - start
            self.first = self.first or self.work
            self.audio += len(block) / self.sample_rate
            if last is not None and take is not last:
                self.done += last.chunk.characters
            last = take
            self._show()
            yield event
            start = perf_counter()
        self.work += perf_counter() - start

    def add(self, characters: int, audio: float, work: float, where: str) -> None:
        """Record a finished chunk. where: its place in the book, for the line."""
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
        """The remaining seconds at the speed so far."""
        spent = perf_counter() - self._start
        return max(0.0, spent * (self.total - self.done) / max(1, self.done - self.before))

    def estimate(self) -> str:
        """The share that is done, the remaining time and the speed."""
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
                return f"{bar} {self._where}{self.estimate()}, {clock(self.audio)} of audio"
            line = f"{bar} {self._share:4.0%}, {clock(self._left())} left, "
        return line + spoken

    def clear(self) -> None:
        """Clear the changing line."""
        if self._width:
            print_message(" " * self._width, end="\r")
            self._width = 0

    def summary(self) -> str:
        return (
            f"{self.audio:.2f} s of audio, RTF {self.work / max(self.audio, 1e-9):.3f}, TTFA {1000 * self.first:.0f} ms"
        )


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class DeferredLog(logging.Handler):
    """Holds warnings, such as skipped pages and retried chunks, and prints them at the end, not between the lines of progress.

    A record with the attribute `at_once` is printed at once. If an error is raised before `begin` or `end`, only that error is shown.
    """

    def __init__(self, quiet: bool) -> None:
        super().__init__(logging.WARNING)
        self._is_used = not quiet and not logger.isEnabledFor(logging.DEBUG)
        self._observer: BookProgress | None = None
        self._lines: dict[str, None] = {}  # without repetitions

    def __enter__(self) -> "DeferredLog":
        if self._is_used:
            logger.addHandler(self)
            logger.propagate = False
        return self

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "at_once", False):
            self._clear()
            print_message(f"pockettts: {record.getMessage()}")
        else:
            self._lines[record.getMessage()] = None

    def begin(self, observer: "BookProgress") -> None:
        """The work begins: from now on, the lines are printed at the end, even after an error."""
        self._observer = observer

    def end(self) -> None:
        """Print the lines, and hold no more."""
        if self._is_used:
            logger.removeHandler(self)
            logger.propagate = True
        self._clear()
        lines, self._lines = list(self._lines), {}
        for line in lines[:MAX_LOG]:
            print_message(f"pockettts: {line}")
        if len(lines) > MAX_LOG:
            print_message(f"pockettts: and {len(lines) - MAX_LOG} more like these")

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None and self._observer is None:
            self._lines.clear()
        self.end()

    def _clear(self) -> None:
        if self._observer:
            self._observer.clear()


class BookProgress:
    """Show the progress: a changing line on a terminal, and one line per chapter. Write --timestamps at the end.

    Args:
        count: the number of texts; 0: a single text, or unknown.
        has_words: --timestamps has the times of words, not of chunks.
    """

    def __init__(self, args: argparse.Namespace, sample_rate: int, count: int, has_words: bool) -> None:
        self.args, self.sample_rate, self.count, self.has_words, self.jobs = args, sample_rate, count, has_words, 0
        self._number: dict[int, int] = {}
        self._progress: Progress | None = None
        self._audio = 0.0

    def counted(self, jobs: Any) -> Iterator["Job"]:
        for job in jobs:
            self.jobs += 1
            self._number[id(job)] = self.jobs
            yield job

    def clear(self) -> None:
        if self._progress:
            self._progress.clear()

    def begin(self, work: "Work") -> None:
        total = work.characters
        self._progress = Progress(
            total, work.state.characters, self.sample_rate, self.args.quiet, words=work.word_count
        )
        self._audio = 0.0

    def piece(self, work: "Work", track: int, piece: "Piece", seconds: float, spent: float) -> None:
        assert self._progress is not None
        chapters = sum(len(other.chapters) for other in work.tracks)
        done = sum(len(other.chapters) for other in work.tracks[:track])
        where = f"chapter {done + piece.part + 1} of {chapters}, " if chapters > 1 else ""
        book = f"{work.job.name}, " if self.count > 1 or self.args.json_input else ""
        self._progress.add(piece.chunk.characters if piece.chunk else 0, seconds, spent, book + where)

    def chapter(self, work: "Work", track: int, part: int) -> None:
        chapters = [chapter for other in work.tracks for chapter in other.chapters]
        progress = self._progress
        if progress is None or self.args.quiet or len(chapters) < 2:
            return
        number = sum(len(other.chapters) for other in work.tracks[:track]) + part
        progress.done = sum(len(chapter.text) for chapter in chapters[: number + 1])
        title = f" “{chapters[number].title}”" if chapters[number].title else ""
        words = len(chapters[number].text.split())
        audio, self._audio = progress.audio - self._audio, progress.audio
        progress.clear()
        print_message(
            f"chapter {number + 1} of {len(chapters)}{title}: {words:,} words, {clock(audio)} of audio; {progress.estimate()}"
        )

    def end(self, work: "Work", interrupted: bool) -> None:
        progress = self._progress
        if self.args.timestamps and not interrupted:
            from ..words.timestamps import write

            write(self.args.timestamps, work.words, self.has_words)
        if progress is None or self.args.quiet:
            return
        progress.clear()
        if interrupted:
            if work.state.is_begun:
                print_message(
                    f"{work.job.output}: {clock(progress.audio)} of audio so far; run the same command with --resume to continue"
                )
            return
        progress.audio = work.samples / self.sample_rate  # the last subtitle is written after its last piece
        first, last = work.tracks[0].path, work.tracks[-1].path
        print_message(f"{f'{first} to {last}' if first != last else first}: {progress.summary()}")
        self._progress = None
