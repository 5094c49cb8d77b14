"""safetensors files as memory maps. They are not trusted: sizes, shapes and dtypes are checked before use."""

import hashlib
import json
import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WeightsError

# NumPy has no bfloat16. It stays uint16, the upper half of a float32.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file. `array` is read-only and normally a view of the mapped file."""

    dtype: str  # the dtype in the file: "F32", "BF16", "I64", ...
    array: np.ndarray  # BF16 as uint16
    file: mmap.mmap | None = None  # the mapped file that `array` is a view of

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def float32(self) -> np.ndarray:
        """The values as float32, in the same shape; a view of the file if they are float32 already."""
        if self.dtype == "BF16":
            return (self.array.astype(np.uint32) << 16).view(np.float32)
        return self.array.astype(np.float32, copy=False)

    def release(self) -> None:
        """Release the memory of the mapped file. The next access reads the file again."""
        if self.file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.file.madvise(mmap.MADV_DONTNEED)


class TensorFile(dict[str, Tensor]):
    """The tensors of a safetensors file by name, and the file's own `metadata`."""

    metadata: dict[str, str]


def read_safetensors(path: str | Path) -> TensorFile:
    """Map a safetensors file. Only its header is read until a tensor is used.

    The file is not trusted: its tensors must fill it without gaps or overlaps, and each must be as long as its shape and dtype require.

    Raises:
        WeightsError: the file does not exist, is damaged, or is not a safetensors file.

    Source: the format as described at https://github.com/huggingface/safetensors.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a safetensors file" if path.is_dir() else "does not exist: check the path"
        raise WeightsError(f"{path} {what}")
    try:
        header, data, file = _split(path)
        tensors = TensorFile()
        tensors.metadata = header.pop("__metadata__", {})
        if not (isinstance(tensors.metadata, dict) and all(isinstance(v, str) for v in tensors.metadata.values())):
            raise ValueError("its metadata is not text")
        end = 0
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            tensors[name], end = _tensor(name, entry, data, end, file)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # JSON of any other structure also ends here.
        detail = error if type(error) is ValueError else "its header is not valid"
        raise WeightsError(f"{path} is damaged or not a safetensors file ({detail}): get it again") from None
    if end != len(data):
        raise WeightsError(f"{path} is damaged ({len(data) - end:,} bytes belong to no tensor): get it again")
    return tensors


def _split(path: Path) -> tuple[dict[str, Any], np.ndarray, mmap.mmap | None]:
    """The parsed header of a safetensors file, its mapped data as uint8 [bytes], and the mapped file."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise ValueError("truncated, or no safetensors header")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise ValueError("its header is not JSON") from None
        if size == 8 + length:  # nothing but a header
            return header, np.empty(0, np.uint8), None
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return header, np.frombuffer(mapped, np.uint8, offset=8 + length), mapped


def _tensor(
    name: str, entry: dict[str, Any], data: np.ndarray, start: int, file: mmap.mmap | None
) -> tuple[Tensor, int]:
    """The tensor of a header entry, and the offset of its end. It must begin at offset `start` of the data."""
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _DTYPES:
        raise ValueError(f"{name!r} is of type {dtype!r}, which is not supported")
    if len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**32 for n in shape):
        raise ValueError(f"{name!r} has an impossible shape")
    if begin != start or end - begin != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        raise ValueError(f"the offsets of {name!r} do not match its shape")
    if end > len(data):
        raise ValueError("truncated")
    array = data[begin:end].view(_DTYPES[dtype]).reshape(shape)
    aligned = np.require(array, requirements="A")  # a header of odd length leaves views unaligned
    return Tensor(dtype, aligned, file), end


def fingerprint(tensors: Mapping[str, Tensor], scope: str = "") -> str:
    """A fingerprint of the tensors `scope*`, 32 hexadecimal digits: it differs between any two trained models.

    It covers names, shapes, dtypes and the first 1,024 values of each tensor. All values would take as long as loading the model.
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in tensors if name.startswith(scope)):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        digest.update(tensor.array.reshape(-1)[:1024].tobytes())
    return digest.hexdigest()[:32]
