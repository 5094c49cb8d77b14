"""The flow head: an AdaLN residual MLP over one latent (arXiv 2406.11838; reference: pocket_tts.modules.mlp)."""

import numpy as np

from .. import ops
from .layers import ConcatenatedLinear, Linear, Weights, residual_mlp
from .shapes import FlowNetShape

TIME_CONDITIONS = {"lsd": 2, "flow_matching": 1, "drifting": 0, "pointwise": 0}
FREQUENCIES = 128  # half the width of a timestep embedding


class TimestepEmbedder:
    """A time in [0, 1] -> [1, dim]."""

    def __init__(self, w: Weights, dim: int) -> None:
        self.freqs = w.vector("freqs", FREQUENCIES)
        self.mlp_0 = Linear(w / "mlp.0", 2 * FREQUENCIES, dim, bias=True)
        self.mlp_2 = Linear(w / "mlp.2", dim, dim, bias=True)
        self.alpha = w.vector("mlp.3.alpha", dim)

    def __call__(self, t: float) -> np.ndarray:
        args = (np.float32(t) * self.freqs).astype(np.float64)  # NumPy's cosines in float32 depend on the CPU
        x = np.concatenate([np.cos(args), np.sin(args)])[None].astype(np.float32)  # [1, 256]
        x = self.mlp_2(self.mlp_0(x, activation="silu"))  # [1, dim]
        # The reference calls this RMSNorm, but it divides by the unbiased standard deviation, and does not subtract the mean.
        variance = np.var(x, axis=-1, ddof=1, keepdims=True, dtype=np.float32)
        return np.asarray(x * (self.alpha / np.sqrt(np.float32(1e-5) + variance)))


class ResBlock:
    """x + gate * mlp(norm(x) * (1 + scale) + shift)"""

    def __init__(self, w: Weights, dim: int) -> None:
        self.in_ln = ops.Norm(w.vector("in_ln.weight", dim), w.vector("in_ln.bias", dim), 1e-6)
        self.mlp_0 = Linear(w / "mlp.0", dim, dim, bias=True)
        self.mlp_2 = Linear(w / "mlp.2", dim, dim, bias=True)

    def __call__(self, x: np.ndarray, shift: np.ndarray, scale: np.ndarray, gate: np.ndarray) -> np.ndarray:
        return residual_mlp(x, self.in_ln, self.mlp_0, "silu", self.mlp_2, gate, shift, scale)


class FinalLayer:
    """linear(norm(x) * (1 + scale) + shift)"""

    def __init__(self, w: Weights, dim: int, out: int) -> None:
        self.norm = ops.Norm(None, None, 1e-6)
        self.linear = Linear(w / "linear", dim, out, bias=True)

    def __call__(self, x: np.ndarray, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return self.linear(self.norm(x, shift, scale))


class FlowNet:
    """Predicts the direction of the flow: hidden state, times and noisy latent -> [B, latent_dim]."""

    def __init__(self, w: Weights, shape: FlowNetShape, latent_dim: int, cond_dim: int) -> None:
        self.time_embed = [
            TimestepEmbedder(w / "time_embed" / i, shape.dim) for i in range(TIME_CONDITIONS[shape.type])
        ]
        self.cond_embed = Linear(w / "cond_embed", cond_dim, shape.dim, bias=True)
        self.input_proj = Linear(w / "input_proj", latent_dim, shape.dim, bias=True)
        self.res_blocks = [ResBlock(w / "res_blocks" / i, shape.dim) for i in range(shape.depth)]
        self.final_layer = FinalLayer(w / "final_layer", shape.dim, latent_dim)
        # One matrix for all AdaLN modulations: shift, scale and gate of each block, then shift and scale of the last layer.
        self.modulations = ConcatenatedLinear(
            [
                *(w / "res_blocks" / i / "adaLN_modulation.1" for i in range(shape.depth)),
                w / "final_layer" / "adaLN_modulation.1",
            ],
            shape.dim,
            [3 * shape.dim] * shape.depth + [2 * shape.dim],
        )
        self.dim = shape.dim
        self._times: dict[tuple[float, ...], np.ndarray] = {}

    def embed_times(self, times: tuple[float, ...]) -> np.ndarray:
        """The mean embedding of the times, [1, dim]. Cached: a sampler uses the same few times in every frame."""
        if times not in self._times:
            embedded = [embed(t) for embed, t in zip(self.time_embed, times, strict=True)]
            self._times[times] = np.sum(embedded, axis=0) / np.float32(len(times))
        return self._times[times]

    def __call__(self, cond: np.ndarray, times: tuple[float, ...], x: np.ndarray) -> np.ndarray:
        """cond [B, cond_dim], x [B, latent_dim] -> [B, latent_dim]. times: TIME_CONDITIONS[type] of them, in [0, 1]."""
        y = self.cond_embed(cond, add=self.embed_times(times) if times else None, activation="silu")  # [B, dim]
        y = self.modulations(y)  # [B, (3 depth + 2) dim]; each adaLN_modulation begins with this silu
        modulations = [y[:, at : at + self.dim] for at in range(0, y.shape[1], self.dim)]
        x = self.input_proj(x)
        for i, block in enumerate(self.res_blocks):
            x = block(x, *modulations[3 * i : 3 * i + 3])
        return self.final_layer(x, *modulations[-2:])
