"""Several models in one server: the choice of the model, loading, and eviction."""

import json
import shutil
import threading
import time

import numpy as np
import pytest
import requests
from serving import LONG, connect, load, post, serving, wait_for

from pockettts import TTSModel
from pockettts.config.load import load_config
from pockettts.errors import ConfigError, DownloadError, OptionError
from pockettts.server.models import Source
from pockettts.sound.files import pcm16
from pockettts.tts import default_options

TEXT = "Hello there."
FOREVER = json.dumps({"text": LONG, "eos_threshold": 1e9}).encode()
NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def configs(tiny_model, tmp_path_factory):
    """Three models that differ only in their temperature."""
    folder = tmp_path_factory.mktemp("models")
    for n, name in enumerate(NAMES):
        place = folder / name
        shutil.copytree(tiny_model.parent, place)
        with open(place / "config.yaml", "a") as file:
            file.write(
                f"\nname: {name}\nlanguage: {('english', 'french', 'german')[n]}\ndefault_temperature: {0.2 * n + 0.1}\n"
            )
    return {name: folder / name / "config.yaml" for name in NAMES}


@pytest.fixture(scope="module")
def models(configs):
    """The models, loaded only once. Each test has its own Loader."""
    return {name: load(path) for name, path in configs.items()}


class Loader:
    """Sources that record the loaded models."""

    def __init__(self, configs, models):
        self.loads = []
        self.configs, self.models = configs, models
        self.hold = threading.Event()
        self.hold.set()
        self.broken = False

    def source(self, name):
        config = load_config(self.configs[name])

        def make() -> TTSModel:
            assert self.hold.wait(20)
            if self.broken:
                raise DownloadError("no network: /secret/path")
            self.loads.append(name)
            return self.models[name]

        return Source(config, default_options(config), make)

    def sources(self):
        return [self.source(name) for name in NAMES]


@pytest.fixture
def loader(configs, models):
    return Loader(configs, models)


def say(server, model=None, path="/stream", **body):
    body = {"text": TEXT, "input": TEXT, "seed": 1, "voice": "marius"} | body | ({"model": model} if model else {})
    return requests.post(server.url + path, json=body)


@pytest.fixture(scope="module")
def expected(models):
    sounds = {}
    for name, model in models.items():
        sounds[name] = b"".join(map(pcm16, model.generate_stream(TEXT, model.get_voice_state("marius"), seed=1)))
    assert len(set(sounds.values())) == 3
    return sounds


def test_the_request_chooses_and_models_are_loaded_when_they_are_needed(loader, expected):
    with serving(*loader.sources()) as server:
        assert loader.loads == ["one"]
        assert [model["id"] for model in requests.get(server.url + "/v1/models").json()["data"]] == list(NAMES)
        for name in (None, "one", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "what", ""):
            assert say(server, name).content == expected["one"], name
        assert loader.loads == ["one"]
        assert say(server, "two").content == expected["two"] and loader.loads == ["one", "two"]
        speech = say(server, "three", "/v1/audio/speech", response_format="pcm", stream_format="audio")
        assert speech.content == expected["three"] and say(server, "two").content == expected["two"]
        form = requests.post(
            server.url + "/tts", data={"text": TEXT, "model": "two", "voice_url": "marius", "seed": "1"}
        )
        assert form.content[44:] == expected["two"] and loader.loads == list(NAMES)
        figures = requests.get(server.url + "/metrics").text
        assert 'pockettts_model_loaded{model="three"} 1' in figures


def test_lists_of_models(loader):
    with serving(*loader.sources()) as server:
        for path in ("/v1/models", "/v1/audio/models"):
            told = requests.get(server.url + path).json()
            assert (
                told["object"] == "list"
                and [model["id"] for model in told["data"]] == list(NAMES)
                and told["models"] == told["data"]
            )
        for name, status in (("two", 200), ("tts-1", 200), ("gpt-4o-mini-tts", 200), ("four", 404), ("a/b", 404)):
            answer = requests.get(server.url + "/v1/models/" + name)
            assert answer.status_code == status and (status == 404 or answer.json()["id"] == name)
        assert loader.loads == ["one"]


