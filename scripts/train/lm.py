"""Train the flow LM on the latents: flow matching and Lagrangian self-distillation (arXiv 2505.18825), the end of speech, attention.

    python lm.py RUN --minutes 60 [--also RUN2]

RUN needs latents.npy (features.py) and align.npy (align.py). Some heads are shown which token is being spoken: alone they find it out
only after tens of thousands of steps. A voice is a vector of its own, which stands where a voice prompt would.

The flow's losses are noisy, and the latents before say much: the flow LM goes on from them and does not learn to read. So part of
the latents are withheld, and a linear guess of the latent is learned beside the flow, by its plain squared error.

To read takes more text than to sound like somebody. RUN2 may have speech of any quality by other voices: half of what is heard is from
there, and nothing at the end.
"""
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from common import DEVICE, Training, arguments, autocast, config, descend, optimizer
from data import Corpus, Pieces
from net import FlowLM
from torch import nn

PREFIX = 2                                                                      # bos_before_voice, the voice
TAIL = 4                                                                        # frames after the end of speech that are learned
SHOWN = {1: 0.3, 3: 1.0}                                                        # layers some heads of which are shown: weight
HEADS = 4                                                                       # these: the tokens of a frame, and the next ones
DISTILLED = 3                                                                   # one frame in so many learns jumps, for their price
SEGMENTED, DROPPED = 2, 0.15                                                    # ways to cut an utterance's words into pieces, beside
USUAL = 3                                                                       # the usual one, that counts so much; joins of pieces
SPLICES = 4                                                                     # left out (BPE dropout); splices for each utterance
JOINED = 0.4                                                                    # of them: two sentences
LONGEST = 180                                                                   # tokens and frames of a splice
ALSO, ALONE = 0.5, 0.4                                                          # part of RUN2; part of the time in which it falls to 0
NOISE = 0.3                                                                     # at most so much on the latents fed back
UNHEARD = 0.9                                                                   # at most this part of them is mere noise
SIZES = 8                                                                       # of batches: one for each length


class Utterance(NamedTuple):
    tokens: np.ndarray                                                          # [N]
    begins: np.ndarray                                                          # [N], the frame at which each begins
    frames: np.ndarray                                                          # [T], indices of latents
    voice: int
    letters: np.ndarray | None = None                                           # as begins, for each letter; None: spliced


class Size(NamedTuple):
    """Batches of one size: `count` utterances of at most n tokens and t frames."""

    count: int
    n: int
    t: int
    members: list[torch.Tensor]                                                 # rows: held out, of the first run, of the second


