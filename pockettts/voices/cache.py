"""The cache of cloned voices: the voice states of recordings, so that a recording is encoded only once. It is next to the hub's cache.

An entry is a voice state file whose metadata also has a checksum and the key: a hash of the recording and of everything else that
its bits depend on. An entry that is damaged or has another key is replaced. Errors of reading and writing are not fatal: the state is
then computed again. All entries together stay below MAX_BYTES; the least recently used are removed first.
"""

import hashlib
import logging
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from .. import __version__, ops
from ..errors import PocketTTSError
from ..storage import hub
from ..storage.files import trim, whole_file
from ..weights.safetensors import read_safetensors
from .state import VoiceState, read_voice

MAX_BYTES = 512 << 20  # 10 s of speech take 6 MB for a model of 6 layers, 25 MB for one of 24

logger = logging.getLogger(__name__)


class VoiceCache:
    """The cached voice states of one model.

    Args:
        weights: returns the fingerprint of the model's weights; called when it is needed.
        settings: other values that the bits of a state depend on; part of the key.
    """

    def __init__(self, weights: Callable[[], str], *settings: str | int | None) -> None:
        self.folder = hub.assets("voices")
        self._weights, self._settings = weights, settings

    def key(self, recording: Path) -> str | None:
        """The key of a recording's state; None if the file can't be read."""
        digest = hashlib.sha256(repr((__version__, ops.ISA, self._weights(), *self._settings)).encode())
        try:
            with open(recording, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError:
            return None
        return digest.hexdigest()

    def get(self, key: str) -> tuple[VoiceState, list[str]] | None:
        """The cached state, and the problems of its recording; None if there is no entry or it is damaged."""
        path = self._path(key)
        try:
            metadata, state = read_safetensors(path).metadata, read_voice(path)
        except (PocketTTSError, OSError):
            return None
        if not isinstance(state, VoiceState) or metadata.get("key") != key:
            return None
        if metadata.get("checksum") != _checksum(state):
            return None
        with suppress(OSError):  # read-only
            os.utime(path)  # most recently used
        return state, metadata.get("problems", "").splitlines()

    def put(self, key: str, state: VoiceState, problems: list[str]) -> None:
        """Store a state and the problems of its recording, if possible."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path(key)) as temporary:
                temporary.write_bytes(state.to_bytes(key=key, checksum=_checksum(state), problems="\n".join(problems)))
            trim(self.folder, MAX_BYTES)
        except OSError as error:
            logger.debug("the voice state was not cached: %s", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def _checksum(state: VoiceState) -> str:
    checksum = 0
    for layer in state.layers:
        checksum = zlib.crc32(np.ascontiguousarray(layer).data, checksum)
    return f"{checksum:08x}"
