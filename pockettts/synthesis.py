"""A text being spoken: what it remembers, and how it is stepped. tts.py steps one utterance, engine.py many; the bits are the same.

    parts ──> Take ──Stepper.think──> Frame (a latent) ──Stepper.say──> block (samples)

`step` is the flow LM's side, `decode` the decoder's. They share nothing but frames, so one may run ahead of the other.
"""

import logging
import math
import secrets
import sys
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder
from .model.state import AttentionProbe, KVCache
from .options import Options
from .reading.chunks import Chunk, Pause
from .sound.loudness import Loudness
from .sound.stretch import Stretcher
from .voices.state import VoiceState

MIN_FRAMES = 6  # EOS is not believed before: some voices cross the threshold ahead of the first word
FADE_IN = 1 / 200  # seconds; a fresh decoder starts with a small step, which would click

logger = logging.getLogger("pockettts")


class Take:
    """One attempt to speak a chunk; it begins anew from the voice state, with a fresh codec state.

    `frames` counts latents; they end at `end`, known after EOS, or at `most`. Noise depends on the seed and on which take of
    which chunk this is, on nothing that came before. `number` is the chunk's. `probes`: of the alignment heads, if wanted.
    """

    def __init__(
        self,
        chunk: Chunk,
        number: int,
        text: np.ndarray,
        most: int,
        caches: list[KVCache],
        codec: tuple,
        rng: np.random.Generator,
        probes: list[AttentionProbe],
    ) -> None:
        self.chunk, self.number, self.most, self.caches, self.codec, self.rng = chunk, number, most, caches, codec, rng
        self.probes = probes
        self.waiting = text  # embeddings [T, d_model] that the backbone has not heard yet
        self.frames, self.end = 0, None
        self.latent: np.ndarray | None = None  # the last one
        self.faded_in = False  # the decoder's side

    def attention(self) -> np.ndarray | None:
        """How much each frame looks at each token, in the mean of the watched heads: float32 [frames, tokens]; None if none are."""
        if not self.probes:
            return None
        return np.concatenate([np.array(probe.rows[: self.frames]) for probe in self.probes], axis=1).mean(axis=1)


class Frame(NamedTuple):
    """What `step` has made for `decode`: a latent [1, latent_dim], normalised, of a take."""

    take: Take
    latent: np.ndarray


class Utterance:
    """A text being spoken, part by part, with a voice and options of its own.

    take: the present one; None between parts. silence: samples that are left of a pause. finished: there is no more to step.
    watched: note what the alignment heads look at. attempt: which take of its chunk each is.
    """

    def __init__(
        self, parts: Iterable[Chunk | Pause], voice: VoiceState, options: Options, with_attention: bool = False
    ) -> None:
        self.voice, self.options, self.with_attention, self.attempt = voice, options, with_attention, 0
        self.seed = secrets.randbits(64) if options.seed is None else options.seed
        self.take: Take | None = None
        self.chunks = self.silence = 0  # chunks begun
        self._parts = iter(parts)
        self._next = next(self._parts, None)

    @property
    def finished(self) -> bool:
        return self.take is None and not self.silence and self._next is None

    def skip(self, chunks: int) -> None:
        """Go on after so many chunks, as if they had been spoken."""
        while self.chunks < chunks and self._next is not None:
            self.chunks += isinstance(self.next_part(), Chunk)

    def again(self, take: Take, attempt: int) -> "Utterance":
        """The chunk of a take alone, to be spoken with other noise."""
        other = Utterance([take.chunk], self.voice, self.options.replace(seed=self.seed), self.with_attention)
        other.chunks, other.attempt = take.number, attempt
        return other

    def end_take(self) -> None:
        """It may have a long life yet, in a buffer; its KV caches, some 20 MB, have not."""
        self.take.caches, self.take = [], None

    def next_part(self) -> Chunk | Pause:
        part, self._next = self._next, next(self._parts, None)
        return part


