"""The kernels of `_ops.pyx`, in the build that suits this CPU.

The environment variable POCKETTTS_ISA selects another one of `builds()`.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from . import _ops as _base
from .errors import OptionError

_FASTEST_FIRST = ("avx512amx", "avx512vnni", "avx512", "avxvnni", "avx2", "i8mm", "dotprod")


def builds() -> list[str]:
    """The installed builds that this CPU supports, fastest first. The last one is always "base"."""
    here = os.path.dirname(__file__)
    files = os.listdir(here)
    return [
        isa
        for isa in _FASTEST_FIRST
        if _base.supports(isa) and any(f.startswith(f"_ops_{isa}.") and f.endswith((".so", ".pyd")) for f in files)
    ] + ["base"]


def load(isa: str) -> ModuleType:
    """The kernels built for `isa`, one of `builds()`."""
    return _base if isa == "base" else importlib.import_module(f"._ops_{isa}", __package__)


def self_test(isa: str) -> bool:
    """Whether int8 products of this build are bit-identical to those of the base build, as they must be on every CPU."""
    x = np.sin(np.arange(19 * 150, dtype=np.float32)).reshape(19, 150)
    w = np.cos(np.arange(40 * 150, dtype=np.float32)).reshape(40, 150)
    first, second = (kernels.linear(x, kernels.Matrix(w, quantize=True)) for kernels in (load(isa), _base))
    return bool(np.array_equal(first, second))


def _fastest() -> str:
    """The fastest build. The AMX kernels have run in an emulator (scripts/test_bochs.sh), but never on such a CPU, so they are checked at
    every start, which takes a millisecond."""
    return next(isa for isa in builds() if isa != "avx512amx" or self_test(isa))


ISA = os.environ.get("POCKETTTS_ISA") or _fastest()
if ISA not in builds():
    raise OptionError(f"POCKETTTS_ISA={ISA}: this CPU and installation have {', '.join(builds())}")
_kernels = load(ISA)

if TYPE_CHECKING:
    from ._ops import (
        OPENMP as OPENMP,
        Matrix as Matrix,
        Norm as Norm,
        Team as Team,
        attention as attention,
        attention_weights as attention_weights,
        convolve as convolve,
        depthwise_upsample as depthwise_upsample,
        elu as elu,
        get_threads as get_threads,
        join as join,
        linear as linear,
        mlp as mlp,
        multiply_all as multiply_all,
        read_all as read_all,
        release_threads as release_threads,
        set_threads as set_threads,
    )
else:
    Matrix = _kernels.Matrix
    Norm = _kernels.Norm
    Team = _kernels.Team
    attention = _kernels.attention
    attention_weights = _kernels.attention_weights
    convolve = _kernels.convolve
    depthwise_upsample = _kernels.depthwise_upsample
    elu = _kernels.elu
    get_threads = _kernels.get_threads
    join = _kernels.join
    linear = _kernels.linear
    mlp = _kernels.mlp
    multiply_all = _kernels.multiply_all
    OPENMP = _kernels.OPENMP
    read_all = _kernels.read_all
    release_threads = _kernels.release_threads
    set_threads = _kernels.set_threads


@contextmanager
def using_team(team: Team | None) -> Iterator[None]:
    """Inside this context, kernels called by the current thread use the team's number of threads; None: the process's number."""
    join(team)
    try:
        yield
    finally:
        join(None)
