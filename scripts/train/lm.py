"""Train the flow LM on the latents: flow matching and Lagrangian self-distillation (arXiv 2505.18825), the end of speech, attention.

    python lm.py RUN --minutes 60 [--also RUN2]

RUN needs latents.npy (features.py) and align.npy (align.py). Some heads are shown which token is being spoken: alone they find it out
only after tens of thousands of steps. A voice is a vector of its own, which stands where a voice prompt would.

The flow's losses are noisy, and the latents before say much: the flow LM goes on from them and does not learn to read. So part of
the latents are withheld, and a linear guess of the latent is learned beside the flow, by its plain squared error.

To read takes more text than to sound like somebody. RUN2 may have speech of any quality by other voices: half of the batches are from
there, and none at the end.
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from align import letters_of
from common import DEVICE, Training, arguments, autocast, config, descend, optimizer
from data import Corpus
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


class Utterances:
    """Batches of utterances of about the same length, made on the device.

    Some are spliced: words up to some word of one utterance, then words from some word of another on. Without that the flow LM
    learns by heart what is spoken when, instead of how to find it out.
    """

    def __init__(self, runs: list[Path], positions: int) -> None:
        """What each of `runs` has, the first of which has what is held out. Batches have so many positions."""
        rows, latents, groups, self.voices = [], [], [], []
        for k, run in enumerate(runs):
            corpus, pieces = Corpus(run), Pieces(run)
            whole = utterances(corpus, pieces, np.load(run / "align.npy"), sum(map(len, latents)), len(self.voices))
            n = len(corpus.training)                                            # those held out come last
            others = [row for row in whole[:n] for row in pieces.otherwise(row)]
            mixed = spliced(whole[:n] + others, n * (1 if k else SPLICES), pieces.starts, np.random.default_rng(0))
            groups += [(len(rows) + np.repeat(np.arange(n), USUAL), k), (len(rows) + np.arange(n, len(whole)), -1),
                       (len(rows) + len(whole) + np.arange(len(others) + len(mixed)), k)]
            rows += whole + others + mixed
            latents.append(np.load(run / "latents.npy"))
            self.voices += corpus.voices
            if not k:
                speech = latents[0][: corpus.training_frames]
                self.mean, self.std = (torch.from_numpy(v).to(DEVICE) for v in (speech.mean(0), speech.std(0)))

        def pad(rows: list[np.ndarray], value: float = 0) -> torch.Tensor:
            return nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True, value).to(DEVICE)

        self.latents = torch.from_numpy(np.concatenate(latents)).to(DEVICE)
        self.tokens, self.begins = pad([r[0] for r in rows]), pad([r[1].astype(np.float32) for r in rows], 1e9)     # [U, N]
        self.frames = pad([r[2] for r in rows])                                 # [U, T], indices of latents
        longest = np.array([[len(r[0]) for r in rows], [len(r[2]) for r in rows]])
        self.n, self.t = torch.from_numpy(longest).to(DEVICE)
        self.speech_end = self.t - TAIL
        self.voice = torch.tensor([r[3] for r in rows], device=DEVICE)
        length = longest.sum(0)
        edges = np.quantile(length, np.linspace(0, 1, SIZES + 1)[1:-1])
        self.sizes, chances = [], []
        for size in range(SIZES):
            of = [np.concatenate([g[np.searchsorted(edges, length[g]) == size] for g, kind in groups if kind == k])
                  for k in sorted({kind for _, kind in groups})]                # held out, of the first run, of the second
            if not all(map(len, of[1:])):
                continue
            n, t = longest[:, np.concatenate(of)].max(1)
            t += t % DISTILLED == 0                                             # so that every frame has its turn: flow_losses
            count = max(1, positions // (PREFIX + int(n + t)))
            self.sizes.append((count, int(n), int(t), [torch.from_numpy(members).to(DEVICE) for members in of]))
            chances.append(len(of[1]) / count)
        self.chances = np.array(chances) / sum(chances)
        self.held_out = [i for i, (*_, members) in enumerate(self.sizes) if len(members[0])]

    def batch(self, size: int, also: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Rows [B], tokens [B, N], latents [B, T, 32] of one size; about `also` of them (a number on the device) are of the second
        run. Without that they are held out."""
        count, n, t, members = self.sizes[size]

        def some(of: torch.Tensor) -> torch.Tensor:
            return of[(torch.rand(count, device=DEVICE) * len(of)).long()]

        if also is None:
            rows = some(members[0])
        else:
            rows = some(members[1])
            if members[2:]:
                rows = torch.where(torch.rand(count, device=DEVICE) < also, some(members[2]), rows)
        return rows, self.tokens[rows, :n], self.latents[self.frames[rows, :t]]

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


