"""Weights: safetensors files, mapped and checked; tensors by official name; matrices in the layout of the kernels."""

import copy
import hashlib
import json
import math
import mmap
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from . import ops
from .errors import WeightsError

# NumPy has no bfloat16: those stay 16-bit words, the upper halves of float32.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_FLOW_LM = "flow_lm."
_BACKBONE = "flow_lm.transformer."
_DECODER = "mimi.decoder"   # its transformer and its SEANet
_NARROW = 64                # outputs; a row takes longer to round than such a matrix saves
_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file. `array` is read-only and, as a rule, a view of the mapped file."""

    dtype: str  # as the file has it: "F32", "BF16", "I64", ...
    array: np.ndarray  # BF16 as uint16
    file: mmap.mmap | None = None  # the whole file, if it is a view of that

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def float32(self) -> np.ndarray:
        """The values as float32, same shape; the mapped file itself where they are float32 already."""
        if self.dtype == "BF16":
            return (self.array.astype(np.uint32) << 16).view(np.float32)
        return self.array.astype(np.float32, copy=False)


    def release(self) -> None:
        """What was read of the file no longer counts as this process's memory, until it is read again."""
        if self.file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.file.madvise(mmap.MADV_DONTNEED)


class TensorFile(dict[str, Tensor]):
    """The tensors of a safetensors file by name, and the file's own `metadata`."""

    metadata: dict[str, str]


def read_safetensors(path: str | Path) -> TensorFile:
    """Map a safetensors file: nothing is read but its header until a tensor is used.

    The file is not trusted: its tensors must fill it without gap or overlap, each as long as its shape and dtype say.

    Raises:
        WeightsError: no such file, or one that is damaged or not safetensors at all.

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
        # Whatever else the JSON holds in place of a header ends here as well.
        detail = error if type(error) is ValueError else "its header makes no sense"
        raise WeightsError(f"{path} is damaged or not a safetensors file ({detail}): get it again") from None
    if end != len(data):
        raise WeightsError(f"{path} is damaged ({len(data) - end:,} bytes belong to no tensor): get it again")
    return tensors


def _split(path: Path) -> tuple[dict, np.ndarray, mmap.mmap | None]:
    """The header of a safetensors file, parsed, and its data as uint8 [bytes], mapped; and the mapped file."""
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


def _tensor(name: str, entry: dict, data: np.ndarray, start: int, file: mmap.mmap | None) -> tuple[Tensor, int]:
    """The tensor that a header entry describes, which must begin at byte `start` of the data, and the byte it ends at."""
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _DTYPES:
        raise ValueError(f"{name!r} is of type {dtype!r}, which is not supported")
    if len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**32 for n in shape):
        raise ValueError(f"{name!r} has an impossible shape")
    if begin != start or end - begin != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        raise ValueError(f"the place of {name!r} does not fit its shape")
    if end > len(data):
        raise ValueError("truncated")
    array = data[begin:end].view(_DTYPES[dtype]).reshape(shape)
    return Tensor(dtype, np.require(array, requirements="A"), file), end  # a header of odd length leaves views unaligned


def identity(tensors: Mapping[str, Tensor], scope: str = "") -> str:
    """What tells trained weights from others, whatever they are called: 32 hexadecimal digits of the tensors `scope*`.

    From their names, shapes, types and first 1,024 numbers, which are those that any training changes: in full it would take
    as long as loading the model.
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in tensors if name.startswith(scope)):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        digest.update(tensor.array.reshape(-1)[:1024].tobytes())
    return digest.hexdigest()[:32]


