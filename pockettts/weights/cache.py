"""Packed weights, kept beside the hub's files and mapped at the next start, which then neither packs nor copies anything.

An entry is a head, the sizes of the packed matrices, and their lanes. The head says what went into it: the files of weights (path,
size, time of change), the matrices, and how these kernels pack. It has to be, to the byte, the head that this start would write, and
the file of the right length. A checksum covers the head, the sizes and the first 4 KiB of each matrix; in full it would take as long
as packing. So an entry of something else, one cut short and one that never reached the disk are noticed; a bit that fell over in the
middle is not. What is not right is made again; what can't be written is not kept. Together entries stay below MOST bytes: those not
used for longest go first.
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

LEAST = 16 << 20  # bytes of packed weights: fewer are packed in no time
MOST = 2 << 30  # bytes
VERSION = 2  # of how weights.py arranges a matrix; how kernels pack it is found out
_PAGE = 4096
_BYTES = {"f32": 4, "bf16": 2, "int8": 1}  # of a weight, about

logger = logging.getLogger(__name__)


def pack(weights: Weights, model: str, files: Sequence[Path]) -> None:
    """Pack what has been asked for of a model's weights, from these files, or take it from an entry; leave one for the next time."""
    if sum(matrix.n * matrix.k * _BYTES[matrix.format] for matrix in weights.packed) < LEAST:
        weights.pack()
        return
    entry = _Entry(weights.packed, model, files)
    try:
        if entry.adopt():
            return
        why = "it is of something else, or damaged"
    except OSError as error:
        why = error
    weights.pack()
    try:
        entry.write()
        logger.debug("%s: made anew, %s", entry.path, why)
    except OSError as error:
        logger.debug("%s: not kept for the next time, %s", entry.path, error)


class _Entry:
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
        known = 9 + 8 * len(matrices)  # the checksum, and the sizes
        self.head = head + b" " * (-(known + len(head)) % _PAGE)
        self.start = known + len(self.head)
        # The next revision of a file on the hub takes the place of this one.
        names = re.sub(r"snapshots/[0-9a-f]{40}/", "", repr([str(file) for file in files]))
        key = hashlib.sha256(repr((names, sorted({matrix.format for matrix in matrices}))).encode()).hexdigest()[:16]
        self.path = hub.assets("weights") / f"{model}-{ops.ISA}-{key}.packed"

    def adopt(self) -> bool:
        """Give the matrices what is there, if it is what they want."""
        with open(self.path, "rb") as file:
            start = file.read(self.start)
            if len(start) < self.start:
                return False
            sizes = np.frombuffer(start, "<u8", len(self.matrices), 9).tolist()
            places, end = self._places(sizes)
            if os.fstat(file.fileno()).st_size != end:
                return False
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        data = np.frombuffer(mapped, np.uint32)
        lanes = [data[at // 4 : at // 4 + size] for at, size in zip(places, sizes, strict=True)]
        if start != self._start(lanes):
            return False
        try:
            found = [matrix.of(own) for matrix, own in zip(self.matrices, lanes, strict=True)]
        except ValueError:
            return False
        for matrix, own in zip(self.matrices, found, strict=True):
            matrix.matrix = own
        with suppress(OSError):  # read-only
            os.utime(self.path)  # used just now, so the last to go
        return True

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lanes = [matrix.matrix.packed for matrix in self.matrices]
        places, end = self._places([len(own) for own in lanes])
        with whole_file(self.path) as temporary, open(temporary, "wb") as file:
            file.write(self._start(lanes))
            for at, own in zip(places, lanes, strict=True):
                file.seek(at)
                file.write(own)
            file.truncate(end)
            file.flush()
            os.fsync(file.fileno())  # a name without its content would pass for whole
        trim(self.path.parent, MOST)

    def _places(self, sizes: Sequence[int]) -> tuple[list[int], int]:
        """Where matrices of so many words begin, each on a page of its own, and where the last one ends."""
        ends = list(accumulate((-(4 * size // -_PAGE) * _PAGE for size in sizes), initial=self.start))
        return ends[:-1], ends[-1]

    def _start(self, lanes: Sequence[np.ndarray]) -> bytes:
        """Checksum, sizes and head of an entry with these lanes."""
        known = np.array([len(own) for own in lanes], "<u8").tobytes() + self.head
        checksum = zlib.crc32(known)
        for own in lanes:
            checksum = zlib.crc32(own[: _PAGE // 4], checksum)
        return b"%08x\n" % checksum + known


def _layout() -> int:
    """What packing makes of a few numbers: another value wherever kernels want their weights otherwise."""
    numbers = np.sin(np.arange(40 * 68, dtype=np.float32)).reshape(40, 68)
    upper = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    few = ops.Matrix(numbers), ops.Matrix(upper), ops.Matrix(upper, compress=True), ops.Matrix(numbers, quantize=True)
    return zlib.crc32(b"".join(matrix.packed.tobytes() for matrix in few))
