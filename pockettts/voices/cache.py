"""Voice states of recordings, kept by content beside the hub's files, so that one is encoded once.

An entry is a voice file like any other that also names its key, which stands for all that went into it, and a checksum. What is
damaged, of something else, or can't be read is made again; what can't be written is not kept. Together they stay below MOST bytes:
those that were not used for longest go first.
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

MOST = 512 << 20  # bytes; 10 s of speech are 6 MB for a model of 6 layers, 25 MB for one of 24

logger = logging.getLogger(__name__)


class VoiceCache:
    """The cached voice states of one model.

    weights, settings: what their bits depend on beside this package and the recording; the identity of the weights is asked for
    when it is needed.
    """

    def __init__(self, weights: Callable[[], str], *settings: str | int | None) -> None:
        self.folder = hub.assets("voices")
        self._weights, self._settings = weights, settings

    def key(self, recording: Path) -> str | None:
        """The cache key for the content of a file. None: the file can't be read."""
        digest = hashlib.sha256(repr((__version__, ops.ISA, self._weights(), *self._settings)).encode())
        try:
            with open(recording, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError:
            return None
        return digest.hexdigest()

    def get(self, key: str) -> tuple[VoiceState, list[str]] | None:
        """The cached state and the problems of its recording. None if there is no entry, or a damaged one."""
        path = self._path(key)
        try:
            says, state = read_safetensors(path).metadata, read_voice(path)
        except (PocketTTSError, OSError):
            return None
        if not isinstance(state, VoiceState) or says.get("key") != key or says.get("checksum") != _checksum(state):
            return None
        with suppress(OSError):  # read-only
            os.utime(path)  # mark as recently used
        return state, says.get("problems", "").splitlines()

    def put(self, key: str, state: VoiceState, problems: list[str]) -> None:
        """Store a state. Errors are ignored."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path(key)) as temporary:
                temporary.write_bytes(state.to_bytes(key=key, checksum=_checksum(state), problems="\n".join(problems)))
            trim(self.folder, MOST)
        except OSError as error:
            logger.debug("the voice was not kept for the next time: %s", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def _checksum(state: VoiceState) -> str:
    checksum = 0
    for layer in state.layers:
        checksum = zlib.crc32(np.ascontiguousarray(layer).data, checksum)
    return f"{checksum:08x}"