class Packed:
    """A weight matrix [n, k] that is packed for the kernels when first used: what a run does not need costs nothing.

    precision: as for `Weights`, but "int8" is meant for this very matrix.
    """

    def __init__(self, name: str, tensors: Sequence[Tensor], n: int, k: int, arrange: Callable[[np.ndarray], np.ndarray],
                 precision: str | None) -> None:
        self.name, self._tensors, self.n, self.k, self._arrange = name, tensors, n, k, arrange
        self.format = precision or ("bf16" if all(tensor.dtype == "BF16" for tensor in tensors) else "f32")

    @cached_property
    def matrix(self) -> "ops.Matrix":
        whole = all(tensor.dtype == "BF16" for tensor in self._tensors) and self.format != "f32"
        words = [self._arrange(tensor.array if whole else tensor.float32()) for tensor in self._tensors]
        words = words[0] if len(words) == 1 else np.concatenate(words)
        if self.format == "bf16" and not whole:
            words = _rounded_to_bf16(words)
        matrix = ops.Matrix(words, quantize=self.format == "int8", compress=self.name.startswith(_FLOW_LM))
        for tensor in self._tensors:
            tensor.release()
        return matrix

    def of(self, lanes: np.ndarray) -> "ops.Matrix":
        """The matrix of lanes that were packed before. Raises ValueError where they do not fit."""
        return ops.Matrix.of(self.n, self.k, self.format, lanes)


class Weights:
    """The tensors of a model by official name, seen from one scope of it; asked for by name and shape, each exactly once.

    precision: None keeps matrices as the file has them (bf16 as bf16, all else float32); "f32" or "bf16" converts them; "int8" rounds
    those of the backbone (attention and MLP, as upstream's `quantize`) and the wide ones of Mimi's decoder, and keeps the others.
    """

    def __init__(self, tensors: Mapping[str, Tensor], origin: str, precision: str | None = None, scope: str = "") -> None:
        self.tensors, self.origin, self.precision, self.scope = tensors, origin, precision, scope
        self.packed: list[Packed] = []  # all that was asked for so far
        self.unused = set(tensors)

    def __truediv__(self, scope: str | int) -> "Weights":
        inner = copy.copy(self)
        inner.scope = f"{self.scope}{scope}."
        return inner

    def vector(self, name: str, *shape: int) -> np.ndarray:
        """A tensor of that shape as float32."""
        return np.ascontiguousarray(self._take(name, shape).float32())

    def table(self, name: str, *shape: int) -> np.ndarray:
        """A tensor of that shape as the file has it: a view of float32, or of bf16 words; float32 of all else."""
        tensor = self._take(name, shape)
        return tensor.array if tensor.dtype in ("F32", "BF16") else tensor.float32()

    def matrix(self, name: str, *shape: int) -> Packed:
        """[N, K] as it is, or the kernel of a convolution [N, C, width] as [N, width * C]."""
        arrange = (lambda a: a) if len(shape) == 2 else (lambda a: a.transpose(0, 2, 1).reshape(len(a), -1))
        return self._pack([self._take(name, shape)], name, shape[0], math.prod(shape[1:]), arrange)

    def beside(self, others: "list[Weights]", name: str, shapes: list[tuple[int, int]]) -> Packed:
        """Matrices [N_i, K] of that name, here and in other scopes, as one [sum(N_i), K]."""
        tensors = [w._take(name, shape) for w, shape in zip([self, *others], shapes, strict=True)]
        return self._pack(tensors, name, sum(n for n, _ in shapes), shapes[0][1], lambda a: a)

    def upsampling_matrix(self, name: str, *shape: int) -> Packed:
        """The kernel of a transposed convolution [C, N, 2 s] as [s * N, 2 * C]: row (j, n) is its taps s + j, then j, over C."""
        stride = shape[2] // 2
        return self._pack([self._take(name, shape)], name, stride * shape[1], 2 * shape[0], lambda a: (
            a.reshape(*a.shape[:2], 2, stride)[:, :, ::-1].transpose(3, 1, 2, 0).reshape(stride * a.shape[1], -1)))

    def finish(self, ignored: Callable[[str], bool] = lambda name: False) -> None:
        """All layers are built: a tensor that none of them asked for means that the file is of another model."""
        extra = sorted(name for name in self.unused if not ignored(name))
        if extra:
            raise WeightsError(f"{self.origin}: {_listed(extra)} not in the model that the config describes: is it the right config?")

    def pack(self) -> None:
        """Pack now what has been asked for so far."""
        for packed in self.packed:
            packed.matrix  # noqa: B018

    def _pack(self, tensors: Sequence[Tensor], name: str, n: int, k: int, arrange: Callable[[np.ndarray], np.ndarray]) -> Packed:
        full_name = self.scope + name
        precision = None if self.precision == "int8" and not has_int8(full_name, n) else self.precision
        packed = Packed(full_name, tensors, n, k, arrange, precision)
        self.packed.append(packed)
        return packed

    def _take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        name = self.scope + name
        tensor = self.tensors.get(name)
        if tensor is None:
            raise WeightsError(f"{self.origin} has no tensor {name!r}: is it the right file for this model?")
        if tensor.shape != shape:
            raise WeightsError(f"{self.origin}: {name!r} is {list(tensor.shape)}, the config wants {list(shape)}")
        if tensor.dtype not in ("F32", "BF16", "F16", "F64"):
            raise WeightsError(f"{self.origin}: {name!r} is of type {tensor.dtype}, not f32, bf16 or f16")
        self.unused.discard(name)
        return tensor


