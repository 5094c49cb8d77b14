"""Own voices over HTTP: the operator's folder, voices that clients add and remove, and OpenAI's names."""

import dataclasses
import io
import os
import shutil
import threading
from functools import partial
from pathlib import PosixPath

import pytest
import requests
import soundfile
from conftest import SPEECH
from serving import HUM, load, serving

from pockettts import TTSModel
from pockettts.config.load import load_config
from pockettts.errors import DownloadError
from pockettts.server.models import Source
from pockettts.sound.files import pcm16
from pockettts.tts import default_options

TEXT = "Hello there."


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "voices"
    folder.mkdir()
    shutil.copy(SPEECH / "her.ogg", folder / "her.ogg")
    return folder


@pytest.fixture
def server(model, folder):
    with serving(model, voices_dir=folder, allow_uploads=True, max_uploaded=2, max_upload=1 << 20) as server:
        yield server


def wav(n=0):
    file = io.BytesIO()
    soundfile.write(file, HUM[n:], 24_000, format="WAV")
    return file.getvalue()


def say(server, voice):
    answer = requests.post(server.url + "/stream", json={"text": TEXT, "seed": 1, "voice": voice})
    return answer.content if answer.ok else (answer.status_code, answer.json()["error"])


def expected(model, voice):
    return b"".join(map(pcm16, model.generate_stream(TEXT, model.get_voice_state(voice), seed=1)))


def listed(server):
    return {voice["id"]: voice for voice in requests.get(server.url + "/v1/audio/voices").json()["voices"]}


def upload(server, name="guest", sound=None, **more):
    files = {"name": (None, name), "audio_sample": ("a b.WAV", wav() if sound is None else sound)} | more
    return requests.post(server.url + "/v1/audio/voices", files={k: v for k, v in files.items() if v is not None})


# --- the operator's ------------------------------------------------------------------------------------------------------


def test_voices_follow_the_files_of_the_folder(server, model, folder):
    assert list(listed(server))[:2] == ["her", "alba"]
    assert listed(server)["her"] == {"id": "her", "name": "her", "default": False, "own": True, "uploaded": False}
    assert say(server, "her") == expected(model, SPEECH / "her.ogg")
    (folder / "me.wav").write_bytes(wav())
    assert "me" in listed(server) and say(server, "me") == expected(model, folder / "me.wav")
    (folder / "me.wav").write_bytes(wav(5000))  # another recording
    assert say(server, "me") == expected(model, folder / "me.wav")
    os.remove(folder / "me.wav")
    assert "me" not in listed(server)
    status, error = say(server, "me")
    assert status == 422 and error.startswith("there is no voice 'me': use one of her, alba")


def test_a_voice_state_in_the_folder(server, model, folder):
    model.get_voice_state(HUM).save(folder / "hum.safetensors")
    assert say(server, "hum") == expected(model, HUM)


def test_errors_of_voice_files_do_not_show_paths(server, folder):
    (folder / "bad.wav").write_bytes(b"no sound")
    status, error = say(server, "bad")
    assert status == 422 and error.startswith("bad.wav is damaged or not a sound file") and str(folder) not in error


@pytest.mark.parametrize("name", ["../voices/her", "her.ogg", "./her", "uploads/guest", "HER/", "her\x00"])
def test_requests_can_not_name_files(server, name):
    assert say(server, name)[0] == 422


def test_an_own_voice_can_be_the_default_and_the_target_of_a_map(model, folder):
    with serving(model, voices_dir=folder, voice="her", voice_map={"Zoe": "her"}) as server:
        for voice in (None, "her", "Zoe", "alloy"):
            assert say(server, voice) == expected(model, folder / "her.ogg")
        assert listed(server)["her"]["default"] and say(server, "alba") == expected(model, "alba")
        os.remove(folder / "her.ogg")
        assert say(server, None) == say(server, "nova") == expected(model, SPEECH / "her.ogg")  # it is in memory


