"""The Python API: load a model, choose a voice, generate speech."""

import math
import os
from collections.abc import Iterator, MutableMapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from . import ops
from .config.load import load_config
from .config.schema import Config
from .default import default_config
from .errors import ConfigError, OptionError
from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder, MimiEncoder
from .official import OfficialMethods
from .options import NUMBERS, PRECISIONS, Options
from .pipeline import speak
from .reading.chunks import split_text
from .reading.normalize import find_normalizer
from .reading.tokenizer import Tokenizer, load_tokenizer
from .schedule import Schedule
from .sound.loudness import level
from .storage import hub
from .synthesis import Block, Stepper, Utterance
from .voices import catalog
from .voices.cache import VoiceCache
from .voices.folders import VoiceFolder
from .voices.loader import VOICE_SECONDS, Voice, VoiceLoader
from .voices.state import VoiceState
from .weights import cache as weights_cache
from .weights.packed import Weights
from .weights.safetensors import Tensor, fingerprint, read_safetensors
from .weights.training_names import read_flow_lm, read_mimi

if TYPE_CHECKING:
    from .words.alignment import Word
    from .words.timestamps import Timeline


class TTSModel(OfficialMethods):
    """A loaded model. All streams share its weights; each stream has its own state.

    Attributes:
        config: the model's config.
        sample_rate: the sample rate in Hz.
        default_voice: the name of the voice to use if none is chosen.
        options: the default options of every call.
        voices: the loader of voice states, used by `get_voice_state`.
    """

    def __init__(
        self,
        config: Config,
        options: Options,
        tokenizer: Tokenizer,
        flow_lm: FlowLM,
        decoder: MimiDecoder,
        voices: VoiceLoader,
    ) -> None:
        self.config, self.options, self.tokenizer = config, options, tokenizer
        self.flow_lm, self.decoder, self.voices, self.schedule = flow_lm, decoder, voices, Schedule()
        self.sample_rate: int = config.mimi.sample_rate
        self.voice_loudness: MutableMapping[VoiceState, float] = WeakKeyDictionary()  # measured LUFS
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
        voices_dir: str | Path | None = None,
        **options: Any,
    ) -> "TTSModel":
        """Load a model. Files that are not on this machine are downloaded.

        Args:
            name: a model of `pockettts models`; None: the choice of `default_config`, which is `english` or the bundled `mini`.
            config: a config instead of a name: a YAML or JSON file (path, `https://` or `hf://`), or a loaded config.
            precision: number format of the weight matrices: "f32", "bf16" or "int8"; None: that of the file, without loss. "int8"
                takes less memory and time and changes the speech slightly (figures in docs/speed.md).
            threads: number of kernel threads in this process; None: the number of physical cores, at most 8.
            cache: keep packed weights and the states of cloned voices on disk for the next start.
            voices_dir: the folder of the user's own voices, named after their files; None: that of `pockettts voices`.
            options: fields of `Options`, such as temperature and lsd_decode_steps, as the defaults of this model; None: the default
                of the config or of `Options`.

        Raises:
            ConfigError, DownloadError, WeightsError, OptionError: the message says what to do.
        """
        if name is not None and config is not None:
            raise OptionError(f"both a model, {name!r}, and a config, {str(config)!r:.80}, are given: give one")
        if precision not in (None, *PRECISIONS):
            raise OptionError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        ops.set_threads(min(8, _cores()) if threads is None else int(NUMBERS["threads"].check(threads)))
        c = config if isinstance(config, Config) else _find_config(name if config is None else config)
        tokenizer = load_tokenizer(hub.local_path(c.flow_lm.lookup_table.tokenizer_path), c.flow_lm.lookup_table.n_bins)
        tensors, files, can_clone = _read_tensors(c)
        w = Weights(tensors, " + ".join(map(str, files)), precision)
        flow_lm = FlowLM(w / "flow_lm", c.flow_lm, c.mimi.latent_dim, c.mimi.voice_dim)
        decoder = MimiDecoder(w / "mimi", c.mimi)
        if cache:
            weights_cache.pack(w, c.name, files)
        else:
            w.pack()
        encoder = MimiEncoder(w / "mimi", c.mimi)  # packed when the first voice is cloned
        w.finish()
        ops.release_threads()
        voices = VoiceLoader(
            c,
            flow_lm,
            encoder if can_clone else None,
            lru_cache(partial(fingerprint, tensors, "flow_lm.")),
            VoiceCache(partial(fingerprint, tensors), precision, VOICE_SECONDS) if cache else None,
            VoiceFolder(voices_dir) if voices_dir is not None else None,
        )
        return cls(c, default_options(c, **options), tokenizer, flow_lm, decoder, voices)

    # --- voices --------------------------------------------------------------------------------------------------------------

    @property
    def default_voice(self) -> str:
        return catalog.default_voice(self.config)

    def get_voice_state(self, voice: Voice) -> VoiceState:
        """Load a voice or clone it from a recording: the state of the flow LM after the voice prompt, for `generate`.

        Args:
            voice: the name of an own voice or of the catalog; a sound file or a .safetensors state, as a path, `hf://`,
                `https://` or bytes; or samples, float32 [N] at `sample_rate`.

        Raises:
            VoiceError: the voice is unknown or of another model, or this model can't clone voices.
            AudioError: the recording can't be read.
            DownloadError: the file can't be downloaded.
        """
        return self.voices.load(voice)

    # --- speech --------------------------------------------------------------------------------------------------------------

    def generate(self, text: str, voice: Voice, **options: Any) -> np.ndarray:
        """Speak a text. Arguments and errors as in `generate_stream`.

        Returns: float32 [samples] at `sample_rate`, nominally within -1 .. 1.
        """
        wanted = self.options.replace(**options)
        utterance = self.utterance(text, voice, wanted.without_level())
        audio = np.concatenate([samples for _, samples in self.speak(utterance)])
        return level(audio, self.sample_rate, wanted.loudness, wanted.volume) if wanted.changes_level else audio

    def generate_stream(self, text: str, voice: Voice, **options: Any) -> Iterator[np.ndarray]:
        """Speak a text frame by frame. Yields float32 [1920] (80 ms) as soon as it is decoded; the last block of a pause is shorter.

        You can stop the iteration at any time; no cleanup is needed.

        Args:
            text: a text of any length. Numbers, dates and abbreviations are spelled out as words unless the option `verbatim` is set
                (reading/normalize.py). The text is split into chunks of whole sentences. `[pause:500ms]`, SSML's `<break/>`, blank
                lines, and line breaks after headings and list items are pauses.
            voice: a voice state, or an argument of `get_voice_state`.
            options: fields of `Options`, such as seed and temperature, for this text; None: the model's default.

        Raises:
            TextError: the text has nothing to speak.
            OptionError: an option is outside its limits.
            VoiceError and others: as in `get_voice_state`. All errors are raised before the first frame.
        """
        return (block for _, block in self.speak(self.utterance(text, voice, self.options.replace(**options))))

    def generate_events(self, text: str, voice: Voice, **options: Any) -> "Iterator[np.ndarray | Word]":
        """Like `generate_stream`, but after the last block of each chunk it also yields the chunk's words, with their times.

        Times are seconds since the start of the speech. A model without alignment heads gives each chunk as one "word".
        """
        utterance = self.utterance(text, voice, self.options.replace(**options), with_attention=True)
        timeline = self.timeline()
        return timeline.events(self.speak(utterance))

    def utterance(self, text: str, voice: Voice, options: Options, with_attention: bool = False) -> Utterance:
        """The utterance of a text, for `speak` or the engine. with_attention: record the attention that `timeline` needs."""
        normalizer = find_normalizer(self.config.language, options.verbatim, options.lexicon, options.emoji)
        parts = split_text(text, self.tokenizer, self.config, options.max_tokens, options.gap, normalizer)
        return Utterance(parts, self.get_voice_state(voice), options, with_attention or options.verify)

    def timeline(self) -> "Timeline":
        """A stage that finds the times of words while a text is spoken."""
        from .words.timestamps import Timeline

        return Timeline(self.tokenizer, self.sample_rate, self.config.alignment_lead or 0)

    def speak(self, utterance: Utterance) -> Iterator[Block]:
        """The blocks of an utterance, as in `generate_stream`, each with its take."""
        return speak(self.stepper, utterance, self.tokenizer, self.schedule, self.voice_loudness)