def has_int8(name: str, n: int) -> bool:
    """Whether int8 is also meant for the matrix of that name, which has n outputs."""
    return name.startswith(_BACKBONE) or (name.startswith(_DECODER) and n >= _NARROW)


def _rounded_to_bf16(x: np.ndarray) -> np.ndarray:
    """float32 -> bf16 words, to nearest, ties to even."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"


# --- training names ----------------------------------------------------------------------------------------------------------
# Checkpoints of the training code hold the flow LM and Mimi in two files, under other names (reference:
# pocket_tts.utils.weights_loading).

_FLOW_LM_NAMES = {
    "condition_provider.conditioners.transcript_in_segment.embed.weight": "conditioner.embed.weight",
    "condition_provider.conditioners.speaker_wavs.output_proj.weight": "speaker_proj_weight",
    "fuser.padding_value": "bos_before_voice",
}
_FLOW_LM_SKIPPED = re.compile(
    r"flow\.w_s_t\.|num_ema_updates$|condition_provider\.conditioners\.(transcript_in_segment|speaker_wavs)\.learnt_padding$")
_MIMI_SKIPPED = re.compile(
    r"model\.quantizer\.vq\.|(model\.)?quantizer\.logvar_proj\.weight$|quantizer\.logvar_param$|.*_codebook|.*wavlm_emb_downsample|"
    r"wavlm_input_resample\.kernel$|wavlm_proj\.weight$")


def read_flow_lm(path: str | Path) -> dict[str, Tensor]:
    """The flow LM of a file in training names, under its official names `flow_lm.*`."""
    return {
        "flow_lm." + _FLOW_LM_NAMES.get(name, name.replace(".self_attn.in_proj_weight", ".self_attn.in_proj.weight")): tensor
        for name, tensor in read_safetensors(path).items() if not _FLOW_LM_SKIPPED.match(name)
    }


def read_mimi(path: str | Path) -> dict[str, Tensor]:
    """Mimi from a file in training names, or from an official single file, under its official names `mimi.*`."""
    tensors = read_safetensors(path)
    if any(name.startswith("mimi.") for name in tensors):
        return {name: tensor for name, tensor in tensors.items() if name.startswith("mimi.")}
    renamed = {}
    for name, tensor in tensors.items():
        if _MIMI_SKIPPED.match(name) or name.endswith(".weight_v"):
            continue
        if name.endswith(".weight_g"):
            name = name.removesuffix("_g")
            if name + "_v" not in tensors:
                raise WeightsError(f"{path} has {name + '_g'!r} but no {name + '_v'!r}: is it whole?")
            tensor = _weight_norm(tensors[name + "_v"], tensor)
        name = name.removeprefix("model.").replace(".conv.conv.", ".conv.").replace(".convtr.convtr.", ".convtr.")
        renamed["mimi." + name.replace("in_proj_weight", "in_proj.weight")] = tensor
    return renamed


def _weight_norm(v: Tensor, g: Tensor) -> Tensor:
    """g * v / |v|, the norm taken over all but the first axis (arXiv 1602.07868)."""
    direction = v.float32()
    norm = np.sqrt(np.sum(direction * direction, axis=tuple(range(1, direction.ndim)), keepdims=True))
    return Tensor("F32", direction * (g.float32() / norm))
