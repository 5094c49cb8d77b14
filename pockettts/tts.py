"""The model as a library: load it, give it a voice, let it speak."""

import logging
import math
import os
from collections.abc import Callable, Iterator, MutableMapping
from functools import lru_cache, partial
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from . import ops
from .config.load import load_config
from .config.schema import Config
from .default import default_config
from .errors import ConfigError, OptionError, VoiceError
from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder, MimiEncoder
from .options import NUMBERS, PRECISIONS, Options
from .reading import chunks as text
from .reading.tokenizer import load_tokenizer
from .sound import files as audio
from .sound.loudness import level
from .sound.quality import problems as recording_problems
from .storage import hub
from .synthesis import Frame, Stepper, Take, Utterance, at_speed, levelled
from .voices import catalogue as voices
from .voices.cache import VoiceCache
from .voices.state import PromptEmbedding, VoiceState, check, check_prompt, read_voice
from .weights import cache as weights_cache
from .weights.packed import Weights
from .weights.safetensors import Tensor, fingerprint, read_safetensors
from .weights.training_names import read_flow_lm, read_mimi

if TYPE_CHECKING:
    from .words.alignment import Word
    from .words.timestamps import Timeline

VOICE_SECONDS = 30  # of a voice prompt that are used
TAKES = 4  # of a chunk at most, where the first ones have faults
OVERLAP = (
    32 << 20
)  # bytes of backbone from which latents are made ahead; kernels of less are over too soon, and the two
# threads wait for Python's lock (the 2m model took 1.6 times as long)

logger = logging.getLogger("pockettts")


