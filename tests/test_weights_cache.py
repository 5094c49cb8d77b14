"""Weights are packed only once; stale and damaged files are replaced; everything works without a cache."""

import os
import shutil
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest

from pockettts import TTSModel
from pockettts.storage import hub
from pockettts.weights import cache as weights_cache
from pockettts.weights.packed import Weights
from pockettts.weights.safetensors import read_safetensors

TEXT = "One sentence."
LOAD = "from pockettts import TTSModel; from pockettts.weights import cache; cache.MIN_BYTES = 0; TTSModel.load(config={!r}, threads=1)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_cache, "MIN_BYTES", 0)
    with hub.assets_in(tmp_path / "assets"):
        yield tmp_path / "assets" / "pockettts" / "weights"


@pytest.fixture
def config(tiny_model, tmp_path):
    return shutil.copytree(tiny_model.parent, tmp_path / "model") / "config.yaml"


@pytest.fixture
def packed(monkeypatch):
    """The number of times that weights were packed so far."""
    count, pack = [], Weights.pack
    monkeypatch.setattr(Weights, "pack", lambda self: count.append(1) or pack(self))
    return count


def speech(config, **options):
    model = TTSModel.load(config=config, threads=2, temperature=0, **options)
    return model.generate(TEXT, np.sin(np.arange(30_000, dtype=np.float32) / 20))


@pytest.mark.parametrize("precision", [None, "f32", "int8"])
def test_the_second_time_nothing_is_packed(config, folder, packed, precision):
    first = speech(config, precision=precision)
    assert len(packed) == 1 and len(list(folder.iterdir())) == 1
    np.testing.assert_array_equal(speech(config, precision=precision), first)
    assert len(packed) == 1
    np.testing.assert_array_equal(speech(config, precision=precision, cache=False), first)
    assert len(packed) == 2


def test_each_precision_has_its_own_entry(config, folder, packed):
    for _ in range(2):
        for precision in (None, "f32", "int8"):
            TTSModel.load(config=config, precision=precision)
    assert len(packed) == 3 and len(list(folder.iterdir())) == 3


def overwrite(at, what):
    def change(entry, weights):
        with open(entry, "r+b") as file:
            file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            file.write(what)

    return change


@pytest.mark.parametrize("change", [
    lambda entry, weights: os.truncate(entry, os.path.getsize(entry) - 4096),
    lambda entry, weights: os.truncate(entry, 0),
    lambda entry, weights: os.truncate(entry, os.path.getsize(entry) + 4096),
    overwrite(0, b"00000000"),                                      # the checksum
    overwrite(60, b"9"),                                            # the head
    overwrite(9, bytes(4096)),
    overwrite(-4096, b"something"),                                 # the last matrix
    lambda entry, weights: (os.unlink(entry), os.mkdir(entry)),
    lambda entry, weights: os.utime(weights, ns=(0, 10**18)),       # the source has changed
], ids=["cut short", "empty", "too long", "checksum", "head", "no head", "a matrix", "a folder", "source"])  # fmt: skip
def test_invalid_entries_are_replaced(config, folder, packed, change):
    expected = speech(config)
    (entry,) = folder.iterdir()
    change(entry, config.with_name("model.safetensors"))
    np.testing.assert_array_equal(speech(config), expected)
    assert len(packed) == 2
    if not entry.is_dir():
        np.testing.assert_array_equal(speech(config), expected)
        assert len(packed) == 2


def test_an_entry_of_another_model_is_not_used(config, folder, packed, tmp_path):
    other = shutil.copytree(config.parent, tmp_path / "other") / "config.yaml"
    TTSModel.load(config=config)
    (mine,) = folder.iterdir()
    TTSModel.load(config=other)
    (theirs,) = set(folder.iterdir()) - {mine}
    shutil.copy(mine, theirs)
    TTSModel.load(config=other)
    assert len(packed) == 3


def test_a_new_revision_replaces_the_old_one(config, folder, packed):
    for commit in ("a" * 40, "b" * 40):
        TTSModel.load(
            config=shutil.copytree(config.parent, config.parent.parent / "snapshots" / commit) / "config.yaml"
        )
    assert len(packed) == 2 and len(list(folder.iterdir())) == 1


def test_the_total_size_is_limited(config, folder, monkeypatch):
    TTSModel.load(config=config)
    (old,) = folder.iterdir()
    monkeypatch.setattr(weights_cache, "MAX_BYTES", old.stat().st_size)
    (folder / ".left-by-a-process-that-died.packed").write_bytes(bytes(1000))
    for seconds, path in enumerate(sorted(folder.iterdir())):  # what was left first, for it is too small to make room
        os.utime(path, (seconds, seconds))
    TTSModel.load(config=config, precision="int8")
    (new,) = folder.iterdir()
    assert new != old


def test_small_models_are_not_cached(config, folder, monkeypatch):
    monkeypatch.undo()
    TTSModel.load(config=config)
    assert not folder.exists()


@pytest.mark.parametrize("obstacle", ["no folder can be made", "no file can be made"])
def test_a_read_only_cache_works(config, folder, packed, obstacle, monkeypatch):
    folder.parent.mkdir(parents=True)
    if obstacle == "no folder can be made":
        folder.write_text("a file")
    else:
        monkeypatch.setattr(weights_cache, "whole_file", Mock(side_effect=PermissionError))
    assert np.isfinite(speech(config)).all() and len(packed) == 1


def test_concurrent_processes(config, folder, packed):
    processes = [subprocess.Popen([sys.executable, "-c", LOAD.format(str(config))]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    (entry,) = folder.iterdir()
    TTSModel.load(config=config)
    assert not packed  # what they left is whole


def test_memory_of_a_mapped_file_can_be_released(config):
    tensors = read_safetensors(config.with_name("model.safetensors"))
    before = {name: tensor.array.copy() for name, tensor in tensors.items()}
    for tensor in tensors.values():
        tensor.release()
    assert all(np.array_equal(tensors[name].array, array) for name, array in before.items())
