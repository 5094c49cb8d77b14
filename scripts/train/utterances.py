"""Batches of utterances for the flow LM: originals, with other segmentations, and spliced; in a few fixed sizes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from corpus import Corpus, Tokenizer
from synthetic import VOICE as SYNTHETIC
from torch import nn

PREFIX = 2  # positions before the text: bos_before_voice, the voice
TAIL = 4  # frames after the end of speech that are trained on
HEADS = 4  # trained heads of a layer: they attend to the tokens of a frame and to the next three tokens
SEGMENTATIONS, DROPOUT = 2, 0.15  # other segmentations of each text, by BPE dropout (arXiv 1910.13267)
WEIGHT = 3  # how often the default segmentation is used, relative to the others
SPLICES = 4  # splices per utterance of the first corpus; one for the other corpora
JOINED = 0.4  # share of splices of two whole utterances
LONGEST = 180  # largest number of tokens plus frames of a splice
QUANTILES = (0.5, 0.77, 0.93, 1.0)  # quantiles of the lengths, for the sizes of batches
FITTING = 0.97  # share of the utterances with up to that many frames whose tokens fit too


class Utterance(NamedTuple):
    tokens: np.ndarray  # [N]
    begins: np.ndarray  # [N], frame at which each token begins
    frames: np.ndarray  # [T], rows of the table of latents
    voice: int
    letter_begins: np.ndarray | None = None  # None if spliced


class Size(NamedTuple):
    """A shape of batches: `batch` utterances of at most `tokens` tokens and `frames` frames."""

    batch: int
    tokens: int
    frames: int
    held_out: torch.Tensor  # rows
    training: list[torch.Tensor]  # rows of each corpus


class Batch(NamedTuple):
    """Padded utterances. Latents are those of the corpus, not normalized."""

    voice: torch.Tensor  # [B]
    n: torch.Tensor  # [B], number of tokens
    t: torch.Tensor  # [B], number of frames
    speech_end: torch.Tensor  # [B]
    recorded: torch.Tensor  # [B], 1 if the latents come from a recording, else 0
    tokens: torch.Tensor  # [B, N]
    latents: torch.Tensor  # [B, T, 32]
    phones: torch.Tensor  # [B, T, PHONES_PER_FRAME]
    spoken: list[torch.Tensor]  # HEADS of [B, T, N]: which tokens each head should attend to


class Utterances:
    """Utterances of several corpora; makes batches of them on the device.

    The first corpus has the voice to learn. Splices keep the flow LM from memorizing the timing of whole utterances
    instead of learning to read.
    """

    def __init__(self, runs: list[Path], positions: int, device: str = "cpu") -> None:
        """positions: number of tokens and frames in a batch."""
        self.device = torch.device(device)
        corpora = [Corpus(run) for run in runs]
        rows: list[Utterance] = []
        held_out, training, latents, first_frame = [], [], [], 0
        self.voices: list[str] = []
        self.synthetic = [corpus.voices == [SYNTHETIC] for corpus in corpora]
        for run, corpus in zip(runs, corpora, strict=True):
            tokenizer, count = Tokenizer(run), len(corpus.training)
            whole = read_utterances(corpus, tokenizer, np.load(run / "align.npy"), first_frame, len(self.voices))
            learned = whole[:count]
            others = [other for u in learned for other in resegment(u, tokenizer)]
            wanted = count * (1 if training else SPLICES)
            spliced = splice(learned + others, wanted, tokenizer.starts_word, np.random.default_rng(0))
            held_out.append(len(rows) + np.arange(count, len(whole)))
            usual, more = np.arange(count), np.arange(len(whole), len(whole) + len(others) + len(spliced))
            training.append(len(rows) + np.concatenate([np.repeat(usual, WEIGHT), more]))
            rows += whole + others + spliced
            latents.append(np.load(run / "latents.npy"))
            first_frame += len(latents[-1])
            self.voices += corpus.voices
        speech = latents[0][: corpora[0].training_frames]
        self.mean, self.std = self._tensor(speech.mean(0)), self._tensor(speech.std(0))
        self.latents = self._tensor(np.concatenate(latents))
        self.phones = self._tensor(np.concatenate([np.load(run / "phones.npy") for run in runs]))
        self.tokens = self._padded([u.tokens for u in rows])  # [U, N]
        self.begins = self._padded([u.begins.astype(np.float32) for u in rows], 1e9)  # [U, N]
        self.frames = self._padded([u.frames for u in rows])  # [U, T]
        lengths = np.array([[len(u.tokens) for u in rows], [len(u.frames) for u in rows]])
        self.n, self.t = self._tensor(lengths)
        self.voice = torch.tensor([u.voice for u in rows], device=self.device)
        unreal = [i for i, name in enumerate(self.voices) if name == SYNTHETIC]
        self.recorded = (~torch.isin(self.voice, torch.tensor(unreal, device=self.device))).float()
        self.sizes = self._sizes(lengths, np.concatenate(held_out), training, positions)
        chances = np.array([len(size.training[0]) / size.batch for size in self.sizes])
        # Probabilities of the sizes: all utterances of the first corpus are equally frequent.
        self.chances = chances / chances.sum()

    def sample(self, size: Size, shares: Sequence[float | torch.Tensor]) -> Batch:
        """A batch of training utterances. shares: approximate shares of the second corpus, the third, ..."""
        own, *others = size.training
        rows, lot = pick(own, size.batch), torch.rand(size.batch, device=self.device)
        for other, share in zip(others, shares, strict=True):
            if len(other):
                rows = torch.where(lot < share, pick(other, size.batch), rows)
            lot = torch.where(lot < share, 2.0, lot - share)
        return self.batch(rows, size)

    def sample_held_out(self, rng: np.random.Generator) -> Batch | None:
        """A batch of held-out utterances, of any size; None if there are none."""
        found = [size for size in self.sizes if len(size.held_out)]
        if not found:
            return None
        size = found[rng.integers(len(found))]
        return self.batch(pick(size.held_out, size.batch), size)

    def batch(self, rows: torch.Tensor, size: Size) -> Batch:
        """The utterances of `rows`, padded to `size`."""
        frames = self.frames[rows, : size.frames]
        return Batch(
            voice=self.voice[rows],
            n=self.n[rows],
            t=self.t[rows],
            speech_end=self.t[rows] - TAIL,
            recorded=self.recorded[rows],
            tokens=self.tokens[rows, : size.tokens],
            latents=self.latents[frames],
            phones=self.phones[frames],
            spoken=self.spoken_tokens(rows, size),
        )

    def spoken_tokens(self, rows: torch.Tensor, size: Size) -> list[torch.Tensor]:
        """The target [B, T, N] of each head: the tokens spoken in each frame; for each further head the next token."""
        at = torch.arange(size.frames, device=self.device)[None, :, None]
        begins = self.begins[rows, : size.tokens][:, None]
        last = torch.arange(size.tokens, device=self.device)[None, None] == (self.n[rows] - 1)[:, None, None]
        ends = F.pad(begins[..., 1:], (0, 1), value=1e9).masked_fill(last, 1e9)
        spoken = [(begins < at + 1) & (ends > at)]
        for _ in range(1, HEADS):
            following = F.pad(spoken[-1], (1, -1)) & ~spoken[0] & (begins < 1e8)
            spoken.append(following | (spoken[-1] & last))
        return spoken

    def _sizes(
        self, lengths: np.ndarray, held_out: np.ndarray, training: list[np.ndarray], positions: int
    ) -> list[Size]:
        """A few shapes, since each is compiled, from quantiles of the first corpus. Longer rows of other corpora are left out."""
        own = np.unique(np.concatenate([training[0], held_out]))
        tokens, frames = lengths[:, own]
        shapes = []
        for q in QUANTILES:
            t = int(np.quantile(frames, q))
            n = int(np.quantile(tokens[frames <= t], FITTING if q < 1 else 1))
            shapes.append((n, t))
        shape_of = np.full(lengths.shape[1], -1)
        for k, (n, t) in reversed(list(enumerate(shapes))):
            shape_of[(lengths[0] <= n) & (lengths[1] <= t)] = k
        result = []
        for k, (n, t) in enumerate(shapes):
            members = [self._tensor(rows[shape_of[rows] == k]) for rows in (held_out, *training)]
            if len(members[1]):
                result.append(Size(max(1, positions // (PREFIX + n + t)), n, t, members[0], members[1:]))
        return result

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _padded(self, rows: list[np.ndarray], value: float = 0) -> torch.Tensor:
        return nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True, value).to(self.device)


def pick(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Sample `count` of `rows` with replacement, on the device."""
    return rows[(torch.rand(count, device=rows.device) * len(rows)).long()]


