"""Losses of sound: distances of spectra at several scales, and a discriminator of complex spectra for each."""
import torch
import torch.nn.functional as F
from torch import nn

SCALES = (128, 256, 512, 1024, 2048)
JUDGED = (256, 512, 1024, 2048)                                                 # by a discriminator each


def stft(x: torch.Tensor, n: int) -> torch.Tensor:
    """Samples [B, T] -> complex [B, n / 2 + 1, 4 T / n], white noise as loud at every scale."""
    window = torch.hann_window(n, device=x.device)
    return torch.stft(x, n, n // 4, window=window, center=False, return_complex=True) * (1024 / n) ** 0.5


def importance(bins: int, device) -> torch.Tensor:
    """How much each frequency counts, [bins, 1], mean 1: falling above 1 kHz, as the ear's resolution does."""
    weight = 1 / (1 + torch.linspace(0, 12, bins, device=device)[:, None])      # kHz
    return weight / weight.mean()


def distance(x: torch.Tensor, y: torch.Tensor, scales=SCALES) -> torch.Tensor:
    """Of spectra, of two sounds [B, T]: logarithms, and magnitudes relative to those of y."""
    total = 0
    for n in scales:
        a, b = stft(x, n), stft(y, n)
        a, b = (torch.sqrt(u.real**2 + u.imag**2 + 1e-4) for u in (a, b))
        total = total + ((a.log() - b.log()).abs() * importance(n // 2 + 1, x.device)).mean() + (a - b).abs().mean() / b.mean()
    return total / len(scales)


def conv2d(c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    """`kernel` frequencies by 3 times; strides over frequencies, dilated over times."""
    conv = nn.Conv2d(c_in, c_out, (kernel, 3), (stride, 1), (kernel // 2, dilation), (1, dilation))
    return nn.utils.parametrizations.weight_norm(conv)


class Discriminator(nn.Module):
    """Tells speech from its imitation by complex spectra of one scale (arXiv 2210.13438): samples [B, T] -> scores, inner features."""

    def __init__(self, n: int, width: int = 32) -> None:
        super().__init__()
        self.n = n
        self.layers = nn.ModuleList([
            conv2d(2, width, 9), *(conv2d(width, width, 9, 2, dilation) for dilation in (1, 2, 4)), conv2d(width, width, 3)])
        self.last = conv2d(width, 1, 3)

    def forward(self, spectrum: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        h, features = torch.view_as_real(spectrum).permute(0, 3, 1, 2), []      # [B, 2, n / 2 + 1, T]
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.last(h), features


def tell_apart(discriminators: nn.ModuleList, speech: torch.Tensor, imitation: torch.Tensor) -> torch.Tensor:
    """The discriminators' own loss: hinges."""
    total = 0
    for d in discriminators:
        total = total + F.relu(1 - d(stft(speech, d.n))[0]).mean() + F.relu(1 + d(stft(imitation.detach(), d.n))[0]).mean()
    return total / len(discriminators)


def deceive(discriminators: nn.ModuleList, speech: torch.Tensor, imitation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The imitator's losses: scores, and distances of what the discriminators see inside."""
    score = distance = 0
    discriminators.requires_grad_(False)
    for d in discriminators:
        with torch.no_grad():
            _, wanted = d(stft(speech, d.n))
        told, seen = d(stft(imitation, d.n))
        score = score - told.mean()
        distance = distance + sum((a - b).abs().mean() / b.abs().mean() for a, b in zip(seen, wanted, strict=True)) / len(seen)
    discriminators.requires_grad_(True)
    return score / len(discriminators), distance / len(discriminators)