def default_options(config: Config, **options: float | None) -> Options:
    """The default options of a model, changed by the given ones. Raises OptionError."""
    own = Options(temperature=config.default_temperature, eos_threshold=config.default_eos_threshold)
    return own.replace(**options)


def _find_config(source: str | Path | None) -> Config:
    return default_config() if source is None else load_config(source)


def _read_tensors(c: Config) -> tuple[dict[str, Tensor], list[Path], bool]:
    """The tensors of a model by official name, their files, and whether they can clone voices."""
    tensors: dict[str, Tensor] = {}
    files: list[Path] = []
    can_clone = True
    if c.flow_lm.weights_path and not c.weights_path:
        path = hub.local_path(c.flow_lm.weights_path)
        tensors |= read_flow_lm(path)
        files.append(path)
    if c.weights_path:
        path, can_clone = hub.local_path_or_open(c.weights_path, c.weights_path_without_voice_cloning)
        tensors |= read_safetensors(path)
        files.append(path)
    if c.mimi.weights_path:  # replaces the Mimi of the single file
        path = hub.local_path(c.mimi.weights_path)
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("mimi.")}
        tensors |= read_mimi(path)
        files.append(path)
    if not files:
        raise ConfigError(
            f"{c.name}: the config names no weights: set weights_path, or flow_lm.weights_path and mimi.weights_path"
        )
    return tensors, files, can_clone


def _cores(system: Path = Path("/sys")) -> int:
    """The number of physical cores that this process may use, by its affinity and the limit of its container."""
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
    """The CPUs that are threads of the same core; "" if unknown. Threads of one core share its arithmetic units."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