def read_utterances(
    corpus: Corpus, tokenizer: Tokenizer, letters: np.ndarray, first_frame: int, first_voice: int
) -> list[Utterance]:
    """All utterances of a corpus. letters: its align.npy; first_frame, first_voice: offsets of its frames and voices."""
    ends = np.cumsum([int(tokenizer.letters[tokens].sum()) for tokens in corpus.tokens])
    result = []
    for k, own in enumerate(np.split(letters, ends[:-1])):
        tokens = corpus.tokens[k]
        frames = first_frame + np.arange(corpus.start[k], corpus.speech_end[k] + TAIL)
        voice = first_voice + int(corpus.voice[k])
        result.append(Utterance(tokens, tokenizer.begins(tokens, own), frames, voice, own))
    return result


def resegment(u: Utterance, tokenizer: Tokenizer) -> list[Utterance]:
    """The same utterance with other segmentations of its text into tokens."""
    if u.letter_begins is None:
        raise ValueError("a spliced utterance has no letter times")
    text, result = tokenizer.model.decode(u.tokens.tolist()), []
    for _ in range(SEGMENTATIONS):
        tokens = np.array(tokenizer.model.encode(text, enable_sampling=True, alpha=DROPOUT, nbest_size=-1))
        if tokenizer.letters[tokens].sum() == len(u.letter_begins):
            result.append(u._replace(tokens=tokens, begins=tokenizer.begins(tokens, u.letter_begins)))
    return result


