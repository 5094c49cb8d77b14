"""Many streams at once (continuous batching): the engine's thread runs the flow LM for all live utterances in one batch, and decoder
threads decode the frames. Each stream has its own buffer.

Streams join and leave between two frames. The audio of a stream does not depend on the other streams. Streams of several models
share the thread and the cores. A round is one step of each model, so no model waits for more than one step of each other model.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ops
from .errors import BusyError
from .options import Options
from .pipeline import set_level, stretch
from .synthesis import Block, Frame, Utterance
from .tts import TTSModel
from .voices.state import VoiceState

if TYPE_CHECKING:
    from .words.alignment import Word
    from .words.timestamps import Timeline

BUFFER = 25  # blocks (2 seconds) that a stream may be ahead of its reader; then it waits, and the others continue
MAX_PREFILL_TOKENS = 32  # tokens of text to prefill in one step, so that a new stream does not interrupt the others
TTFA_BOUNDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)  # upper bounds of histogram buckets, in seconds
RTF_BOUNDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 3)
STOPPING = "the server is stopping: try again later"


class Histogram:
    """A cumulative histogram as in Prometheus: for each upper bound, the count of values up to it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts = bounds, [0] * len(bounds)
        self.count, self.sum = 0, 0.0

    def observe(self, value: float) -> None:
        self.count, self.sum = self.count + 1, self.sum + value
        self.counts = [count + (value <= bound) for count, bound in zip(self.counts, self.bounds, strict=True)]


@dataclass
class Stats:
    """Statistics of an engine.

    Attributes:
        live, queued: the number of streams now.
        done, left, failed, refused: the number of streams that were completely spoken, closed by the reader, ended by an error, or
            refused.
        audio: seconds of all streams.
        ttfa: seconds from `submit` to the first block.
        rtf: processing time / audio time of the completed streams.
    """

    live: int = 0
    queued: int = 0
    done: int = 0
    left: int = 0
    failed: int = 0
    refused: int = 0
    audio: float = 0.0
    ttfa: Histogram = field(default_factory=lambda: Histogram(TTFA_BOUNDS))
    rtf: Histogram = field(default_factory=lambda: Histogram(RTF_BOUNDS))


