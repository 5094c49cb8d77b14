"""Linear layers, norms and embeddings, each one kernel call."""

from typing import Any, Protocol, TypeVar

import numpy as np

from .. import ops


class Packed(Protocol):
    """A weight matrix in the layout of the kernels, packed at first use."""

    @property
    def matrix(self) -> Any: ...


W = TypeVar("W", bound="Weights")


class Weights(Protocol):
    """The source of a layer's weights, by official name. It raises WeightsError for a missing tensor or a wrong shape."""

    def __truediv__(self: W, scope: str | int) -> W: ...

    def vector(self, name: str, *shape: int) -> np.ndarray:
        """A small tensor of this shape, as float32."""

    def matrix(self, name: str, *shape: int) -> Packed:
        """The matrix [N, K] of a linear layer, or the kernel [N, C, width] of a convolution as [N, width * C]."""

    def concatenate(self, others: list[Any], name: str, shapes: list[tuple[int, int]]) -> Packed:
        """The matrices [N_i, K] of this name, in this scope and others, as one matrix [sum(N_i), K]."""

    def upsampling_matrix(self, name: str, *shape: int) -> Packed:
        """The kernel [C, N, 2 s] of a transposed convolution with stride s, as [s * N, 2 * C]. See conv.ConvTranspose1d."""

    def table(self, name: str, *shape: int) -> np.ndarray:
        """A table of rows in the dtype of the file: float32, or bf16 as uint16."""


class Linear:
    """y = activation((norm(x) w^T + bias) * scale + add), in one kernel call. All but the product are optional."""

    def __init__(self, w: Weights, n_in: int, n_out: int, bias: bool = False) -> None:
        self.weight = w.matrix("weight", n_out, n_in)
        self.bias = w.vector("bias", n_out) if bias else None

    def __call__(
        self,
        x: np.ndarray,
        scale: np.ndarray | None = None,
        add: np.ndarray | None = None,
        norm: ops.Norm | None = None,
        activation: str | None = None,
    ) -> np.ndarray:
        return ops.linear(x, self.weight.matrix, self.bias, scale, add, norm=norm, activation=activation)


class ConcatenatedLinear(Linear):
    """Several linear layers with the same input, as one layer. The outputs [T, n_i] are concatenated."""

    def __init__(self, ws: list[Weights], n_in: int, n_outs: list[int]) -> None:
        self.weight = ws[0].concatenate(ws[1:], "weight", [(n, n_in) for n in n_outs])
        self.bias = np.concatenate([w.vector("bias", n) for w, n in zip(ws, n_outs, strict=True)])


def layer_norm(w: Weights, dim: int, eps: float = 1e-5) -> ops.Norm:
    """LayerNorm over the channels of each row (arXiv 1607.06450)."""
    return ops.Norm(w.vector("weight", dim), w.vector("bias", dim), eps)


def residual_mlp(
    x: np.ndarray,
    norm: ops.Norm,
    first: Linear,
    activation: str,
    second: Linear,
    gate: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """x + gate * second(activation(first(norm(x)))): [T, C]. With shift and scale, the norm is norm(x) * (1 + scale) + shift.

    gate, shift, scale: [1 or T, C] each.
    """
    return ops.mlp(
        x, norm, first.weight.matrix, first.bias, activation, second.weight.matrix, second.bias, gate, shift, scale
    )


class Embedding:
    """Token ids [T] -> float32 [T, dim]. The table [n, dim] stays in the dtype of the file: float32, or bf16 as uint16."""

    def __init__(self, w: Weights, n: int, dim: int) -> None:
        self.weight = w.table("weight", n, dim)

    def __call__(self, ids: list[int]) -> np.ndarray:
        rows = self.weight[ids]
        if rows.dtype == np.uint16:
            rows = (rows.astype(np.uint32) << 16).view(np.float32)
        return rows
