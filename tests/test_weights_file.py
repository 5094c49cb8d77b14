"""Safetensors files, valid and damaged."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from pockettts.errors import WeightsError
from pockettts.weights.safetensors import read_safetensors


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_reads_what_the_library_writes(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "a": rng.standard_normal((3, 5)).astype(np.float32),
        "b": rng.standard_normal(7).astype(np.float16),
        "c": np.arange(4, dtype=np.int64),
        "d": np.zeros((0, 3), np.float32),
        "e": np.array(2.5, np.float32),
        "f": np.array([True, False]),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"model": "m"})
    read = read_safetensors(tmp_path / "x.safetensors")
    assert read.metadata == {"model": "m"}
    assert read.keys() == tensors.keys()
    for name, expected in tensors.items():
        assert read[name].shape == expected.shape and read[name].array.dtype == expected.dtype
        assert not read[name].array.flags.writeable
        np.testing.assert_array_equal(read[name].array, expected)
        np.testing.assert_array_equal(read[name].float32(), expected.astype(np.float32))
    assert np.shares_memory(read["a"].float32(), read["a"].array)


def test_bf16_stays_16_bits_until_widened(tmp_path):
    words = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], np.uint16)
    path = write(tmp_path / "x.safetensors", {"w": entry("BF16", (2, 2))}, words.tobytes())
    tensor = read_safetensors(path)["w"]
    assert tensor.dtype == "BF16" and tensor.array.dtype == np.uint16
    np.testing.assert_array_equal(tensor.float32(), np.array([[1, -2], [np.inf, 2.0**-133]], np.float32))


def test_unaligned_data_is_copied_into_place(tmp_path):
    header = json.dumps({"w": entry()}).encode()
    header += b" " * (8 - len(header) % 8 + 3)
    tensor = read_safetensors(write(tmp_path / "x", header, struct.pack("<2f", 1, 2)))["w"]
    assert tensor.array.flags.aligned
    np.testing.assert_array_equal(tensor.array, [1, 2])


def test_no_tensors(tmp_path):
    assert read_safetensors(write(tmp_path / "x", {})) == {}


DATA = bytes(16)


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": entry()}, bytes(7), "truncated"),
        ({"a": entry()}, bytes(9), "1 bytes belong to no tensor"),
        ({"a": entry(), "b": entry(offsets=(4, 12))}, DATA, "the offsets of 'b'"),  # overlap
        ({"a": entry(), "b": entry(offsets=(12, 20))}, DATA, "the offsets of 'b'"),  # gap
        ({"a": entry(offsets=(-8, 0))}, DATA, "the offsets of 'a'"),
        ({"a": entry(offsets=(8, 0))}, DATA, "the offsets of 'a'"),
        ({"a": entry(shape=(3,))}, DATA, "the offsets of 'a'"),
        ({"a": entry(shape=(2**40, 2**40))}, DATA, "impossible shape"),
        ({"a": entry(shape=(-1, -2))}, DATA, "impossible shape"),
        ({"a": entry(shape=(True, 2))}, DATA, "impossible shape"),
        ({"a": entry(shape=[1] * 70)}, DATA, "impossible shape"),
        ({"a": entry(shape=(0, *[2**31] * 7), offsets=(0, 0))}, b"", "damaged"),
        ({"a": entry(offsets=(0.0, 8.0))}, DATA, "damaged"),
        ({"a": entry(offsets=("0", "8"))}, DATA, "damaged"),
        ({"a": entry(offsets=(0, 8, 9))}, DATA, "damaged"),
        ({"a": entry("F8_E4M3", (8,))}, DATA, "F8_E4M3"),
        ({"a": {"dtype": "F32"}}, DATA, "damaged"),
        ({"a": {**entry(), "shape": None}}, DATA, "damaged"),
        ({"a": {**entry(), "dtype": []}}, DATA, "damaged"),
        ({"a": 1}, DATA, "damaged"),
        ({"a": []}, DATA, "damaged"),
        ({"__metadata__": {"k": 1}}, b"", "metadata"),
        ({"__metadata__": "k"}, b"", "metadata"),
        ([1], b"", "damaged"),
        (b"1", b"", "damaged"),
        (b"{", b"", "not JSON"),
        (b"\xff\xfe", b"", "not JSON"),
        (b"[" * 100_000, b"", "damaged"),
    ],
)
def test_damaged_files_are_reported(tmp_path, header, data, words):
    path = write(tmp_path / "x.safetensors", header, data)
    with pytest.raises(WeightsError) as error:
        read_safetensors(path)
    assert str(path) in str(error.value) and words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("size", [0, 3, 8, 20])
def test_cut_header(tmp_path, size):
    path = write(tmp_path / "x", {"a": entry()}, DATA[:8])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(WeightsError, match="truncated"):
        read_safetensors(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_absurd_header_length_reads_nothing(tmp_path, length):
    with pytest.raises(WeightsError, match="truncated, or no safetensors header"):
        read_safetensors(write(tmp_path / "x", {"a": entry()}, DATA[:8], length))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        read_safetensors(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="is a folder"):
        read_safetensors(tmp_path)
