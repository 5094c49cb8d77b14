"""The synthesis of one utterance: its state, and the steps of the model.

    text and pauses ──> Take ──Stepper.step──> Frame (a latent) ──Stepper.decode──> Block (samples)

`step` runs the flow LM and `decode` the codec. They share only frames, so the flow LM may run ahead of the codec.
pipeline.py steps one utterance and engine.py many at once, with bit-identical results.
"""

import logging
import math
import secrets
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .model.flow_lm import FlowLM
from .model.mimi import MimiDecoder
from .model.state import AttentionProbe, KVCache
from .options import Options
from .reading.chunks import Chunk
from .reading.pauses import Pause
from .voices.state import VoiceState

MIN_FRAMES = 6  # EOS is ignored in these first frames: some voices cross the threshold before the first word
FADE_IN = 1 / 200  # seconds; a new decoder starts with a small step, which would click

logger = logging.getLogger("pockettts")


class Take:
    """One attempt to speak a chunk. It starts from the voice state, with a new codec state.

    Attributes:
        chunk, number: the chunk, and its index in the utterance.
        max_frames: the length limit, in frames.
        frames: the number of frames so far.
        end: the number of frames that the take will have; None before EOS.
        latent: the last latent, float32 [1, latent_dim].
        waiting: embeddings of the text that the backbone has not processed yet, float32 [T, d_model].
        caches: the KV caches of the flow LM, one per layer.
        codec: the state of Mimi's decoder.
        rng: generates the noise; its seed depends only on the utterance's seed, the chunk and the attempt.
        probes: the attention of the alignment heads, if recorded.
        faded_in: whether `decode` has faded in the first samples.
    """

    def __init__(
        self,
        chunk: Chunk,
        number: int,
        text: np.ndarray,
        max_frames: int,
        caches: list[KVCache],
        codec: tuple[Any, ...],
        rng: np.random.Generator,
        probes: list[AttentionProbe],
    ) -> None:
        self.chunk, self.number, self.max_frames = chunk, number, max_frames
        self.caches, self.codec, self.rng, self.probes = caches, codec, rng, probes
        self.waiting = text
        self.frames = 0
        self.end: int | None = None
        self.latent: np.ndarray | None = None
        self.faded_in = False

    def attention(self) -> np.ndarray | None:
        """The attention of each frame to each token, the mean over the probed heads: float32 [frames, tokens]; None without probes."""
        if not self.probes:
            return None
        rows = np.concatenate([np.array(probe.rows[: self.frames]) for probe in self.probes], axis=1)
        return np.asarray(rows.mean(axis=1))


class Frame(NamedTuple):
    """An event of the flow LM: a normalized latent, float32 [1, latent_dim]."""

    take: Take
    latent: np.ndarray


class Block(NamedTuple):
    """An event with sound: float32 [samples] of a take, or silence between takes, where `take` is None."""

    take: Take | None
    samples: np.ndarray


class Utterance:
    """A text in synthesis, with its voice and options.

    Args:
        parts: chunks and pauses, in order; consumed as they are needed.
        with_attention: record the attention of the alignment heads.

    Attributes:
        take: the current take; None between parts.
        silence: the number of samples left of the current pause.
        chunks: the number of chunks started so far.
        attempt: the index of the take among the takes of its chunk.
        seed: of the noise, 64 bits.
    """

    def __init__(
        self, parts: Iterable[Chunk | Pause], voice: VoiceState, options: Options, with_attention: bool = False
    ) -> None:
        self.voice, self.options, self.with_attention, self.attempt = voice, options, with_attention, 0
        self.seed = secrets.randbits(64) if options.seed is None else options.seed
        self.take: Take | None = None
        self.chunks = self.silence = 0
        self._parts = iter(parts)
        self._next = next(self._parts, None)

    @property
    def finished(self) -> bool:
        """Whether no steps are left."""
        return self.take is None and not self.silence and self._next is None

    def skip(self, chunks: int) -> None:
        """Skip the first `chunks` chunks, as if they had been spoken."""
        while self.chunks < chunks and self._next is not None:
            self.chunks += isinstance(self.next_part(), Chunk)

    def retake(self, take: Take, attempt: int) -> "Utterance":
        """A new utterance of the take's chunk alone, with different noise."""
        other = Utterance([take.chunk], self.voice, self.options.replace(seed=self.seed), self.with_attention)
        other.chunks, other.attempt = take.number, attempt
        return other

    def end_take(self) -> None:
        """End the current take. A buffer may still hold it, so its KV caches (20 MB) are freed now."""
        if self.take is not None:
            self.take.caches, self.take = [], None

    def next_part(self) -> Chunk | Pause:
        """The next chunk or pause. There must be one: see `finished`."""
        assert self._next is not None
        part, self._next = self._next, next(self._parts, None)
        return part