def test_options_are_those_of_the_model(loader, models):
    with serving(*loader.sources()) as server:
        model = models["two"]
        state = model.get_voice_state("marius")
        sound = say(server, "two", speed=1.5).content
        assert sound == b"".join(map(pcm16, model.generate_stream(TEXT, state, seed=1, speed=1.5)))


def test_an_unknown_voice_does_not_load_a_model(loader):
    with serving(*loader.sources()) as server:
        assert say(server, "two", voice="nobody").status_code == 422 and loader.loads == ["one"]


def test_the_least_recently_used_model_is_evicted(loader, expected):
    with serving(*loader.sources(), max_models=2) as server:
        for name in ("one", "two", "one", "three", "one", "two"):
            assert say(server, name).content == expected[name]
        assert loader.loads == ["one", "two", "three", "two"]
        assert {name for name, entry in server.app.models.entries.items() if entry.loaded} == {"one", "two"}


def test_a_model_in_use_stays_until_its_responses_end(loader, expected):
    """With room for one model: while it speaks a long text, another model is requested, which is loaded afterward."""
    with serving(*loader.sources(), max_models=1) as server:
        slow = connect(server, post("/stream", FOREVER))
        assert slow.recv(1)
        heard = []
        others = [
            threading.Thread(target=lambda n=n: heard.append((n, say(server, n).content))) for n in ("two", "one")
        ]
        others[0].start()
        wait_for(lambda: server.app.models.entries["one"]._leaving)
        others[1].start()  # has to wait for its turn, although its model is there: or "two" might never be
        time.sleep(0.1)
        assert loader.loads == ["one"] and not heard
        slow.close()
        for other in others:
            other.join(20)
        assert dict(heard) == {name: expected[name] for name in ("one", "two")}
        assert loader.loads[:2] == ["one", "two"]


def test_a_client_may_disconnect_while_a_model_loads(loader, expected):
    with serving(*loader.sources(), max_models=1, max_seconds=60) as server:
        slow = connect(server, post("/stream", FOREVER))
        assert slow.recv(1)
        waiting = connect(server, post("/stream", b'{"text": "Hi.", "model": "two"}'))
        wait_for(lambda: server.app.models.entries["one"]._leaving)
        waiting.close()
        wait_for(lambda: not server.app.models.entries["one"]._leaving)
        slow.close()
        assert say(server, "one").content == expected["one"] and loader.loads == ["one"]


def test_the_wait_for_a_model_has_a_timeout(loader):
    with serving(*loader.sources(), max_models=1) as server:
        slow = connect(server, post("/stream", FOREVER))
        assert slow.recv(1)
        server.app.responses.max_seconds = 0.3
        answer = say(server, "two")
        assert answer.status_code == 503 and "other models are in use" in answer.json()["error"]
        slow.close()


def test_a_model_that_can_not_be_loaded(loader, expected):
    with serving(*loader.sources()) as server:
        loader.broken = True
        answer = say(server, "two")
        assert (
            answer.status_code == 502
            and answer.json()["error"] == "the model two can't be loaded now; the server's log says why"
        )
        assert say(server, "one").content == expected["one"]
        loader.broken = False
        assert say(server, "two").content == expected["two"]


def test_streams_go_on_while_a_model_is_loaded(loader):
    with serving(*loader.sources()) as server:
        loader.hold.clear()
        waiting = threading.Thread(target=say, args=(server, "two"))
        waiting.start()
        assert say(server, "one").ok
        loader.hold.set()
        waiting.join(20)
        assert loader.loads == ["one", "two"]


def test_the_first_model_must_load(loader):
    loader.broken = True
    with pytest.raises(DownloadError), serving(*loader.sources()):
        pass


