"""The kernels of `_ops.pyx`, in the build that suits this CPU.

The environment variable POCKETTTS_ISA picks another one, of those that `builds()` names.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import _ops as _base
from .errors import OptionError

_FASTEST_FIRST = ("avx512vnni", "avx512", "avxvnni", "avx2", "dotprod")


def builds() -> list[str]:
    """The builds that are here and that this CPU runs, the fastest first; "base" is always among them."""
    here = os.path.dirname(__file__)
    files = os.listdir(here)
    return [
        isa
        for isa in _FASTEST_FIRST
        if _base.supports(isa) and any(f.startswith(f"_ops_{isa}.") and f.endswith((".so", ".pyd")) for f in files)
    ] + ["base"]


def load(isa: str):
    """The kernels built for `isa`, one of `builds()`."""
    return _base if isa == "base" else importlib.import_module(f"._ops_{isa}", __package__)


ISA = os.environ.get("POCKETTTS_ISA") or builds()[0]
if ISA not in builds():
    raise OptionError(f"POCKETTTS_ISA={ISA}: this CPU and installation have {', '.join(builds())}")
_kernels = load(ISA)

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
OPENMP: bool = _kernels.OPENMP
read_all = _kernels.read_all
release_threads = _kernels.release_threads
set_threads = _kernels.set_threads


@contextmanager
def working_as(team: Team | None) -> Iterator[None]:
    """Inside, kernels called by this very thread use the team's threads; None: as many as the process."""
    join(team)
    try:
        yield
    finally:
        join(None)
