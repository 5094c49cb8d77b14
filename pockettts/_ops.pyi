"""Types of the kernels. `_ops.pyx` documents them. Arrays are float32 unless it states otherwise."""

from typing import Any

import numpy as np

OPENMP: bool

class Team:
    size: int
    def __init__(self, size: int) -> None: ...

class Norm:
    def __init__(self, weight: np.ndarray | None, bias: np.ndarray | None, eps: float) -> None: ...
    def __call__(
        self, x: np.ndarray, shift: np.ndarray | None = None, scale: np.ndarray | None = None
    ) -> np.ndarray: ...

class Matrix:
    n: int
    k: int
    format: str
    packed: np.ndarray
    def __init__(self, w: np.ndarray, quantize: bool = False, compress: bool = False) -> None: ...
    @staticmethod
    def of(n: int, k: int, format: str, packed: np.ndarray) -> Matrix: ...

def supports(isa: str) -> bool: ...
def set_threads(n: int) -> None: ...
def get_threads() -> int: ...
def release_threads() -> None: ...
def join(team: Team | None) -> None: ...
def elu(x: np.ndarray) -> np.ndarray: ...
def linear(
    x: np.ndarray,
    w: Matrix,
    bias: np.ndarray | None = None,
    scale: np.ndarray | None = None,
    add: np.ndarray | None = None,
    norm: Norm | None = None,
    activation: str | None = None,
) -> np.ndarray: ...
def mlp(
    x: np.ndarray,
    norm: Norm,
    w1: Matrix,
    bias1: np.ndarray | None,
    activation: str,
    w2: Matrix,
    bias2: np.ndarray | None,
    gate: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> np.ndarray: ...
def attention(qkv: np.ndarray, streams: list[Any], rope: np.ndarray, context: int = 0) -> np.ndarray: ...
def attention_weights(qkv: np.ndarray, keys: np.ndarray, end: int, head: int, start: int, stop: int) -> np.ndarray: ...
def convolve(
    x: np.ndarray,
    history: np.ndarray,
    w: Matrix,
    bias: np.ndarray | None = None,
    stride: int = 1,
    dilation: int = 1,
    elu: bool = False,
    add: np.ndarray | None = None,
) -> np.ndarray: ...
def depthwise_upsample(x: np.ndarray, history: np.ndarray, weight: np.ndarray) -> np.ndarray: ...
def read_all(x: np.ndarray, times: int) -> int: ...
def multiply_all(rounds: int, int8: bool = False) -> int: ...
