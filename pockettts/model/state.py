"""What a stream remembers between calls: a KV cache for each attention layer, a few rows for each convolution."""

from collections.abc import Iterator, Sequence

import numpy as np


class AttentionProbe:
    """What some heads of a layer look at while it speaks: their weights on positions start .. stop.

    rows: float32 [heads, stop - start] for each step so far that went beyond `stop`.
    """

    def __init__(self, heads: list[int], start: int, stop: int) -> None:
        self.heads, self.start, self.stop = heads, start, stop
        self.rows: list[np.ndarray] = []


class KVCache:
    """Keys and values of one attention layer, [H_kv, capacity, D] each; rows 0 .. length are filled.

    offset: positions seen so far (the next row's place for RoPE). With a `context` only that many rows are kept, and length
    falls behind offset. watch: set by who wants to know what is looked at.
    """

    def __init__(self, heads: int, dim: int, context: int | None = None, rows: int = 256) -> None:
        self.context = context
        self.length = self.offset = 0
        self.probe: AttentionProbe | None = None
        rows = 2 * context if context else rows
        self.keys = np.empty((heads, rows, dim), np.float32)
        self.values = np.empty((heads, rows, dim), np.float32)

    def extend(self, n: int) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Make room for n more rows and count them as filled: keys, values, their length, and the position after the last row."""
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
        """What is filled, as the files of voice states have it: [2, T, H_kv, D], keys and values."""
        return np.stack([self.keys[:, : self.length], self.values[:, : self.length]]).transpose(0, 2, 1, 3)

    @classmethod
    def restore(cls, layers: Sequence[np.ndarray], room: int) -> list["KVCache"]:
        """Caches without context that hold the rows [2, T, H_kv, D] of each layer and have room for more.

        They share a block of memory, since of a large one the system gives large pages, in a quarter of the time.
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
    """The KV caches of several streams at one layer, for a step in which each has some of the rows, counts[i] of them."""

    def __init__(self, caches: list[KVCache], counts: list[int]) -> None:
        self.caches, self.counts = caches, counts

    def split(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, KVCache]]:
        """Each stream's rows of [sum(counts), C], with its cache."""
        end = 0
        for cache, count in zip(self.caches, self.counts, strict=True):
            yield rows[end : (end := end + count)], cache


def _moved(rows: np.ndarray, start: int, n: int, capacity: int) -> np.ndarray:
    """Rows start .. start + n of [H, T, D], put first in a new array of `capacity` rows."""
    target = np.empty((rows.shape[0], capacity, rows.shape[2]), np.float32)
    target[:, :n] = rows[:, start : start + n]
    return target


class ConvState:
    """The last inputs of a convolution, [rows, C], which it moves on; None: as if all had been like the first one."""

    def __init__(self, history: np.ndarray | None) -> None:
        self.history = history
