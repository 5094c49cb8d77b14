"""The state of a stream: a KV cache per attention layer, and a few rows of history per convolution."""

from collections.abc import Iterator, Sequence

import numpy as np


class AttentionProbe:
    """Records the attention of some heads of a layer to positions start .. stop.

    rows: one float32 [heads, stop - start] per step after position `stop`.
    """

    def __init__(self, heads: list[int], start: int, stop: int) -> None:
        self.heads, self.start, self.stop = heads, start, stop
        self.rows: list[np.ndarray] = []


class KVCache:
    """The KV cache of one attention layer.

    Attributes:
        keys, values: float32 [H_kv, capacity, D] each; rows 0 .. length are in use.
        offset: the number of positions so far, which is the RoPE position of the next row. With a `context`, old rows are dropped, so
            length may be less than offset.
        probe: if set, each step records its attention there.
    """

    def __init__(self, heads: int, dim: int, context: int | None = None, rows: int = 256) -> None:
        self.context = context
        self.length = self.offset = 0
        self.probe: AttentionProbe | None = None
        rows = 2 * context if context else rows
        self.keys = np.empty((heads, rows, dim), np.float32)
        self.values = np.empty((heads, rows, dim), np.float32)

    def extend(self, n: int) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Make room for n more rows and count them as in use.

        Returns keys, values, the new length, and the position after the last row.
        """
        start = self.length
        if start + n > self.keys.shape[1]:
            kept = min(start, self.context) if self.context else start
            capacity = self.keys.shape[1]
            if kept + n > capacity:
                capacity = max(2 * capacity, kept + n)
            self.keys = _moved(self.keys, start - kept, kept, capacity)
            self.values = _moved(self.values, start - kept, kept, capacity)
            start = kept
        self.length = start + n
        self.offset += n
        return self.keys, self.values, self.length, self.offset

    def rows(self) -> np.ndarray:
        """The keys and values in use, in the layout of voice state files: [2, T, H_kv, D]."""
        return np.stack([self.keys[:, : self.length], self.values[:, : self.length]]).transpose(0, 2, 1, 3)

    @classmethod
    def restore(cls, layers: Sequence[np.ndarray], room: int) -> list["KVCache"]:
        """Caches without a context window, from the rows [2, T, H_kv, D] of each layer, with room for `room` more rows.

        All caches share one block of memory: the system backs a large block with huge pages, so this takes a quarter of the time.
        """
        _, n, heads, dim = layers[0].shape
        block = np.empty((len(layers), 2, heads, n + room, dim), np.float32)
        caches = []
        for rows, (keys, values) in zip(layers, block, strict=True):
            keys[:, :n], values[:, :n] = rows.transpose(0, 2, 1, 3)
            cache = cls(heads, dim, rows=0)
            cache.keys, cache.values = keys, values
            cache.length = cache.offset = n
            caches.append(cache)
        return caches


class BatchedCaches:
    """The KV caches of several streams at one layer, for one step. Stream i owns counts[i] rows of the step's input."""

    def __init__(self, caches: list[KVCache], counts: list[int]) -> None:
        self.caches, self.counts = caches, counts

    def split(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, KVCache]]:
        """The rows of each stream, out of [sum(counts), C], with its cache."""
        end = 0
        for cache, count in zip(self.caches, self.counts, strict=True):
            yield rows[end : (end := end + count)], cache


def _moved(rows: np.ndarray, start: int, n: int, capacity: int) -> np.ndarray:
    """A new array [H, capacity, D] that begins with rows start .. start + n of `rows` [H, T, D]."""
    target = np.empty((rows.shape[0], capacity, rows.shape[2]), np.float32)
    target[:, :n] = rows[:, start : start + n]
    return target


class ConvState:
    """The last inputs of a convolution, float32 [rows, C], updated in place. None: replicate the first input."""

    def __init__(self, history: np.ndarray | None) -> None:
        self.history = history