class Utterances:
    """Batches of utterances of about the same length, made on the device.

    Some are spliced: words up to some word of one utterance, then words from some word of another on. Without that the flow LM
    learns by heart what is spoken when, instead of how to find it out.
    """

    def __init__(self, runs: list[Path], positions: int) -> None:
        """What each of `runs` has. Batches have so many positions."""
        rows, latents, held_out, learned, self.voices = [], [], [], [], []
        for run in runs:
            corpus, pieces = Corpus(run), Pieces(run)
            whole = whole_ones(corpus, pieces, np.load(run / "align.npy"), sum(map(len, latents)), len(self.voices))
            n = len(corpus.training)                                            # those held out come last
            others = [other for u in whole[:n] for other in otherwise(u, pieces)]
            mixed = spliced(whole[:n] + others, n * (1 if learned else SPLICES), pieces.starts, np.random.default_rng(0))
            held_out.append(len(rows) + np.arange(n, len(whole)))
            learned.append(len(rows) + np.concatenate([
                np.repeat(np.arange(n), USUAL), np.arange(len(whole), len(whole) + len(others) + len(mixed))]))
            rows += whole + others + mixed
            latents.append(np.load(run / "latents.npy"))
            self.voices += corpus.voices
        speech = latents[0][: Corpus(runs[0]).training_frames]
        self.mean, self.std = (torch.from_numpy(v).to(DEVICE) for v in (speech.mean(0), speech.std(0)))
        self.latents = torch.from_numpy(np.concatenate(latents)).to(DEVICE)
        self.tokens, self.begins = padded([u.tokens for u in rows]), padded([u.begins.astype(np.float32) for u in rows], 1e9)  # [U, N]
        self.frames = padded([u.frames for u in rows])                          # [U, T]
        lengths = np.array([[len(u.tokens) for u in rows], [len(u.frames) for u in rows]])
        self.n, self.t = torch.from_numpy(lengths).to(DEVICE)
        self.speech_end = self.t - TAIL
        self.voice = torch.tensor([u.voice for u in rows], device=DEVICE)
        self.sizes = list(sizes(lengths, np.concatenate(held_out), learned, positions))
        chances = np.array([len(size.members[1]) / size.count for size in self.sizes])
        self.chances = chances / chances.sum()

    def batch(self, size: Size, also: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Rows [B], tokens [B, N], latents [B, T, 32]; about `also` of them (a number on the device) are of the second run."""
        _, own, *others = size.members
        rows = some(own, size.count)
        if others:
            rows = torch.where(torch.rand(size.count, device=DEVICE) < also, some(others[0], size.count), rows)
        return self._batch(size, rows)

    def held_out(self, rng: np.random.Generator) -> tuple[torch.Tensor, ...] | None:
        """The same of what is held out, if anything is, in some size."""
        found = [size for size in self.sizes if len(size.members[0])]
        if not found:
            return None
        size = found[rng.integers(len(found))]
        return self._batch(size, some(size.members[0], size.count))

    def _batch(self, size: Size, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return rows, self.tokens[rows, : size.n], self.latents[self.frames[rows, : size.t]]

    def targets(self, rows: torch.Tensor, frames: int, tokens: int) -> list[torch.Tensor]:
        """Tokens heard within each frame, then for each further head the one token after those: [B, T, N] each."""
        at = torch.arange(frames, device=DEVICE)[None, :, None]
        begins = self.begins[rows, :tokens][:, None]
        last = torch.arange(tokens, device=DEVICE)[None, None] == (self.n[rows] - 1)[:, None, None]
        ends = F.pad(begins[..., 1:], (0, 1), value=1e9).masked_fill(last, 1e9)
        wanted = [(begins < at + 1) & (ends > at)]
        for _ in range(1, HEADS):
            after = F.pad(wanted[-1], (1, -1)) & ~wanted[0] & (begins < 1e8)
            wanted.append(after | (wanted[-1] & last))
        return wanted


def whole_ones(corpus: Corpus, pieces: Pieces, letters: np.ndarray, first_frame: int, first_voice: int) -> list[Utterance]:
    """All that a corpus has; `letters` is its align.npy."""
    letters = np.split(letters, np.cumsum([int(pieces.letters[tokens].sum()) for tokens in corpus.tokens])[:-1])
    return [Utterance(tokens, pieces.begins(tokens, own), first_frame + np.arange(start, end + TAIL), first_voice + int(voice), own)
            for tokens, own, start, end, voice
            in zip(corpus.tokens, letters, corpus.start, corpus.speech_end, corpus.voice, strict=True)]


def otherwise(u: Utterance, pieces: Pieces) -> list[Utterance]:
    """The same utterance with its text cut into other pieces."""
    text = pieces.tokenizer.decode(u.tokens.tolist())
    found = [np.array(pieces.tokenizer.encode(text, enable_sampling=True, alpha=DROPPED, nbest_size=-1)) for _ in range(SEGMENTED)]
    return [u._replace(tokens=f, begins=pieces.begins(f, u.letters)) for f in found if pieces.letters[f].sum() == len(u.letters)]


def spliced(whole: list[Utterance], count: int, word_starts: np.ndarray, rng: np.random.Generator) -> list[Utterance]:
    """Utterances of the same voice, the first up to a word and the second from a word on, cut where these words begin; or two whole
    ones, one after the other."""
    words = [np.flatnonzero(word_starts[u.tokens])[1:] for u in whole]          # the first word has silence before it
    of_voice = {v: np.array([k for k, u in enumerate(whole) if u.voice == v and len(words[k])]) for v in {u.voice for u in whole}}
    result = []
    for voice, rows in of_voice.items():
        for _ in range(count * len(rows) // len(whole)):
            k, m = rows[rng.integers(len(rows), size=2)]
            a, b = whole[k], whole[m]
            i, j = words[k][rng.integers(len(words[k]))], words[m][rng.integers(len(words[m]))]
            cut, cut_b = round(float(a.begins[i])), round(float(b.begins[j]))
            if rng.random() < JOINED:
                i, j, cut, cut_b = len(a.tokens), 0, len(a.frames) - 1, 0
            if i + len(b.tokens) - j + cut + len(b.frames) - cut_b <= LONGEST:
                result.append(Utterance(np.concatenate([a.tokens[:i], b.tokens[j:]]),
                                        np.concatenate([a.begins[:i], b.begins[j:] - cut_b + cut]),
                                        np.concatenate([a.frames[:cut], b.frames[cut_b:]]), voice))
    return result


def sizes(lengths: np.ndarray, held_out: np.ndarray, learned: list[np.ndarray], positions: int) -> Iterator[Size]:
    """Rows by their lengths [2, U], in tokens and frames, in batches of so many positions."""
    total = lengths.sum(0)
    edges = np.quantile(total, np.linspace(0, 1, SIZES + 1)[1:-1])
    for k in range(SIZES):
        members = [rows[np.searchsorted(edges, total[rows]) == k] for rows in (held_out, *learned)]
        if all(map(len, members[1:])):
            n, t = (int(v) for v in lengths[:, np.concatenate(members)].max(1))
            t += t % DISTILLED == 0                                             # so that every frame has its turn: flow_losses
            yield Size(max(1, positions // (PREFIX + n + t)), n, t, [torch.from_numpy(rows).to(DEVICE) for rows in members])


def padded(rows: list[np.ndarray], value: float = 0) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True, value).to(DEVICE)


def some(rows: torch.Tensor, count: int) -> torch.Tensor:
    return rows[(torch.rand(count, device=DEVICE) * len(rows)).long()]


class Learner(nn.Module):
    def __init__(self, c: dict, voices: int) -> None:
        super().__init__()
        self.lm, self.voices = FlowLM(c["flow_lm"]), nn.Embedding(voices, 32)
        self.guess = nn.Linear(c["flow_lm"]["transformer"]["d_model"], 32)      # of the latent, from what the flow net is told

    def forward(self, voice: torch.Tensor, tokens: torch.Tensor, n: torch.Tensor, x: torch.Tensor):
        """Voices [B], tokens [B, N], their number [B], normalised latents [B, T, 32] -> hidden [B, T, d] of each frame, and what heads
        see [B, H, T, N] in each layer that is shown. Frames follow right after the tokens that there are."""
        lm, (B, T), N = self.lm, x.shape[:2], tokens.shape[1]
        before = torch.cat([lm.bos_emb.expand(B, 1, -1), x[:, :-1]], 1)
        prefix = torch.stack([lm.bos_before_voice[0, 0].expand(B, -1), looked_up(self.voices, voice) @ lm.speaker_proj_weight.T], 1)
        rows = torch.cat([prefix, looked_up(lm.conditioner.embed, tokens), lm.input_linear(before)], 1)
        length = PREFIX + N + T
        position = torch.arange(length, device=x.device).expand(B, -1)
        shift = (position >= (PREFIX + n)[:, None]) * (N - n[:, None])
        take = (position + shift).clamp(max=length - 1)                          # row of each position; the last are repeated
        h, seen = lm.transformer(rows.gather(1, take[..., None].expand(-1, -1, rows.shape[2])), tuple(SHOWN))
        frame = (PREFIX + n)[:, None] + torch.arange(T, device=x.device)         # position of each frame
        frame_rows = frame[:, None, :, None].expand(-1, HEADS, -1, N)
        seen = [logs[:, :HEADS, :, PREFIX : PREFIX + N].gather(2, frame_rows) for logs in seen]
        h = h.gather(1, frame[..., None].expand(-1, -1, h.shape[2]))
        return lm.out_norm(h), seen


def looked_up(table: nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
    """As table(ids). Small tables are looked up faster, going back, as products."""
    return (ids[..., None] == torch.arange(len(table.weight), device=ids.device)).to(table.weight.dtype) @ table.weight


def attention_loss(logs: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """How much of the attention [B, T, N] falls beside the wanted tokens."""
    on = logs.masked_fill(~wanted, -1e9).logsumexp(-1).clamp_min(-12)
    return -(on * mask).sum() / mask.sum()


def flow_losses(net: nn.Module, cond: torch.Tensor, x1: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Flow matching and self-distillation: the jump from s to t must move, at t, as the flow does there. Of rows [N, 32] that
    count `weight` [N]: both errors, then both as they are to be made less."""
    c, y = cond.repeat(2, 1), x1.repeat(2, 1)
    x0, t = torch.randn_like(y), torch.sigmoid(torch.randn(len(y), 1, device=y.device))
    fm = (net(c, (t, t), (1 - t) * x0 + t * y) - (y - x0)).square().mean(-1)
    cond, x1, some = cond[::DISTILLED], x1[::DISTILLED], weight[::DISTILLED]
    x0 = torch.randn_like(x1)
    s, t = torch.rand(2, len(x1), 1, device=x1.device).sort(0).values
    whole = torch.rand(len(x1), 1, device=x1.device) < 0.4                      # the jump that speaking takes
    s, t = s.masked_fill(whole, 0.0), t.masked_fill(whole, 1.0)
    xs = (1 - s) * x0 + s * x1
    end, moves = torch.func.jvp(lambda t: xs + (t - s) * net(cond, (s, t), xs), (t,), (torch.ones_like(t),))
    with torch.no_grad():
        wanted = net(cond, (t, t), end)
    lsd = (moves - wanted).square().mean(-1)
    roots = (mean(e / (e.detach() + 0.1).sqrt(), w) for e, w in ((fm, weight.repeat(2)), (lsd, some)))
    return mean(fm, weight.repeat(2)), mean(lsd, some), *roots          # large errors count less than by their squares


def mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum()


def losses(learner: Learner, utterances: Utterances, batch: tuple) -> dict[str, torch.Tensor]:
    """Means over a batch: of the flow, of its jumps, of the attention that is shown, of the end of speech; `loss` to be made less."""
    lm, (rows, tokens, x) = learner.lm, batch
    frames = torch.arange(x.shape[1], device=DEVICE)
    mask = (frames < utterances.t[rows][:, None]).float()
    spoken = (frames < utterances.speech_end[rows][:, None]).float()
    x = (x - lm.emb_mean) / lm.emb_std
    noisy = x + NOISE * torch.rand(len(x), 1, 1, device=DEVICE) * torch.randn_like(x)
    unheard = torch.rand_like(x[..., :1]) < UNHEARD * torch.rand(len(x), 1, 1, device=DEVICE)
    noisy = torch.where(unheard, torch.randn_like(x), noisy)
    with autocast():
        h, seen = learner(utterances.voice[rows], tokens, utterances.n[rows], noisy)
    h = h.float()
    wanted = utterances.targets(rows, x.shape[1], tokens.shape[1])
    attention = sum(
        weight * attention_loss(logs[:, head], wanted[head], spoken) / HEADS
        for weight, logs in zip(SHOWN.values(), seen, strict=True) for head in range(HEADS))
    eos = mean(F.binary_cross_entropy_with_logits(lm.out_eos(h)[..., 0], 1 - spoken, reduction="none"), mask)
    guess = mean((learner.guess(h) - x).square().mean(-1), mask)
    fm, lsd, fm_root, lsd_root = flow_losses(lm.flow_net, h.flatten(0, 1), x.flatten(0, 1), mask.flatten())
    loss = fm_root + 0.5 * lsd_root + guess + 0.3 * attention + 0.1 * eos
    return {"loss": loss, "fm": fm, "lsd": lsd, "guess": guess, "attention": attention, "eos": eos}


class Step:
    """One step of training for each size of batch. A GPU records it once and then replays it: its thousands of small kernels take
    less time than it takes to ask for them."""

    def __init__(self, learner: Learner, utterances: Utterances, optimizer: torch.optim.Optimizer) -> None:
        self.learner, self.utterances, self.optimizer = learner, utterances, optimizer
        self.also, self.recorded = torch.zeros((), device=DEVICE), {}

    def run(self, size: Size) -> dict[str, torch.Tensor]:
        now = losses(self.learner, self.utterances, self.utterances.batch(size, self.also))
        self.optimizer.zero_grad()
        now.pop("loss").backward()
        descend(self.optimizer, self.learner)
        return {k: v.detach() for k, v in now.items()}

    def __call__(self, k: int, also: float) -> dict[str, torch.Tensor]:
        """With batches of size k, about `also` of which is from the second run."""
        size = self.utterances.sizes[k]
        self.also.fill_(also)
        if DEVICE == "cpu":
            return self.run(size)
        if k not in self.recorded:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):                                     # whatever is made at a first time is made here
                for _ in range(2):
                    self.run(size)
            torch.cuda.current_stream().wait_stream(stream)
            self.optimizer.zero_grad()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.recorded[k] = graph, self.run(size)
        graph, now = self.recorded[k]
        graph.replay()
        return now


