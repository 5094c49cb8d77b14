"""The model as a library: load it, give it a voice, let it speak."""
import logging
import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import audio, hub, ops, text, voices, weights, weights_cache
from .ahead import Schedule
from .config import DEFAULT_MODEL, Config, load_config
from .errors import ConfigError, OptionError, VoiceError
from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder, MimiEncoder
from .options import NUMBERS, PRECISIONS, Options
from .recording import problems as recording_problems
from .speech import Frame, Stepper, Take, Utterance, at_speed
from .tokenizer import load_tokenizer
from .voice_cache import VoiceCache
from .voices import VoiceState

if TYPE_CHECKING:
    from .align import Word
    from .timestamps import Timeline

VOICE_SECONDS = 30           # of a voice prompt that are used
TAKES = 4                    # of a chunk at most, where the first ones have faults

logger = logging.getLogger("pockettts")


class TTSModel:
    """A loaded model. Its weights are shared by all streams; what a stream remembers lives in the stream.

    Attributes: `config`, `sample_rate` (Hz), `default_voice`, and `options`, which hold where a call does not say otherwise.
    """

    def __init__(self, config: Config, options: Options, tokenizer, flow_lm: FlowLM, decoder: MimiDecoder,
                 encoder: MimiEncoder | None, identity: Callable[[], str], voice_cache: VoiceCache | None) -> None:
        self.config, self.options, self.tokenizer = config, options, tokenizer
        self.flow_lm, self.decoder, self.encoder, self.schedule = flow_lm, decoder, encoder, Schedule()
        self.identity, self.voice_cache = identity, voice_cache                 # of the flow LM's weights
        self.sample_rate: int = config.mimi.sample_rate
        self.stepper = Stepper(flow_lm, decoder, self.sample_rate, config.mimi.frame_rate, config.alignment_heads or [])

    @classmethod
    def load(cls, name: str | None = None, *, config: str | Path | Config | None = None, precision: str | None = None,
             threads: int | None = None, cache: bool = True, **options: float | None) -> "TTSModel":
        """Load a model, downloading what is not here yet.

        Args:
            name: one of `pockettts models`; the default is `b6369a24`.
            config: instead of a name, a YAML file: a path, `https://` or `hf://`; or what `load_config` made of either.
            precision: "f32" or "bf16" for the matrices; by default as the file has them, which loses nothing. "int8" for those of
                the backbone: less memory and time again, and nearly the same speech (README has figures).
            threads: of the kernels, for the whole process; by default as many as there are physical cores, at most 8.
            cache: keep what takes long to make, packed weights and the states of cloned voices, on the disk for the next time.
            options: temperature, lsd_decode_steps, eos_threshold, noise_clamp and others of `Options`, for all that this model
                says; None, like none, is its config's own, or the default of `Options`.

        Raises:
            PocketTTSError: what it is says what to do. ConfigError, DownloadError, WeightsError, OptionError.
        """
        if name is not None and config is not None:
            raise OptionError(f"both a model, {name!r}, and a config, {str(config)!r:.80}, are given: give one")
        if precision not in (None, *PRECISIONS):
            raise OptionError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        ops.set_threads(min(8, _cores()) if threads is None else NUMBERS["threads"].check(threads))
        c = config if isinstance(config, Config) else load_config(config if config is not None else name or DEFAULT_MODEL)
        own = Options(temperature=c.default_temperature, eos_threshold=c.default_eos_threshold).but(**options)
        tokenizer = load_tokenizer(hub.local_path(c.flow_lm.lookup_table.tokenizer_path), c.flow_lm.lookup_table.n_bins)
        tensors, files, can_clone = _read_tensors(c)
        w = weights.Weights(tensors, " + ".join(map(str, files)), precision)
        flow_lm = FlowLM(w / "flow_lm", c.flow_lm, c.mimi.quantizer.dimension, c.mimi.inner_dim or c.mimi.seanet.dimension)
        decoder = MimiDecoder(w / "mimi", c.mimi)
        if cache:
            weights_cache.pack(w, c.name, files)
        else:
            w.pack()
        encoder = MimiEncoder(w / "mimi", c.mimi)      # repacked when the first voice is cloned, if ever
        w.finish()
        ops.release_threads()
        voice_cache = VoiceCache(partial(weights.identity, tensors), precision, VOICE_SECONDS) if cache else None
        return cls(c, own, tokenizer, flow_lm, decoder, encoder if can_clone else None,
                   lru_cache(partial(weights.identity, tensors, "flow_lm.")), voice_cache)

    # --- voices --------------------------------------------------------------------------------------------------------------

    @property
    def default_voice(self) -> str:
        return voices.default_voice(self.config)

    def get_voice_state(self, voice: str | Path | np.ndarray | VoiceState) -> VoiceState:
        """The state of the flow LM after it has heard a voice, for `generate`.

        Args:
            voice: a name of the catalogue; a sound file or a .safetensors state, as a path, `hf://` or `https://`;
                or samples, float32 [N] at `sample_rate`.

        Raises:
            VoiceError, AudioError, DownloadError: not known, not readable, of another model, or this model can't clone.
        """
        if isinstance(voice, VoiceState):
            voices.check(voice, self.config, self.identity, "the voice state")
            return voice
        if isinstance(voice, np.ndarray):
            return self._clone(_checked_samples(voice), "an array")
        path = voices.find(voice, self.config)
        if path.suffix == ".safetensors":
            state = voices.read_voice(path)
            if isinstance(state, voices.PromptEmbedding):
                return self._hear(voices.check_prompt(state, self.config, path))
            voices.check(state, self.config, self.identity, path)
            return state
        return self._recorded(path, str(voice))

    def _recorded(self, path: Path, origin: str) -> VoiceState:
        """The state of a recording, made now or kept from the last time; says what is wrong with the recording."""
        key = self.voice_cache and self.voice_cache.key(path)
        known = key and self.voice_cache.get(key)
        if not known:
            samples, cut = audio.read(path, self.sample_rate, VOICE_SECONDS)
            problems = recording_problems(samples, self.sample_rate)
            if cut:
                problems.append(f"only its first {VOICE_SECONDS} seconds are used as the voice")
            known = self._clone(samples, origin), problems
            if key and self.voice_cache.key(path) == key:                       # not, if the file was changed meanwhile
                self.voice_cache.put(key, *known)
        state, problems = known
        for problem in problems:
            logger.warning("%s: %s", origin, problem)
        return state

    def _clone(self, samples: np.ndarray, origin: str) -> VoiceState:
        if self.encoder is None:
            repo = voices.gated_page(self.config)
            raise VoiceError(
                f"{origin}: a voice can't be cloned, since the weights for that are not here: accept the terms at {repo}, log in "
                f"with `hf auth login`, and run `pockettts download {self.config.name}`; or take a voice of `pockettts voices`")
        latents = self.encoder.encode(audio.end_on_pause(samples, self.sample_rate))    # [T, inner_dim]
        return self._hear(self.flow_lm.embed_voice(latents))

    def _hear(self, prompt: np.ndarray) -> VoiceState:
        """Prefill with a voice prompt's embeddings [T, d_model]."""
        lm = self.flow_lm
        if lm.bos_before_voice is not None:
            prompt = np.concatenate([lm.bos_before_voice, prompt])
        state = lm.init_state()
        lm.prefill(prompt, state)
        ops.release_threads()
        return VoiceState([cache.rows() for cache in state], self.config.name, self.identity())

    # --- speech --------------------------------------------------------------------------------------------------------------

    def generate(self, text: str, voice: VoiceState | str | Path | np.ndarray, **options: float | None) -> np.ndarray:
        """Speak a text: float32 [samples] at `sample_rate`, nominally within -1 .. 1. Arguments and errors as `generate_stream`."""
        return np.concatenate(list(self.generate_stream(text, voice, **options)))

    def generate_stream(self, text: str, voice: VoiceState | str | Path | np.ndarray,
                        **options: float | None) -> Iterator[np.ndarray]:
        """Speak a text frame by frame: float32 [1920] each (80 ms), as soon as it is decoded; the last of a pause may be shorter.

        The iterator may be left at any time; there is nothing to clean up.

        Args:
            text: of any length; it is spoken in chunks of whole sentences, with pauses where it has `[pause:500ms]`, SSML's
                `<break/>`, blank lines, or line breaks after headings and items of lists.
            voice: a voice state, or what `get_voice_state` takes.
            options: seed, temperature and others of `Options`, for this text; None, like none, is the model's own.

        Raises:
            TextError: nothing to speak, or a pause that is none. VoiceError and others: as `get_voice_state`. OptionError.
            All before the first frame.
        """
        return (block for _, block in self.speak(self.utterance(text, voice, self.options.but(**options))))

    def generate_events(self, text: str, voice: VoiceState | str | Path | np.ndarray,
                        **options: float | None) -> "Iterator[np.ndarray | Word]":
        """As `generate_stream`, and after the last block of each chunk its words, with their times since the start of the speech.

        Of a model without alignment heads a chunk is one "word". Arguments and errors as `generate_stream`.
        """
        utterance = self.utterance(text, voice, self.options.but(**options), watched=True)
        timeline = self.timeline(text)
        return timeline.events(self.speak(utterance))

    def utterance(self, given: str, voice: VoiceState | str | Path | np.ndarray, options: Options, watched: bool = False) -> Utterance:
        """A text to be spoken, for who steps it: as `generate_stream`, which steps one. watched: for a `timeline`."""
        parts = text.parts(given, self.tokenizer, self.config, options.max_tokens, options.gap)
        return Utterance(parts, self.get_voice_state(voice), options, watched or options.verify)

    def timeline(self, given: str) -> "Timeline":
        """What finds the times of words while a text is spoken."""
        from .timestamps import Timeline

        return Timeline(given, self.tokenizer, self.sample_rate, self.config.mimi.frame_rate)

    def speak(self, utterance: Utterance) -> Iterator[tuple[Take | None, np.ndarray]]:
        """The blocks of an utterance, as `generate_stream` gives them, and which take each is of; None: silence between takes."""
        spoken = self._verified(utterance) if utterance.options.verify else self._spoken(utterance)
        return at_speed(spoken, utterance.options.speed, self.sample_rate)

    def _verified(self, utterance: Utterance) -> Iterator[tuple[Take | None, np.ndarray]]:
        """The same as `_spoken`, but of each chunk the first take without faults, or the best of several."""
        for take, items in groupby(self._spoken(utterance), itemgetter(0)):
            blocks = [block for _, block in items]
            if take is not None:
                take, blocks = self._best_take(utterance, take, blocks)
            for block in blocks:
                yield take, block

    def _best_take(self, utterance: Utterance, take: Take, blocks: list[np.ndarray]) -> tuple[Take, list[np.ndarray]]:
        """A take and its blocks, or those of a better one; says what it did."""
        from .timestamps import take_faults

        takes = [(take_faults(take, self.tokenizer), take, blocks)]
        most = TAKES if utterance.options.temperature else 1                    # without noise all of them are the same
        while takes[-1][0] and len(takes) < most:
            again = list(self._spoken(utterance.again(take, len(takes))))
            takes.append((take_faults(again[0][0], self.tokenizer), again[0][0], [block for _, block in again]))
        wrong, best, blocks = min(takes, key=lambda one: len(one[0]))
        if takes[0][0]:
            logger.warning("%.40r: %s; %s", take.chunk.text, takes[0][0],
                           f"the best of {len(takes)} takes is kept, in which {wrong}" if wrong else f"take {len(takes)} is good")
        return best, blocks

    def _spoken(self, utterance: Utterance) -> Iterator[tuple[Take | None, np.ndarray]]:
        def decode(item: Frame | np.ndarray) -> np.ndarray:
            return self.stepper.say(item) if isinstance(item, Frame) else item

        try:
            for item, samples in self.schedule.run(self._made(utterance), decode, lambda item: isinstance(item, Frame)):
                yield item.take if isinstance(item, Frame) else None, samples
        finally:
            ops.release_threads()

    def _made(self, utterance: Utterance) -> Iterator[Frame | np.ndarray]:
        """Frames and silence, in order."""
        while not utterance.finished:
            (made,) = self.stepper.think([utterance])
            if made is not None:
                yield made


