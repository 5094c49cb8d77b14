"""Train the middle part of Mimi on spectra (log mel -> latents -> log mel), then write the latents of all frames.

    python features.py RUN --minutes 12 [--also CORPUS...]      # features.pt; latents.npy in RUN and in each CORPUS

A linear layer on mel spectra replaces the SEANet encoder, and another one the SEANet decoder. So latents exist after
minutes, and the flow LM and the SEANets can be trained on them. Each CORPUS only gets latents.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import MELS_PER_FRAME, Corpus, crops
from model import Mimi, decoder_seanet
from spectra import MELS, log_mel
from torch import nn
from training import Training, argument_parser, autocast, descend, load_average, load_yaml, make_optimizer, parse

FRAMES = 24  # frames of a crop: 1.92 s
CONTEXT = 8  # of these, frames to warm up the state
NOISE = 0.15  # standard deviation of the noise on latents
SIZE_WEIGHT = 0.01  # weight of the loss that keeps latents small


class Features(nn.Module):
    """Mimi without its SEANets, between two linear layers."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.mimi = Mimi(c["mimi"])
        self.mimi.encoder = self.mimi.decoder = None
        self.hear = nn.Linear(MELS, c["mimi"]["seanet"]["dimension"])
        self.speak = nn.Linear(decoder_seanet(c["mimi"])["dimension"], MELS)

    def latents(self, mel: torch.Tensor) -> torch.Tensor:
        """[B, MELS_PER_FRAME * T, MELS] -> [B, 32, T]."""
        return self.mimi.latents(self.hear(mel).transpose(1, 2))


@torch.no_grad()
def mel_of(corpus: Corpus) -> torch.Tensor:
    """The mel spectra of a corpus, [frames * MELS_PER_FRAME, MELS], float16."""
    step, parts = 4000, []
    for first in range(0, corpus.frames, step):
        last = min(corpus.frames, first + step)
        begin, end = max(0, first - 1), min(corpus.frames, last + 1)  # one more frame on each side for the windows
        mel = log_mel(corpus.crops(torch.tensor([begin], device=corpus.audio.device), end - begin)[0]).half()
        parts.append(mel[(first - begin) * MELS_PER_FRAME :][: (last - first) * MELS_PER_FRAME])
    return torch.cat(parts)


@torch.no_grad()
def latents_of(net: Features, mel: torch.Tensor) -> np.ndarray:
    """The latents of a corpus, [frames, 32], f32, computed in crops that overlap by CONTEXT frames."""
    frames = len(mel) // MELS_PER_FRAME
    starts = torch.arange(0, frames, FRAMES, device=mel.device) - CONTEXT
    within = torch.arange((FRAMES + CONTEXT) * MELS_PER_FRAME, device=mel.device)
    parts = []
    for some in starts.split(32):
        at = (some[:, None] * MELS_PER_FRAME + within).clamp(0, len(mel) - 1)
        with autocast(mel.device):
            latents = net.latents(mel[at].float())
        parts.append(latents[..., CONTEXT:].transpose(1, 2).flatten(0, 1).float().cpu())
    result: np.ndarray = torch.cat(parts)[:frames].numpy()
    return result


def losses(net: Features, mel: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The mean errors of the spectra and of their changes over time, and the power of the latents."""
    with autocast(mel.device):
        z = net.latents(mel)
        y = net.speak(net.mimi.features(z + NOISE * noise).transpose(1, 2))
    y, x = y[:, CONTEXT * MELS_PER_FRAME :].float(), mel[:, CONTEXT * MELS_PER_FRAME :]
    changes = (y[:, 1:] - y[:, :-1]) - (x[:, 1:] - x[:, :-1])  # puts onsets at the right time
    return (y - x).abs().mean(), changes.abs().mean(), z.float().square().mean()


def main() -> None:
    parser = argument_parser(__doc__)
    cuda = parser.get_default("device") == "cuda"
    parser.add_argument("--batch", type=int, default=96 if cuda else 12)
    parser.add_argument("--rate", type=float, default=1e-3 if cuda else 2e-3, help="peak learning rate")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="more corpora to write latents for")
    args = parse(parser)
    corpus, net = Corpus(args.run, args.device), Features(load_yaml(args.run)).to(args.device)
    mel = mel_of(corpus)
    optimizer = make_optimizer(net, args.rate)
    training = Training(args.run, "features", args.minutes, {"net": net}, [optimizer], "net")
    compiled = torch.compile(losses, dynamic=False)
    for _ in training:
        starts = corpus.random_starts(args.batch, FRAMES) * MELS_PER_FRAME
        x = crops(mel, starts, FRAMES * MELS_PER_FRAME).float()
        error, changes, power = compiled(net, x, torch.randn(len(x), 32, FRAMES, device=x.device))
        optimizer.zero_grad()
        (error + changes + SIZE_WEIGHT * power).backward()
        descend(optimizer, net)
        training.log(mel=error, changes=changes, power=power)
    net.load_state_dict(load_average(training.path, args.device))
    for run in [args.run, *args.also]:
        latents = latents_of(net.eval(), mel if run == args.run else mel_of(Corpus(run, args.device)))
        np.save(run / "latents.npy", latents)
        print(f"{run}: latents {latents.shape}, standard deviation {latents.std():.2f}", flush=True)


if __name__ == "__main__":
    main()
