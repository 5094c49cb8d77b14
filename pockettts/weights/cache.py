"""The cache of packed weights: files next to the hub's cache. The next start maps such a file instead of packing the weights again.

A cache file holds a checksum, the sizes of the packed matrices, a header and the matrices. The header records the weights files (path,
size, modification time), the matrices and the layout of the kernels. A file is used only if its header is identical to the one that
this start would write, and its length is right. The checksum covers the header, the sizes and the first 4 KiB of each matrix; a
checksum of everything would take as long as packing. So a stale, truncated or unwritten file is detected, but not a flipped bit in the
middle of a matrix. A bad file is replaced. All files together stay below MAX_BYTES; the least recently used are removed first.
"""

import hashlib
import json
import logging
import mmap
import os
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

import numpy as np

from .. import ops
from ..storage import hub
from ..storage.files import trim, whole_file
from .packed import Packed, Weights

MIN_BYTES = 16 << 20  # packed weights below this size are not cached: packing them takes no time
MAX_BYTES = 2 << 30  # limit of all cache files together
VERSION = 2  # of the arrangement in packed.py; `_layout` detects changes in the layout of the kernels
_PAGE = 4096
_BYTES = {"f32": 4, "bf16": 2, "int8": 1}  # per weight, approximately

logger = logging.getLogger(__name__)


def pack(weights: Weights, model: str, files: Sequence[Path]) -> None:
    """Map the requested matrices of a model from the cache; if they are not in it, pack them and write a cache file.

    Args:
        weights: the matrices that the layers have requested so far.
        model: the model's name, part of the file name.
        files: the weights files.
    """
    if sum(matrix.n * matrix.k * _BYTES[matrix.format] for matrix in weights.packed) < MIN_BYTES:
        weights.pack()
        return
    entry = _Entry(weights.packed, model, files)
    try:
        if entry.load():
            return
        reason = "the cache file is stale or damaged"
    except OSError as error:
        reason = str(error)
    weights.pack()
    try:
        entry.write()
        logger.debug("%s: written, %s", entry.path, reason)
    except OSError as error:
        logger.debug("%s: not written, %s", entry.path, error)


class _Entry:
    """One cache file and its matrices."""

    def __init__(self, matrices: Sequence[Packed], model: str, files: Sequence[Path]) -> None:
        self.matrices = matrices
        sources = [(os.path.realpath(file), os.stat(file).st_size, os.stat(file).st_mtime_ns) for file in files]
        head = json.dumps(
            {
                "pockettts packed weights": VERSION,
                "layout": _layout(),
                "files": sources,
                "matrices": [(matrix.name, matrix.n, matrix.k, matrix.format) for matrix in matrices],
            }
        ).encode()
        known = 9 + 8 * len(matrices)  # bytes of the checksum and the sizes
        self.head = head + b" " * (-(known + len(head)) % _PAGE)
        self.start = known + len(self.head)
        # A new revision of a file on the hub replaces this one.
        names = re.sub(r"snapshots/[0-9a-f]{40}/", "", repr([str(file) for file in files]))
        key = hashlib.sha256(repr((names, sorted({matrix.format for matrix in matrices}))).encode()).hexdigest()[:16]
        self.path = hub.assets("weights") / f"{model}-{ops.ISA}-{key}.packed"

    def load(self) -> bool:
        """Map the cache file into the matrices. Returns False if it is stale or damaged."""
        with open(self.path, "rb") as file:
            start = file.read(self.start)
            if len(start) < self.start:
                return False
            sizes = np.frombuffer(start, "<u8", len(self.matrices), 9).tolist()
            offsets, end = self._offsets(sizes)
            if os.fstat(file.fileno()).st_size != end:
                return False
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        data = np.frombuffer(mapped, np.uint32)
        packed = [data[at // 4 : at // 4 + size] for at, size in zip(offsets, sizes, strict=True)]
        if start != self._start(packed):
            return False
        try:
            loaded = [matrix.of(words) for matrix, words in zip(self.matrices, packed, strict=True)]
        except ValueError:
            return False
        for matrix, mapped_matrix in zip(self.matrices, loaded, strict=True):
            matrix.matrix = mapped_matrix
        with suppress(OSError):  # read-only
            os.utime(self.path)  # most recently used
        return True

    def write(self) -> None:
        """Write the cache file, completely or not at all, and remove old ones. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        packed = [matrix.matrix.packed for matrix in self.matrices]
        offsets, end = self._offsets([len(words) for words in packed])
        with whole_file(self.path) as temporary, open(temporary, "wb") as file:
            file.write(self._start(packed))
            for at, words in zip(offsets, packed, strict=True):
                file.seek(at)
                file.write(words.data)
            file.truncate(end)
            file.flush()
            os.fsync(file.fileno())  # a crash must not leave a file name without its content
        trim(self.path.parent, MAX_BYTES)

    def _offsets(self, sizes: Sequence[int]) -> tuple[list[int], int]:
        """The page-aligned offsets of matrices with `sizes` words each, and the end of the last one, in bytes."""
        ends = list(accumulate((-(4 * size // -_PAGE) * _PAGE for size in sizes), initial=self.start))
        return ends[:-1], ends[-1]

    def _start(self, packed: Sequence[np.ndarray]) -> bytes:
        """The checksum, sizes and header of a cache file with these packed matrices."""
        known = np.array([len(words) for words in packed], "<u8").tobytes() + self.head
        checksum = zlib.crc32(known)
        for words in packed:
            checksum = zlib.crc32(words[: _PAGE // 4].tobytes(), checksum)
        return b"%08x\n" % checksum + known


def _layout() -> int:
    """A checksum of a few packed matrices: it differs between kernels with different layouts."""
    numbers = np.sin(np.arange(40 * 68, dtype=np.float32)).reshape(40, 68)
    upper = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    few = ops.Matrix(numbers), ops.Matrix(upper), ops.Matrix(upper, compress=True), ops.Matrix(numbers, quantize=True)
    return zlib.crc32(b"".join(matrix.packed.tobytes() for matrix in few))
