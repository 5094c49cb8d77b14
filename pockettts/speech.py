"""A text being spoken: what it remembers, and how it is stepped. tts.py steps one utterance, engine.py many; the bits are the same.

    parts ──> Take ──Stepper.think──> Frame (a latent) ──Stepper.say──> block (samples)

`think` is the flow LM's side, `say` the decoder's. They share nothing but frames, so one may run ahead of the other.
"""
import logging
import math
import secrets
import statistics
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder
from .model.state import KVCache
from .options import Options
from .stretch import Stretcher
from .text import Chunk, Pause
from .voices import VoiceState

MIN_FRAMES = 6               # EOS is not believed before: some voices cross the threshold ahead of the first word
FADE_IN = 1 / 200            # seconds; a fresh decoder starts with a small step, which would click

logger = logging.getLogger("pockettts")


class Take:
    """One attempt to speak a chunk; it begins anew from the voice state, with a fresh codec state.

    `frames` counts latents; they end at `end`, known after EOS, or at `most`. Noise depends on the seed and on which take of
    which chunk this is, on nothing that came before.
    """

    def __init__(self, chunk: Chunk, most: int, caches: list[KVCache], codec: tuple, rng: np.random.Generator) -> None:
        self.chunk, self.most, self.caches, self.codec, self.rng = chunk, most, caches, codec, rng
        self.frames, self.end = 0, None
        self.latent: np.ndarray | None = None               # the last one
        self.heard = False                                  # the chunk's text is in the KV caches
        self.faded_in = False                               # the decoder's side


class Frame(NamedTuple):
    """What `think` has made for `say`: a latent [1, latent_dim], normalised, of a take."""

    take: Take
    latent: np.ndarray


class Utterance:
    """A text being spoken, part by part, with a voice and options of its own.

    take: the present one; None between parts. silence: samples that are left of a pause. finished: there is no more to step.
    """

    def __init__(self, parts: Iterable[Chunk | Pause], voice: VoiceState, options: Options) -> None:
        self.voice, self.options = voice, options
        self.seed = secrets.randbits(64) if options.seed is None else options.seed
        self.take: Take | None = None
        self.chunks = self.silence = 0                      # chunks begun
        self._parts = iter(parts)
        self._next = next(self._parts, None)

    @property
    def finished(self) -> bool:
        return self.take is None and not self.silence and self._next is None

    def skip(self, chunks: int) -> None:
        """Go on after so many chunks, as if they had been spoken."""
        while self.chunks < chunks and self._next is not None:
            self.chunks += isinstance(self.next_part(), Chunk)

    def next_part(self) -> Chunk | Pause:
        part, self._next = self._next, next(self._parts, None)
        return part


class Stepper:
    """The graph at work."""

    def __init__(self, flow_lm: FlowLM, decoder: MimiDecoder, sample_rate: int, frame_rate: float) -> None:
        self.flow_lm, self.decoder, self.sample_rate, self.frame_rate = flow_lm, decoder, sample_rate, frame_rate

    def think(self, utterance: Utterance) -> Frame | np.ndarray | None:
        """One step of an utterance that is not finished: a frame for `say`, or silence, float32 [samples]; None: nothing yet."""
        if utterance.take is None and not utterance.silence:
            part = utterance.next_part()
            if isinstance(part, Pause):
                utterance.silence = round(part.seconds * self.sample_rate)
            else:
                utterance.take = self._take(part, utterance)
        if utterance.take is None:
            block = np.zeros(min(utterance.silence, round(self.sample_rate / self.frame_rate)), np.float32)
            utterance.silence -= len(block)
            return block if len(block) else None
        return self._step(utterance, utterance.take)

    def _take(self, chunk: Chunk, utterance: Utterance, attempt: int = 0) -> Take:
        most = math.ceil((len(chunk.ids) / 3 + 2) * self.frame_rate)            # three tokens a second, and two seconds
        caches = [KVCache.restore(rows, len(chunk.ids) + most) for rows in utterance.voice.layers]
        rng = np.random.default_rng((utterance.seed, utterance.chunks, attempt))
        utterance.chunks += 1
        return Take(chunk, most, caches, self.decoder.init_state(), rng)

    def _step(self, utterance: Utterance, take: Take) -> Frame | None:
        lm, options = self.flow_lm, utterance.options
        if not take.heard:
            lm.prefill(lm.embed_text(take.chunk.ids), take.caches)
            take.heard = True
        hidden = lm.step(take.latent, take.caches)
        if take.end is None and take.frames >= MIN_FRAMES and lm.eos_logit(hidden) > options.eos_threshold:
            after = take.chunk.frames_after_eos if options.frames_after_eos is None else options.frames_after_eos
            take.end = take.frames + after
        if take.frames == take.end:                         # no frames after EOS
            utterance.take = None
            return None
        take.latent = lm.sample(hidden, noise(take.rng, len(lm.emb_std), options), options.lsd_decode_steps)
        take.frames += 1
        if take.frames in (take.end, take.most):
            utterance.take = None
            if take.end is None:
                logger.warning("a chunk ran to its length limit, %.1f seconds: the speech may not be what the text says",
                               take.most / self.frame_rate)
        return Frame(take, take.latent)

    def say(self, frame: Frame) -> np.ndarray:
        """A frame as samples, float32 [1920]. The frames of a take are said once each, in order."""
        take, lm = frame.take, self.flow_lm
        samples = self.decoder(frame.latent * lm.emb_std + lm.emb_mean, take.codec)
        if not take.faded_in:
            n = int(self.sample_rate * FADE_IN)
            samples[:n] *= np.linspace(0, 1, n, dtype=np.float32)
            take.faded_in = True
        return samples


def at_speed(spoken: Iterable[tuple[Take | None, np.ndarray]], speed: float, sample_rate: int
             ) -> Iterator[tuple[Take | None, np.ndarray]]:
    """Blocks with their takes (None: silence) at another speed: each take by itself, and silence as long as it was."""
    stretcher, last = Stretcher(speed, sample_rate), None
    for take, block in spoken:
        if take is not last and len(rest := stretcher.flush()):
            yield last, rest
        last = take
        out = block if take is None else stretcher.write(block)
        if len(out):
            yield take, out
    if len(rest := stretcher.flush()):
        yield last, rest


def noise(rng: np.random.Generator, dim: int, options: Options) -> np.ndarray:
    """[1, dim], normal with variance `temperature`, cut off at `noise_clamp`."""
    std = math.sqrt(options.temperature)
    if options.noise_clamp is None or std == 0:
        return rng.standard_normal((1, dim), np.float32) * np.float32(std)
    normal = statistics.NormalDist(0, std)
    low, high = normal.cdf(-options.noise_clamp), normal.cdf(options.noise_clamp)
    row = [normal.inv_cdf(min(max(u, 1e-15), 1 - 1e-15)) for u in rng.uniform(low, high, dim)]
    return np.array([row], np.float32)
