"""The schedule of one stream's flow LM and decoder: in turn, or the flow LM one frame ahead.

In turn, each uses all cores. Ahead, a thread computes the next frame with half of the cores while the caller decodes the current one
with the other half: the flow LM is bound by memory and the decoder by arithmetic, and two small teams of threads spend less time
waiting than one large team. Which is faster depends on the CPU, by up to 10%. So the first frames of a process try both, and the
faster one is kept. The samples are bit-identical.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

from . import ops

RUN = 4  # consecutive frames with the same schedule during the trial; the first of them is not timed
RUNS = 6  # runs in the trial: in turn, ahead, in turn, ahead, ...
GAIN = 0.98  # "ahead" is chosen if it takes less than this share of the time of "in turn"

Item = TypeVar("Item")
Decoded = TypeVar("Decoded")


class Schedule:
    """Computes items (frames) and decodes them, in turn or ahead.

    Attributes:
        ahead: whether the flow LM runs ahead; None during the trial.
        seconds: the times of frames computed in turn (False) and ahead (True).
    """

    def __init__(self, ahead: bool | None = None) -> None:
        self.ahead = ahead
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self._scheduled = 0

    def run(
        self, items: Iterator[Item], decode: Callable[[Item], Decoded], is_timed: Callable[[Item], bool]
    ) -> Iterator[tuple[Item, Decoded]]:
        """Yield each item with decode(item), in order. The first item gets all cores, since it determines the time to first audio.

        Args:
            items: an iterator that runs the flow LM.
            decode: called once per item, in order.
            is_timed: whether the time of an item counts in the trial.
        """
        cores = ops.get_threads()
        if cores == 1:
            yield from ((item, decode(item)) for item in items)
            return
        teams = _Teams(cores)
        resumed = time.perf_counter()
        last_ahead: bool | None = None
        try:
            item = next(items, None)
            while item is not None:
                ahead = False if last_ahead is None else self._choose()
                if ahead:
                    teams.start_next(items)
                decoded = teams.decode(decode, item) if ahead else decode(item)
                done = time.perf_counter()
                yield item, decoded
                started, resumed = resumed, time.perf_counter()
                reader_was_fast = resumed - done < (done - started) / 4
                if ahead == last_ahead and is_timed(item) and reader_was_fast:
                    self._record(ahead, done - started)
                last_ahead = ahead
                item = teams.wait_next() if ahead else next(items, None)
        finally:
            teams.close()

    def _choose(self) -> bool:
        """Whether the next frame is computed ahead."""
        if self.ahead is not None:
            return self.ahead
        self._scheduled += 1
        return self._scheduled // RUN % 2 == 1

    def _record(self, ahead: bool, seconds: float) -> None:
        """Record the time of a frame. At the end of the trial, choose the schedule with the smaller median."""
        if self.ahead is not None:
            return
        self.seconds[ahead].append(seconds)
        if self._scheduled >= RUN * RUNS and all(self.seconds.values()):
            medians = {schedule: sorted(times)[len(times) // 2] for schedule, times in self.seconds.items()}
            self.ahead = medians[True] < GAIN * medians[False]


class _Teams:
    """Divides the cores between a thread that computes the next item and the calling thread, which decodes."""

    def __init__(self, cores: int) -> None:
        self.lm_team, self.decoder_team = ops.Team(cores // 2), ops.Team(cores - cores // 2)
        self.cores = cores
        self._jobs: SimpleQueue[Iterator[Any] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start_next(self, items: Iterator[Any]) -> None:
        """Let the thread compute the next item. `wait_next` returns it."""
        if self._thread is None:  # not a thread of concurrent.futures: its import takes longer than a frame
            self._thread = threading.Thread(target=self._work, name="pockettts-ahead", daemon=True)
            self._thread.start()
        self.decoder_team.size = self.cores - self.lm_team.size
        self._jobs.put(items)

    def wait_next(self) -> Any:
        """Wait for the item of `start_next`; None after the last one. Raises the error of its computation."""
        item, error = self._results.get()
        if error:
            raise error
        return item

    def _work(self) -> None:
        """Compute the requested items, in the thread."""
        with ops.using_team(self.lm_team):
            while (items := self._jobs.get()) is not None:
                result: tuple[Any, BaseException | None]
                try:
                    result = next(items, None), None
                except BaseException as error:
                    result = None, error
                if self.cores == 2:  # the decoder gets this core; a larger team would have to start threads for that
                    self.decoder_team.size = self.cores
                self._results.put(result)

    def decode(self, decode: Callable[[Item], Decoded], item: Item) -> Decoded:
        """Run decode(item) on the cores of the decoder."""
        with ops.using_team(self.decoder_team):
            return decode(item)

    def close(self) -> None:
        """End the thread."""
        if self._thread:
            self._jobs.put(None)
            if not sys.is_finalizing():  # daemon threads have stopped then, and join would never return
                self._thread.join()
