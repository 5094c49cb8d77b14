"""The voices of requests: own voices and the catalog by name, uploads, and URLs if the operator allows them.

Requests can't name files of this machine: a name is looked up in a list, and never becomes part of a path.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable
from hashlib import sha256

from ..config.schema import Config
from ..errors import BusyError, DownloadError, PocketTTSError, VoiceError
from ..sound.formats import RECORDINGS
from ..tts import TTSModel
from ..voices import catalog, loader
from ..voices.folders import STATE, FolderFull, NameTaken, OwnVoice, VoiceFolder, check_name, is_state
from ..voices.state import VoiceState
from . import remote
from .errors import RequestError
from .settings import Settings

CACHE_BYTES = 256 << 20  # of voice states; a state has 3 to 10 MB for most models
MAX_WAITING = 8  # requests that wait while a voice is cloned or loaded

logger = logging.getLogger("pockettts.server")

# OpenAI's voices with similar ones: one of the catalog and one of the bundled model.
OPENAI_VOICES = {
    "alloy": ("alba", "heart"),
    "ash": ("marius", "michael"),
    "ballad": ("paul", "michael"),
    "cedar": ("george", "michael"),
    "coral": ("fantine", "heart"),
    "echo": ("jean", "michael"),
    "fable": ("eponine", "heart"),
    "marin": ("mary", "heart"),
    "nova": ("cosette", "heart"),
    "onyx": ("javert", "michael"),
    "sage": ("azelma", "heart"),
    "shimmer": ("vera", "heart"),
    "verse": ("charles", "michael"),
}


class VoiceNames:
    """The names of the voices of one model. The model need not be loaded.

    Attributes:
        default: the voice of requests that name none: a name, or the operator's `--voice`.

    Args:
        config: the model.
        settings: of the server.
        own: the folder of own voices.
        first: whether it is the first model of the server, to which the operator's `--voice` belongs.
    """

    def __init__(self, config: Config, settings: Settings, own: VoiceFolder, first: bool) -> None:
        self.own, self._config, self._settings = own, config, settings
        given = settings.voice
        is_name = given is not None and (given in catalog.ORIGINS or own.find(given) is not None)
        is_of_another_model = not first and is_name and given not in self.all()
        self.default: str = catalog.default_voice(config) if given is None or is_of_another_model else given

    def all(self) -> list[str]:
        """The names of all voices that the model can use, own voices first."""
        return loader.names(self._config, self.own)

    def find(self, name: str) -> str:
        """Resolve the name of a voice in a request to one of `all`, the default, or a URL.

        The order: names of this server; names that the operator has mapped; OpenAI's names; the same names in upper or lower case.
        OpenAI's names stand for the operator's `--voice` if there is one, and otherwise for a similar voice.

        Raises RequestError: the voice does not exist, or URLs are not allowed.
        """
        names = self.all()
        if name in names:
            return name
        if name in self._settings.voice_map:
            mapped = self._settings.voice_map[name]
            return mapped if mapped in names else self.default
        if name in OPENAI_VOICES:
            similar = () if self._settings.voice is not None else OPENAI_VOICES[name]
            return next((voice for voice in similar if voice in names), self.default)
        if other := _ignoring_case(name, (*names, *self._settings.voice_map, *OPENAI_VOICES)):
            return self.find(other)
        if self.own.find(name):  # a recording, and the model can't clone voices: loading it explains that
            return name
        if "://" not in name:
            raise RequestError(f"there is no voice {name[:60]!r}: use one of {', '.join(names[:30])}", param="voice")
        if not self._settings.remote_voices:
            raise RequestError(
                "this server takes no voices by URL: upload the file, or start it with --remote-voices",
                403,
                "voice",
            )
        return name


class Voices:
    """The voice states of all models. The most recently used ones are cached, up to CACHE_BYTES."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.own = settings, VoiceFolder(settings.voices_dir)
        self._cache: OrderedDict[Hashable, VoiceState] = OrderedDict()
        self._lock = threading.Lock()  # guards the cache
        self._work = threading.Lock()  # cloning takes all cores and much memory, so one voice at a time
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)

    @property
    def cached_bytes(self) -> int:
        with self._lock:
            return sum(map(_size, self._cache.values()))

    def default_state(self, model: TTSModel, names: VoiceNames) -> VoiceState:
        """The state of a model's default voice. Raises PocketTTSError if it can't be loaded."""
        own = self.own.find(names.default)
        state = model.get_voice_state(own.path if own else names.default)
        if own:
            self._put_cached(_key(model, own), state)
        return state

    def state(
        self, model: TTSModel, names: VoiceNames, default: VoiceState | None, voice: str | bytes | None
    ) -> VoiceState:
        """The state of a voice.

        Args:
            model, names, default: the model, the names of its voices, and the state of its default voice if that could be loaded.
            voice: a name, a URL, the content of a sound file or of a .safetensors state; None: the default voice.

        Raises:
            RequestError, VoiceError, AudioError: the voice does not exist or can't be used.
            BusyError: too many requests wait for a new voice.
        """
        requested = voice
        if not isinstance(voice, bytes):
            voice = names.default if voice is None else names.find(voice)
        own = self.own.find(voice) if isinstance(voice, str) else None
        if own is None and default and voice == names.default:
            return default
        key = _key(model, own or voice)
        if state := self._get_cached(key):
            return state
        try:
            return self._load_once(model, key, own or voice)
        except DownloadError as error:  # the client does not get the reason: it may contain paths
            logger.warning("%s", error)
            name = requested.casefold() if isinstance(requested, str) else ""
            if default and name in OPENAI_VOICES and not _ignoring_case(name, self.settings.voice_map):
                return default  # programs send these names by default; nobody chose this voice
            raise RequestError(
                f"the voice {voice!s} can't be loaded now; the server's log says why", 502, "voice"
            ) from None

    def add(self, model: TTSModel, taken: Collection[str], name: str, data: bytes, suffix: str) -> OwnVoice:
        """Add an uploaded voice. Its state is computed first, so only usable files are stored.

        Args:
            taken: the names of the voices of all models.
            suffix: of the file's name at the client.

        Raises:
            RequestError: the name can't be used or is taken, the folder is full, or the file can't be written.
            RequestError, BusyError: as `state`, for a file that is not a voice.
        """
        try:
            name = check_name(name)
        except VoiceError as error:
            raise RequestError(str(error), param="name") from None
        if other := _ignoring_case(name, (*taken, *OPENAI_VOICES, *self.settings.voice_map)):
            raise RequestError(f"there is a voice {other!r} already: choose another name", 409, "name")
        key = _key(model, data)
        try:
            state = self._get_cached(key) or self._load_once(model, key, data)
        except RequestError as error:
            raise RequestError(str(error), error.status, "audio_sample") from None
        suffix = STATE if is_state(data) else suffix.lower() if suffix.lower() in RECORDINGS else ".wav"
        try:
            voice = self.own.upload(name, data, suffix, self.settings.max_uploaded, self.settings.max_uploaded_bytes)
        except (NameTaken, FolderFull) as error:
            raise RequestError(str(error), 409, "name") from None
        except VoiceError as error:
            raise _write_error(error) from None
        self._put_cached(_key(model, voice), state)
        return voice

    def remove(self, name: str) -> None:
        """Remove an uploaded voice. Raises RequestError: there is none of this name, or it is the operator's."""
        try:
            if self.own.remove(name, uploaded=True):
                return
        except VoiceError as error:
            raise _write_error(error) from None
        if self.own.find(name):
            raise RequestError(
                f"the voice {name[:60]!r} was not uploaded: only the operator of the server can remove it", 403, "voice"
            )
        raise RequestError(f"there is no uploaded voice {name[:60]!r}", 404, "voice")

    def forget(self, model: TTSModel) -> None:
        """Drop the cached states of a model."""
        with self._lock:
            for key in [key for key in self._cache if isinstance(key, tuple) and key[0] == id(model)]:
                del self._cache[key]

    def _load_once(self, model: TTSModel, key: Hashable, voice: OwnVoice | str | bytes) -> VoiceState:
        """Compute the state of a voice, one at a time, and cache it under the key. Raises BusyError if too many requests wait."""
        if not self._waiting.acquire(blocking=False):
            raise BusyError("too many new voices at once: try again in a moment")
        try:
            with self._work:
                state = self._get_cached(key) or self._load(model, voice)
                self._put_cached(key, state)
                return state
        finally:
            self._waiting.release()

    def _load(self, model: TTSModel, voice: OwnVoice | str | bytes) -> VoiceState:
        """Compute the state of a voice. Error messages do not contain paths of this machine."""
        known_as = (
            voice.path.name if isinstance(voice, OwnVoice) else "the upload" if isinstance(voice, bytes) else voice
        )
        try:
            if isinstance(voice, OwnVoice):
                return model.get_voice_state(voice.path)
            if isinstance(voice, str) and "://" not in voice:
                return model.get_voice_state(voice)
            if isinstance(voice, str):
                voice = remote.fetch(voice, self.settings.max_upload)
            return model.get_voice_state(voice)
        except (DownloadError, RequestError):
            raise
        except PocketTTSError as error:
            path = str(voice.path) if isinstance(voice, OwnVoice) else loader.BYTES
            raise RequestError(str(error).replace(path, known_as), param="voice") from None

    def _get_cached(self, key: Hashable) -> VoiceState | None:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            return self._cache.get(key)

    def _put_cached(self, key: Hashable, state: VoiceState) -> None:
        with self._lock:
            self._cache[key] = state
            while sum(map(_size, self._cache.values())) > CACHE_BYTES:
                self._cache.popitem(last=False)


def _ignoring_case(name: str, known: Iterable[str]) -> str | None:
    """The known name that is equal except for upper and lower case; None if there is none."""
    return next((other for other in known if other.casefold() == name.casefold()), None)


def _write_error(error: VoiceError) -> RequestError:
    """The error if the folder can't be changed. The message with the path goes to the log only."""
    logger.warning("%s", error)
    return RequestError("the folder of voices can't be changed now; the server's log says why", 507)


def _key(model: TTSModel, voice: OwnVoice | str | bytes) -> tuple[int, Hashable]:
    if isinstance(voice, OwnVoice):
        return id(model), (str(voice.path), *voice.version)
    return id(model), voice if isinstance(voice, str) else sha256(voice).digest()


def _size(state: VoiceState) -> int:
    return sum(layer.nbytes for layer in state.layers)
