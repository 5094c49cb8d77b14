"""Speak a single chunk. Its noise depends only on the seed, the chunk and the attempt, so every machine makes the same samples."""

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from ..config.schema import Config
from ..errors import PocketTTSError
from ..options import Options
from ..reading.chunks import Chunk
from ..sound.encode import pcm16
from ..synthesis import Utterance
from ..words.alignment import Word

if TYPE_CHECKING:
    from ..tts import TTSModel
    from ..voices.state import VoiceState

SENT = "sent:"  # prefix of the name of a voice file that was sent to a worker

logger = logging.getLogger("pockettts")


class WorkerError(PocketTTSError):
    """A worker has another version of this package, or does not have the model."""


@dataclass(frozen=True)
class Setup:
    """The model, the voices and the options. They are sent to each machine of a cluster.

    Attributes:
        model: a name, the path or address of a config, or a config.
        voices: the name, path or address of each voice, by its name in texts (lower case); "" is the default voice.
        precision, threads, cache, options: arguments of `TTSModel.load`.
        verify: speak chunks with faults again.
        with_words: find the times of words.
    """

    model: str | Config
    voices: dict[str, str]
    precision: str | None = None
    threads: int | None = None
    cache: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    verify: bool = True
    with_words: bool = False


class Order(NamedTuple):
    """A chunk to speak. number: the index of the chunk in its file; part of the seed."""

    chunk: Chunk
    number: int
    voice: str
    seed: int


class Spoken(NamedTuple):
    """The result of an order.

    Attributes:
        pcm: 16-bit samples.
        words: words with their times in seconds from the start of the chunk, if `Setup.with_words`.
        work: the processing time in seconds.
        messages: the warnings of a worker. Warnings of this machine are in the log.
    """

    pcm: bytes
    words: list[Word]
    work: float
    messages: list[str]


T = TypeVar("T")


class Backend(Protocol):
    """Speaks orders, on this machine or on a cluster. The results come in the sequence of the items."""

    def speak(self, items: "Iterable[tuple[T, Order | None]]") -> "Iterator[tuple[T, Spoken | PocketTTSError | None]]":
        """For each item: the item, and the result of its order or the error; None without an order."""


class Speaker:
    """A model and its voices. Each is loaded once, when it is first needed."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._model: TTSModel | None = None
        self._states: dict[str, VoiceState] = {}  # by source
        self._lock = threading.Lock()

    @property
    def model(self) -> "TTSModel":
        from ..config.load import load_config
        from ..tts import TTSModel

        if self._model is None:
            setup = self.setup
            config = setup.model if isinstance(setup.model, Config) else load_config(setup.model)
            self._model = TTSModel.load(
                config=config, precision=setup.precision, threads=setup.threads, cache=setup.cache, **setup.options
            )
        return self._model

    def voice(self, name: str) -> "VoiceState":
        """The state of a voice of the setup."""
        source = self.setup.voices.get(name.lower(), name)
        if source not in self._states:
            self._states[source] = self.model.get_voice_state(source)
        return self._states[source]

    def speak(self, order: Order) -> Spoken:
        """Speak a chunk. Raises the errors of `TTSModel.load` and `TTSModel.get_voice_state`."""
        with self._lock:
            model, start = self.model, perf_counter()
            options: Options = model.options.without_level().replace(seed=order.seed, verify=self.setup.verify)
            with_attention = self.setup.with_words or self.setup.verify
            utterance = Utterance([order.chunk], self.voice(order.voice), options, with_attention)
            utterance.chunks = order.number
            timeline = model.timeline() if self.setup.with_words else None
            blocks = model.speak(utterance)
            samples = [block for _, block in (timeline.follow(blocks) if timeline else blocks)]
            pcm = pcm16(np.concatenate(samples)) if samples else b""
            return Spoken(pcm, timeline.words if timeline else [], perf_counter() - start, [])


class ThisMachine:
    """Speaks orders one by one. Implements `Backend`."""

    def __init__(self, setup: Setup) -> None:
        self.speaker = Speaker(setup)

    def speak(self, items: "Iterable[tuple[T, Order | None]]") -> "Iterator[tuple[T, Spoken | PocketTTSError | None]]":
        for item, order in items:
            result: Spoken | PocketTTSError | None = None
            if order is not None:
                try:
                    result = self.speaker.speak(order)
                except PocketTTSError as error:
                    result = error
            yield item, result
