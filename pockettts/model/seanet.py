"""SEANet, causal: waveform <-> features (arXiv 2009.02095; reference: pocket_tts.modules.seanet).

An ELU precedes every convolution except the first. The convolution kernels apply it to their input.
"""

from typing import Any

import numpy as np

from .conv import Conv1d, ConvTranspose1d
from .layers import Weights
from .shapes import SEANetShape
from .state import ConvState


class ResnetBlock:
    """x + conv1(elu(conv3(elu(x))))"""

    def __init__(self, w: Weights, dim: int, kernel: int, dilation: int, compress: int, pad_mode: str) -> None:
        hidden = dim // compress
        self.narrow = Conv1d(w / "block.1.conv", dim, hidden, kernel, dilation=dilation, pad_mode=pad_mode, elu=True)
        self.widen = Conv1d(w / "block.3.conv", hidden, dim, 1, pad_mode=pad_mode, elu=True)

    def init_state(self) -> tuple[ConvState, ConvState]:
        return self.narrow.init_state(), self.widen.init_state()

    def __call__(self, x: np.ndarray, state: tuple[ConvState, ConvState]) -> np.ndarray:
        return self.widen(self.narrow(x, state[0]), state[1], add=x)


class _Stack:
    """Layers in sequence."""

    model: list[Any]

    def init_state(self) -> list[Any]:
        return [layer.init_state() for layer in self.model]

    def __call__(self, x: np.ndarray, state: list[Any]) -> np.ndarray:
        for layer, s in zip(self.model, state, strict=True):
            x = layer(x, s)
        return x


class SEANetEncoder(_Stack):
    """Samples [T, 1] -> features [T / prod(ratios), dimension]."""

    def __init__(self, w: Weights, shape: SEANetShape) -> None:
        w, width = w / "model", shape.n_filters
        self.model = [Conv1d(w / "0.conv", shape.channels, width, shape.kernel_size, pad_mode=shape.pad_mode)]
        at = 1  # index in the checkpoint, which counts the ELUs too
        for ratio in reversed(shape.ratios):
            for j in range(shape.n_residual_layers):
                self.model.append(
                    ResnetBlock(
                        w / at,
                        width,
                        shape.residual_kernel_size,
                        shape.dilation_base**j,
                        shape.compress,
                        shape.pad_mode,
                    )
                )
                at += 1
            self.model.append(
                Conv1d(w / (at + 1) / "conv", width, 2 * width, 2 * ratio, ratio, pad_mode=shape.pad_mode, elu=True)
            )
            width, at = 2 * width, at + 2
        self.model.append(
            Conv1d(
                w / (at + 1) / "conv", width, shape.dimension, shape.last_kernel_size, pad_mode=shape.pad_mode, elu=True
            )
        )


class SEANetDecoder(_Stack):
    """Features [T, dimension] -> samples [T * prod(ratios), 1]."""

    def __init__(self, w: Weights, shape: SEANetShape) -> None:
        w, width = w / "model", shape.n_filters * 2 ** len(shape.ratios)
        self.model = [Conv1d(w / "0.conv", shape.dimension, width, shape.kernel_size, pad_mode=shape.pad_mode)]
        at = 1
        for ratio in shape.ratios:
            self.model.append(ConvTranspose1d(w / (at + 1) / "convtr", width, width // 2, ratio))
            width, at = width // 2, at + 2
            for j in range(shape.n_residual_layers):
                self.model.append(
                    ResnetBlock(
                        w / at,
                        width,
                        shape.residual_kernel_size,
                        shape.dilation_base**j,
                        shape.compress,
                        shape.pad_mode,
                    )
                )
                at += 1
        self.model.append(
            Conv1d(
                w / (at + 1) / "conv", width, shape.channels, shape.last_kernel_size, pad_mode=shape.pad_mode, elu=True
            )
        )
