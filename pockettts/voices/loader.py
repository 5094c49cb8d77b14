"""Load a voice state by name, file, address or bytes, or clone a voice from a recording or samples."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .. import ops
from ..config.schema import Config
from ..errors import PocketTTSError, VoiceError
from ..model.flow_lm import FlowLM
from ..model.mimi import MimiEncoder
from ..sound import files as audio
from ..sound.quality import problems as recording_problems
from . import catalog
from .cache import VoiceCache
from .folders import STATE, VoiceFolder, is_state
from .state import PromptEmbedding, VoiceState, check, check_prompt, read_voice

VOICE_SECONDS = 30  # only the start of a longer voice prompt is used
BYTES = "the recording"  # the name, in messages, of a voice that was given as bytes

Voice: TypeAlias = "str | Path | bytes | np.ndarray | VoiceState"

logger = logging.getLogger("pockettts")


def names(config: Config, own: VoiceFolder | None = None) -> list[str]:
    """The names of all voices that a model can use, own voices first. Own recordings are included only if the model can clone voices.

    own: the folder of own voices; None: the user's.
    """
    voices = (own or VoiceFolder()).voices().values()
    mine = [voice.name for voice in voices if config.voice_cloning or voice.path.suffix.lower() == STATE]
    return mine + [name for name in catalog.names(config) if name not in mine]


def find(voice: str | Path, config: Config, own: VoiceFolder | None = None) -> Path:
    """The file of a voice, downloaded if necessary. Arguments as in `locate`; raises the errors of `catalog.find`."""
    if isinstance(voice, str) and (known := (own or VoiceFolder()).find(voice)):
        return known.path
    return catalog.find(voice, config)


def locate(voice: str | Path, config: Config, own: VoiceFolder | None = None) -> str | Path:
    """The path or address of a voice. Nothing is downloaded.

    Args:
        voice: the name of an own voice, a name of the catalog, a path or an address.
        own: the folder of own voices; None: the user's.

    Raises:
        VoiceError: as in `catalog.locate`; or the voice is a recording, and the model can't clone voices.
    """
    known = (own or VoiceFolder()).find(voice) if isinstance(voice, str) else None
    if known is None and voice in catalog.names(config):
        return catalog.locate(voice, config)
    place = catalog.locate(voice, config) if known is None else known.path
    if not config.voice_cloning and Path(str(place).partition("?")[0]).suffix.lower() != STATE:
        raise _no_cloning(str(voice), config)
    return place


def _no_cloning(origin: str, config: Config) -> VoiceError:
    return VoiceError(
        f"{origin}: {config.name} can't clone voices: use another model, such as `--variant english`, "
        f"or one of its voices ({', '.join(catalog.names(config))})"
    )


class VoiceLoader:
    """Loads the voice states of one model.

    Args:
        config, flow_lm: the model.
        encoder: encodes recordings; None: its weights are not on this machine.
        fingerprint: returns the fingerprint of the flow LM's weights.
        cache: the cache of cloned voices; None: no cache on disk.
        own: the folder of own voices; None: the user's.
    """

    def __init__(
        self,
        config: Config,
        flow_lm: FlowLM,
        encoder: MimiEncoder | None,
        fingerprint: Callable[[], str],
        cache: VoiceCache | None,
        own: VoiceFolder | None = None,
    ) -> None:
        self.config, self.flow_lm, self.encoder, self.fingerprint = config, flow_lm, encoder, fingerprint
        self.cache, self.own = cache, own

    def load(self, voice: Voice) -> VoiceState:
        """The voice state. Arguments and errors as in `TTSModel.get_voice_state`."""
        if isinstance(voice, VoiceState):
            check(voice, self.config, self.fingerprint, "the voice state")
            return voice
        if isinstance(voice, np.ndarray):
            return self._clone(_check_samples(voice), "an array")
        if isinstance(voice, (bytes, bytearray)):
            return self._from_bytes(bytes(voice))
        if not isinstance(voice, (str, Path)):
            kind = type(voice).__name__
            raise VoiceError(f"a voice can't be {kind}: give a name, a path, an address, or samples as a NumPy array")
        path = find(voice, self.config, self.own)
        return self._from_file(path, str(voice), self.cache)

    def _from_bytes(self, data: bytes) -> VoiceState:
        """The state of a file's content. It is not cached on disk, since the data may come from a client."""
        with tempfile.TemporaryDirectory(prefix="pockettts-") as folder:  # sound can only be read from a file
            path = Path(folder, "voice" + STATE * is_state(data))
            path.write_bytes(data)
            try:
                return self._from_file(path, BYTES, None)
            except PocketTTSError as error:
                raise type(error)(str(error).replace(str(path), BYTES)) from None

    def _from_file(self, path: Path, origin: str, cache: VoiceCache | None) -> VoiceState:
        if path.suffix.lower() != STATE:
            return self._from_recording(path, origin, cache)
        state = read_voice(path)
        if isinstance(state, PromptEmbedding):
            return self._prefill(check_prompt(state, self.config, path))
        check(state, self.config, self.fingerprint, path)
        return state

    def _from_recording(self, path: Path, origin: str, cache: VoiceCache | None) -> VoiceState:
        """The state of a recording, computed or from the cache. Logs a warning for each problem of the recording."""
        key = cache.key(path) if cache else None
        known = cache.get(key) if cache and key else None
        if known is None:
            samples, cut = audio.read(path, self.config.mimi.sample_rate, VOICE_SECONDS)
            problems = recording_problems(samples, self.config.mimi.sample_rate)
            if cut:
                problems.append(f"only its first {VOICE_SECONDS} seconds are used as the voice")
            known = self._clone(samples, origin), problems
            if cache and key and cache.key(path) == key:  # otherwise the file has changed since
                cache.put(key, *known)
        state, problems = known
        for problem in problems:
            logger.warning("%s: %s", origin, problem)
        return state

    def _clone(self, samples: np.ndarray, origin: str) -> VoiceState:
        """Clone a voice: encode a voice prompt, float32 [samples], to latents, and prefill the flow LM with them."""
        if not self.config.voice_cloning:
            raise _no_cloning(origin, self.config)
        if self.encoder is None:
            repo = catalog.gated_page(self.config)
            raise VoiceError(
                f"{origin}: a voice can't be cloned without the weights for cloning: accept the terms at {repo}, log in with "
                f"`hf auth login`, and run `pockettts download {self.config.name}`; or use a voice of `pockettts voices`"
            )
        latents = self.encoder.encode(audio.end_on_pause(samples, self.config.mimi.sample_rate))  # [T, inner_dim]
        return self._prefill(self.flow_lm.embed_voice(latents))

    def _prefill(self, prompt: np.ndarray) -> VoiceState:
        """The state after the embeddings of a voice prompt, float32 [T, d_model]."""
        lm = self.flow_lm
        if lm.bos_before_voice is not None:
            prompt = np.concatenate([lm.bos_before_voice, prompt])
        state = lm.init_state()
        lm.prefill(prompt, state)
        ops.release_threads()
        return VoiceState([cache.rows() for cache in state], self.config.name, self.fingerprint())


def _check_samples(samples: np.ndarray) -> np.ndarray:
    if samples.ndim != 1 or len(samples) == 0 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
        raise VoiceError("an array as a voice must be samples: one dimension, floating point, finite, not empty")
    return samples.astype(np.float32, copy=False)
