"""The bundled model, and the choice of the default model."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hub_server import HubServer
from test_config import files_of

from pockettts import TTSModel, default
from pockettts.config.load import is_bundled, is_downloaded, load_config
from pockettts.default import default_config
from pockettts.errors import ConfigError, VoiceError
from pockettts.storage import hub
from pockettts.voices import catalog as voices

MODELS = Path(default.__file__).parent / "models"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An empty simulated hub, and an empty cache."""
    monkeypatch.delenv("POCKETTTS_MODEL", raising=False)
    with HubServer() as server:
        server.point(monkeypatch, tmp_path)
        yield server


@pytest.fixture(scope="module")
def mini():
    return TTSModel.load("mini")


def test_the_bundled_model_is_complete_and_small():
    config = load_config("mini")
    assert is_bundled(config) and is_downloaded(config) and voices.names(config) == ["heart", "michael"]
    assert all(voices.find(name, config).is_file() for name in voices.names(config))
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < 25e6


def test_files_in_the_working_directory_do_not_replace_bundled_ones(monkeypatch, tmp_path):
    for name in ("model.safetensors", "tokenizer.model"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert load_config("mini").weights_path == str(MODELS / "mini" / "model.safetensors")


@pytest.mark.parametrize("voice", ["heart", "michael"])
def test_it_speaks_with_word_times(mini, voice):
    words = []
    blocks = []
    for event in mini.generate_events("The dog sleeps in the garden.", voice, seed=1):
        (blocks if isinstance(event, np.ndarray) else words).append(event)
    samples = np.concatenate(blocks)
    assert 1 < len(samples) / mini.sample_rate < 5 and 0.02 < np.sqrt(np.mean(samples**2)) < 0.3
    assert [word.text for word in words] == ["The", "dog", "sleeps", "in", "the", "garden."]
    assert all(a.start <= a.end <= b.start + 0.081 for a, b in zip(words, words[1:], strict=False))


def test_it_can_not_clone_voices(mini):
    with pytest.raises(VoiceError, match="mini can't clone voices: .*--variant english.*heart, michael"):
        mini.get_voice_state(np.zeros(24000, np.float32))


def test_without_a_network_the_bundled_model_speaks_at_once(server, caplog):
    server.close()
    start = time.monotonic()
    assert default_config().name == "mini" and time.monotonic() - start < 1
    assert [record.message for record in caplog.records] == [
        "this is mini, the small bundled voice (there is no network); `pockettts download english` gets the full one, 219 MB"
    ]


def test_offline_mode_makes_no_request(server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert default_config().name == "mini" and server.requests == []


def test_an_unresponsive_network_costs_less_than_a_second(server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://192.0.2.1")  # TEST-NET-1: nobody is there
    start = time.monotonic()
    assert not hub.is_reachable() and time.monotonic() - start < 1


def test_with_a_network_the_full_model_is_downloaded_and_announced(server, monkeypatch, caplog):
    here = {"english": files_of(server, "english"), "mini": load_config("mini")}  # at the stand-in's commits
    monkeypatch.setattr(default, "load_config", here.__getitem__)
    config = default_config()
    assert config.name == "english" and is_downloaded(config)
    assert [record.message for record in caplog.records if record.name == "pockettts"] == [
        "downloading the model english once, 219 MB; `--variant mini` or POCKETTTS_MODEL=mini needs no download"
    ]
    caplog.clear()
    server.requests.clear()
    assert default_config().name == "english" and not caplog.records and server.requests == []


def test_after_a_failed_download_the_bundled_model_is_used(server, caplog):
    server.fail = 503
    assert default_config().name == "mini"
    assert "the server answered 503" in caplog.records[-1].message


@pytest.mark.parametrize(
    ("voice", "name"), [("heart", "mini"), ("michael", "mini"), ("alba", "english"), ("me.wav", "english")]
)
def test_the_requested_voice_decides(server, voice, name):
    server.close()
    assert default_config(voice).name == name


def test_the_environment_names_the_default(server, monkeypatch, tiny_model):
    monkeypatch.setenv("POCKETTTS_MODEL", "mini")
    assert default_config().name == "mini" and server.requests == []
    monkeypatch.setenv("POCKETTTS_MODEL", str(tiny_model))
    assert default_config().flow_lm.transformer.d_model == 32
    monkeypatch.setenv("POCKETTTS_MODEL", "minni")
    with pytest.raises(ConfigError, match="POCKETTTS_MODEL=minni: .*did you mean mini"):
        default_config()


def test_the_command_speaks_without_a_network(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "POCKETTTS_"))}
    env |= {"HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}  # nobody listens on port 9
    command = [sys.executable, "-m", "pockettts", "Hello, world!", "-o", str(tmp_path / "hello.wav")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr.count("\n") == 2 and "this is mini" in done.stderr
    assert (tmp_path / "hello.wav").stat().st_size > 24000
    done = subprocess.run([*command, "--variant", "french"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, "what was asked for by name is not replaced"
