"""Weights, packed in the layout of the kernels."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from .. import ops
from ..errors import WeightsError
from .safetensors import Tensor

_FLOW_LM = "flow_lm."
_BACKBONE = "flow_lm.transformer."
_DECODER = "mimi.decoder"  # its transformer and its SEANet
_MIN_INT8 = 64  # outputs; for a matrix with fewer, quantizing its input takes longer than int8 saves


class Packed:
    """A weight matrix [n, k], packed for the kernels at first use. An unused matrix takes no time or memory.

    Args:
        tensors: one, or several whose matrices are concatenated.
        arrange: maps the array of a tensor to [n_i, k].
        precision: "f32", "bf16" or "int8"; None: the dtype of the file.
    """

    def __init__(
        self,
        name: str,
        tensors: Sequence[Tensor],
        n: int,
        k: int,
        arrange: Callable[[np.ndarray], np.ndarray],
        precision: str | None,
    ) -> None:
        self.name, self._tensors, self.n, self.k, self._arrange = name, tensors, n, k, arrange
        self.format = precision or ("bf16" if all(tensor.dtype == "BF16" for tensor in tensors) else "f32")

    @cached_property
    def matrix(self) -> "ops.Matrix":
        is_bf16 = all(tensor.dtype == "BF16" for tensor in self._tensors) and self.format != "f32"
        parts = [self._arrange(tensor.array if is_bf16 else tensor.float32()) for tensor in self._tensors]
        array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.format == "bf16" and not is_bf16:
            array = _round_to_bf16(array)
        matrix = ops.Matrix(array, quantize=self.format == "int8", compress=self.name.startswith(_FLOW_LM))
        for tensor in self._tensors:
            tensor.release()
        return matrix

    def of(self, words: np.ndarray) -> "ops.Matrix":
        """The matrix from its packed words, uint32. Raises ValueError if they are not valid for it."""
        return ops.Matrix.of(self.n, self.k, self.format, words)


class Weights:
    """The tensors of a model by official name, within one scope. Layers request each by name and shape, exactly once.

    precision: None keeps the dtype of the file (bf16 as bf16, all others as float32); "f32" or "bf16" converts all matrices; "int8"
    quantizes those of the backbone (attention and MLP, like the official `quantize`) and the wide ones of Mimi's decoder.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], origin: str, precision: str | None = None, scope: str = ""
    ) -> None:
        self.tensors, self.origin, self.precision, self.scope = tensors, origin, precision, scope
        self.packed: list[Packed] = []  # all matrices requested so far
        self.unused = set(tensors)

    def __truediv__(self, scope: str | int) -> "Weights":
        inner = copy.copy(self)
        inner.scope = f"{self.scope}{scope}."
        return inner

    def vector(self, name: str, *shape: int) -> np.ndarray:
        """A tensor of this shape as float32."""
        return np.ascontiguousarray(self._take(name, shape).float32())

    def table(self, name: str, *shape: int) -> np.ndarray:
        """A tensor of this shape in the dtype of the file: a view of float32, or of bf16 as uint16; float32 for all others."""
        tensor = self._take(name, shape)
        return tensor.array if tensor.dtype in ("F32", "BF16") else tensor.float32()

    def matrix(self, name: str, *shape: int) -> Packed:
        """A matrix [N, K], or the kernel of a convolution [N, C, width] as [N, width * C]."""
        arrange = (lambda a: a) if len(shape) == 2 else (lambda a: a.transpose(0, 2, 1).reshape(len(a), -1))
        return self._pack([self._take(name, shape)], name, shape[0], math.prod(shape[1:]), arrange)

    def concatenate(self, others: "list[Weights]", name: str, shapes: list[tuple[int, int]]) -> Packed:
        """The matrices [N_i, K] of this name, in this scope and others, as one matrix [sum(N_i), K]."""
        tensors = [w._take(name, shape) for w, shape in zip([self, *others], shapes, strict=True)]
        return self._pack(tensors, name, sum(n for n, _ in shapes), shapes[0][1], lambda a: a)

    def upsampling_matrix(self, name: str, *shape: int) -> Packed:
        """The kernel of a transposed convolution [C, N, 2 s] as [s * N, 2 * C]: row (j, n) has tap s + j, then tap j, over all C."""
        stride = shape[2] // 2
        return self._pack(
            [self._take(name, shape)],
            name,
            stride * shape[1],
            2 * shape[0],
            lambda a: (
                a.reshape(*a.shape[:2], 2, stride)[:, :, ::-1].transpose(3, 1, 2, 0).reshape(stride * a.shape[1], -1)
            ),
        )

    def finish(self, ignored: Callable[[str], bool] = lambda name: False) -> None:
        """Check, when all layers are built, that they requested every tensor.

        Raises WeightsError for a tensor that no layer requested: the file is of another model. ignored: names that are allowed.
        """
        extra = sorted(name for name in self.unused if not ignored(name))
        if extra:
            raise WeightsError(
                f"{self.origin}: {_list_names(extra)} not in the model that the config describes: is it the right config?"
            )

    def pack(self) -> None:
        """Pack all matrices requested so far."""
        for packed in self.packed:
            packed.matrix  # noqa: B018

    def _pack(
        self, tensors: Sequence[Tensor], name: str, n: int, k: int, arrange: Callable[[np.ndarray], np.ndarray]
    ) -> Packed:
        full_name = self.scope + name
        precision = None if self.precision == "int8" and not has_int8(full_name, n) else self.precision
        packed = Packed(full_name, tensors, n, k, arrange, precision)
        self.packed.append(packed)
        return packed

    def _take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        name = self.scope + name
        tensor = self.tensors.get(name)
        if tensor is None:
            raise WeightsError(f"{self.origin} has no tensor {name!r}: is it the right file for this model?")
        if tensor.shape != shape:
            raise WeightsError(
                f"{self.origin}: {name!r} is {list(tensor.shape)}, but the config requires {list(shape)}"
            )
        if tensor.dtype not in ("F32", "BF16", "F16", "F64"):
            raise WeightsError(f"{self.origin}: {name!r} is of type {tensor.dtype}, not f32, bf16 or f16")
        self.unused.discard(name)
        return tensor


def has_int8(name: str, n: int) -> bool:
    """Whether precision "int8" applies to the matrix with this full official name and n outputs."""
    return name.startswith(_BACKBONE) or (name.startswith(_DECODER) and n >= _MIN_INT8)


def _round_to_bf16(x: np.ndarray) -> np.ndarray:
    """float32 -> bf16 as uint16, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _list_names(names: list[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