class Stepper:
    """Runs the model for utterances: the flow LM in `step`, the codec in `decode`."""

    def __init__(
        self,
        flow_lm: FlowLM,
        decoder: MimiDecoder,
        sample_rate: int,
        frame_rate: float,
        alignment_heads: list[tuple[int, ...]],
    ) -> None:
        self.flow_lm, self.decoder, self.sample_rate, self.frame_rate = flow_lm, decoder, sample_rate, frame_rate
        self.alignment_heads = alignment_heads

    def prepare(self, utterance: Utterance) -> None:
        """Start the next part if the last one has ended. Raises what the iterator of parts raises."""
        if utterance.take or utterance.silence or utterance.finished:
            return
        part = utterance.next_part()
        if isinstance(part, Pause):
            utterance.silence = round(part.seconds * self.sample_rate)
        else:
            utterance.take = self._take(part, utterance)

    def _take(self, chunk: Chunk, utterance: Utterance) -> Take:
        """Start a take: the KV caches of the voice, a new codec state, and the embedded text."""
        max_frames = math.ceil((len(chunk.ids) / 3 + 2) * self.frame_rate)  # three tokens per second, plus two seconds
        caches = KVCache.restore(utterance.voice.layers, len(chunk.ids) + max_frames)
        rng = np.random.default_rng((utterance.seed, utterance.chunks, utterance.attempt))
        heads, start = self.alignment_heads if utterance.with_attention else [], utterance.voice.offset
        probes = self.flow_lm.probe(heads, start, start + len(chunk.ids), caches)
        text, codec = self.flow_lm.embed_text(chunk.ids), self.decoder.init_state()
        utterance.chunks += 1
        return Take(chunk, utterance.chunks - 1, text, max_frames, caches, codec, rng, probes)

    def step(self, utterances: Sequence[Utterance], tokens: int = sys.maxsize) -> list[Frame | Block | None]:
        """One step of each utterance, in one batch. Returns for each a frame, a block of silence, or None if it has no output yet.

        Args:
            utterances: the utterances to step.
            tokens: prefill at most this many tokens of text in this step, in the order of the utterances.
        """
        events: list[Frame | Block | None] = [None] * len(utterances)
        stepped: list[tuple[int, Take]] = []  # index and take of the utterances with rows in this step
        rows: list[np.ndarray] = []
        for i, utterance in enumerate(utterances):
            self.prepare(utterance)
            take = utterance.take
            if take is None:
                events[i] = self._silence(utterance)
            elif tokens or not len(take.waiting):
                before = len(take.waiting)
                stepped.append((i, take))
                rows.append(self._input(take, tokens))
                tokens -= before - len(take.waiting)
        if stepped:
            out = self.flow_lm.step_batch(rows, [take.caches for _, take in stepped])
            ready = {i: x for (i, take), x in zip(stepped, out, strict=True) if not len(take.waiting)}
            frames = self._frames([utterances[i] for i in ready], list(ready.values()))
            for i, frame in zip(ready, frames, strict=True):
                events[i] = frame
        return events

    def _frames(self, utterances: list[Utterance], rows: list[np.ndarray]) -> list[Frame | None]:
        """The frame of each utterance, from the backbone's output [1, d_model]; None if its speech has ended."""
        if not rows:
            return []
        lm, hidden = self.flow_lm, self.flow_lm.head(np.concatenate(rows))
        groups: dict[int, list[int]] = {}  # LSD steps -> utterances
        for i, utterance in enumerate(utterances):
            if not self._is_over(utterance, lm.eos_logit(hidden[i : i + 1])):
                groups.setdefault(utterance.options.lsd_decode_steps, []).append(i)
        frames: list[Frame | None] = [None] * len(rows)
        for steps, group in groups.items():
            noises = np.concatenate([self._noise(utterances[i]) for i in group])
            for i, latent in zip(group, lm.sample(hidden[group], noises, steps), strict=True):
                frames[i] = self._frame(utterances[i], latent[None])
        return frames

    def _noise(self, utterance: Utterance) -> np.ndarray:
        """The noise of the next latent, [1, latent_dim]."""
        assert utterance.take is not None
        return noise(utterance.take.rng, len(self.flow_lm.emb_std), utterance.options)

    def _is_over(self, utterance: Utterance, eos_logit: float) -> bool:
        """Decide EOS: the first frame whose logit is above the threshold. Returns whether the speech ends before this frame."""
        take, options = utterance.take, utterance.options
        assert take is not None
        if take.end is None and take.frames >= MIN_FRAMES and eos_logit > options.eos_threshold:
            after = take.chunk.frames_after_eos if options.frames_after_eos is None else options.frames_after_eos
            take.end = take.frames + after
        if take.frames == take.end:
            utterance.end_take()
        return utterance.take is None

    def _frame(self, utterance: Utterance, latent: np.ndarray) -> Frame:
        """The frame of a new latent, float32 [1, latent_dim]. Ends the take at its last frame."""
        take = utterance.take
        assert take is not None
        take.latent = latent
        take.frames += 1
        if take.frames in (take.end, take.max_frames):
            utterance.end_take()
            if take.end is None and not utterance.options.verify:  # `verify` reports it itself
                logger.warning(
                    "a chunk reached its length limit, %.1f seconds: the speech may not match the text",
                    take.max_frames / self.frame_rate,
                )
        return Frame(take, latent)

    def _silence(self, utterance: Utterance) -> Block | None:
        """The next block of a pause; None at its end."""
        samples = np.zeros(min(utterance.silence, round(self.sample_rate / self.frame_rate)), np.float32)
        utterance.silence -= len(samples)
        return Block(None, samples) if len(samples) else None

    def _input(self, take: Take, tokens: int) -> np.ndarray:
        """The backbone's input for a take in this step, [n, d_model]: up to `tokens` tokens of text, then a frame if no text is left."""
        text, take.waiting = take.waiting[:tokens], take.waiting[tokens:]
        if len(take.waiting):
            return text
        frame = self.flow_lm.embed_latent(take.latent)
        return np.concatenate([text, frame]) if len(text) else frame

    def decode(self, frame: Frame) -> Block:
        """The samples of a frame, float32 [1920]. Call this once for each frame of a take, in order."""
        take, lm = frame.take, self.flow_lm
        samples = self.decoder(frame.latent * lm.emb_std + lm.emb_mean, take.codec)
        if not take.faded_in:
            n = int(self.sample_rate * FADE_IN)
            samples[:n] *= np.linspace(0, 1, n, dtype=np.float32)
            take.faded_in = True
        return Block(take, samples)


def noise(rng: np.random.Generator, dim: int, options: Options) -> np.ndarray:
    """Noise, float32 [1, dim]: normal with variance `temperature`, truncated at `noise_clamp`."""
    std = math.sqrt(options.temperature)
    if options.noise_clamp is None or std == 0:
        return rng.standard_normal((1, dim), np.float32) * np.float32(std)
    from statistics import NormalDist

    normal = NormalDist(0, std)
    low, high = normal.cdf(-options.noise_clamp), normal.cdf(options.noise_clamp)
    row = [normal.inv_cdf(min(max(u, 1e-15), 1 - 1e-15)) for u in rng.uniform(low, high, dim)]
    return np.array([row], np.float32)
