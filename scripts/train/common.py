"""What the training scripts share: the device, a run that ends on time and goes on where it ended, spectra."""
import argparse
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from data import SAMPLE_RATE, SUB
from torch import nn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WARMUP = 100                                                                    # steps
MELS, N_FFT, FLOOR = 100, 1024, 1e-2
torch.backends.cuda.enable_cudnn_sdp(False)                                     # suspected: features.py got NaN with it
torch.backends.cuda.enable_mem_efficient_sdp(False)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True


def config(run: Path) -> dict:
    return yaml.safe_load((run / "mini.yaml").read_text())


def arguments(doc: str, **options) -> argparse.Namespace:
    """RUN, --minutes, and numbers with their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="of work in all, those of earlier calls counted in")
    for name, default in options.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    return parser.parse_args()


def autocast():
    return torch.autocast("cuda", torch.bfloat16, enabled=DEVICE == "cuda")


def optimizer(module: nn.Module, lr: float, betas=(0.9, 0.98), decay: float = 0.01) -> torch.optim.AdamW:
    """AdamW, with decay of matrices alone."""
    weights = [w for w in module.parameters() if w.requires_grad]
    groups = [{"params": [w for w in weights if w.ndim > 1], "weight_decay": decay},
              {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0}]
    if DEVICE == "cpu":
        return torch.optim.AdamW(groups, lr, betas=betas)
    return torch.optim.AdamW(groups, torch.tensor(lr, device=DEVICE), betas=betas, fused=True, capturable=True)


def descend(optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """A step down gradients of norm 1 at most; none on a GPU where they are not numbers."""
    norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    if DEVICE == "cuda":
        optimizer.found_inf = (~norm.isfinite()).float()                        # fused AdamW looks for that
    optimizer.step()


class Training:
    """Steps until the minutes are spent, or SIGTERM comes; then, and every few minutes, RUN/name.pt is saved whole. It goes on from
    there.

    The learning rate rises over 100 steps and falls to nothing over the minutes, whatever the machine. Minutes are the sum of what
    steps take; a pause within a step (a stopped process, a sleeping laptop) is not counted.
    """

    def __init__(self, args: argparse.Namespace, name: str, modules: dict[str, nn.Module],
                 optimizers: list[torch.optim.Optimizer], average: str, ema: float = 0.998, save_every: float = 60) -> None:
        self.path, self.modules, self.optimizers, self.average = args.run / f"{name}.pt", modules, optimizers, average
        self.seconds, self.decay, self.save_every = args.minutes * 60, ema, save_every
        self.rates = [[float(g["lr"]) for g in o.param_groups] for o in optimizers]
        self.step, self.worked, self.means = 0, 0.0, {}
        self.ema = {k: v.detach().clone() for k, v in modules[average].state_dict().items()}
        if self.path.exists():
            self.load()
        print(f"{name}: from step {self.step}, {self.worked / 60:.1f} of {args.minutes} minutes, on {DEVICE}", flush=True)

    @property
    def progress(self) -> float:
        return min(1.0, self.worked / self.seconds)

    def __iter__(self) -> Iterator[float]:
        """A step each: how much of the minutes is spent, 0 to 1."""
        if self.worked >= self.seconds:
            return
        usual, logged, saved, begun = 60.0, self.worked, self.worked, time.monotonic()
        ended = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
        while self.worked < self.seconds and not ended:
            for o, rates in zip(self.optimizers, self.rates, strict=True):
                for group, rate in zip(o.param_groups, rates, strict=True):
                    now = rate * min(1, (self.step + 1) / WARMUP) * max(0.02, 1 - self.progress)
                    group["lr"] = group["lr"].fill_(now) if isinstance(group["lr"], torch.Tensor) else now
            yield self.progress
            self.follow()
            now = time.monotonic()
            took, begun = now - begun, now
            self.worked += min(took, 3 * usual)
            usual, self.step = min(took, usual * 1.05), self.step + 1
            if self.worked - logged > 20 or self.worked >= self.seconds:
                logged = self.worked
                self.print()
            if self.worked - saved > self.save_every:
                saved = self.worked
                self.save()
        self.save()

    @torch.no_grad()
    def follow(self) -> None:
        state = self.modules[self.average].state_dict()
        names = [k for k, v in state.items() if v.is_floating_point()]
        weight = max(1 - self.decay, 1 / (self.step + 1))
        torch._foreach_lerp_([self.ema[k] for k in names], [state[k] for k in names], weight)

    def log(self, **values: torch.Tensor) -> None:
        """Means over the last hundred times or so; nothing waits for the device before they are printed."""
        for k, v in values.items():
            mean, n = self.means.get(k, (torch.zeros((), device=v.device), 0))
            self.means[k] = torch.lerp(mean, v.detach().float(), max(0.02, 1 / (n + 1))), n + 1

    def print(self) -> None:
        values = "  ".join(f"{k} {float(v):.4f}" for k, (v, _) in self.means.items())
        print(f"step {self.step}  {self.worked / 60:.1f} min  {values}", flush=True)

    def save(self) -> None:
        state = {"step": self.step, "worked": self.worked, "ema": self.ema, "optimizers": [o.state_dict() for o in self.optimizers],
                 "modules": {k: m.state_dict() for k, m in self.modules.items()}}
        torch.save(state, f"{self.path}.tmp")
        os.replace(f"{self.path}.tmp", self.path)

    def load(self) -> None:
        state = torch.load(self.path, map_location=DEVICE, weights_only=True)
        self.step, self.worked, self.ema = state["step"], state["worked"], state["ema"]
        for o, s in zip(self.optimizers, state["optimizers"], strict=True):
            o.load_state_dict(s)
        for k, m in self.modules.items():
            m.load_state_dict(state["modules"][k])


def averaged(path: Path) -> dict[str, torch.Tensor]:
    """The averaged weights that a training left."""
    return torch.load(path, map_location=DEVICE, weights_only=True)["ema"]


def mel_bank(n_fft: int, mels: int) -> torch.Tensor:
    """Triangles [mels, n_fft / 2 + 1] of weight 1 each, equally wide on the mel scale."""
    top = 2595 * torch.log10(torch.tensor(1 + SAMPLE_RATE / 2 / 700))
    edges = 700 * (10 ** (torch.linspace(0, 1, mels + 2) * top / 2595) - 1)
    width = SAMPLE_RATE / n_fft
    edges[2:] = torch.maximum(edges[2:], edges[:-2] + 2 * width)                # no triangle between two bins
    f = torch.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = torch.minimum((f - low) / (middle - low), (high - f) / (high - middle)).clamp_min(0)
    return (bank / bank.sum(1, keepdim=True).clamp_min(1e-6)).to(DEVICE)


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Samples [T * SUB] -> [T, MELS], about -1.5 to 1.5; row t is centred on the end of its SUB samples."""
    x = torch.nn.functional.pad(samples, (N_FFT // 2 - SUB, N_FFT // 2))
    spectrum = torch.stft(x, N_FFT, SUB, window=torch.hann_window(N_FFT, device=x.device), center=False, return_complex=True).abs()
    return (mel_bank(N_FFT, MELS) @ spectrum).clamp_min(FLOOR).log().T[: len(samples) // SUB] * 0.4 + 0.4