def _read_tensors(c: Config) -> tuple[dict[str, weights.Tensor], list[Path], bool]:
    """A model's tensors by official name, the files they are from, and whether they can clone voices."""
    tensors, files, can_clone = {}, [], True
    if c.flow_lm.weights_path and not c.weights_path:
        path = hub.local_path(c.flow_lm.weights_path)
        tensors |= weights.read_flow_lm(path)
        files.append(path)
    if c.weights_path:
        path, can_clone = hub.local_path_or_open(c.weights_path, c.weights_path_without_voice_cloning)
        tensors |= weights.read_safetensors(path)
        files.append(path)
    if c.mimi.weights_path:                            # takes the place of the Mimi in the bundle
        path = hub.local_path(c.mimi.weights_path)
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("mimi.")}
        tensors |= weights.read_mimi(path)
        files.append(path)
    if not files:
        raise ConfigError(f"{c.name}: the config names no weights: set weights_path, or flow_lm.weights_path and mimi.weights_path")
    return tensors, files, can_clone


def _checked_samples(samples: np.ndarray) -> np.ndarray:
    if samples.ndim != 1 or len(samples) == 0 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
        raise VoiceError("an array as a voice must be samples: one dimension, floating point, finite, not empty")
    return samples.astype(np.float32, copy=False)


def _cores(system: Path = Path("/sys")) -> int:
    """Physical cores that this process may use: within its affinity, and the limit of its container."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = len({_siblings(system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in allowed})
    try:
        quota, period = (system / "fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):                      # not Linux, or no limit ("max")
        return cores


def _siblings(path: Path) -> str:
    """Which CPUs are threads of the same core; "" where the system does not say. Two of them share the units that multiply."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