class Stream:
    """The blocks of an utterance, float32 [samples], as they are generated. Returned by `Engine.submit`; iterate and close, or use `with`.

    The iterator raises the error that ended the speech, or BusyError if the engine was closed: a stream never ends silently.

    Attributes:
        ttfa: seconds from `submit` to the first block; None before that.
        rtf: processing time / audio time so far. The time includes the steps of other streams, but not the wait for a place or the reader.
        words: the words of completely read chunks, with their times; empty unless `submit` got `with_words`.
    """

    def __init__(self, engine: "Engine", model: TTSModel, utterance: Utterance, timeline: "Timeline | None") -> None:
        self.model = model
        self.words: list[Word] = timeline.words if timeline else []
        self._engine, self._utterance = engine, utterance
        self._blocks: deque[Block] = deque()
        rate = model.sample_rate
        stretched = stretch(self._spoken(), utterance.options.speed, rate)
        leveled = set_level(stretched, utterance, rate, model.voice_loudness)  # by the reader's thread
        self._output = timeline.follow(leveled) if timeline else leveled
        self._filled = threading.Condition(engine._lock)
        self._ended = False  # no more blocks will come
        self._error: Exception | None = None  # the reason, if it is an error
        self._submitted = time.monotonic()
        self._work = self._audio = 0.0  # seconds
        self._work_started: float | None = None  # the time when the work on the next block began
        self.ttfa: float | None = None

    @property
    def rtf(self) -> float:
        return self._work / self._audio if self._audio else 0.0

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> np.ndarray:
        for _, block in self._output:
            return block
        raise self._error or StopIteration

    def _spoken(self) -> Iterator[Block]:
        """The blocks from the buffer, in the reader's thread. Waits for the engine; raises the error that ended the speech."""
        while True:
            with self._filled:
                while not self._blocks and not self._ended:
                    self._filled.wait()
                if not self._blocks:
                    break
                if len(self._blocks) == BUFFER:
                    self._engine._wake.notify()
                item = self._blocks.popleft()
            yield item
        if self._error:
            raise self._error

    def close(self) -> None:
        """Stop speaking. The place is free before the next frame; blocks that were not read are dropped."""
        self._engine._leave(self)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Engine:
    """Speaks up to `max_streams` texts at once. Up to `max_queue` more wait for a place, first come, first served."""

    def __init__(self, max_streams: int = 8, max_queue: int = 32) -> None:
        self.max_streams, self.max_queue = max_streams, max_queue
        self._lock = threading.Lock()  # guards the following attributes, and the streams
        self._wake = threading.Condition(self._lock)  # notified when there is work
        self._live: list[Stream] = []
        self._queue: deque[Stream] = deque()
        self._stats = Stats()
        self._deadline: float | None = None  # set when the engine is closed
        # While several streams are live, decoder threads with one core each decode the frames of a step, and the flow LM makes the
        # frames of the next step on the other cores. This way the cores wait less for each other.
        self._lm_cores = ops.get_threads() // 2  # cores for the flow LM during that time
        self._lm_team, self._single_core = ops.Team(self._lm_cores), ops.Team(1)
        self._decoders = ThreadPoolExecutor(
            max(1, ops.get_threads() - self._lm_cores), "pockettts-decoder", ops.join, (self._single_core,)
        )
        # The arguments of `_deliver` for each frame that is being decoded; used by the engine's thread only.
        self._decoding: dict[Future[None], tuple[Stream, Frame, bool]] = {}
        self._thread = threading.Thread(target=self._run, name="pockettts-engine", daemon=True)
        self._thread.start()

    # --- for other threads ---------------------------------------------------------------------------------------------------

    def submit(
        self, model: TTSModel, text: str, voice: VoiceState, options: Options | None = None, with_words: bool = False
    ) -> Stream:
        """Speak a text.

        Args:
            model: the model that speaks. The engine keeps it no longer than the stream lasts.
            text, voice: as for `TTSModel.generate_stream`.
            options: None: the model's.
            with_words: find the times of words.

        Raises:
            BusyError: all places are taken and the queue is full, or the engine is closed.
            TextError, VoiceError, OptionError: as `TTSModel.generate_stream`.
        """
        with self._lock:
            self._check_capacity()  # before there is any work
        utterance = model.utterance(text, voice, options or model.options, with_words)
        stream = Stream(self, model, utterance, model.timeline() if with_words else None)
        with self._lock:
            self._check_capacity()
            self._queue.append(stream)
            self._wake.notify()
        return stream

    def stats(self) -> Stats:
        """The current statistics."""
        with self._lock:
            return replace(deepcopy(self._stats), live=len(self._live), queued=len(self._queue))

    def close(self, seconds: float = 0) -> None:
        """Refuse new texts, wait up to `seconds` for live streams to end, then end the rest with BusyError."""
        with self._lock:
            self._deadline = time.monotonic() + seconds
            self._end_all(self._queue)
            self._wake.notify()
        self._thread.join()

    def _check_capacity(self) -> None:
        if self._deadline is not None:
            raise BusyError(STOPPING)
        if len(self._live) + len(self._queue) >= self.max_streams + self.max_queue:
            self._stats.refused += 1
            raise BusyError(
                f"{self.max_streams} texts are being spoken and {self.max_queue} more are waiting: try again later"
            )

    def _leave(self, stream: Stream) -> None:
        with self._lock:
            self._end(stream, "left")
            stream._blocks.clear()
            self._wake.notify()

    # --- the engine's thread ----------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._decoders:
                while batch := self._next_batch():
                    for model in dict.fromkeys(stream.model for stream in batch):
                        self._step(model, [stream for stream in batch if stream.model is model])
                    del batch, model  # so that an unused model can be freed
        finally:
            with self._lock:
                self._deadline = self._deadline or time.monotonic()  # without this thread, refuse all texts
                self._end_all(self._live)
                self._end_all(self._queue)

    def _next_batch(self) -> list[Stream]:
        """Wait for live streams with room in their buffers. Returns an empty list if the engine is closed, and no stream is live or the
        deadline has passed."""
        with self._lock:
            while True:
                while self._queue and len(self._live) < self.max_streams:
                    self._live.append(self._queue.popleft())
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is not None and (left <= 0 or not self._live):
                    return []
                coming = [stream for future, (stream, *_) in self._decoding.items() if not future.done()]
                batch = [
                    stream
                    for stream in self._live
                    if len(stream._blocks) + (stream in coming) < BUFFER and not stream._utterance.finished
                ]
                for stream in self._live:
                    stream._work_started = (
                        (stream._work_started or time.monotonic()) if stream in batch or stream in coming else None
                    )
                if batch:
                    return batch
                ops.release_threads()  # another thread may be cloning a voice
                self._decoding = {future: job for future, job in self._decoding.items() if not future.done()}
                self._wake.wait(left)

    def _step(self, model: TTSModel, batch: list[Stream]) -> None:
        """One step of the streams of one model: at most one block each. An error ends only its own stream."""
        stepper = model.stepper
        for stream in batch:
            if error := _try(stepper.prepare, stream._utterance):
                self._finish_decoding()
                self._deliver(stream, error, True)
        batch = [stream for stream in batch if not stream._ended]
        utterances = [stream._utterance for stream in batch]
        if any(utterance.take and len(utterance.take.waiting) for utterance in utterances):
            self._finish_decoding()  # prefill is a long step, which needs all cores
        with ops.using_team(None if all(future.done() for future in self._decoding) else self._lm_team):
            results = _try(stepper.step, utterances, MAX_PREFILL_TOKENS)
        if isinstance(results, Exception):  # of the whole batch, for example a MemoryError
            results = [results] * len(batch)
        self._finish_decoding()
        for stream, item in zip(batch, results, strict=True):
            job = stream, item, stream._utterance.finished
            if self._lm_cores and len(batch) > 1 and isinstance(item, Frame):
                self._decoding[self._decoders.submit(self._deliver, *job)] = job
            else:
                self._deliver(*job)

    def _finish_decoding(self) -> None:
        """Finish decoding the frames of the last step. This thread decodes those that no decoder thread has begun."""
        with ops.using_team(self._single_core):
            for future, job in reversed(self._decoding.items()):
                if future.cancel():
                    self._deliver(*job)
        wait(self._decoding)
        self._decoding.clear()

    def _deliver(self, stream: Stream, result: Frame | Block | Exception | None, last: bool) -> None:
        """Decode a frame if necessary, and append the block, or the error, to the stream."""
        block = _try(stream.model.stepper.decode, result) if isinstance(result, Frame) else result
        with self._lock:
            self._wake.notify()
            if stream._ended:  # its reader left during the step
                return
            if isinstance(block, Exception):
                self._end(stream, "failed", block)
                return
            if block is not None:
                self._put(stream, block)
            if last:
                self._end(stream, "done")
                self._stats.rtf.observe(stream.rtf)

    # --- the caller holds the lock -------------------------------------------------------------------------------------------------------

    def _put(self, stream: Stream, block: Block) -> None:
        seconds, now = len(block.samples) / stream.model.sample_rate, time.monotonic()
        if stream.ttfa is None:
            stream.ttfa = now - stream._submitted
            self._stats.ttfa.observe(stream.ttfa)
        stream._audio += seconds
        stream._work += now - (stream._work_started or now)
        stream._work_started = now
        self._stats.audio += seconds
        stream._blocks.append(block)
        stream._filled.notify()

    def _end(self, stream: Stream, outcome: str, error: Exception | None = None) -> None:
        if stream._ended:
            return
        stream._ended, stream._error = True, error
        setattr(self._stats, outcome, getattr(self._stats, outcome) + 1)
        for streams in (self._live, self._queue):
            if stream in streams:
                streams.remove(stream)
        stream._filled.notify_all()

    def _end_all(self, streams: Collection[Stream]) -> None:
        for stream in list(streams):
            self._end(stream, "failed", BusyError(STOPPING))


def _try(function: Callable[..., Any], *args: Any) -> Any:
    """The result of the function, or the exception that it raised."""
    try:
        return function(*args)
    except Exception as error:
        return error
