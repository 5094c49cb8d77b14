"""One stream's flow LM and decoder on the same cores: in turn, each with all of them, or the flow LM a frame ahead with half of them.

The flow LM waits for memory and the decoder for arithmetic, and two threads with half of the cores each wait less often for each other
than one team of all cores does. Which way is faster depends on the CPU: by 10% either way, as measured. So both are tried in the first
frames of a process, and the faster one stays. Audio is the same to the bit.
"""
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from . import ops

BLOCK = 4                    # frames that are made the same way in a row, while both are tried; the first one does not count
BLOCKS = 6                   # in turn, ahead, in turn, ahead, ...
GAIN = 0.98                  # ahead is chosen if it takes less than this much of the time


class Schedule:
    """Makes items (frames) and decodes them, in turn or ahead.

    Attributes: `ahead`: True or False; None while it is not known yet. `seconds`: of frames made in turn (False) and ahead (True).
    """

    def __init__(self, ahead: bool | None = None) -> None:
        self.ahead = ahead
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self._tried = 0

    def run(self, items: Iterator[Any], decode: Callable[[Any], Any], counts: Callable[[Any], bool]) -> Iterator[tuple[Any, Any]]:
        """Each item and decode(item), in order. The first item has all cores to itself, until it is decoded: time to first audio.

        counts(item): whether its time says something about the way it was made.
        """
        cores = ops.get_threads()
        if cores == 1:
            yield from ((item, decode(item)) for item in items)
            return
        teams = _Teams(cores)
        upcoming: Future | None = None
        resumed, before = time.perf_counter(), None                     # the way of the item before
        try:
            item = next(items, None)
            while item is not None:
                ahead = self._next_way() if before is not None else False
                if ahead:
                    upcoming = teams.submit(next, items, None)
                decoded = teams.decode(decode, item) if ahead else decode(item)
                done = time.perf_counter()
                yield item, decoded
                begun, resumed = resumed, time.perf_counter()
                if ahead == before and counts(item) and resumed - done < (done - begun) / 4:        # the reader was not slow
                    self._note(ahead, done - begun)
                before = ahead
                item, upcoming = (upcoming.result() if upcoming else next(items, None)), None
        finally:
            teams.close()

    def _next_way(self) -> bool:
        if self.ahead is not None:
            return self.ahead
        self._tried += 1
        return self._tried // BLOCK % 2 == 1

    def _note(self, ahead: bool, seconds: float) -> None:
        if self.ahead is not None:
            return
        self.seconds[ahead].append(seconds)
        if self._tried >= BLOCK * BLOCKS and all(self.seconds.values()):
            medians = {way: statistics.median(seconds) for way, seconds in self.seconds.items()}
            self.ahead = medians[True] < GAIN * medians[False]


class _Teams:
    """The cores, divided between a thread that makes the next item and the calling thread, which decodes."""

    def __init__(self, cores: int) -> None:
        self.own, self.others = ops.Team(cores // 2), ops.Team(cores - cores // 2)
        self.cores = cores
        self.worker: ThreadPoolExecutor | None = None

    def submit(self, make: Callable[..., Any], *args: Any) -> Future:
        self.worker = self.worker or ThreadPoolExecutor(1, "pockettts")
        self.others.size = self.cores - self.own.size
        return self.worker.submit(self._make, make, *args)

    def _make(self, make: Callable[..., Any], *args: Any) -> Any:
        with ops.working_as(self.own):
            made = make(*args)
        if self.cores == 2:                    # the decoder takes over the core; larger teams would start and end threads for that
            self.others.size = self.cores
        return made

    def decode(self, decode: Callable[[Any], Any], item: Any) -> Any:
        with ops.working_as(self.others):
            return decode(item)

    def close(self) -> None:
        if self.worker:
            self.worker.shutdown()
