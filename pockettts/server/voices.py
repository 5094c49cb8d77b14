"""Voices as requests name them: by a name of the catalogue, as an upload, by an address if the operator allows it.

No request ever names a file of this machine.
"""

import logging
import os
import tempfile
import threading
from collections import OrderedDict
from hashlib import sha256

from ..errors import BusyError, DownloadError, PocketTTSError
from ..tts import TTSModel
from ..voices import catalogue as voices
from ..voices.state import VoiceState
from . import remote
from .errors import RequestError
from .settings import Settings

CACHE_BYTES = 256 << 20  # of voice states; one is 3 to 10 MB for most models
MAX_WAITING = 8  # requests that wait while a voice is cloned or loaded

logger = logging.getLogger("pockettts.server")

# OpenAI's voices, and the voices that come near: one of the catalogue, one of the bundled model.
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


class Voices:
    """Voice states by name or by content, as many as fit into CACHE_BYTES; the default one is always there.

    Raises PocketTTSError if the default voice can't be had.
    """

    def __init__(self, model: TTSModel, settings: Settings, default: str | None = None) -> None:
        self.model, self.settings = model, settings
        self.default = model.default_voice if default is None else default
        self.names = voices.names(model.config)
        near = {name: next((v for v in both if v in self.names), self.default) for name, both in OPENAI_VOICES.items()}
        self.map = near | settings.voice_map
        self._cache: OrderedDict[str, VoiceState] = OrderedDict()
        self._lock = threading.Lock()  # of the cache
        self._work = threading.Lock()  # one voice at a time: cloning takes all cores, and memory
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._default_state = model.get_voice_state(self.default)
        model.voice_cache = None  # from now on: what strangers upload is not for this machine's disk

    @property
    def cached_bytes(self) -> int:
        with self._lock:
            return sum(map(_size, self._cache.values()))

    def state(self, voice: str | bytes | None) -> VoiceState:
        """The state of a voice.

        Args:
            voice: a name, an address, the content of a sound file or of a .safetensors state; or None, the default voice.

        Raises:
            Refusal, VoiceError, AudioError: no such voice, or none that can be used.
            BusyError: too many others wait for theirs.
        """
        if isinstance(voice, str):
            voice = self._known(voice)
        if voice is None or voice == self.default:
            return self._default_state
        key = voice if isinstance(voice, str) else sha256(voice).hexdigest()
        if not (state := self._cached(key)):
            if not self._waiting.acquire(blocking=False):
                raise BusyError("too many new voices at once: try again in a moment")
            try:
                with self._work:
                    state = self._cached(key) or self._made(voice)
                    self._keep(key, state)
            finally:
                self._waiting.release()
        return state

    def _known(self, name: str) -> str:
        """What a request calls a voice -> a name here, or an address."""
        if name in self.names:
            return name
        if name in self.map:
            there = self.map[name]
            return there if there in self.names else self.default
        if "://" not in name:
            raise RequestError(
                f"there is no voice {name[:60]!r}: take one of {', '.join(self.names[:30])}", param="voice"
            )
        if not self.settings.remote_voices:
            raise RequestError(
                "this server takes no voices by address: upload the file, or start it with --remote-voices",
                403,
                "voice",
            )
        return name

    def _made(self, voice: str | bytes) -> VoiceState:
        if isinstance(voice, str) and "://" not in voice:
            try:
                return self.model.get_voice_state(voice)
            except DownloadError as error:  # its reasons are the operator's
                logger.warning("%s", error)
                raise RequestError(
                    f"the voice {voice} can't be had now; the server's log says why", 502, "voice"
                ) from None
        name, data = (
            ("the upload", voice)
            if isinstance(voice, bytes)
            else (voice, remote.fetch(voice, self.settings.max_upload))
        )
        with tempfile.TemporaryDirectory(prefix="pockettts-") as folder:
            path = os.path.join(folder, "voice.safetensors" if _is_safetensors(data) else "voice")
            with open(path, "wb") as file:
                file.write(data)
            try:
                return self.model.get_voice_state(path)
            except PocketTTSError as error:
                raise RequestError(str(error).replace(path, name), param="voice") from None

    def _cached(self, key: str) -> VoiceState | None:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            return self._cache.get(key)

    def _keep(self, key: str, state: VoiceState) -> None:
        with self._lock:
            self._cache[key] = state
            while sum(map(_size, self._cache.values())) > CACHE_BYTES:
                self._cache.popitem(last=False)


def _size(state: VoiceState) -> int:
    return sum(layer.nbytes for layer in state.layers)


def _is_safetensors(data: bytes) -> bool:
    """Eight bytes of a length, then JSON: no sound file starts like that."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data)