class TTSModel:
    """A loaded model. Its weights are shared by all streams; what a stream remembers lives in the stream.

    Attributes: `config`, `sample_rate` (Hz), `default_voice`, and `options`, which hold where a call does not say otherwise.
    """

    def __init__(
        self,
        config: Config,
        options: Options,
        tokenizer,
        flow_lm: FlowLM,
        decoder: MimiDecoder,
        encoder: MimiEncoder | None,
        overlap: bool,
        fingerprint: Callable[[], str],
        voice_cache: VoiceCache | None,
    ) -> None:
        self.config, self.options, self.tokenizer = config, options, tokenizer
        self.flow_lm, self.decoder, self.encoder, self.overlap = flow_lm, decoder, encoder, overlap
        self.fingerprint, self.voice_cache = fingerprint, voice_cache  # of the flow LM's weights
        self.sample_rate: int = config.mimi.sample_rate
        self.voice_loudness: MutableMapping[VoiceState, float] = (
            WeakKeyDictionary()
        )  # LUFS, of voices that were levelled
        self.stepper = Stepper(flow_lm, decoder, self.sample_rate, config.mimi.frame_rate, config.alignment_heads or [])

    @classmethod
    def load(
        cls,
        name: str | None = None,
        *,
        config: str | Path | Config | None = None,
        precision: str | None = None,
        threads: int | None = None,
        cache: bool = True,
        **options: float | None,
    ) -> "TTSModel":
        """Load a model, downloading what is not here yet.

        Args:
            name: one of `pockettts models`; by default what `default_config` chooses: `english`, or else the bundled `mini`.
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
        c = config if isinstance(config, Config) else _config(name if config is None else config)
        own = Options(temperature=c.default_temperature, eos_threshold=c.default_eos_threshold).replace(**options)
        tokenizer = load_tokenizer(hub.local_path(c.flow_lm.lookup_table.tokenizer_path), c.flow_lm.lookup_table.n_bins)
        tensors, files, can_clone = _read_tensors(c)
        w = Weights(tensors, " + ".join(map(str, files)), precision)
        flow_lm = FlowLM(
            w / "flow_lm", c.flow_lm, c.mimi.quantizer.dimension, c.mimi.inner_dim or c.mimi.seanet.dimension
        )
        decoder = MimiDecoder(w / "mimi", c.mimi)
        if cache:
            weights_cache.pack(w, c.name, files)
        else:
            w.pack()
        encoder = MimiEncoder(w / "mimi", c.mimi)  # repacked when the first voice is cloned, if ever
        w.finish()
        backbone = sum(
            tensor.array.nbytes for name, tensor in tensors.items() if name.startswith("flow_lm.transformer.")
        )
        voice_cache = VoiceCache(partial(fingerprint, tensors), precision, VOICE_SECONDS) if cache else None
        return cls(
            c,
            own,
            tokenizer,
            flow_lm,
            decoder,
            encoder if can_clone else None,
            backbone > OVERLAP,
            lru_cache(partial(fingerprint, tensors, "flow_lm.")),
            voice_cache,
        )

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
            check(voice, self.config, self.fingerprint, "the voice state")
            return voice
        if isinstance(voice, np.ndarray):
            return self._clone(_checked_samples(voice), "an array")
        if not isinstance(voice, str | Path):
            raise VoiceError(
                f"a voice can't be {type(voice).__name__}: give a name, a path, an address, or samples as a NumPy array"
            )
        path = voices.find(voice, self.config)
        if path.suffix == ".safetensors":
            state = read_voice(path)
            if isinstance(state, PromptEmbedding):
                return self._hear(check_prompt(state, self.config, path))
            check(state, self.config, self.fingerprint, path)
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
            if key and self.voice_cache.key(path) == key:  # not, if the file was changed meanwhile
                self.voice_cache.put(key, *known)
        state, problems = known
        for problem in problems:
            logger.warning("%s: %s", origin, problem)
        return state

    def _clone(self, samples: np.ndarray, origin: str) -> VoiceState:
        if not self.config.voice_cloning:
            raise VoiceError(
                f"{origin}: {self.config.name} can't clone voices: take another model, such as `--variant english`, "
                f"or one of its voices ({', '.join(voices.names(self.config))})"
            )
        if self.encoder is None:
            repo = voices.gated_page(self.config)
            raise VoiceError(
                f"{origin}: a voice can't be cloned, since the weights for that are not here: accept the terms at {repo}, log in "
                f"with `hf auth login`, and run `pockettts download {self.config.name}`; or take a voice of `pockettts voices`"
            )
        latents = self.encoder.encode(audio.end_on_pause(samples, self.sample_rate))  # [T, inner_dim]
        return self._hear(self.flow_lm.embed_voice(latents))

    def _hear(self, prompt: np.ndarray) -> VoiceState:
        """Prefill with a voice prompt's embeddings [T, d_model]."""
        lm = self.flow_lm
        if lm.bos_before_voice is not None:
            prompt = np.concatenate([lm.bos_before_voice, prompt])
        state = lm.init_state()
        lm.prefill(prompt, state)
        return VoiceState([cache.rows() for cache in state], self.config.name, self.fingerprint())

    # --- speech --------------------------------------------------------------------------------------------------------------

    def generate(self, text: str, voice: VoiceState | str | Path | np.ndarray, **options: float | None) -> np.ndarray:
        """Speak a text: float32 [samples] at `sample_rate`, nominally within -1 .. 1. Arguments and errors as `generate_stream`."""
        wanted = self.options.replace(**options)
        utterance = self.utterance(text, voice, wanted.unlevelled())
        audio = np.concatenate([block for _, block in self.speak(utterance)])
        return level(audio, self.sample_rate, wanted.loudness, wanted.volume) if wanted.is_levelled else audio

    def generate_stream(
        self, text: str, voice: VoiceState | str | Path | np.ndarray, **options: float | None
    ) -> Iterator[np.ndarray]:
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
        return (block for _, block in self.speak(self.utterance(text, voice, self.options.replace(**options))))

    def generate_events(
        self, text: str, voice: VoiceState | str | Path | np.ndarray, **options: float | None
    ) -> "Iterator[np.ndarray | Word]":
        """As `generate_stream`, and after the last block of each chunk its words, with their times since the start of the speech.

        Of a model without alignment heads a chunk is one "word". Arguments and errors as `generate_stream`.
        """
        utterance = self.utterance(text, voice, self.options.replace(**options), with_attention=True)
        timeline = self.timeline(text)
        return timeline.events(self.speak(utterance))

    def utterance(
        self, given: str, voice: VoiceState | str | Path | np.ndarray, options: Options, with_attention: bool = False
    ) -> Utterance:
        """A text to be spoken, for who steps it: as `generate_stream`, which steps one. watched: for a `timeline`."""
        parts = text.split_text(given, self.tokenizer, self.config, options.max_tokens, options.gap)
        return Utterance(parts, self.get_voice_state(voice), options, with_attention or options.verify)

    def timeline(self, given: str) -> "Timeline":
        """What finds the times of words while a text is spoken."""
        from .words.timestamps import Timeline

        return Timeline(given, self.tokenizer, self.sample_rate, self.config.mimi.frame_rate)

    def speak(self, utterance: Utterance) -> Iterator[tuple[Take | None, np.ndarray]]:
        """The blocks of an utterance, as `generate_stream` gives them, and which take each is of; None: silence between takes."""
        spoken = self._verified(utterance) if utterance.options.verify else self._spoken(utterance)
        paced = at_speed(spoken, utterance.options.speed, self.sample_rate)
        return levelled(paced, utterance, self.sample_rate, self.voice_loudness)

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
        from .words.timestamps import take_faults

        takes = [(take_faults(take, self.tokenizer), take, blocks)]
        most = TAKES if utterance.options.temperature else 1  # without noise all of them are the same
        while takes[-1][0] and len(takes) < most:
            again = list(self._spoken(utterance.again(take, len(takes))))
            takes.append((take_faults(again[0][0], self.tokenizer), again[0][0], [block for _, block in again]))
        wrong, best, blocks = min(takes, key=lambda one: len(one[0]))
        if takes[0][0]:
            logger.warning(
                "%.40r: %s; %s",
                take.chunk.text,
                takes[0][0],
                f"the best of {len(takes)} takes is kept, in which {wrong}" if wrong else f"take {len(takes)} is good",
            )
        return best, blocks

    def _spoken(self, utterance: Utterance) -> Iterator[tuple[Take | None, np.ndarray]]:
        made, team = self._made(utterance), None
        if self.overlap and ops.get_threads() > 1:
            team = ops.Team(ops.get_threads())
            made = _made_ahead(made, team)
        for item in made:
            if isinstance(item, Frame):
                with ops.working_as(team):
                    samples = self.stepper.decode(item)
                yield item.take, samples
            else:
                yield None, item

    def _made(self, utterance: Utterance) -> Iterator[Frame | np.ndarray]:
        """Frames and silence, in order."""
        while not utterance.finished:
            (made,) = self.stepper.step([utterance])
            if made is not None:
                yield made


