"""Streaming convolutions, channels last. The state holds the previous inputs (reference: pocket_tts.modules.conv)."""

import numpy as np

from .. import ops
from .layers import Weights
from .state import ConvState


class Conv1d:
    """Causal convolution [T, C_in] -> [T / stride, C_out], applied to elu(x) if `elu`. T must be a multiple of the stride.

    pad_mode: the history before the first input: "constant" (zeros) or "replicate" (copies of it).
    """

    def __init__(
        self,
        w: Weights,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
        pad_mode: str = "constant",
        elu: bool = False,
    ) -> None:
        self.weight = w.matrix("weight", c_out, c_in, kernel)
        self.bias = w.vector("bias", c_out) if bias else None
        self.stride, self.dilation, self.elu = stride, dilation, elu
        self.history = ((kernel - 1) * dilation + 1 - stride, c_in)
        self.replicate = pad_mode == "replicate"

    def init_state(self) -> ConvState:
        return ConvState(None if self.replicate else np.zeros(self.history, np.float32))

    def __call__(self, x: np.ndarray, state: ConvState, add: np.ndarray | None = None) -> np.ndarray:
        if state.history is None:
            state.history = np.repeat(ops.elu(x[:1]) if self.elu else x[:1], self.history[0], axis=0)
        return ops.convolve(x, state.history, self.weight.matrix, self.bias, self.stride, self.dilation, self.elu, add)


class ConvTranspose1d:
    """Transposed convolution of elu(x), kernel 2 s and stride s: [T, C_in] -> [T s, C_out].

    The s outputs at time t depend only on rows t - 1 and t, so this is a convolution of width 2 with s * C_out channels.
    """

    def __init__(self, w: Weights, c_in: int, c_out: int, stride: int) -> None:
        self.weight = w.upsampling_matrix("weight", c_in, c_out, 2 * stride)
        self.bias = np.tile(w.vector("bias", c_out), stride)
        self.c_in, self.c_out = c_in, c_out

    def init_state(self) -> ConvState:
        return ConvState(np.zeros((1, self.c_in), np.float32))

    def __call__(self, x: np.ndarray, state: ConvState) -> np.ndarray:
        assert state.history is not None
        y = ops.convolve(x, state.history, self.weight.matrix, self.bias, elu=True)  # [T, s C_out]
        return y.reshape(-1, self.c_out)


class DepthwiseUpsample:
    """Transposed convolution with one group per output channel, kernel 2 s and stride s: [T, C_in] -> [T s, C_out]."""

    def __init__(self, w: Weights, c_in: int, c_out: int, stride: int) -> None:
        self.weight = np.ascontiguousarray(w.vector("weight", c_in, 1, 2 * stride)[:, 0].T)  # [2 s, C_in]
        self.c_out = c_out

    def init_state(self) -> ConvState:
        return ConvState(np.zeros((1, self.weight.shape[1]), np.float32))

    def __call__(self, x: np.ndarray, state: ConvState) -> np.ndarray:
        assert state.history is not None
        y = ops.depthwise_upsample(x, state.history, self.weight)  # [T s, C_in]
        if y.shape[1] != self.c_out:
            y = y.reshape(len(y), self.c_out, -1).sum(axis=2)
        return y
