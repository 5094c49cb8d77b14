"""Streaming convolutions, channels last, as matrix products over rows that overlap (reference: pocket_tts.modules.conv).

With the history in front of the input, [history + T, C], output t of a convolution is the product of `kernel * C` consecutive
numbers, from row t * stride on, and the kernel: no im2col, only a row stride.
"""
import numpy as np

from .. import ops
from .layers import Weights
from .state import ConvState


def _with_history(x: np.ndarray, state: ConvState, history: int, elu: bool, replicate: bool = False) -> np.ndarray:
    """[history + T, C]: the last inputs, then x, through ELU if asked for. The state moves on."""
    if history == 0:
        return ops.elu(x) if elu else x
    buffer = np.empty((history + len(x), x.shape[1]), np.float32)
    if elu:
        ops.elu(x, out=buffer[history:])
    else:
        buffer[history:] = x
    if state.previous is not None:
        buffer[:history] = state.previous
    else:
        buffer[:history] = buffer[history] if replicate else 0
    state.previous = buffer[len(x) :].copy()
    return buffer


def _windows(buffer: np.ndarray, n: int, step: int, width: int) -> np.ndarray:
    """n overlapping rows of [T, C] as a view: row i is rows i * step .. i * step + width, one after the other."""
    channels = buffer.shape[1]
    return np.ndarray((n, width * channels), np.float32, buffer, 0, (step * channels * 4, 4))


class Conv1d:
    """Causal convolution [T, C_in] -> [T / stride, C_out], of elu(x) if `elu`. T must be a multiple of the stride."""

    def __init__(self, w: Weights, c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = True,
                 pad_mode: str = "constant", elu: bool = False) -> None:
        self.weight = w.matrix("weight", c_out, c_in, kernel)
        self.bias = w.vector("bias", c_out) if bias else None
        self.kernel, self.stride, self.dilation, self.elu = kernel, stride, dilation, elu
        self.history = (kernel - 1) * dilation + 1 - stride
        self.replicate = pad_mode == "replicate"

    def init_state(self) -> ConvState:
        return ConvState()

    def __call__(self, x: np.ndarray, state: ConvState, add: np.ndarray | None = None) -> np.ndarray:
        n = len(x) // self.stride
        x = _with_history(x, state, self.history, self.elu, self.replicate)
        if self.dilation == 1:
            rows = _windows(x, n, self.stride, self.kernel)
        else:
            taps = [x[k * self.dilation :][: n * self.stride : self.stride] for k in range(self.kernel)]
            rows = np.concatenate(taps, axis=1)
        return ops.linear(rows, self.weight.matrix, self.bias, add=add)         # [T / stride, C_out]


class ConvTranspose1d:
    """Transposed convolution of elu(x), kernel 2 s and stride s: [T, C_in] -> [T s, C_out].

    Its s outputs at t depend on rows t - 1 and t alone: a product with a matrix [s * C_out, 2 * C_in].
    """

    def __init__(self, w: Weights, c_in: int, c_out: int, stride: int) -> None:
        self.weight = w.upsampling_matrix("weight", c_in, c_out, 2 * stride)
        self.bias = np.tile(w.vector("bias", c_out), stride)
        self.c_out = c_out

    def init_state(self) -> ConvState:
        return ConvState()

    def __call__(self, x: np.ndarray, state: ConvState) -> np.ndarray:
        rows = _windows(_with_history(x, state, 1, elu=True), len(x), 1, 2)     # [T, 2 C_in]
        return ops.linear(rows, self.weight.matrix, self.bias).reshape(-1, self.c_out)


class DepthwiseUpsample:
    """Transposed convolution with a group for each output channel, kernel 2 s and stride s: [T, C_in] -> [T s, C_out]."""

    def __init__(self, w: Weights, c_in: int, c_out: int, stride: int) -> None:
        self.weight = np.ascontiguousarray(w.vector("weight", c_in, 1, 2 * stride)[:, 0].T)    # [2 s, C_in]
        self.c_out = c_out

    def init_state(self) -> ConvState:
        return ConvState()

    def __call__(self, x: np.ndarray, state: ConvState) -> np.ndarray:
        y = ops.depthwise_upsample(_with_history(x, state, 1, elu=False), self.weight)         # [T s, C_in]
        if y.shape[1] != self.c_out:
            y = y.reshape(len(y), self.c_out, -1).sum(axis=2)
        return y