def utterances(corpus: Corpus, pieces: "Pieces", letters: np.ndarray, first_frame: int, first_voice: int) -> list[tuple]:
    """Tokens, when they begin, indices of frames, voice, when letters begin; of each utterance."""
    begins = np.split(letters, np.cumsum([int(pieces.letters[tokens].sum()) for tokens in corpus.tokens])[:-1])
    return [(tokens, pieces.begins(tokens, begin), first_frame + np.arange(start, end + TAIL), first_voice + int(voice), begin)
            for tokens, begin, start, end, voice
            in zip(corpus.tokens, begins, corpus.start, corpus.speech_end, corpus.voice, strict=True)]


class Pieces:
    """What a tokenizer's tokens are made of: letters [n_bins] int, whether words begin with them [n_bins] bool."""

    def __init__(self, run: Path) -> None:
        import sentencepiece

        self.tokenizer = sentencepiece.SentencePieceProcessor(str(run / "tokenizer.model"))
        pieces = [self.tokenizer.id_to_piece(i) for i in range(self.tokenizer.vocab_size())]
        self.letters = np.array(letters_of(run))
        self.starts = np.array([piece.startswith("▁") for piece in pieces])

    def begins(self, tokens: np.ndarray, letters: np.ndarray) -> np.ndarray:
        """When each token begins, of when each letter does."""
        first = np.cumsum(self.letters[tokens]) - self.letters[tokens]
        return letters[np.minimum(first, len(letters) - 1)]

    def otherwise(self, utterance: tuple) -> list[tuple]:
        """The same utterance with its text cut into other pieces."""
        tokens, _, frames, voice, letters = utterance
        text = self.tokenizer.decode(tokens.tolist())
        found = [np.array(self.tokenizer.encode(text, enable_sampling=True, alpha=DROPPED, nbest_size=-1)) for _ in range(SEGMENTED)]
        return [(f, self.begins(f, letters), frames, voice, letters) for f in found if self.letters[f].sum() == len(letters)]


def spliced(whole: list[tuple], count: int, word_starts: np.ndarray, rng: np.random.Generator) -> list[tuple]:
    """Utterances of the same voice, the first up to a word and the second from a word on, cut where these words begin; or two whole
    ones, one after the other."""
    words = [np.flatnonzero(word_starts[u[0]])[1:] for u in whole]              # the first word has silence before it
    of_voice = {v: np.array([k for k, u in enumerate(whole) if u[3] == v and len(words[k])]) for v in {u[3] for u in whole}}
    result = []
    for voice, rows in of_voice.items():
        for _ in range(count * len(rows) // len(whole)):
            a, b = rows[rng.integers(len(rows), size=2)]
            (tokens, begins, frames, *_), (tokens_b, begins_b, frames_b, *_) = whole[a], whole[b]
            i, j = words[a][rng.integers(len(words[a]))], words[b][rng.integers(len(words[b]))]
            cut, cut_b = round(float(begins[i])), round(float(begins_b[j]))
            if rng.random() < JOINED:
                i, j, cut, cut_b = len(tokens), 0, len(frames) - 1, 0
            if i + len(tokens_b) - j + cut + len(frames_b) - cut_b <= LONGEST:
                result.append((np.concatenate([tokens[:i], tokens_b[j:]]), np.concatenate([begins[:i], begins_b[j:] - cut_b + cut]),
                               np.concatenate([frames[:cut], frames_b[cut_b:]]), voice))
    return result


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

    def run(self, size: int) -> dict[str, torch.Tensor]:
        now = losses(self.learner, self.utterances, self.utterances.batch(size, self.also))
        self.optimizer.zero_grad()
        now.pop("loss").backward()
        descend(self.optimizer, self.learner)
        return {k: v.detach() for k, v in now.items()}

    def __call__(self, size: int, also: float) -> dict[str, torch.Tensor]:
        self.also.fill_(also)
        if DEVICE == "cpu":
            return self.run(size)
        if size not in self.recorded:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):                                     # whatever is made at a first time is made here
                for _ in range(2):
                    self.run(size)
            torch.cuda.current_stream().wait_stream(stream)
            self.optimizer.zero_grad()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.recorded[size] = graph, self.run(size)
        graph, now = self.recorded[size]
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
        if training.step % (200 if gpu else 25) == 0 and utterances.held_out:
            with torch.no_grad():
                held = losses(learner.eval(), utterances, utterances.batch(rng.choice(utterances.held_out)))
            learner.train()
            training.log(**{f"{k}_held_out": held[k] for k in ("fm", "guess", "attention")})
        if training.step % 10 == 0 or not gpu:
            training.log(**now)


if __name__ == "__main__":
    main()
