"""From noise to a latent: the four ways in which official models use their flow head (reference: pocket_tts.models.flow_lm).

Each takes the flow net with its condition bound, `flow(times, x) -> [B, latent_dim]`, noise x [B, latent_dim] and a number of steps n.
"""

from collections.abc import Callable

import numpy as np

Flow = Callable[[tuple[float, ...], np.ndarray], np.ndarray]


def lsd(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """Lagrangian self-distillation (arXiv 2505.18825): n jumps, each told where it starts and where it ends."""
    for i in range(n):
        x = x + flow((i / n, (i + 1) / n), x) / np.float32(n)
    return x


def flow_matching(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """Euler integration of the flow (arXiv 2210.02747) in n steps."""
    for i in range(n):
        x = x + flow((i / n,), x) / np.float32(n)
    return x


def drifting(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """One step: the head's output is the sample."""
    return flow((), x)


def pointwise(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """One step: the noise plus the head's output."""
    return x + flow((), x)


SAMPLERS = {"lsd": lsd, "flow_matching": flow_matching, "drifting": drifting, "pointwise": pointwise}
