"""The roofline of a model: the bytes it must read and the operations it must do, divided by the machine's measured speeds."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import ops
from ..config.schema import Config
from ..model.shapes import CodecTransformerShape
from ..weights.packed import has_int8
from . import random_model

MAX_READ = 1 << 28  # bytes; larger than any CPU cache
MIN_READ = 1 << 25  # bytes to read in one call, so that the synchronization of threads does not count
SPAN = 0.02  # seconds of one measurement
Tensors = dict[str, tuple[int, ...]]


class Work(NamedTuple):
    """The work of a computation.

    Attributes:
        bytes: bytes to read: weights (once), keys and values.
        flops: operations of float matrix products, two per multiply-add.
        int8: operations of int8 matrix products.
    """

    bytes: float
    flops: float
    int8: float = 0

    def times(self, n: float) -> "Work":
        return Work(*(n * part for part in self))

    def plus(self, *others: "Work") -> "Work":
        return Work(*map(sum, zip(self, *others, strict=True)))

    def limit(self, bandwidth: float, fma: float, int8: float) -> tuple[float, str]:
        """The minimum time in seconds at these bytes and operations per second, and the resource that limits it."""
        return max((self.bytes / bandwidth, "memory"), (self.flops / fma + self.int8 / int8, "arithmetic"))


class ModelWork:
    """The work of a model's parts, counted from the shapes of its tensors."""

    def __init__(self, config: Config, precision: str) -> None:
        self.config, self.tensors = config, random_model.shapes(config)
        self.width = 4 if precision == "f32" else 2  # bytes per weight
        self.lm_width = 4 if precision == "f32" else 1.5  # bytes per weight of the flow LM, compressed to 12 bits
        self.int8 = precision == "int8"  # for the matrices of `has_int8`

    def part(self, *prefixes: str) -> Tensors:
        return {name: shape for name, shape in self.tensors.items() if name.startswith(prefixes)}

    def backbone(self, rows: int, before: int) -> Work:
        """`rows` rows through the flow LM's transformer, after `before` earlier ones."""
        layers = numbers(self.part("flow_lm.transformer."))
        others = numbers(self.part("flow_lm.input_linear.", "flow_lm.out_norm.", "flow_lm.z_proj.", "flow_lm.out_eos."))
        t = self.config.flow_lm.transformer
        head_dim = (t.attn_dim or t.d_model) // t.num_heads
        pairs = rows * before + rows * (rows + 1) / 2  # of a query and a key
        return Work(
            layers * (1 if self.int8 else self.lm_width)
            + others * self.lm_width
            + 8 * (before + rows) * t.num_layers * (t.num_kv_heads or t.num_heads) * head_dim,
            2 * rows * (others + layers * (not self.int8)) + 4 * pairs * t.num_layers * t.num_heads * head_dim,
            2 * rows * layers * self.int8,
        )

    def flow_net(self) -> Work:
        n = numbers(
            {name: shape for name, shape in self.part("flow_lm.flow_net.").items() if ".time_embed." not in name}
        )
        return Work(self.lm_width * n, 2 * n)

    def decoder(self) -> Work:
        """One frame of the Mimi decoder."""
        c, rows = self.config.mimi, self.config.mimi.upsampling
        return Work(0, 0).plus(
            self._matrices(self.part("mimi.quantizer."), 1),
            self._matrices(self.part("mimi.upsample."), rows),
            self._transformer("mimi.decoder_transformer.", c.decoder_transformer or c.transformer),
            self._seanet("mimi.decoder.", rows),
        )

    def encoder(self, frames: float) -> Work:
        """`frames` frames of the Mimi encoder."""
        c = self.config.mimi
        frame = self._seanet("mimi.encoder.", c.frame_size).plus(
            self._transformer("mimi.encoder_transformer.", c.transformer),
            self._matrices(self.part("mimi.downsample."), 1),
        )
        return frame.times(frames)._replace(bytes=frame.bytes)

    def _matrices(self, tensors: Tensors, rows: float) -> Work:
        """`rows` rows through each matrix."""
        in_int8 = numbers(
            {name: shape for name, shape in tensors.items() if self.int8 and has_int8(name, _outputs(name, shape))}
        )
        others = numbers(tensors) - in_int8
        return Work(in_int8 + self.width * others, 2 * rows * others, 2 * rows * in_int8)

    def _transformer(self, prefix: str, t: CodecTransformerShape) -> Work:
        """One frame of a transformer of Mimi, with a full attention window."""
        rows = self.config.mimi.upsampling
        return self._matrices(self.part(prefix), rows).plus(Work(0, rows * 4.0 * t.context * t.d_model * t.num_layers))

    def _seanet(self, prefix: str, rows: int) -> Work:
        """One frame of a SEANet; `rows` is the number of its input rows."""
        kernels = {
            name: shape for name, shape in self.part(prefix).items() if len(shape) == 3
        }  # in the order of the layers
        first, *_, last = kernels
        work = Work(0, 0)
        for name, shape in kernels.items():
            if "block" not in name and "convtr" not in name and name not in (first, last):
                rows //= shape[2] // 2  # a convolution with a stride
            work = work.plus(self._matrices({name: shape}, rows))
            if "convtr" in name:
                rows *= shape[2] // 2
        return work


def numbers(tensors: Tensors) -> int:
    """The total number of elements."""
    return sum(math.prod(shape) for shape in tensors.values())


def _outputs(name: str, shape: tuple[int, ...]) -> int:
    """The number of outputs of a tensor's matrix; 0 if it is not a matrix."""
    if len(shape) < 2:
        return 0
    return shape[1] * shape[2] // 2 if "convtr" in name else shape[0]


class Speeds:
    """Measures how fast this machine reads and multiplies on the kernels' threads.

    loops: sizes of buffers to read repeatedly, in bytes, by name. A buffer that fits a CPU cache is read faster.
    """

    def __init__(self, loops: dict[str, float]) -> None:
        self.loops = {name: min(int(size), MAX_READ) for name, size in loops.items()}
        self.buffer = np.ones(max(self.loops.values()) // 4, np.float32)

    def measure(self) -> dict[str, float]:
        """Bytes per second by loop, and operations per second as "f32" and "int8"."""
        found = {}
        for name, size in self.loops.items():
            ops.read_all(self.buffer[: size // 4], 1)  # into the CPU cache, if it fits
            found[name] = _per_second(ops.read_all, self.buffer[: size // 4], 1 + MIN_READ // size)
        return found | {
            "f32": _per_second(ops.multiply_all, 100_000),
            "int8": _per_second(ops.multiply_all, 100_000, True),
        }


def _per_second(work: Callable[..., int], *args: object) -> float:
    total, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < SPAN:
        total += work(*args)
    return total / spent
