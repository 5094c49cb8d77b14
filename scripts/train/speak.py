"""Speak held-out sentences with the current checkpoints, to evaluate them before distillation and export.

    python speak.py RUN OUT [-n 40] [--latents guess|flow|step|true]      # OUT/NNNNN.wav

guess: the linear guess of each latent. flow: FLOW_STEPS Euler steps of the flow. step: one step of the distilled flow net.
true: the latents of the recordings, to evaluate the codec alone.
"""

from pathlib import Path

import numpy as np
import soundfile
import torch
from corpus import FRAMES_BEFORE, SAMPLE_RATE, Corpus
from decoder import CONTEXT, Decoder, load_decoder
from lm import Learner, load_learner
from torch import nn
from training import argument_parser, autocast, parse

FIRST_END = 6  # smallest number of frames of an utterance
LONGEST = 1.4  # length limit, relative to the longest recording
FLOW_STEPS = 8


def next_latents(learner: Learner, h: torch.Tensor, kind: str, temperature: float) -> torch.Tensor:
    """Hidden states [B, d_model] -> normalized latents [B, 32]."""
    if kind == "guess":
        return learner.guess(h)
    z = torch.randn(len(h), 32, device=h.device) * temperature**0.5
    steps = FLOW_STEPS if kind == "flow" else 1
    for i in range(steps):
        s = torch.full((len(h), 1), i / steps, device=h.device)
        t = s if kind == "flow" else torch.ones_like(s)
        z = z + learner.lm.flow_net(h, (s, t), z).float() / steps
    return z


def generate(learner: Learner, corpus: Corpus, rows: np.ndarray, kind: str, temperature: float) -> list[torch.Tensor]:
    """Generate latents [T, 32] for the sentences of the utterances `rows`."""
    device = learner.lm.emb_mean.device
    tokens = [torch.from_numpy(corpus.tokens[k]).to(device) for k in rows]
    padded = nn.utils.rnn.pad_sequence(tokens, True)
    n = torch.tensor([len(t) for t in tokens], device=device)
    voice = torch.from_numpy(corpus.voice[rows]).to(device)
    longest = int(max(corpus.end[rows] - corpus.start[rows]) * LONGEST)
    x, end = torch.zeros(len(rows), 1, 32, device=device), torch.full((len(rows),), longest, device=device)
    for i in range(longest):
        hidden, _ = learner(voice, padded, n, x)  # the last row of x is not an input yet
        h = hidden[:, -1].float()
        ends = (learner.lm.out_eos(h)[:, 0] > 0) & (end == longest) & (i >= FIRST_END)
        end[ends] = i
        x[:, -1] = next_latents(learner, h, kind, temperature)
        x = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
        if bool((end < longest).all()):
            break
    latents = learner.lm.denormalize(x)
    return [latents[b, : int(t)] for b, t in enumerate(end)]


def to_sound(decoder: Decoder, latents: torch.Tensor) -> np.ndarray:
    """Latents [T, 32] -> samples [T * HOP]."""
    silence = latents.new_zeros(CONTEXT, 32)
    sound: np.ndarray = decoder(torch.cat([silence, latents]).T[None])[0].cpu().numpy()
    return sound


@torch.no_grad()
def main() -> None:
    parser = argument_parser(__doc__, minutes=False)
    parser.add_argument("out", type=Path)
    parser.add_argument("-n", type=int, default=40, help="largest number of sentences")
    parser.add_argument("--latents", choices=("guess", "flow", "step", "true"), default="guess")
    parser.add_argument("--temperature", type=float, default=0.3)
    args = parse(parser)
    corpus, decoder = Corpus(args.run), load_decoder(args.run, args.device)
    rows = corpus.held_out[: args.n]
    if not len(rows):
        raise SystemExit(f"{args.run} has no held-out sentences (ids divisible by 97)")
    spans = [slice(int(corpus.start[k]) + FRAMES_BEFORE, int(corpus.speech_end[k])) for k in rows]
    if args.latents == "true":
        latents = torch.from_numpy(np.load(args.run / "latents.npy")).to(args.device)
        spoken = [latents[span] for span in spans]
    else:
        path = args.run / ("lm_final.pt" if args.latents == "step" else "lm.pt")
        learner = load_learner(args.run, args.device, path)
        with autocast(args.device):
            spoken = generate(learner, corpus, rows, args.latents, args.temperature)
    args.out.mkdir(exist_ok=True, parents=True)
    for k, latents in zip(rows, spoken, strict=True):
        soundfile.write(args.out / f"{corpus.ids[k]:05d}.wav", to_sound(decoder, latents), SAMPLE_RATE)
    lengths = np.array([len(latents) / (span.stop - span.start) for latents, span in zip(spoken, spans, strict=True)])
    print(f"{len(rows)} sentences, {np.mean(abs(lengths - 1) < 0.25):.0%} within 25% of the recording's length")


if __name__ == "__main__":
    main()