def main() -> None:
    gpu = DEVICE == "cuda"
    args = arguments(__doc__, positions=16384 if gpu else 800, lr=1e-3 if gpu else 2e-3, dropout=0.1 if gpu else 0.0, also="")
    torch.manual_seed(0)
    utterances = Utterances([args.run, *([Path(args.also)] if args.also else [])], args.positions)
    learner = Learner(config(args.run), len(utterances.voices)).to(DEVICE)
    for layer in learner.lm.transformer.layers:
        layer.dropout.p = args.dropout                                          # a GPU hears each sentence hundreds of times
    learner.lm.emb_mean.copy_(utterances.mean)
    learner.lm.emb_std.copy_(utterances.std)
    training = Training(args, "lm", {"learner": learner}, [optimizer(learner, args.lr, (0.9, 0.98), 0.05)], "learner")
    rng, step = np.random.default_rng(training.step), Step(learner, utterances, training.optimizers[0])
    for progress in training:
        now = step(rng.choice(len(utterances.sizes), p=utterances.chances), ALSO * min(1, (1 - progress) / ALONE))
        if training.step % (200 if gpu else 25) == 0 and (batch := utterances.held_out(rng)):
            with torch.no_grad():
                held = losses(learner.eval(), utterances, batch)
            learner.train()
            training.log(**{f"{k}_held_out": held[k] for k in ("fm", "guess", "attention")})
        if training.step % 10 == 0 or not gpu:
            training.log(**now)


if __name__ == "__main__":
    main()
