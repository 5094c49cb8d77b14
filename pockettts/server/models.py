"""The models of a server: loaded at their first use, and dropped when there are too many in memory."""

import gc
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

from ..config.schema import Config
from ..errors import BusyError, OptionError, PocketTTSError
from ..options import Options
from ..tts import TTSModel
from ..voices.state import VoiceState
from .errors import RequestError
from .settings import Settings
from .voices import VoiceNames, Voices

CHECK_SECONDS = 0.25  # seconds between checks whether a client that waits for a model has left

Loaded: TypeAlias = tuple[TTSModel, VoiceState | None]

logger = logging.getLogger("pockettts.server")


@dataclass(frozen=True)
class Source:
    """A model that can be loaded. options: its defaults."""

    config: Config
    options: Options
    load: Callable[[], TTSModel]

    @classmethod
    def of(cls, model: TTSModel) -> "Source":
        """A source for a model that is already loaded."""
        return cls(model.config, model.options, lambda: model)


class Entry:
    """A model of the server, loaded or not.

    Attributes:
        name: the name that requests use.
        names: the names of its voices.
        config, options: its config and its default options.
        first: whether it is the first model of the server.
        loaded: the model and the state of its default voice (None if that can't be loaded); None if the model is not in memory.
    """

    def __init__(self, source: Source, settings: Settings, voices: Voices, first: bool) -> None:
        self.name, self.config, self.options, self.first = source.config.name, source.config, source.options, first
        self.names = VoiceNames(source.config, settings, voices.own, first)
        self.loaded: Loaded | None = None
        self._load = source.load
        self._users = 0  # responses that use the model now
        self._used = 0.0  # time of the last use
        self._leaving = False  # refuses new texts, because another model needs its place

    def load(self, voices: Voices) -> Loaded:
        """The model and the state of its default voice. Raises PocketTTSError."""
        model = self._load()
        for default in dict.fromkeys((self.names.default, model.default_voice)):
            self.names.default = default
            try:
                return model, voices.default_state(model, self.names)
            except PocketTTSError as error:
                if self.first:
                    raise
                logger.warning("%s: the default voice %s can't be loaded (%s)", self.name, default, error)
        return model, None  # other voices may work


class Models:
    """At most `settings.max_models` models in memory; the first is loaded now. Thread-safe.

    Raises:
        OptionError: two models have the same name.
        PocketTTSError: the first model or its default voice can't be loaded.
    """

    def __init__(self, sources: Sequence[Source], settings: Settings, voices: Voices) -> None:
        self.voices = voices
        self._max_models = settings.max_models or len(sources)
        self.entries: dict[str, Entry] = {}
        for source in sources:
            if source.config.name in self.entries:
                raise OptionError(f"two models are called {source.config.name}: give each a `name:` of its own")
            self.entries[source.config.name] = Entry(source, settings, voices, not self.entries)
        self.first = next(iter(self.entries.values()))
        self.first.loaded = self.first.load(voices)
        self._change = threading.Condition()  # guards the state of all entries
        self._changing = False  # a thread is loading a model, or waits for a place for it

    def entry(self, name: str | None) -> Entry:
        """The model of this name; for any other name, such as OpenAI's `tts-1`, the first model."""
        return self.entries.get(name or "", self.first)

    def acquire(self, entry: Entry, until: float, gone: Callable[[], bool]) -> Loaded:
        """The model and the state of its default voice, loaded if necessary. It stays in memory until `release`.

        Args:
            until: when to stop waiting, in the time of `monotonic`.
            gone: says whether the client has left.

        Raises:
            BusyError: the other models were in use until then.
            RequestError: the client has left, or the model can't be loaded.
        """
        with self._change:
            while not (entry.loaded and not entry._leaving):
                if not self._changing:
                    self._changing = True
                    break
                self._wait(until, gone)
            else:
                return self._hold(entry)
        try:
            with self._change:
                self._make_room(entry, until, gone)
            loaded = self._loaded(entry)
            with self._change:
                entry.loaded = loaded
                return self._hold(entry)
        finally:
            with self._change:
                self._changing = False
                self._change.notify_all()

    def release(self, entry: Entry) -> None:
        """Release the model; once for each `acquire`."""
        with self._change:
            entry._users -= 1
            entry._used = monotonic()
            self._change.notify_all()

    def _loaded(self, entry: Entry) -> Loaded:
        if entry.loaded:  # it was marked as leaving, and is needed again
            return entry.loaded
        start = monotonic()
        try:
            loaded = entry.load(self.voices)
        except PocketTTSError as error:  # the client does not get the reason: it may contain paths
            logger.warning("%s", error)
            raise RequestError(
                f"the model {entry.name} can't be loaded now; the server's log says why", 502, "model"
            ) from None
        logger.info("%s: loaded in %.1f seconds", entry.name, monotonic() - start)
        return loaded

    # --- with the lock ---------------------------------------------------------------------------------------------------

    def _hold(self, entry: Entry) -> Loaded:
        assert entry.loaded is not None
        entry._users += 1
        entry._leaving = False
        entry._used = monotonic()
        return entry.loaded

    def _make_room(self, entry: Entry, until: float, gone: Callable[[], bool]) -> None:
        """Drop models until there is a place for this one.

        The least recently used model is dropped. If all are in use, that one gets no new texts, so that the wait ends.
        """
        try:
            while not entry.loaded:
                others = [other for other in self.entries.values() if other.loaded]
                if len(others) < self._max_models:
                    return
                victim = min(others, key=lambda other: (other._users > 0, not other._leaving, other._used))
                if victim._users == 0:
                    self._drop(victim)
                else:
                    victim._leaving = True
                    self._wait(until, gone)
        finally:
            for other in self.entries.values():
                other._leaving = False

    def _drop(self, entry: Entry) -> None:
        assert entry.loaded is not None
        self.voices.forget(entry.loaded[0])
        entry.loaded = None
        gc.collect()  # now, because the next model needs the memory

    def _wait(self, until: float, gone: Callable[[], bool]) -> None:
        if gone():
            raise RequestError("the client left", 499)
        left = until - monotonic()
        if left <= 0:
            raise BusyError("other models are in use: try again in a moment")
        self._change.wait(min(CHECK_SECONDS, left))
