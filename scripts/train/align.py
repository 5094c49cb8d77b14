"""Which letter is spoken when: RUN/align.npy, the frame (with fractions) at which each letter of the corpus's tokens begins.

    python align.py RUN

The speech recogniser of old: a hidden Markov model with a Gaussian for each letter of each token, begun from equal lengths, improved
by best paths. No dictionary, a minute or two. Only lm.py uses the result, to show some attention heads where to look.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
from common import DEVICE
from data import RATIO, Corpus, crops
from features import mel_of
from torch import nn

POOL = 2                                                                        # feature vectors a step: 20 ms
DIM, ROUNDS, BATCH = 24, 12, 256
TAIL = 2                                                                        # frames of silence after an utterance


def letters_of(run: Path) -> list[int]:
    """How many states each token has: its letters; none if it is a space by itself."""
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(str(run / "tokenizer.model"))
    return [len(tokenizer.id_to_piece(i).strip("▁")) for i in range(tokenizer.vocab_size())]


def observations(mel: torch.Tensor) -> torch.Tensor:
    """Mel spectra [F * RATIO, MELS] -> [F * RATIO / POOL, 2 DIM]: principal components and how they change, of variance 1."""
    x = mel.float().unflatten(0, (-1, POOL)).mean(1)
    x = x - x.mean(0)
    _, vectors = torch.linalg.eigh(x.T @ x / len(x))
    x = x @ vectors[:, -DIM:]
    x = torch.cat([x, torch.roll(x, -1, 0) - torch.roll(x, 1, 0)], 1)
    return x / x.std(0)


def best_paths(scores: torch.Tensor, steps: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Log likelihoods [B, T, S], lengths -> the state of each step [B, T]. A path stays, moves on, or leaves one state out."""
    B, T, S = scores.shape
    best, moves = torch.full((B, S), -1e9, device=scores.device), []
    best[:, 0] = scores[:, 0, 0]
    for t in range(1, T):
        options = torch.stack([best, *(nn.functional.pad(best, (k, 0), value=-1e9)[:, :S] for k in (1, 2))])
        best, move = options.max(0)
        best = best + scores[:, t]
        moves.append(move.to(torch.int8))
        best = torch.where((t < steps)[:, None], best, options[0])              # past its end a path stays
        moves[-1][t >= steps] = 0
    at, path = states - 1, []
    for move in reversed(moves):
        path.append(at)
        at = at - move.gather(1, at[:, None])[:, 0]
    return torch.stack([at, *reversed(path)], 1)


class Model:
    """A Gaussian with its own variances for each state; the last state is silence."""

    def __init__(self, states: int, dim: int) -> None:
        self.mean, self.variance = torch.zeros(states, dim, device=DEVICE), torch.ones(states, dim, device=DEVICE)

    def scores(self, x: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """x [B, T, D], states [B, S] -> [B, T, S]."""
        mean, weight = self.mean[states], 1 / self.variance[states]             # [B, S, D]
        constant = (mean.square() * weight - weight.log()).sum(-1)[:, None]
        return -0.5 * (x.square() @ weight.transpose(1, 2) - 2 * x @ (mean * weight).transpose(1, 2) + constant)

    def fit(self, x: torch.Tensor, state: torch.Tensor) -> None:
        """To observations [M, D] and their states [M]; what has few stays near the average."""
        n, prior = torch.bincount(state, minlength=len(self.mean)).float()[:, None], 5
        self.mean = torch.zeros_like(self.mean).index_add(0, state, x) / (n + prior)
        spread = torch.zeros_like(self.mean).index_add(0, state, (x - self.mean[state]).square())
        self.variance = (spread + prior) / (n + prior)


def align(corpus: Corpus, mel: torch.Tensor, letters: list[int]) -> np.ndarray:
    x = observations(mel)
    offsets = np.concatenate([[0], np.cumsum(letters)])
    silence = int(offsets[-1])
    of_token = np.split(np.arange(silence), offsets[1:-1])
    chains = [np.concatenate([[silence], *(of_token[t] for t in tokens), [silence]]) for tokens in corpus.tokens]
    steps = (corpus.speech_end + TAIL - corpus.start) * (RATIO // POOL)
    batches = np.array_split(np.argsort(steps), len(steps) // BATCH + 1)
    model, paths = Model(silence + 1, x.shape[1]), {}
    for turn in range(ROUNDS + 1):
        seen, named, total = [], [], 0.0
        for rows in batches:
            t, n = (torch.tensor(v, device=DEVICE) for v in ([int(steps[r]) for r in rows], [len(chains[r]) for r in rows]))
            states = nn.utils.rnn.pad_sequence([torch.from_numpy(chains[r]) for r in rows], True, silence).to(DEVICE)
            length = int(t.max())
            starts = torch.from_numpy(corpus.start[rows] * (RATIO // POOL)).clamp(max=len(x) - length).to(DEVICE)
            heard = crops(x, starts, length)
            at = torch.arange(length, device=DEVICE)
            if turn:
                scores = model.scores(heard, states)
                path = best_paths(scores, t, n)
            else:
                path = (at * n[:, None] // t[:, None]).clamp(max=n[:, None] - 1)
            inside = at < t[:, None]
            seen.append(heard[inside])
            named.append(states.gather(1, path)[inside])
            if turn:
                total += float(scores.gather(2, path[..., None])[..., 0][inside].sum())
            if turn == ROUNDS:
                paths |= {int(r): p[: int(k)].cpu().numpy() for r, p, k in zip(rows, path, t, strict=True)}
        model.fit(torch.cat(seen), torch.cat(named))
        print(f"round {turn}: {total / sum(map(len, seen)):.3f} a step", flush=True)
    begins = [np.searchsorted(paths[r], np.arange(1, len(chain) - 1)) for r, chain in enumerate(chains)]     # silence is at both ends
    return np.concatenate(begins).astype(np.float32) * (POOL / RATIO)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    args = parser.parse_args()
    corpus = Corpus(args.run, DEVICE)
    with torch.no_grad():
        np.save(args.run / "align.npy", align(corpus, mel_of(corpus), letters_of(args.run)))
