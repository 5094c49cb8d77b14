"""Discriminators of complex spectra and their losses (EnCodec, arXiv 2210.13438)."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from spectra import stft
from torch import nn

SCALES = (256, 1024, 2048)  # window sizes, one discriminator each


def conv2d(c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    """A convolution over `kernel` frequencies and 3 times, strided over frequencies and dilated over times."""
    conv = nn.Conv2d(c_in, c_out, (kernel, 3), (stride, 1), (kernel // 2, dilation), (1, dilation))
    return nn.utils.parametrizations.weight_norm(conv)


class Discriminator(nn.Module):
    """Classifies sound as speech or imitation, from complex spectra of window size `n`."""

    def __init__(self, n: int, width: int = 32) -> None:
        super().__init__()
        self.n = n
        middle = [conv2d(width, width, 9, 2, dilation) for dilation in (1, 2, 4)]
        self.layers = nn.ModuleList([conv2d(2, width, 9), *middle, conv2d(width, width, 3)])
        self.last = conv2d(width, 1, 3)
        for layer in (*self.layers, self.last):  # with PyTorch's initialization, activations shrink from layer to layer
            with torch.no_grad():
                layer.weight = torch.randn_like(layer.weight) * (2 / (1.04 * layer.weight[0].numel())) ** 0.5
                layer.bias.zero_()

    def forward(self, sound: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Samples [B, T] -> scores, and the activations of each layer."""
        h, activations = torch.view_as_real(stft(sound, self.n)), []
        magnitude = (h.square().sum(-1, keepdim=True) + 1e-6).sqrt()
        h = (h * magnitude**-0.7).permute(0, 3, 1, 2)  # magnitudes to the power 0.3, so that quiet parts count too
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            activations.append(h)
        return self.last(h), activations


def discriminator_loss(d: nn.Module, speech: torch.Tensor, imitation: torch.Tensor) -> torch.Tensor:
    """Hinge loss: 2 for a discriminator that outputs 0, 0 for a perfect one."""
    return F.relu(1 - d(speech)[0]).mean() + F.relu(1 + d(imitation.detach())[0]).mean()


def generator_losses(d: nn.Module, speech: torch.Tensor, imitation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The negated score of the imitation, and the distance of its activations from those of speech (feature matching)."""
    d.requires_grad_(False)
    with torch.no_grad():
        _, wanted = d(speech)
    score, seen = d(imitation)
    distances = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(seen, wanted, strict=True)]
    d.requires_grad_(True)
    return -score.mean(), torch.stack(distances).mean()


class LossBalancer:
    """Scales the gradients of several losses to given shares, independent of the losses' scales (EnCodec's balancer)."""

    def __init__(self) -> None:
        self.norms: list[torch.Tensor] = []

    def __call__(self, sound: torch.Tensor, losses: Sequence[torch.Tensor], shares: Iterable[float]) -> torch.Tensor:
        """The total gradient with respect to `sound`. A share of 1 has the norm of the first loss's gradient."""
        gradients = [torch.autograd.grad(loss, sound, retain_graph=True)[0] for loss in losses]
        norms = [g.norm() for g in gradients]
        if self.norms:
            norms = [torch.lerp(mean, norm, 0.01) for mean, norm in zip(self.norms, norms, strict=True)]
        self.norms = norms
        scaled = [share / (n + 1e-12) * g for share, n, g in zip(shares, norms, gradients, strict=True)]
        return norms[0] * torch.stack(scaled).sum(0)
