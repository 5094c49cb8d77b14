"""The model as a library: load it, give it a voice, let it speak."""
import logging
import math
import os
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from . import audio, hub, ops, text, voices, weights
from .config import DEFAULT_MODEL, Config, load_config
from .errors import ConfigError, OptionError, TextError, VoiceError
from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder, MimiEncoder
from .model.state import KVCache
from .tokenizer import load_tokenizer
from .voices import VoiceState

MAX_TOKENS = 50              # of a chunk; the models are trained on single sentences
VOICE_SECONDS = 30           # of a voice prompt that are used
MIN_FRAMES = 6               # EOS is not believed before: some voices cross the threshold ahead of the first word
OVERLAP = 32 << 20           # bytes of backbone from which latents are made ahead; kernels of less are over too soon, and the two
                             # threads wait for Python's lock (the 2m model took 1.6 times as long)
FADE_IN = 1 / 200            # seconds; a fresh decoder starts with a small step, which would click

logger = logging.getLogger("pockettts")


class TTSModel:
    """A loaded model. Its weights are shared by all streams; what a stream remembers lives in the stream.

    Attributes: `config`, `sample_rate` (Hz), `default_voice`, and the options `temperature`, `lsd_decode_steps`,
    `eos_threshold`, `noise_clamp`, which may be changed between calls through `set_options`.
    """

    def __init__(self, config: Config, tokenizer, flow_lm: FlowLM, decoder: MimiDecoder, encoder: MimiEncoder | None,
                 overlap: bool) -> None:
        self.config, self.tokenizer, self.flow_lm, self.decoder, self.encoder = config, tokenizer, flow_lm, decoder, encoder
        self.overlap = overlap
        self.sample_rate: int = config.mimi.sample_rate
        self.set_options()

    @classmethod
    def load(cls, name: str | None = None, *, config: str | Path | None = None, temperature: float | None = None,
             lsd_decode_steps: int | None = None, eos_threshold: float | None = None, noise_clamp: float | None = None,
             precision: str | None = None, threads: int | None = None) -> "TTSModel":
        """Load a model, downloading what is not here yet.

        Args:
            name: one of `pockettts models`; the default is `b6369a24`.
            config: instead of a name, a YAML file: a path, `https://` or `hf://`.
            temperature: variance of the noise that latents are sampled from; 0 always says it the same way.
            lsd_decode_steps: steps of the sampler for each latent.
            eos_threshold: the EOS logit above which speech ends.
            noise_clamp: largest absolute value of the noise.
            precision: "f32" or "bf16" for the matrices; by default as the file has them, which loses nothing.
            threads: of the kernels, for the whole process; by default as many as there are cores, at most 8.
            For the four options, None means the model's own: its config's, 1 step, no clamp.

        Raises:
            PocketTTSError: what it is says what to do. ConfigError, DownloadError, WeightsError, OptionError.
        """
        if name is not None and config is not None:
            raise OptionError(f"both a model, {name!r}, and a config, {str(config)!r}, are given: give one")
        if precision not in (None, "f32", "bf16"):
            raise OptionError(f"precision {precision!r}: choose f32 or bf16")
        if threads is not None and not 1 <= threads <= 1024:
            raise OptionError(f"threads {threads}: give a number from 1 to 1024")
        ops.set_threads(threads or min(8, _cores()))
        c = load_config(config if config is not None else name or DEFAULT_MODEL)
        tokenizer = load_tokenizer(hub.local_path(c.flow_lm.lookup_table.tokenizer_path), c.flow_lm.lookup_table.n_bins)
        tensors, origin, can_clone = _read_tensors(c)
        w = weights.Weights(tensors, origin, precision)
        flow_lm = FlowLM(w / "flow_lm", c.flow_lm, c.mimi.quantizer.dimension, c.mimi.inner_dim or c.mimi.seanet.dimension)
        decoder = MimiDecoder(w / "mimi", c.mimi)
        w.pack()
        encoder = MimiEncoder(w / "mimi", c.mimi)      # repacked when the first voice is cloned, if ever
        w.finish()
        backbone = sum(tensor.array.nbytes for name, tensor in tensors.items() if name.startswith("flow_lm.transformer."))
        model = cls(c, tokenizer, flow_lm, decoder, encoder if can_clone else None, backbone > OVERLAP)
        model.set_options(temperature, lsd_decode_steps, eos_threshold, noise_clamp)
        return model

    def set_options(self, temperature: float | None = None, lsd_decode_steps: int | None = None,
                    eos_threshold: float | None = None, noise_clamp: float | None = None) -> None:
        """Set the sampler's options, as `load` takes them; None is the model's own value. Raises OptionError."""
        c = self.config
        self.temperature = _number("temperature", c.default_temperature if temperature is None else temperature, 0, 10)
        self.lsd_decode_steps = int(_number("lsd_decode_steps", 1 if lsd_decode_steps is None else lsd_decode_steps, 1, 1000))
        self.eos_threshold = _number("eos_threshold", c.default_eos_threshold if eos_threshold is None else eos_threshold, -1e9, 1e9)
        self.noise_clamp = None if noise_clamp is None else _number("noise_clamp", noise_clamp, 1e-6, 1e6)

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
            voices.check(voice, self.config, "the voice state")
            return voice
        if isinstance(voice, np.ndarray):
            return self._clone(_checked_samples(voice), "an array")
        path = voices.find(voice, self.config)
        if path.suffix == ".safetensors":
            state = voices.read_voice(path)
            if isinstance(state, voices.PromptEmbedding):
                return self._hear(voices.check_prompt(state, self.config, path))
            voices.check(state, self.config, path)
            return state
        samples, cut = audio.read(path, self.sample_rate, VOICE_SECONDS)
        if cut:
            logger.warning("%s: only its first %d seconds are used as the voice", voice, VOICE_SECONDS)
        return self._clone(samples, str(voice))

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
        return VoiceState([cache.rows() for cache in state], self.config.name)

    # --- speech --------------------------------------------------------------------------------------------------------------

    def generate(self, text: str, voice: VoiceState | str | Path | np.ndarray, *, seed: int | None = None,
                 frames_after_eos: int | None = None, max_tokens: int | None = None) -> np.ndarray:
        """Speak a text: float32 [samples] at `sample_rate`, nominally within -1 .. 1. Arguments and errors as `generate_stream`."""
        return np.concatenate(list(self.generate_stream(
            text, voice, seed=seed, frames_after_eos=frames_after_eos, max_tokens=max_tokens)))

    def generate_stream(self, text: str, voice: VoiceState | str | Path | np.ndarray, *, seed: int | None = None,
                        frames_after_eos: int | None = None, max_tokens: int | None = None) -> Iterator[np.ndarray]:
        """Speak a text frame by frame: float32 [1920] each (80 ms), as soon as it is decoded.

        The iterator may be left at any time; there is nothing to clean up.

        Args:
            text: of any length; it is spoken in chunks of whole sentences.
            voice: a voice state, or what `get_voice_state` takes.
            seed: the same seed, text, voice and options give the same samples; None is a new one each time.
            frames_after_eos: frames that are kept after the model says it is done; by default 3 to 5, by length.
            max_tokens: of a chunk, 50 by default.

        Raises:
            TextError: nothing to speak. VoiceError and others: as `get_voice_state`. OptionError. All before the first frame.
        """
        if frames_after_eos is not None:
            _number("frames_after_eos", frames_after_eos, 0, 1000)
        if seed is not None:
            _number("seed", seed, 0, 2**64 - 1)
        max_tokens = int(_number("max_tokens", MAX_TOKENS if max_tokens is None else max_tokens, 1, 10_000))
        chunks = self._chunks(text, max_tokens)
        state = self.get_voice_state(voice)
        return self._frames(chunks, state, np.random.default_rng(seed), frames_after_eos)

    def _chunks(self, given: str, max_tokens: int) -> list[tuple[list[int], int]]:
        """The text's chunks: token ids, and how many frames to keep after EOS."""
        if not isinstance(given, str):
            raise TextError(f"text must be a string, not {type(given).__name__}")
        chunks = []
        for chunk in text.split(given, self.tokenizer, self.config, max_tokens):
            prepared, guess = text.prepare(chunk, self.config)
            own = self.config.model_recommended_frames_after_eos
            for ids in text.runs(prepared, self.tokenizer, max_tokens):
                chunks.append((ids, guess + 2 if own is None else own))
        return chunks

    def _frames(self, chunks: list[tuple[list[int], int]], voice: VoiceState, rng: np.random.Generator,
                frames_after_eos: int | None) -> Iterator[np.ndarray]:
        cores = ops.get_threads()
        ahead = cores // 2 if self.overlap else 0                               # cores for the next latent
        for ids, after_eos in chunks:
            codec = self.decoder.init_state()
            fade_in = np.linspace(0, 1, int(self.sample_rate * FADE_IN), dtype=np.float32)
            latents = self._latents(ids, voice, rng, after_eos if frames_after_eos is None else frames_after_eos)
            for latent in _made_ahead(latents, ahead) if ahead else latents:
                with ops.own_threads(cores - ahead):
                    samples = self.decoder(latent * self.flow_lm.emb_std + self.flow_lm.emb_mean, codec)
                samples[: len(fade_in)] *= fade_in
                fade_in = fade_in[:0]
                yield samples

    def _latents(self, ids: list[int], voice: VoiceState, rng: np.random.Generator, after_eos: int) -> Iterator[np.ndarray]:
        """One chunk: latents [1, 32], until `after_eos` frames past the first EOS."""
        lm, latent, end = self.flow_lm, None, None
        most = math.ceil((len(ids) / 3 + 2) * self.config.mimi.frame_rate)      # three tokens a second, and two seconds
        state = [KVCache.restore(rows, len(ids) + most) for rows in voice.layers]
        lm.prefill(lm.embed_text(ids), state)
        for frame in range(most):
            hidden = lm.step(latent, state)
            if end is None and frame >= MIN_FRAMES and lm.eos_logit(hidden) > self.eos_threshold:
                end = frame + after_eos
            if end is not None and frame >= end:
                return
            latent = lm.sample(hidden, self._noise(rng), self.lsd_decode_steps)
            yield latent
        if end is None:
            logger.warning("a chunk ran to its length limit, %.1f seconds: the speech may not be what the text says",
                           most / self.config.mimi.frame_rate)

    def _noise(self, rng: np.random.Generator) -> np.ndarray:
        """[1, latent_dim], normal with variance `temperature`, cut off at `noise_clamp`."""
        dim, std = self.config.mimi.quantizer.dimension, math.sqrt(self.temperature)
        if self.noise_clamp is None or std == 0:
            return rng.standard_normal((1, dim), np.float32) * np.float32(std)
        normal = statistics.NormalDist(0, std)
        low, high = normal.cdf(-self.noise_clamp), normal.cdf(self.noise_clamp)
        noise = [normal.inv_cdf(min(max(u, 1e-15), 1 - 1e-15)) for u in rng.uniform(low, high, dim)]
        return np.array([noise], np.float32)


