"""Train the encoder's SEANet to hear from samples what features.py heard from spectra. Only cloning voices needs it.

    python encoder.py RUN --minutes 3

A spectrum looks ahead of its samples, a SEANet does not: it answers LAG feature vectors, 20 ms, later.
"""
import torch
import torch.nn.functional as F
from common import DEVICE, Training, arguments, autocast, averaged, config, optimizer
from data import RATIO, Corpus, crops
from features import Features, mel_of
from net import Mimi
from torch import nn

LAG, FRAMES = 2, 12
WARM = 2                                                                        # frames that only warm the states up


class Encoder(nn.Module):
    def __init__(self, c: dict) -> None:
        super().__init__()
        self.mimi = nn.Module()
        self.mimi.encoder = Mimi(c["mimi"]).encoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mimi.encoder(x[:, None])


def main() -> None:
    args = arguments(__doc__, batch={"cpu": 8, "cuda": 64}[DEVICE], lr=1e-3)
    torch.manual_seed(0)
    corpus, net, features = Corpus(args.run, DEVICE), Encoder(config(args.run)).to(DEVICE), Features(config(args.run)).to(DEVICE)
    features.load_state_dict(averaged(args.run / "features.pt"))
    mel = mel_of(corpus)
    training = Training(args, "encoder", {"net": net}, [optimizer(net, args.lr, (0.8, 0.98))], "net")
    for _ in training:
        starts = corpus.random_starts(args.batch, FRAMES) + 1
        x = corpus.crops(starts, FRAMES)
        with torch.no_grad():
            wanted = features.hear(crops(mel, starts * RATIO - LAG, FRAMES * RATIO).float()).transpose(1, 2)
            latents = features.mimi.latents(wanted)
        with autocast():
            h = net(x)
            z = features.mimi.latents(h)
        cut = slice(WARM * RATIO, None)
        near = F.mse_loss(h[..., cut].float(), wanted[..., cut]) / wanted.var()
        same = F.mse_loss(z[..., WARM:].float(), latents[..., WARM:]) / latents.var()
        training.optimizers[0].zero_grad()
        (near + same).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        training.optimizers[0].step()
        training.log(near=near, latents=same)


if __name__ == "__main__":
    main()