def test_the_default_voice_of_the_server_applies_to_the_first_model(loader, models, tmp_path, caplog):
    """The other model then uses its own default, here the first of the catalog."""
    models["one"].get_voice_state("cosette").save(tmp_path / "v.safetensors")
    mini = load_config("mini")
    small = Source(mini, default_options(mini), lambda: TTSModel.load(config=mini, threads=2))
    with serving(loader.source("one"), small, voice=str(tmp_path / "v.safetensors")) as server:
        assert say(server, "one", voice=None).ok
        answer = say(server, "mini", voice=None)
        assert answer.ok and answer.content == say(server, "mini", voice="heart").content
        assert "mini: the default voice" in caplog.text


def test_a_model_without_its_default_voice(loader, models, monkeypatch, expected):
    """Its other voices work."""
    real = models["two"].get_voice_state

    def fetch(voice):
        if voice == "alba":
            raise DownloadError("no network")
        return real(voice)

    monkeypatch.setattr(models["two"], "get_voice_state", fetch)
    with serving(*loader.sources(), voice=None) as server:
        assert say(server, "two").content == expected["two"]
        for voice in (None, "alba", "alloy"):
            answer = say(server, "two", voice=voice)
            assert answer.status_code == 502 and "the voice alba can't be loaded now" in answer.json()["error"]


def test_two_models_with_one_name(loader):
    with (
        pytest.raises(OptionError, match="two models are called one"),
        serving(loader.source("one"), loader.source("one")),
    ):
        pass


# --- the command ---------------------------------------------------------------------------------------------------------


def configs_of(*args):
    from argparse import ArgumentParser

    from pockettts.cli import serve

    parser = ArgumentParser()
    serve.add_options(parser)
    return [config.name for config in serve._configs(parser.parse_args(list(map(str, args))))]


def test_models_of_the_command(configs, tmp_path):
    folder = configs["one"].parents[1]
    assert configs_of("--config", configs["two"], "--config", configs["one"]) == ["two", "one"]
    assert configs_of("--variant", "mini", "--config", configs["one"], "--language", "english") == [
        "mini",
        "one",
        "english",
    ]
    assert configs_of("--models-dir", folder) == ["one", "three", "two"]
    with pytest.raises(OptionError, match="two models are called one"):
        configs_of("--config", configs["one"], "--models-dir", folder)
    with pytest.raises(OptionError, match="no such folder"):
        configs_of("--models-dir", tmp_path / "none")
    with pytest.raises(OptionError, match="there is no model in it"):
        configs_of("--models-dir", tmp_path)
    with pytest.raises(ConfigError):
        configs_of("--variant", "inglish")


def test_a_folder_of_models(tiny_model, tmp_path, caplog):
    shutil.copytree(tiny_model.parent, tmp_path / "inner")  # its config has no name: that of the folder counts
    shutil.copytree(tiny_model.parent, tmp_path / "files")
    (tmp_path / "files" / "config.yaml").rename(tmp_path / "mine.yaml")
    (tmp_path / "broken.yaml").write_text("flow_lm: 5")
    (tmp_path / "README.md").write_text("")
    assert configs_of("--models-dir", tmp_path) == ["inner", "mine"]
    assert "broken.yaml" in caplog.text and "left out" in caplog.text


def test_states_of_two_models_are_kept_apart(loader):
    """Uploads and names have one state per model."""
    with serving(*loader.sources()) as server:
        say(server, "one"), say(server, "two")
        assert len(server.app.models.voices._cache) == 2
        server.app.models._drop(server.app.models.entries["two"])
        assert len(server.app.models.voices._cache) == 1
        assert np.all(
            [key[0] == id(server.app.models.entries["one"].loaded[0]) for key in server.app.models.voices._cache]
        )


@pytest.mark.parametrize(
    "options, words",
    [
        (["--zeroconf"], "give that too, such as --wyoming 10200"),
        (["--voices-dir", "/no/such"], "--voices-dir /no/such: no such folder"),
        (["--voice-map", "a=nobody"], "write NAME=VOICE"),
        (["--max-models", "0"], "--max-models"),
        (["--models-dir", "/no/such"], "no such folder"),
    ],
)
def test_rejected_commands(options, words, configs, capsys):
    from pockettts.cli import main

    assert main(["serve", "--config", str(configs["one"]), *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