def splice(whole: list[Utterance], count: int, starts_word: np.ndarray, rng: np.random.Generator) -> list[Utterance]:
    """Splice about `count` pairs of utterances of one voice: the first up to a word and the second from a word on, or both whole."""
    words = [np.flatnonzero(starts_word[u.tokens])[1:] for u in whole]  # the first word has silence before it
    of_voice = {v: [k for k, u in enumerate(whole) if u.voice == v and len(words[k])] for v in {u.voice for u in whole}}
    result = []
    for voice, rows in of_voice.items():
        for _ in range(count * len(rows) // len(whole)):
            k, m = (rows[i] for i in rng.integers(len(rows), size=2))
            a, b = whole[k], whole[m]
            i, j = int(rng.choice(words[k])), int(rng.choice(words[m]))
            end, begin = round(float(a.begins[i])), round(float(b.begins[j]))
            if rng.random() < JOINED:
                i, j, end, begin = len(a.tokens), 0, len(a.frames) - 1, 0
            if i + len(b.tokens) - j + end + len(b.frames) - begin <= LONGEST:
                tokens = np.concatenate([a.tokens[:i], b.tokens[j:]])
                begins = np.concatenate([a.begins[:i], b.begins[j:] - begin + end])
                result.append(Utterance(tokens, begins, np.concatenate([a.frames[:end], b.frames[begin:]]), voice))
    return result
