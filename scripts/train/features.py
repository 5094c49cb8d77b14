"""Train what lies between the SEANets of Mimi on spectra: log mel -> latents -> log mel. Then every frame's latent: RUN/latents.npy

    python features.py RUN --minutes 12 [--also RUN2]      # RUN2 only gets its latents

A mel spectrum takes the place of what the SEANet encoder hears, and a linear layer that of the SEANet decoder. So the latents are
there after minutes, at 100 vectors a second, and the flow LM can be trained while the decoder learns to speak.
"""
from pathlib import Path

import numpy as np
import torch
from common import DEVICE, MELS, Training, arguments, autocast, averaged, config, descend, log_mel, optimizer
from data import RATIO, Corpus, crops
from net import Mimi
from torch import nn

FRAMES = 24                                                                     # a crop: 1.92 s
CONTEXT = 8                                                                     # frames that only warm the state up
SIGMA, SPREAD = 0.15, 0.01                                                      # noise on latents; weight that keeps them small


class Features(nn.Module):
    def __init__(self, c: dict) -> None:
        super().__init__()
        self.mimi = Mimi(c["mimi"])
        self.mimi.encoder = self.mimi.decoder = None
        self.hear = nn.Linear(MELS, c["mimi"]["seanet"]["dimension"])
        self.speak = nn.Linear((c["mimi"]["decoder_seanet"] or c["mimi"]["seanet"])["dimension"], MELS)

    def latents(self, mel: torch.Tensor) -> torch.Tensor:
        """[B, 8 T, MELS] -> [B, 32, T]."""
        return self.mimi.latents(self.hear(mel).transpose(1, 2))


@torch.no_grad()
def mel_of(corpus: Corpus) -> torch.Tensor:
    """[F * RATIO, MELS], half precision."""
    step = 4000
    parts = []
    for i in range(0, corpus.frames, step):                                     # a frame more on each side, for the windows
        a, b = max(0, i - 1), min(corpus.frames, i + step + 1)
        mel = log_mel(corpus.crops(torch.tensor([a], device=DEVICE), b - a)[0]).half()
        parts.append(mel[(i - a) * RATIO :][: (min(corpus.frames, i + step) - i) * RATIO])
    return torch.cat(parts)


@torch.no_grad()
def all_latents(net: Features, mel: torch.Tensor, frames: int = 200, batch: int = 64) -> np.ndarray:
    """[F, 32] of the whole recording, in pieces that overlap by the context of the transformer."""
    n = len(mel) // RATIO
    starts = torch.arange(0, n, frames, device=mel.device) - CONTEXT
    parts = []
    for s in starts.split(batch):
        at = (s[:, None] * RATIO + torch.arange((frames + CONTEXT) * RATIO, device=mel.device)).clamp(0, len(mel) - 1)
        parts.append(net.latents(mel[at].float())[..., CONTEXT:].transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[:n].float().cpu().numpy()


def main() -> None:
    args = arguments(__doc__, batch={"cpu": 12, "cuda": 96}[DEVICE], lr={"cpu": 2e-3, "cuda": 1e-3}[DEVICE], also="")
    torch.manual_seed(0)
    corpus, net = Corpus(args.run, DEVICE), Features(config(args.run)).to(DEVICE)
    mel = mel_of(corpus)
    training = Training(args, "features", {"net": net}, [optimizer(net, args.lr)], "net")
    for _ in training:
        x = crops(mel, corpus.random_starts(args.batch, FRAMES) * RATIO, FRAMES * RATIO).float()
        with autocast():
            z = net.latents(x)
            y = net.speak(net.mimi.features(z + SIGMA * torch.randn_like(z)).transpose(1, 2))
        y, x = y[:, CONTEXT * RATIO :].float(), x[:, CONTEXT * RATIO :]
        error = (y - x).abs().mean()
        edges = ((y[:, 1:] - y[:, :-1]) - (x[:, 1:] - x[:, :-1])).abs().mean()  # what moves must move at the right time
        loss = error + edges + SPREAD * z.float().square().mean()
        training.optimizers[0].zero_grad()
        loss.backward()
        descend(training.optimizers[0], net)
        training.log(mel=error, edges=edges, power=z.square().mean())
    net.load_state_dict(averaged(training.path))
    for run in [args.run, *([Path(args.also)] if args.also else [])]:
        latents = all_latents(net.eval(), mel if run == args.run else mel_of(Corpus(run, DEVICE)))
        np.save(run / "latents.npy", latents)
        print(run, "latents", latents.shape, "std", latents.std(0).round(2))


if __name__ == "__main__":
    main()
