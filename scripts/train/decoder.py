"""Train the decoder of Mimi on the latents that features.py left: spectral distances, then discriminators as well.

    python decoder.py RUN --minutes 40
    python decoder.py RUN --minutes 0 --speak 40            # held-out sentences through the codec, to RUN/codec/
"""
import numpy as np
import torch
from common import DEVICE, Training, arguments, autocast, averaged, config, descend, optimizer
from data import BEFORE, HELD_OUT, HOP, RATIO, SAMPLE_RATE, Corpus, crops
from features import SIGMA
from net import Mimi
from spectra import JUDGED, SCALES, Balance, Discriminator, deceive, distance, tell_apart
from torch import nn

LEARN = 0.05                                                                    # of the minutes, until discriminators are fully trusted
CONTEXT, FRAMES = 4, 6                                                          # of a crop: what warms the states up, what is heard


class Decoder(nn.Module):
    """The half of Mimi that speaks: latents [B, 32, CONTEXT + T] -> samples of the last T frames [B, T * HOP]."""

    def __init__(self, c: dict) -> None:
        super().__init__()
        self.mimi = Mimi(c["mimi"])
        self.mimi.encoder = self.mimi.encoder_transformer = self.mimi.downsample = None

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h = self.mimi.features(z)[..., (CONTEXT - 1) * RATIO :]                 # a frame warms the SEANet up
        return self.mimi.decoder(h)[:, 0, HOP:]


@torch.no_grad()
def speak(net: Decoder, corpus: Corpus, latents: torch.Tensor, folder, count: int) -> None:
    """Held-out utterances, as the codec makes them of their latents, as NNNNN.wav."""
    import soundfile

    folder.mkdir(exist_ok=True)
    for k in np.flatnonzero(corpus.ids % HELD_OUT == 0)[:count]:
        a, b = int(corpus.start[k]) + BEFORE, int(corpus.speech_end[k])
        y = net(latents[a - CONTEXT : b].T[None])[0].float().cpu().numpy()
        soundfile.write(folder / f"{corpus.ids[k]:05d}.wav", y, SAMPLE_RATE)


def main() -> None:
    gpu = DEVICE == "cuda"
    args = arguments(__doc__, batch=128 if gpu else 16, lr=1e-3, scales=len(SCALES) if gpu else 2, speak=0,
                     discriminate=0.3 if gpu else 1.0)
    torch.manual_seed(0)
    corpus, net = Corpus(args.run, DEVICE), Decoder(config(args.run)).to(DEVICE)
    latents = torch.from_numpy(np.load(args.run / "latents.npy")).to(DEVICE)
    heard = {k.removeprefix("mimi."): v for k, v in averaged(args.run / "features.pt").items() if k.startswith("mimi.")}
    net.mimi.load_state_dict({k: v for k, v in heard.items() if k in net.mimi.state_dict()}, strict=False)
    judges = nn.ModuleList(Discriminator(n) for n in JUDGED).to(DEVICE, memory_format=torch.channels_last)
    training = Training(args, "decoder", {"net": net, "judges": judges},
                        [optimizer(net, args.lr, (0.8, 0.98)), optimizer(judges, args.lr, (0.8, 0.98))], "net")
    (speaking, judging), balance = training.optimizers, Balance()
    for progress in training:
        starts = corpus.random_starts(args.batch, CONTEXT + FRAMES)
        z = crops(latents, starts, CONTEXT + FRAMES).transpose(1, 2)
        x = corpus.crops(starts + CONTEXT, FRAMES)
        with autocast():
            y = net(z + SIGMA * torch.rand(len(z), 1, 1, device=DEVICE) * torch.randn_like(z)).float()
        heard = y.detach().requires_grad_()
        near = distance(heard, x, [SCALES[i] for i in np.random.choice(len(SCALES), args.scales, replace=False)])
        if progress >= args.discriminate:
            judge = judges[training.step % len(judges) :][:1]                   # all of them would take most of the time
            with autocast():
                told = tell_apart(judge, x, y)
            judging.zero_grad()
            told.backward()
            descend(judging, judges)
            with autocast():
                score, seen = deceive(judge, x, heard)
            trust = min(1.0, (progress - args.discriminate) / LEARN)
            gradient = balance(heard, [near, score + 2 * seen], [1.0, trust])
            training.log(told=told, score=score, seen=seen)
        else:
            (gradient,) = torch.autograd.grad(near, heard)
        speaking.zero_grad()
        y.backward(gradient)
        descend(speaking, net)
        training.log(near=near)
    if args.speak:
        net.load_state_dict(training.ema)
        speak(net, corpus, latents, args.run / "codec", args.speak)


if __name__ == "__main__":
    main()