class Stepper:
    """The graph at work."""

    def __init__(
        self,
        flow_lm: FlowLM,
        decoder: MimiDecoder,
        sample_rate: int,
        frame_rate: float,
        alignment_heads: list[tuple[int, int]],
    ) -> None:
        self.flow_lm, self.decoder, self.sample_rate, self.frame_rate = flow_lm, decoder, sample_rate, frame_rate
        self.alignment_heads = alignment_heads

    def prepare(self, utterance: Utterance) -> None:
        """Begin the next part, if the last one is over. Raises what its text raises."""
        if utterance.take or utterance.silence or utterance.finished:
            return
        part = utterance.next_part()
        if isinstance(part, Pause):
            utterance.silence = round(part.seconds * self.sample_rate)
        else:
            utterance.take = self._take(part, utterance)

    def _take(self, chunk: Chunk, utterance: Utterance) -> Take:
        most = math.ceil((len(chunk.ids) / 3 + 2) * self.frame_rate)  # three tokens a second, and two seconds
        caches = KVCache.restore(utterance.voice.layers, len(chunk.ids) + most)
        rng = np.random.default_rng((utterance.seed, utterance.chunks, utterance.attempt))
        heads, start = self.alignment_heads if utterance.with_attention else [], utterance.voice.offset
        probes = self.flow_lm.probe(heads, start, start + len(chunk.ids), caches)
        text, codec = self.flow_lm.embed_text(chunk.ids), self.decoder.init_state()
        utterance.chunks += 1
        return Take(chunk, utterance.chunks - 1, text, most, caches, codec, rng, probes)

    def step(self, utterances: Sequence[Utterance], tokens: int = sys.maxsize) -> list[Frame | np.ndarray | None]:
        """A step of each utterance, all in one batch: a frame for `decode`; silence, float32 [samples]; or None: nothing to hear yet.

        So many tokens of text are prefilled at most, for the first that have some to be heard: it takes no longer than that.
        """
        made: list[Frame | np.ndarray | None] = [None] * len(utterances)
        heard, rows = [], []  # utterances whose takes have rows in this step
        for i, utterance in enumerate(utterances):
            self.prepare(utterance)
            take = utterance.take
            if take is None:
                made[i] = self._silence(utterance)
            elif tokens or not len(take.waiting):
                before = len(take.waiting)
                heard.append(i)
                rows.append(self._input(take, tokens))
                tokens -= before - len(take.waiting)
        if heard:
            out = self.flow_lm.step_batch(rows, [utterances[i].take.caches for i in heard])
            ready = {i: x for i, x in zip(heard, out, strict=True) if not len(utterances[i].take.waiting)}
            frames = self._frames([utterances[i] for i in ready], list(ready.values()))
            for i, frame in zip(ready, frames, strict=True):
                made[i] = frame
        return made

    def _frames(self, utterances: list[Utterance], rows: list[np.ndarray]) -> list[Frame | None]:
        """From what the backbone gives for a frame of each, [1, d_model], to the frame; None where the speech is over."""
        if not rows:
            return []
        lm, hidden = self.flow_lm, self.flow_lm.head(np.concatenate(rows))
        groups: dict[int, list[int]] = {}  # by their number of LSD steps
        for i, utterance in enumerate(utterances):
            if not self._is_over(utterance, lm.eos_logit(hidden[i : i + 1])):
                groups.setdefault(utterance.options.lsd_decode_steps, []).append(i)
        frames: list[Frame | None] = [None] * len(rows)
        for steps, group in groups.items():
            noises = np.concatenate(
                [noise(utterances[i].take.rng, len(lm.emb_std), utterances[i].options) for i in group]
            )
            for i, latent in zip(group, lm.sample(hidden[group], noises, steps), strict=True):
                frames[i] = self._frame(utterances[i], latent[None])
        return frames

    def _is_over(self, utterance: Utterance, eos_logit: float) -> bool:
        """Note EOS; whether not even this frame is to be spoken."""
        take, options = utterance.take, utterance.options
        if take.end is None and take.frames >= MIN_FRAMES and eos_logit > options.eos_threshold:
            after = take.chunk.frames_after_eos if options.frames_after_eos is None else options.frames_after_eos
            take.end = take.frames + after
        if take.frames == take.end:
            utterance.end_take()
        return utterance.take is None

    def _frame(self, utterance: Utterance, latent: np.ndarray) -> Frame:
        take = utterance.take
        take.latent = latent
        take.frames += 1
        if take.frames in (take.end, take.most):
            utterance.end_take()
            if take.end is None and not utterance.options.verify:  # who verifies says so
                logger.warning(
                    "a chunk ran to its length limit, %.1f seconds: the speech may not be what the text says",
                    take.most / self.frame_rate,
                )
        return Frame(take, latent)

    def _silence(self, utterance: Utterance) -> np.ndarray | None:
        block = np.zeros(min(utterance.silence, round(self.sample_rate / self.frame_rate)), np.float32)
        utterance.silence -= len(block)
        return block if len(block) else None

    def _input(self, take: Take, tokens: int) -> np.ndarray:
        """What the backbone hears of a take in this step: some of its text, and after the last of that a frame: [n, d_model]."""
        text, take.waiting = take.waiting[:tokens], take.waiting[tokens:]
        if len(take.waiting):
            return text
        frame = self.flow_lm.embed_latent(take.latent)
        return np.concatenate([text, frame]) if len(text) else frame

    def decode(self, frame: Frame) -> np.ndarray:
        """A frame as samples, float32 [1920]. The frames of a take are said once each, in order."""
        take, lm = frame.take, self.flow_lm
        samples = self.decoder(frame.latent * lm.emb_std + lm.emb_mean, take.codec)
        if not take.faded_in:
            n = int(self.sample_rate * FADE_IN)
            samples[:n] *= np.linspace(0, 1, n, dtype=np.float32)
            take.faded_in = True
        return samples


