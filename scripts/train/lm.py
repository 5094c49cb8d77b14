"""Train the flow LM on the latents: flow matching and Lagrangian self-distillation (arXiv 2505.18825), the end of speech, attention.

    python lm.py RUN --minutes 60

RUN needs latents.npy (features.py) and align.npy (align.py). Some heads are shown which token is being spoken: alone they find it out
only after tens of thousands of steps. A voice is a vector of its own, which stands where a voice prompt would.

The flow's losses are noisy, and the latents before say much: the flow LM goes on from them and does not learn to read. So part of
the latents are withheld, and a linear guess of the latent is learned beside the flow, by its plain squared error.
"""
import itertools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import DEVICE, Training, arguments, autocast, config, optimizer
from data import Corpus
from net import FlowLM
from torch import nn

PREFIX = 2                                                                      # bos_before_voice, the voice
TAIL = 4                                                                        # frames after the end of speech that are learned
SHOWN = {1: 0.3, 3: 1.0}                                                        # layers some heads of which are shown: weight
HEADS = 4                                                                       # these: the tokens of a frame, and the next ones
DISTILLED = 3                                                                   # one frame in so many learns jumps, for their price
SPLICES, SPLICED = 10, 0.7                                                      # for each utterance; which part of the batches
NOISE = 0.3                                                                     # at most so much on the latents fed back
UNHEARD = 0.9                                                                   # at most this part of them is mere noise


