"""A recording is encoded only once; damaged entries are replaced; everything works without a cache."""

import os
import shutil

import numpy as np
import pytest
import soundfile
from conftest import SPEECH

from pockettts import TTSModel
from pockettts.errors import VoiceError
from pockettts.model.mimi import MimiEncoder
from pockettts.voices import cache as voice_cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path / "assets" / "pockettts" / "voices"


@pytest.fixture
def model(tiny_model, folder):
    return TTSModel.load(config=tiny_model, threads=2)


@pytest.fixture
def encoded(monkeypatch):
    """The number of recordings encoded so far."""
    count, encode = [], MimiEncoder.encode
    monkeypatch.setattr(MimiEncoder, "encode", lambda *args: count.append(1) or encode(*args))
    return count


@pytest.fixture
def recording(tmp_path):
    return shutil.copy(SPEECH / "her.ogg", tmp_path / "her.ogg")


def same(state, other):
    return (state.model, state.weights) == (other.model, other.weights) and np.array_equal(state.layers, other.layers)


def test_the_second_time_nothing_is_encoded(model, encoded, recording, tiny_model, tmp_path):
    first = model.get_voice_state(recording)
    assert same(model.get_voice_state(recording), first)
    assert same(TTSModel.load(config=tiny_model).get_voice_state(recording), first)  # a new process, so to speak
    assert same(model.get_voice_state(shutil.copy(recording, tmp_path / "copy.ogg")), first) and len(encoded) == 1
    samples = soundfile.read(recording, dtype="float32")[0]
    for _ in range(2):  # what a program has in memory, it may keep itself
        assert same(model.get_voice_state(samples), first)
    assert len(encoded) == 3


def test_problems_of_a_recording_are_reported_each_time(model, encoded, recording, caplog):
    soundfile.write(recording, np.zeros(24_000), 24_000)
    for _ in range(2):
        caplog.clear()
        model.get_voice_state(recording)
        assert f"{recording}: nearly silent" in caplog.text
    assert len(encoded) == 1


def test_other_content_settings_or_weights_are_not_found(model, encoded, recording, tiny_model):
    model.get_voice_state(recording)
    with open(recording, "ab") as file:
        file.write(b"\0")
    model.get_voice_state(recording)
    TTSModel.load(config=tiny_model, precision="f32").get_voice_state(recording)
    TTSModel.load(config=tiny_model.parents[1] / "tiny_pointwise" / "config.yaml").get_voice_state(recording)
    assert len(encoded) == 4


def flip(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [
    flip, lambda path: os.truncate(path, 3000), lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"RIFF" * 9),
])  # fmt: skip
def test_damaged_entries_are_replaced(model, encoded, recording, folder, harm):
    first = model.get_voice_state(recording)
    (entry,) = folder.iterdir()
    harm(entry)
    assert same(model.get_voice_state(recording), first) and same(model.get_voice_state(recording), first)
    assert len(encoded) == 2


def test_entries_of_other_recordings_are_replaced(model, encoded, recording, folder):
    first = model.get_voice_state(recording)
    (entry,) = folder.iterdir()
    other = model.get_voice_state(SPEECH / "him.ogg")
    (foreign,) = set(folder.iterdir()) - {entry}
    shutil.copy(foreign, entry)  # whole, of this model, of another recording
    assert same(model.get_voice_state(recording), first)
    other.save(entry)  # a voice that somebody put there
    assert same(model.get_voice_state(recording), first) and len(encoded) == 4


def test_the_least_recently_used_entries_are_removed(model, encoded, folder, tmp_path, monkeypatch):
    recordings = [tmp_path / f"{n}.wav" for n in range(4)]
    for n, path in enumerate(recordings):
        soundfile.write(path, np.full(48_000, 0.1 * n), 24_000)
    model.get_voice_state(recordings[0])
    (entry,) = folder.iterdir()
    (folder / ".left-by-a-crash.safetensors").write_bytes(bytes(10_000))
    os.utime(folder / ".left-by-a-crash.safetensors", (1, 1))
    os.utime(entry, (2, 2))
    monkeypatch.setattr(voice_cache, "MAX_BYTES", int(3.5 * entry.stat().st_size))
    for path in (recordings[1], recordings[2], recordings[0], recordings[3]):
        model.get_voice_state(path)
    assert len(list(folder.iterdir())) == 3 and len(encoded) == 4
    model.get_voice_state(recordings[0])
    assert len(encoded) == 4  # it was used again, so another one went
    model.get_voice_state(recordings[1])
    assert len(encoded) == 5


def test_a_read_only_cache_works(tiny_model, encoded, recording, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "file" / "assets"))
    model = TTSModel.load(config=tiny_model)
    assert same(model.get_voice_state(recording), model.get_voice_state(recording))
    assert len(encoded) == 2 and not [record for record in caplog.records if record.levelname != "DEBUG"]


def test_the_cache_can_be_disabled(tiny_model, encoded, recording, folder):
    model = TTSModel.load(config=tiny_model, cache=False)
    for _ in range(2):
        model.get_voice_state(recording)
    assert len(encoded) == 2 and not folder.exists()


def test_a_recording_that_changes_while_it_is_read_is_not_cached(model, encoded, recording, folder, monkeypatch):
    encode = MimiEncoder.encode
    monkeypatch.setattr(
        MimiEncoder, "encode", lambda *args: shutil.copy(SPEECH / "him.ogg", recording) and encode(*args)
    )
    model.get_voice_state(recording)
    assert not folder.exists()


def test_weights_without_cloning_find_no_entries(model, recording, monkeypatch):
    monkeypatch.setattr(model.voices, "encoder", None)
    with pytest.raises(VoiceError, match="can't be cloned"):
        model.get_voice_state(recording)