def _made_ahead(items: Iterator[np.ndarray], cores: int) -> Iterator[np.ndarray]:
    """The same items; while one of them is dealt with, a thread makes the next, with so many cores.

    So the flow LM, which waits for memory, and the decoder, which calculates, share the machine without waiting for each other
    at every layer. The first item is made with all cores: that is the time to first audio.
    """
    item = next(items, None)
    with ThreadPoolExecutor(1, "pockettts", ops.set_own_threads, (cores,)) as worker:
        while item is not None:
            upcoming = worker.submit(next, items, None)
            yield item
            item = upcoming.result()


def _read_tensors(c: Config) -> tuple[dict[str, weights.Tensor], str, bool]:
    """A model's tensors by official name, what to call their origin, and whether they can clone voices."""
    tensors, origins, can_clone = {}, [], True
    if c.flow_lm.weights_path and not c.weights_path:
        path = hub.local_path(c.flow_lm.weights_path)
        tensors |= weights.read_flow_lm(path)
        origins.append(str(path))
    if c.weights_path:
        path, can_clone = hub.local_path_or_open(c.weights_path, c.weights_path_without_voice_cloning)
        tensors |= weights.read_safetensors(path)
        origins.append(str(path))
    if c.mimi.weights_path:                            # takes the place of the Mimi in the bundle
        path = hub.local_path(c.mimi.weights_path)
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("mimi.")}
        tensors |= weights.read_mimi(path)
        origins.append(str(path))
    if not origins:
        raise ConfigError(f"{c.name}: the config names no weights: set weights_path, or flow_lm.weights_path and mimi.weights_path")
    return tensors, " + ".join(origins), can_clone


def _checked_samples(samples: np.ndarray) -> np.ndarray:
    if samples.ndim != 1 or len(samples) == 0 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
        raise VoiceError("an array as a voice must be samples: one dimension, floating point, finite, not empty")
    return samples.astype(np.float32, copy=False)


def _number(name: str, value: float, least: float, most: float) -> float:
    if not isinstance(value, (int, float, np.number)) or not least <= value <= most:      # NaN is not
        raise OptionError(f"{name} {value!r}: give a number from {least:g} to {most:g}")
    return value


def _cores() -> int:
    """Cores that this process may use: its affinity, and the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):                      # not Linux, or no limit ("max")
        return cores