def test_a_voice_is_cloned_once(server, model, monkeypatch):
    made, real = [], model.get_voice_state
    monkeypatch.setattr(model, "get_voice_state", lambda voice: made.append(type(voice)) or real(voice))
    threads = [threading.Thread(target=say, args=(server, "her")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.count(PosixPath) == 1


# --- OpenAI's names ------------------------------------------------------------------------------------------------------


def test_openais_names_speak_with_the_operators_voice(model, folder):
    """The default voice is a file, and the model has no voices that can be downloaded."""
    path = folder / "her.ogg"
    with serving(model, voice=str(path)) as server:
        assert say(server, "alloy") == say(server, "nova") == say(server, None) == expected(model, path)
    with serving(model, voice=str(path), voice_map={"nova": "marius"}) as server:
        assert say(server, "alloy") == expected(model, path) and say(server, "nova") == expected(model, "marius")


def test_openai_names_map_to_similar_voices(model):
    with serving(model, voice=None) as server:
        assert say(server, "nova") == expected(model, "cosette") and say(server, "alloy") == expected(model, "alba")


def test_openai_default_names_fall_back_to_the_default_voice(model, monkeypatch):
    with serving(model, voice=None, voice_map={"Zoe": "vera"}) as server:
        alba = expected(model, "alba")

        def nothing(voice):
            if isinstance(voice, str):
                raise DownloadError("no network")
            return real(voice)

        real = model.get_voice_state

        monkeypatch.setattr(model, "get_voice_state", nothing)
        assert say(server, "nova") == say(server, "Nova") == alba
        assert say(server, "vera")[0] == say(server, "Zoe")[0] == 502


def test_names_in_upper_or_lower_case(model, folder):
    shutil.copy(SPEECH / "him.ogg", folder / "Zoë.ogg")
    with serving(model, voices_dir=folder, voice_map={"Rachel": "marius", "Cosette": "alba"}) as server:
        for name, meant in (
            ("HER", folder / "her.ogg"),
            ("zoË", folder / "Zoë.ogg"),
            ("rachel", "marius"),
            ("Alba", "alba"),
        ):
            assert say(server, name) == expected(model, meant), name
        assert say(server, "Nova") == say(server, "nova")
        assert say(server, "Cosette") == expected(model, "alba")  # an equal name comes first
        assert say(server, "COSETTE") == say(server, "cosette") == expected(model, "cosette")


def test_a_voice_object_has_an_id(server, model):
    assert say(server, {"id": "marius"}) == expected(model, "marius")
    for voice in ({}, {"name": "marius"}, {"id": ""}):
        status, message = say(server, voice)
        assert status == 422 and message.startswith("voice has no id"), voice


def test_recordings_are_no_voices_of_a_model_that_can_not_clone(model, folder):
    """Lists do not offer them. A request for one, or for a voice state of another model, is told why it fails."""
    model.get_voice_state(HUM).save(folder / "state.safetensors")
    shutil.copy(SPEECH / "her.ogg", folder / "nova.ogg")
    mini = TTSModel.load("mini")
    with serving(model, mini, voice="her", voices_dir=folder) as server:
        assert {"her", "state"} < listed(server).keys()
        of_mini = requests.get(server.url + "/v1/voices?model=mini").json()["voices"]
        assert [(v["id"], v["default"]) for v in of_mini] == [("state", False), ("heart", True), ("michael", False)]
        ask = partial(requests.post, server.url + "/stream")
        assert (
            ask(json={"text": TEXT, "model": "mini"}).ok
            and ask(json={"text": TEXT, "model": "mini", "voice": "nova"}).ok
        )
        for voice, words in (("her", "her.ogg: mini can't clone voices"), ("state", "state.safetensors")):
            answer = ask(json={"text": TEXT, "model": "mini", "voice": voice})
            assert answer.status_code == 422 and answer.json()["error"].startswith(words), answer.text


# --- what clients add ----------------------------------------------------------------------------------------------------


def test_a_voice_is_added_used_and_removed(server, model, folder):
    answer = upload(server, consent=(None, "cons_1234"))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["id"], told["name"], told["object"]) == ("guest", "guest", "audio.voice") and told["created_at"] > 1e9
    assert os.listdir(folder / "uploads") == ["guest.wav"] and listed(server)["guest"]["uploaded"]
    assert say(server, "guest") == expected(model, folder / "uploads" / "guest.wav")
    spoken = requests.post(server.url + "/v1/audio/speech", json={"input": "Hi.", "voice": {"id": "guest"}})
    assert spoken.status_code == 200
    gone = requests.delete(server.url + "/v1/audio/voices/guest")
    assert gone.json() == {"id": "guest", "object": "audio.voice.deleted", "deleted": True}
    assert "guest" not in listed(server) and say(server, "guest")[0] == 422
    assert requests.delete(server.url + "/v1/audio/voices/guest").status_code == 404


def test_an_upload_survives_a_restart(model, folder):
    with serving(model, voices_dir=folder, allow_uploads=True) as server:
        assert upload(server).status_code == 200
    with serving(model, voices_dir=folder, allow_uploads=True) as server:
        assert listed(server)["guest"]["uploaded"] and isinstance(say(server, "guest"), bytes)
        assert requests.delete(server.url + "/v1/audio/voices/guest").status_code == 200


def test_a_voice_state_is_added_as_one(server, model, folder, tmp_path):
    model.get_voice_state(HUM).save(tmp_path / "v.safetensors")
    assert upload(server, sound=(tmp_path / "v.safetensors").read_bytes()).status_code == 200
    assert os.listdir(folder / "uploads") == ["guest.safetensors"] and say(server, "guest") == expected(model, HUM)


def test_only_uploads_are_removed(server, folder):
    for name, status in (("her", 403), ("alba", 404), ("..%2Fher", 404), ("%2e%2e", 404), ("uploads", 404)):
        answer = requests.delete(server.url + "/v1/audio/voices/" + name)
        assert answer.status_code == status and answer.json()["error"]["message"], name
    assert (folder / "her.ogg").exists()


@pytest.mark.parametrize(
    "name, status",
    [
        ("her", 409),
        ("HER", 409),
        ("alba", 409),
        ("Alba", 409),
        ("alloy", 409),
        ("Alloy", 409),
        ("../x", 400),
        ("/etc/x", 400),
        ("a\nb", 400),
        ("..", 400),
        ("NUL", 400),
        ("a\u202eb", 400),
        ("x" * 65, 400),
    ],
)
def test_rejected_names(server, folder, name, status):
    answer = upload(server, name)
    assert answer.status_code == status and "error" in answer.json(), answer.text
    assert not (folder / "uploads").exists() and not list(folder.parent.glob("x*"))


@pytest.mark.parametrize(
    "sound, status, words",
    [
        (b"no sound at all", 400, "the upload is damaged or not a sound file"),
        (b"", 400, "audio_sample is missing"),
        (bytes((1 << 20) + 1), 413, "audio_sample is larger than 1 MB"),
    ],
)
def test_invalid_voices_are_not_stored(server, folder, sound, status, words):
    answer = upload(server, sound=sound)
    error = answer.json()["error"]
    assert answer.status_code == status and words in error["message"] and error["param"] == "audio_sample"
    assert not (folder / "uploads").exists()


def test_missing_fields(server):
    assert upload(server, name="").json()["error"]["param"] == "name"
    assert upload(server, audio_sample=None).json()["error"]["param"] == "audio_sample"
    answer = requests.post(server.url + "/v1/audio/voices", json={"name": "x"})
    assert answer.status_code == 415 and "send a form" in answer.json()["error"]["message"]


def test_uploads_have_limits(server, folder):
    assert [upload(server, f"v{n}", wav(n)).status_code for n in range(3)] == [200, 200, 409]
    assert "as many as this server keeps" in upload(server, "v4", wav(4)).json()["error"]["message"]
    assert requests.delete(server.url + "/v1/audio/voices/v0").status_code == 200
    assert upload(server, "v4", wav(4)).status_code == 200
    assert sorted(os.listdir(folder / "uploads")) == ["v1.wav", "v4.wav"]


def test_a_folder_that_can_not_be_written(server, folder, caplog):
    (folder / "uploads").write_text("a file where the folder of uploads should be")
    answer = upload(server)
    assert answer.status_code == 507 and str(folder) not in answer.text and "log says why" in answer.text
    assert str(folder) in caplog.text


def test_names_of_all_models_are_taken(model, folder, tiny_model):
    other = dataclasses.replace(load_config(tiny_model), name="other", voice_names=["sophie"])
    source = Source(other, default_options(other), lambda: pytest.fail("not needed"))
    with serving(model, source, voices_dir=folder, allow_uploads=True) as server:
        assert upload(server, "sophie").status_code == 409 and upload(server, "sophia").status_code == 200


def test_uploads_must_be_enabled(model, folder):
    with serving(model, voices_dir=folder) as server:
        for answer in (upload(server), requests.delete(server.url + "/v1/audio/voices/her")):
            assert answer.status_code == 403 and "--allow-uploads" in answer.json()["error"]["message"]
    with serving(model, voices_dir=folder, allow_uploads=True, api_key="secret") as server:
        assert upload(server).status_code == 401
        assert requests.delete(server.url + "/v1/audio/voices/her").status_code == 401
    assert sorted(os.listdir(folder)) == ["her.ogg"]


def test_two_uploads_of_one_name_at_once(server, folder):
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(upload(server, sound=wav(n)))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert os.listdir(folder / "uploads") == ["guest.wav"]