def _made_ahead(items: Iterator, team: ops.Team) -> Iterator:
    """The same items; while one of them is dealt with by a team of all cores, a thread makes the next with half of them.

    So the flow LM, which waits for memory, and the decoder, which calculates, do not wait for each other at every layer, as they
    would on all cores in turn. The team has the other half, and all again as soon as the next item is there. The first item has
    all cores to itself, until it is dealt with: that is the time to first audio.
    """
    cores = team.size
    own = ops.Team(cores // 2)

    def following() -> Any:
        with ops.working_as(own):
            made = next(items, None)
        team.size = cores
        return made

    yield from islice(items, 1)
    from concurrent.futures import ThreadPoolExecutor

    item = next(items, None)
    with ThreadPoolExecutor(1, "pockettts") as worker:
        while item is not None:
            team.size = cores - own.size
            upcoming = worker.submit(following)
            yield item
            item = upcoming.result()


def _config(source: str | Path | None) -> Config:
    return default_config() if source is None else load_config(source)


def _read_tensors(c: Config) -> tuple[dict[str, Tensor], list[Path], bool]:
    """A model's tensors by official name, the files they are from, and whether they can clone voices."""
    tensors, files, can_clone = {}, [], True
    if c.flow_lm.weights_path and not c.weights_path:
        path = hub.local_path(c.flow_lm.weights_path)
        tensors |= read_flow_lm(path)
        files.append(path)
    if c.weights_path:
        path, can_clone = hub.local_path_or_open(c.weights_path, c.weights_path_without_voice_cloning)
        tensors |= read_safetensors(path)
        files.append(path)
    if c.mimi.weights_path:  # takes the place of the Mimi in the bundle
        path = hub.local_path(c.mimi.weights_path)
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("mimi.")}
        tensors |= read_mimi(path)
        files.append(path)
    if not files:
        raise ConfigError(
            f"{c.name}: the config names no weights: set weights_path, or flow_lm.weights_path and mimi.weights_path"
        )
    return tensors, files, can_clone


def _checked_samples(samples: np.ndarray) -> np.ndarray:
    if samples.ndim != 1 or len(samples) == 0 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
        raise VoiceError("an array as a voice must be samples: one dimension, floating point, finite, not empty")
    return samples.astype(np.float32, copy=False)


def _cores(system: Path = Path("/sys")) -> int:
    """Physical cores that this process may use: within its affinity, and the limit of its container."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = len(
        {_siblings(system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in allowed}
    )
    try:
        quota, period = (system / "fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # not Linux, or no limit ("max")
        return cores


def _siblings(path: Path) -> str:
    """Which CPUs are threads of the same core; "" where the system does not say. Two of them share the units that multiply."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
