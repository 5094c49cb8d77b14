"""The catalog, and voice files: official files, files of this package, and damaged files."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from pockettts.config.load import load_config, model_names
from pockettts.errors import VoiceError
from pockettts.storage import hub
from pockettts.voices import catalog as voices
from pockettts.voices.catalog import ORIGINS
from pockettts.voices.state import PromptEmbedding, VoiceState, check, check_prompt, read_voice

CONFIG = load_config("english_2m_2026-10")  # 8 layers of 1 head of 64
CUSTOM = replace(CONFIG, name="mine", voices_path=None, voice_names=None, default_voice=None)
ATTENTION = "transformer.layers.{}.self_attn/"


def rows(layers=8, count=5, heads=1, dim=64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((2, count, heads, dim)).astype(np.float32) for _ in range(layers)]


def official(layers, room=0, old=False, dtype=np.float32):
    """Tensors in the official format: NaN in unused rows, and an offset, or a tensor of that length in older files."""
    tensors = {}
    for n, layer in enumerate(layers):
        cache = np.pad(layer[:, None], [(0, 0), (0, 0), (0, room), (0, 0), (0, 0)], constant_values=np.nan)
        tensors[ATTENTION.format(n) + "cache"] = np.ascontiguousarray(cache, dtype)
        count = layer.shape[1]
        end = ("current_end", np.zeros(count, np.float32)) if old else ("offset", np.array([count], np.int64))
        tensors[ATTENTION.format(n) + end[0]] = end[1]
    return tensors


def stored(path, tensors, **metadata):
    save_file(tensors, path, metadata or None)
    return path


def says(path, words, call):
    """Assert that the call fails with one line that has the path and these words."""
    with pytest.raises(VoiceError) as error:
        call()
    assert str(path) in str(error.value) and words in str(error.value) and "\n" not in str(error.value)


# Voice files.


@pytest.mark.parametrize("room", [0, 995])
@pytest.mark.parametrize("old", [False, True])
def test_reads_official_states_of_every_release(tmp_path, old, room):
    state = read_voice(stored(tmp_path / "x.safetensors", official(rows(), room, old)))
    assert state.offset == 5 and state.model is None and len(state.layers) == 8
    for layer, expected in zip(state.layers, rows(), strict=True):
        assert layer.dtype == np.float32 and layer.flags.c_contiguous
        np.testing.assert_array_equal(layer, expected)


def test_reads_states_with_zero_padding(tmp_path):
    tensors = official(rows())
    tensors |= {ATTENTION.format(n) + "pad": np.zeros(1, np.int64) for n in range(8)}
    assert read_voice(stored(tmp_path / "x.safetensors", tensors)).offset == 5


def test_reads_f16_and_bf16(tmp_path):
    half = [layer.astype(np.float16) for layer in rows()]
    state = read_voice(stored(tmp_path / "x.safetensors", official(half, 3, dtype=np.float16)))
    np.testing.assert_array_equal(state.layers[7], half[7].astype(np.float32))

    words = {
        name: (t.view(np.uint32) >> 16).astype(np.uint16) for name, t in official(rows(), 3).items() if "cache" in name
    }
    ends = {name: t for name, t in official(rows()).items() if "offset" in name}
    path = stored(tmp_path / "y.safetensors", words | ends)
    data = path.read_bytes().replace(b'"U16"', b'"BF16"')  # eight times, each of which makes the header longer
    path.write_bytes((int.from_bytes(data[:8], "little") + 8).to_bytes(8, "little") + data[8:])
    state = read_voice(path)
    np.testing.assert_array_equal(state.layers[7].view(np.uint32), rows()[7].view(np.uint32) & 0xFFFF0000)


def test_state_is_in_memory(tmp_path):
    state = read_voice(stored(tmp_path / "x.safetensors", official(rows())))
    (tmp_path / "x.safetensors").write_bytes(b"")  # a mapped file would end the process here
    np.testing.assert_array_equal(state.layers[0], rows()[0])


def test_reads_prompts_of_the_first_release(tmp_path):
    prompt = np.random.default_rng(0).standard_normal((1, 40, 112)).astype(np.float32)
    voice = read_voice(stored(tmp_path / "x.safetensors", {"audio_prompt": prompt}))
    assert isinstance(voice, PromptEmbedding)
    np.testing.assert_array_equal(check_prompt(voice, CONFIG, "x"), prompt[0])
    says("x", "width 112; english has 1024", lambda: check_prompt(voice, load_config("english"), "x"))


def broken(**changes):
    """An official state with changed tensors of layer 3; None removes a tensor."""
    tensors = official(rows(), room=2)
    for name, value in changes.items():
        tensors.pop(ATTENTION.format(3) + name, None)
        if value is not None:
            tensors[ATTENTION.format(3) + name] = value
    return tensors


CACHE = official(rows(), room=2)[ATTENTION.format(3) + "cache"]
NAN = CACHE.copy()
NAN[1, 0, 4, 0, 63] = np.nan


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "it has no transformer.layers.0.self_attn/cache"),
        ({"weights": np.zeros(3)}, "it has no transformer.layers.0.self_attn/cache"),
        (broken(cache=None), "it has no transformer.layers.3.self_attn/cache"),
        (broken(offset=None), "it has no transformer.layers.3.self_attn/offset"),
        (broken(cache=NAN), "layers.3.self_attn/cache has NaN"),
        (broken(cache=np.where(NAN == NAN, NAN, np.float32(np.inf))), "layers.3.self_attn/cache has NaN or infinite"),
        (broken(cache=CACHE[:, 0]), "not [2, 1, T, heads, dim]"),
        (broken(cache=CACHE[:1]), "not [2, 1, T, heads, dim]"),
        (broken(cache=CACHE.astype(np.float64)), "F64"),
        (broken(cache=np.zeros_like(CACHE, np.int32)), "I32"),
        (broken(cache=CACHE[..., :32].copy()), "differ in shape"),
        (broken(cache=CACHE[..., :0].copy()), "has no numbers"),
        (broken(offset=np.array([4])), "differ in shape"),
        (broken(offset=np.array([8])), "is 8, but there are 7 rows"),
        (broken(offset=np.array([0])), "is 0, but"),
        (broken(offset=np.array([-1])), "is -1, but"),
        (broken(offset=np.array(5)), "is not an offset"),
        (broken(offset=np.array([5, 5])), "is not an offset"),
        (broken(offset=np.array([5.0])), "is not an offset"),
        (broken(offset=None, current_end=np.array(5.0)), "is not an offset"),
        (broken(offset=None, current_end=np.zeros(9)), "is 9, but there are 7 rows"),
        (broken(pad=np.array([2])), "padded"),
        ({"audio_prompt": np.zeros((40, 112), np.float32)}, "not [1, T, d_model]"),
        ({"audio_prompt": np.zeros((1, 0, 112), np.float32)}, "has no numbers"),
        ({"audio_prompt": np.full((1, 4, 112), np.nan, np.float32)}, "has NaN"),
    ],
)
def test_files_without_a_voice(tmp_path, tensors, words):
    path = stored(tmp_path / "x.safetensors", tensors)
    says(path, words, lambda: read_voice(path))


def test_damaged_files(tmp_path):
    path = stored(tmp_path / "x.safetensors", official(rows()))
    for size in (os.path.getsize(path) - 1, 2000, 100, 5, 0):
        os.truncate(path, size)
        says(path, "truncated", lambda: read_voice(path))
    path.write_bytes(b"RIFF, this is no such file" * 10)
    says(path, "not a safetensors file", lambda: read_voice(path))
    says(tmp_path / "none", "does not exist", lambda: read_voice(tmp_path / "none"))
    says(tmp_path, "folder", lambda: read_voice(tmp_path))


# Our own files.


def test_saves_what_the_official_package_loads(tmp_path):
    layers = [np.asfortranarray(layer) for layer in rows()]  # caches come in any order in memory
    VoiceState(layers, "english_2m_2026-10", "ff00").save(tmp_path / "x.safetensors")
    assert os.listdir(tmp_path) == ["x.safetensors"]
    with safe_open(tmp_path / "x.safetensors", "numpy") as file:
        assert file.metadata() == {"model": "english_2m_2026-10", "weights": "ff00"}
        assert {name: file.get_tensor(name).dtype for name in file.keys()} == {  # noqa: SIM118
            ATTENTION.format(n) + name: dtype for n in range(8) for name, dtype in (("cache", "f4"), ("offset", "i8"))
        }
        np.testing.assert_array_equal(file.get_tensor(ATTENTION.format(7) + "cache"), rows()[7][:, None])
        np.testing.assert_array_equal(file.get_tensor(ATTENTION.format(7) + "offset"), [5])
    again = read_voice(tmp_path / "x.safetensors")
    assert (again.model, again.weights) == ("english_2m_2026-10", "ff00")
    np.testing.assert_array_equal(again.layers, rows())


def test_save_fails_in_one_line_and_leaves_nothing(tmp_path):
    state = VoiceState(rows())
    says("x.wav", "end in .safetensors", lambda: state.save(tmp_path / "x.wav"))
    says("none", "make its folder first", lambda: state.save(tmp_path / "none" / "x.safetensors"))
    (tmp_path / "d.safetensors").mkdir()
    says("d.safetensors", "give the name of a file", lambda: state.save(tmp_path / "d.safetensors"))
    assert os.listdir(tmp_path) == ["d.safetensors"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_save_to_a_full_disk(tmp_path):
    (tmp_path / "x.safetensors").symlink_to("/dev/full")
    says("x.safetensors", "No space left", lambda: VoiceState(rows()).save(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (VoiceState(rows(), "german"), "is a voice of the model 'german', not of english_2m_2026-10"),
        (VoiceState(rows(), "a\nb"), "is a voice of the model"),
        (VoiceState(rows(), "german", "ff01"), "is a voice of the model 'german', not of english_2m_2026-10"),
        (VoiceState(rows(), CONFIG.name, "ff01"), "is a voice of other weights, not of english_2m_2026-10"),
        (VoiceState(rows(), None, "ff01"), "is a voice of other weights"),
        (VoiceState(rows(layers=6)), "6 layers of 1 heads of 64; english_2m_2026-10 has 8 layers of 1 heads of 64"),
        (VoiceState(rows(heads=2)), "8 layers of 2 heads of 64"),
        (VoiceState(rows(dim=32)), "8 layers of 1 heads of 32"),
    ],
)
def test_states_of_other_models(state, words):
    says("x.safetensors", words, lambda: check(state, CONFIG, lambda: "ff00", "x.safetensors"))


def test_states_of_this_model():
    for state in (VoiceState(rows()), VoiceState(rows(), CONFIG.name), VoiceState(rows(), CONFIG.name, "ff00")):
        check(state, CONFIG, lambda: "ff00", "x")
    check(VoiceState(rows(6, heads=16)), load_config("english"), lambda: "ff00", "x")  # no grouped queries, no attn_dim


def test_states_are_shared_by_two_names_of_a_model():
    """`english` and `english_2026-10` are the same weights."""
    check(VoiceState(rows(), "english_2m", "ff00"), CONFIG, lambda: "ff00", "x")


# The catalog.


@pytest.fixture
def fetched(monkeypatch):
    """The requested sources. The simulated hub returns the last part of each as its path."""
    asked = []
    monkeypatch.setattr(hub, "local_path", lambda source: asked.append(str(source)) or Path(str(source).split("/")[-1]))
    return asked


def test_catalog():
    assert len(ORIGINS) == 27 and list(ORIGINS) == sorted(ORIGINS)
    for name in {*model_names()} - {"mini"}:  # which has voices of its own
        config = load_config(name)
        assert set(voices.names(config)) <= set(ORIGINS), name
        assert voices.default_voice(config) in voices.names(config)
    assert len(voices.names(load_config("b6369a24"))) == 8
    assert voices.default_voice(load_config("german_24l")) == "juergen"
    assert voices.default_voice(CUSTOM) == "alba"
    assert voices.gated_page(CONFIG) == "https://huggingface.co/kyutai/pocket-tts"


def test_finds_names(fetched):
    voices.find("vera", CONFIG)
    voices.find("vera", CUSTOM)
    assert fetched == [CONFIG.voices_path.replace("{voice}", "vera"), ORIGINS["vera"]]


def test_finds_addresses(fetched):
    for url in ("hf://a/b/c.wav@main", "https://a.org/x.safetensors?d=1"):
        voices.find(url, CONFIG)
    assert fetched == ["hf://a/b/c.wav@main", "https://a.org/x.safetensors?d=1"]


def test_finds_files(tmp_path, monkeypatch, fetched):
    monkeypatch.chdir(tmp_path)
    for name in ("x.wav", "me", "alba"):
        Path(name).touch()
    assert voices.find("x.wav", CONFIG) == Path("x.wav")
    assert voices.find(tmp_path / "x.wav", CONFIG) == tmp_path / "x.wav"
    assert voices.find("me", CONFIG) == Path("me")
    assert voices.find(Path("alba"), CONFIG) == Path("alba") and not fetched
    assert voices.find("alba", CONFIG) == Path(CONFIG.voices_path.replace("{voice}", "alba").split("/")[-1])


@pytest.mark.parametrize(
    ("voice", "words"),
    [
        ("abla", "did you mean alba"),
        ("Alba", "did you mean alba"),
        ("stuart", "did you mean stuart_bell"),
        ("xyzzyx", "`pockettts voices`"),
        ("", "no voice called ''"),
        ("me.wav", "does not exist"),
        ("dir/me", "does not exist"),
        (Path("me"), "does not exist"),
        ("/", "is not a file"),
        ("x" * 5000, "no voice called"),
        ("a\nb", "no voice called"),
    ],
)
def test_missing_voices(tmp_path, monkeypatch, fetched, voice, words):
    monkeypatch.chdir(tmp_path)
    says("", words, lambda: voices.find(voice, CONFIG))
    assert not fetched


def test_a_voice_of_another_model(fetched):
    says("b6369a24", "has no voice called 'giovanni'", lambda: voices.find("giovanni", load_config("b6369a24")))