class Utterances:
    """Batches of utterances of about the same length, made on the device.

    Most are spliced: words up to some word of one utterance, then words from some word of another on. Without that the flow LM
    learns by heart what is spoken when, instead of how to find it out.
    """

    def __init__(self, corpus: Corpus, latents: np.ndarray, begins: np.ndarray, word_starts: np.ndarray) -> None:
        """word_starts: [n_bins] bool, the tokens with which a word begins."""
        begins = np.split(begins, np.cumsum([len(t) for t in corpus.tokens])[:-1])
        whole = [(tokens, begin, np.arange(start, end + TAIL), int(voice)) for tokens, begin, start, end, voice
                 in zip(corpus.tokens, begins, corpus.start, corpus.speech_end, corpus.voice, strict=True)]
        training = whole[: len(corpus.training)]                                # those held out come last
        rows = whole + spliced(training, word_starts, np.random.default_rng(0))

        def pad(rows: list[np.ndarray], value: float = 0) -> torch.Tensor:
            return nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True, value).to(DEVICE)

        self.latents = torch.from_numpy(latents).to(DEVICE)
        self.tokens, self.begins = pad([r[0] for r in rows]), pad([r[1].astype(np.float32) for r in rows], 1e9)     # [U, N]
        self.frames = pad([r[2] for r in rows])                                 # [U, T], indices of latents
        self.longest = np.array([[len(r[0]) for r in rows], [len(r[2]) for r in rows]])
        self.n, self.t = torch.from_numpy(self.longest).to(DEVICE)
        self.speech_end = self.t - TAIL
        self.voice = torch.tensor([r[3] for r in rows], device=DEVICE)
        by_length = np.argsort(self.longest.sum(0), kind="stable")
        bounds = (0, len(training), len(whole), len(rows))
        self.whole, self.held_out, self.spliced = (by_length[(by_length >= a) & (by_length < b)] for a, b in itertools.pairwise(bounds))

    def batch(self, rng: np.random.Generator, positions: int, held_out: bool = False) -> tuple[torch.Tensor, ...]:
        """As many utterances of about the same length as fit into so many positions: rows [B], tokens [B, N], latents [B, T, 32]."""
        rows = self.held_out if held_out else self.whole if rng.random() > SPLICED else self.spliced
        first = rng.integers(len(rows))
        size = max(1, positions // (PREFIX + int(self.longest[:, rows[first]].sum())))
        rows = rows[max(0, min(first, len(rows) - size)) :][:size]
        n, t = self.longest[:, rows].max(1)
        rows = torch.from_numpy(rows).to(DEVICE)
        return rows, self.tokens[rows, : int(n)], self.latents[self.frames[rows, : int(t)]]

    def targets(self, rows: torch.Tensor, frames: int, tokens: int) -> list[torch.Tensor]:
        """Tokens heard within each frame, then for each further head the one token after those: [B, T, N] each."""
        at = torch.arange(frames, device=DEVICE)[None, :, None]
        begins = self.begins[rows, :tokens][:, None]
        last = torch.arange(tokens, device=DEVICE)[None, None] == (self.n[rows] - 1)[:, None, None]
        ends = torch.where(last, 1e9, F.pad(begins[..., 1:], (0, 1), value=1e9))
        wanted = [(begins < at + 1) & (ends > at)]
        for _ in range(1, HEADS):
            after = F.pad(wanted[-1], (1, -1)) & ~wanted[0] & (begins < 1e8)
            wanted.append(after | (wanted[-1] & last))
        return wanted


def spliced(whole: list[tuple], word_starts: np.ndarray, rng: np.random.Generator) -> list[tuple]:
    """Utterances of the same voice, the first up to a word and the second from a word on, cut where these words begin."""
    words = [np.flatnonzero(word_starts[u[0]])[1:] for u in whole]               # the first word has silence before it
    of_voice = {v: [k for k, u in enumerate(whole) if u[3] == v and len(words[k])] for v in {u[3] for u in whole}}
    result = []
    for voice, rows in of_voice.items():
        for _ in range(SPLICES * len(rows)):
            a, b = rng.choice(rows, 2)
            i, j = rng.choice(words[a]), rng.choice(words[b])
            (tokens, begins, frames, _), (tokens_b, begins_b, frames_b, _) = whole[a], whole[b]
            cut, cut_b = round(float(begins[i])), round(float(begins_b[j]))
            result.append((np.concatenate([tokens[:i], tokens_b[j:]]), np.concatenate([begins[:i], begins_b[j:] - cut_b + cut]),
                           np.concatenate([frames[:cut], frames_b[cut_b:]]), voice))
    return result


def word_starts(run: Path) -> np.ndarray:
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(str(run / "tokenizer.model"))
    return np.array([tokenizer.id_to_piece(i).startswith("▁") for i in range(tokenizer.vocab_size())])


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
        prefix = torch.stack([lm.bos_before_voice[0, 0].expand(B, -1), self.voices(voice) @ lm.speaker_proj_weight.T], 1)
        rows = torch.cat([prefix, lm.conditioner.embed(tokens), lm.input_linear(before)], 1)
        length = PREFIX + N + T
        position = torch.arange(length, device=x.device).expand(B, -1)
        shift = torch.where(position >= (PREFIX + n)[:, None], N - n[:, None], 0)
        take = (position + shift).clamp(max=length - 1)                          # row of each position; the last are repeated
        h, seen = lm.transformer(rows.gather(1, take[..., None].expand(-1, -1, rows.shape[2])), tuple(SHOWN))
        frame = (PREFIX + n)[:, None] + torch.arange(T, device=x.device)         # position of each frame
        frame_rows = frame[:, None, :, None].expand(-1, HEADS, -1, N)
        seen = [logs[:, :HEADS, :, PREFIX : PREFIX + N].gather(2, frame_rows) for logs in seen]
        h = h.gather(1, frame[..., None].expand(-1, -1, h.shape[2]))
        return lm.out_norm(h), seen


def attention_loss(logs: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """How much of the attention [B, T, N] falls beside the wanted tokens."""
    on = logs.masked_fill(~wanted, -1e9).logsumexp(-1).clamp_min(-12)
    return -(on * mask).sum() / mask.sum()


def flow_losses(net: nn.Module, cond: torch.Tensor, x1: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow matching [N, 32] and self-distillation: the jump from s to t must move, at t, as the flow does there."""
    c, y = cond.repeat(2, 1), x1.repeat(2, 1)
    x0, t = torch.randn_like(y), torch.sigmoid(torch.randn(len(y), 1, device=y.device))
    fm = (net(c, (t, t), (1 - t) * x0 + t * y) - (y - x0)).square().mean(-1)
    some = torch.randperm(len(x1), device=x1.device)[: len(x1) // DISTILLED]
    cond, x1 = cond[some], x1[some]
    x0 = torch.randn_like(x1)
    s, t = torch.rand(2, len(x1), 1, device=x1.device).sort(0).values
    whole = torch.rand(len(x1), 1, device=x1.device) < 0.4                      # the jump that speaking takes
    s, t = torch.where(whole, 0.0, s), torch.where(whole, 1.0, t)
    xs = (1 - s) * x0 + s * x1
    end, moves = torch.func.jvp(lambda t: xs + (t - s) * net(cond, (s, t), xs), (t,), (torch.ones_like(t),))
    with torch.no_grad():
        wanted = net(cond, (t, t), end)
    return fm, (moves - wanted).square().mean(-1)


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
    h, kept = h.float(), mask.flatten().bool()
    wanted = utterances.targets(rows, x.shape[1], tokens.shape[1])
    attention = sum(
        weight * attention_loss(logs[:, head], wanted[head], spoken) / HEADS
        for weight, logs in zip(SHOWN.values(), seen, strict=True) for head in range(HEADS))
    eos = F.binary_cross_entropy_with_logits(lm.out_eos(h)[..., 0], 1 - spoken, mask) * mask.numel() / mask.sum()
    h, x = h.flatten(0, 1)[kept], x.flatten(0, 1)[kept]
    guess = (learner.guess(h) - x).square().mean()
    fm, lsd = flow_losses(lm.flow_net, h, x)
    fm_root, lsd_root = ((e / (e.detach() + 0.1).sqrt()).mean() for e in (fm, lsd))     # large errors count less than by their squares
    loss = fm_root + 0.5 * lsd_root + guess + 0.3 * attention + 0.1 * eos
    return {"loss": loss, "fm": fm.mean(), "lsd": lsd.mean(), "guess": guess, "attention": attention, "eos": eos}


def main() -> None:
    gpu = DEVICE == "cuda"
    args = arguments(__doc__, positions=16384 if gpu else 800, lr=1e-3 if gpu else 2e-3, dropout=0.1 if gpu else 0.0)
    torch.manual_seed(0)
    corpus, latents = Corpus(args.run), np.load(args.run / "latents.npy")
    learner = Learner(config(args.run), len(corpus.voices)).to(DEVICE)
    for layer in learner.lm.transformer.layers:
        layer.dropout.p = args.dropout                                          # a GPU hears each sentence hundreds of times
    speech = latents[: corpus.training_frames]
    learner.lm.emb_mean.copy_(torch.from_numpy(speech.mean(0)))
    learner.lm.emb_std.copy_(torch.from_numpy(speech.std(0)))
    utterances = Utterances(corpus, latents, np.load(args.run / "align.npy"), word_starts(args.run))
    training = Training(args, "lm", {"learner": learner}, [optimizer(learner, args.lr, (0.9, 0.98), 0.05)], "learner")
    rng = np.random.default_rng(training.step)
    for _ in training:
        now = losses(learner, utterances, utterances.batch(rng, args.positions))
        training.optimizers[0].zero_grad()
        now.pop("loss").backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        training.optimizers[0].step()
        if training.step % 25 == 0:
            with torch.no_grad():
                held = losses(learner.eval(), utterances, utterances.batch(rng, args.positions, held_out=True))
            learner.train()
            now |= {f"{k}_held_out": held[k] for k in ("fm", "guess", "attention")}
        training.log(**now)


if __name__ == "__main__":
    main()
