"""Samplers: from noise to a latent (reference: pocket_tts.models.flow_lm).

Each takes the flow net with its condition bound, `flow(times, x) -> [B, latent_dim]`, noise x [B, latent_dim], and the number of
steps n. It returns latents [B, latent_dim].
"""

from collections.abc import Callable

import numpy as np

Flow = Callable[[tuple[float, ...], np.ndarray], np.ndarray]


def lsd(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """Lagrangian self-distillation (arXiv 2505.18825): n jumps, each conditioned on its start and end."""
    for i in range(n):
        x = x + flow((i / n, (i + 1) / n), x) / np.float32(n)
    return x


def flow_matching(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """Euler integration of the flow (arXiv 2210.02747) in n steps."""
    for i in range(n):
        x = x + flow((i / n,), x) / np.float32(n)
    return x


def drifting(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """One step: the flow net's output is the sample."""
    return flow((), x)


def pointwise(flow: Flow, x: np.ndarray, n: int) -> np.ndarray:
    """One step: the noise plus the flow net's output."""
    return x + flow((), x)


SAMPLERS = {"lsd": lsd, "flow_matching": flow_matching, "drifting": drifting, "pointwise": pointwise}
