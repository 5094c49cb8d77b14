"""Causal attention over a KV cache, with rotary positions (reference: pocket_tts.modules.attention, .rope)."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from .. import ops
from .layers import Linear, Weights
from .state import AttentionProbe, BatchedCaches, KVCache


class Attention:
    """Grouped-query attention: num_heads queries share num_kv_heads keys and values.

    context: the number of positions that a query attends to, including its own; None: all.
    """

    def __init__(
        self,
        w: Weights,
        d_model: int,
        num_heads: int,
        max_period: float,
        context: int | None = None,
        attn_dim: int | None = None,
        num_kv_heads: int | None = None,
    ) -> None:
        attn_dim = attn_dim or d_model
        self.num_kv_heads = num_kv_heads or num_heads
        self.head_dim = attn_dim // num_heads
        self.context = context
        self.rope = rope(self.head_dim, max_period)
        self.in_proj = Linear(w / "in_proj", d_model, attn_dim + 2 * self.num_kv_heads * self.head_dim)
        self.out_proj = Linear(w / "out_proj", attn_dim, d_model)

    def init_state(self) -> KVCache:
        return KVCache(self.num_kv_heads, self.head_dim, self.context)

    def __call__(
        self,
        x: np.ndarray,
        cache: KVCache | BatchedCaches,
        norm: ops.Norm,
        scale: np.ndarray | None = None,
        wanted: Sequence[int] | np.ndarray | None = None,
    ) -> np.ndarray:
        """x + scale * out_proj(attention(in_proj(norm(x)))): [T, d_model], or only the rows with the indices `wanted`."""
        qkv = self.in_proj(x, norm=norm)  # [T, (H + 2 H_kv) D]
        y = self.attend(qkv, cache if isinstance(cache, BatchedCaches) else BatchedCaches([cache], [len(x)]))
        if wanted is not None:
            y, x = y[wanted], x[wanted]
        return self.out_proj(y, scale, x)  # [T, d_model]

    def attend(self, qkv: np.ndarray, streams: BatchedCaches) -> np.ndarray:
        """qkv [T, (H + 2 H_kv) D] -> [T, H D]: append keys and values to the caches of the streams, then attend to all of them."""
        seen = [(n, *cache.extend(n)) for cache, n in zip(streams.caches, streams.counts, strict=True)]
        y = ops.attention(qkv, seen, self.rope(max(cache.offset for cache in streams.caches)), self.context or 0)
        for rows, own in streams.split(qkv):
            if own.probe and own.length > own.probe.stop:
                record_attention(own.probe, rows, own)
        return y


def record_attention(probe: AttentionProbe, qkv: np.ndarray, cache: KVCache) -> None:
    """Record the attention of the probed heads for the last row of `qkv`. Its key is already in the cache."""
    probe.rows.append(
        np.stack(
            [
                ops.attention_weights(qkv, cache.keys, cache.length, head, probe.start, probe.stop)
                for head in probe.heads
            ]
        )
    )


class Rope:
    """The cosines and sines of rotary positions (arXiv 2104.09864), in a table that grows with the longest sequence."""

    def __init__(self, dim: int, max_period: float) -> None:
        # Round to float32 at each step, as the reference does: at position 1,000, one ulp in a frequency is audible. Functions are computed
        # in float64, since NumPy's results in float32 depend on the CPU.
        exponents = np.arange(dim // 2, dtype=np.float32) * np.float32(-math.log(max_period) * 2 / dim)
        self.frequencies = np.exp(exponents.astype(np.float64)).astype(np.float32)
        self.table = np.empty((2, 0, dim // 2), np.float32)

    def __call__(self, n: int) -> np.ndarray:
        """Cosines and sines of positions 0 .. n: float32 [2, n or more, D/2]."""
        table = self.table  # another thread may replace it with a longer one
        if n > table.shape[1]:
            positions = np.arange(max(2 * table.shape[1], n, 512), dtype=np.float32)
            angles = (positions[:, None] * self.frequencies).astype(np.float64)
            self.table = table = np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
        return table


rope = cache(Rope)  # layers with the same head width share a table