def at_speed(
    spoken: Iterable[tuple[Take | None, np.ndarray]], speed: float, sample_rate: int
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


def levelled(
    spoken: Iterable[tuple[Take | None, np.ndarray]],
    utterance: Utterance,
    sample_rate: int,
    known: MutableMapping[VoiceState, float],
) -> Iterator[tuple[Take | None, np.ndarray]]:
    """Blocks with their takes at the loudness and volume of the utterance's options; nothing is held back at a take's end.

    Args:
        known: the loudness of voices so far, in LUFS: where the gain starts. That of this voice is noted at the end.
    """
    options, voice = utterance.options, utterance.voice
    if not options.is_levelled:
        yield from spoken
        return
    loudness = Loudness(options.loudness, sample_rate, options.volume, prior=known.get(voice))
    last: Take | None = None
    for take, block in spoken:
        if take is not last and len(rest := loudness.flush()):
            yield last, rest
        last = take
        if len(out := loudness.write(block)):
            yield take, out
    if len(rest := loudness.flush()):
        yield last, rest
    if options.loudness is not None and math.isfinite(measured := loudness.measured):
        known[voice] = measured


def by_chunk(spoken: Iterable[tuple[Take | None, np.ndarray]]) -> Iterator[tuple[list[np.ndarray], Chunk | None]]:
    """Blocks with their takes, collected up to the end of each chunk; what comes after the last has none."""
    blocks: list[np.ndarray] = []
    last = None
    for take, block in spoken:
        if last is not None and take is not last:
            yield blocks, last.chunk
            blocks = []
        last = take
        blocks.append(block)
    if blocks:
        yield blocks, last and last.chunk


def noise(rng: np.random.Generator, dim: int, options: Options) -> np.ndarray:
    """[1, dim], normal with variance `temperature`, cut off at `noise_clamp`."""
    std = math.sqrt(options.temperature)
    if options.noise_clamp is None or std == 0:
        return rng.standard_normal((1, dim), np.float32) * np.float32(std)
    from statistics import NormalDist

    normal = NormalDist(0, std)
    low, high = normal.cdf(-options.noise_clamp), normal.cdf(options.noise_clamp)
    row = [normal.inv_cdf(min(max(u, 1e-15), 1 - 1e-15)) for u in rng.uniform(low, high, dim)]
    return np.array([row], np.float32)
