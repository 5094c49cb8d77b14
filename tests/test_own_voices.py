"""Own voices: a folder of recordings and voice states with the names of their files, in the library and the command line."""

import os
import shutil

import numpy as np
import pytest
import soundfile
from conftest import SPEECH
from serving import HUM

from pockettts import TTSModel
from pockettts.cli import main
from pockettts.errors import AudioError, VoiceError
from pockettts.voices.folders import FolderFull, NameTaken, VoiceFolder, check_name
from pockettts.voices.loader import find, names

WAV = b"RIFF" + bytes(100)


@pytest.fixture
def folder(tmp_path):
    return VoiceFolder(tmp_path / "voices")


@pytest.fixture(scope="module")
def model(tiny_model):
    return TTSModel.load(config=tiny_model, threads=2)


def put(folder, name, content=WAV):
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- the folder ----------------------------------------------------------------------------------------------------------


def test_files_are_voices_by_their_names(folder):
    assert folder.voices() == {} and folder.find("me") is None
    me = put(folder, "me.wav")
    for name in ("Grandma Åse.MP3", "uploads/guest.flac", "notes.txt", ".hidden.wav", ".me.wav.part", "noend"):
        put(folder, name)
    (folder.path / "folder.wav").mkdir()
    assert list(folder.voices()) == ["Grandma Åse", "guest", "me"]
    assert folder.find("me").path == me and not folder.find("me").uploaded and folder.find("guest").uploaded
    assert folder.find("Grandma A\u030ase").name == "Grandma Åse"  # as macOS spells it
    me.unlink()
    assert folder.find("me") is None


def test_a_voice_state_comes_before_a_recording_and_the_owners_before_an_upload(folder):
    put(folder, "uploads/me.safetensors")
    wav = put(folder, "me.wav")
    assert folder.find("me").path == wav
    state = put(folder, "me.safetensors")
    assert folder.find("me").path == state


def test_a_replaced_file_is_a_new_version(folder):
    put(folder, "me.wav")
    before = folder.find("me").version
    put(folder, "me.wav", WAV + b"more")
    assert folder.find("me").version != before


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "../up",
        "/etc/passwd",
        "C:me",
        "a\0b",
        "a\nb",
        " me",
        "me ",
        "me.",
        "x" * 65,
        "\N{GRINNING FACE}" * 60,
        "hf://a/b",
        "%2e%2e%2fx",
        "CON",
        "nul.b",
        "Lpt9",
        "a\u202eb",
        "a\u200bb",
        "a\xa0b",
        "\udcff",
    ],
)
def test_invalid_names(folder, name):
    for call in (
        lambda: check_name(name),
        lambda: folder.add(name, WAV, ".wav"),
        lambda: folder.upload(name, WAV, ".wav", 9, 1 << 20),
    ):
        with pytest.raises(VoiceError, match="can't be the name of a voice"):
            call()
    assert (
        folder.voices() == {} and not folder.remove(name, True) and not folder.path.parent.joinpath("up.wav").exists()
    )


@pytest.mark.parametrize("name", ["Zoë", "小明", "Dr. Who (2)", "console", "a-b_c", "x" * 64, "小" * 64])
def test_names_of_all_scripts(folder, name):
    folder.upload(name, WAV, ".safetensors", 9, 1 << 20)
    assert list(folder.voices()) == [name] and folder.find(name).uploaded


def test_uploads_have_limits_and_only_uploads_can_be_removed_as_uploads(folder):
    put(folder, "me.wav")
    for name in ("me", "ME"):
        with pytest.raises(NameTaken, match="there is a voice 'me' already"):
            folder.upload(name, WAV, ".wav", 2, 1000)
    folder.upload("one", WAV, ".wav", 2, 1000)
    with pytest.raises(FolderFull, match="more than 0 MB"):
        folder.upload("two", bytes(1000), ".wav", 2, 1000)
    folder.upload("two", WAV, ".wav", 2, 1000)
    with pytest.raises(FolderFull, match="as many as this server keeps"):
        folder.upload("three", WAV, ".wav", 2, 1000)
    assert not folder.remove("me", True) and folder.remove("one", True) and not folder.remove("one", True)
    assert list(folder.voices()) == ["me", "two"]


def test_a_folder_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VoiceError, match="can't write"):
        VoiceFolder(tmp_path / "file").add("me", WAV, ".wav")


# --- speaking ------------------------------------------------------------------------------------------------------------


def test_the_library_knows_own_voices(model, tiny_model, tmp_path, monkeypatch):
    recording = shutil.copy(SPEECH / "her.ogg", tmp_path / "her.ogg")
    monkeypatch.setenv("POCKETTTS_VOICES", str(tmp_path))
    expected = model.get_voice_state(recording)
    assert np.array_equal(model.get_voice_state("her").layers, expected.layers)
    assert names(model.config)[:2] == ["her", "alba"] and find("her", model.config) == tmp_path / "her.ogg"
    monkeypatch.setenv("POCKETTTS_VOICES", str(tmp_path / "empty"))
    with pytest.raises(VoiceError, match="no voice called 'her'"):
        model.get_voice_state("her")
    elsewhere = TTSModel.load(config=tiny_model, threads=2, voices_dir=tmp_path)
    assert np.array_equal(elsewhere.get_voice_state("her").layers, expected.layers)


def test_an_own_voice_comes_before_the_catalogs(model, tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETTTS_VOICES", str(tmp_path))
    shutil.copy(SPEECH / "her.ogg", tmp_path / "alba.ogg")
    assert find("alba", model.config) == tmp_path / "alba.ogg" and names(model.config).count("alba") == 1


def test_a_voice_as_bytes(model, tmp_path):
    path = SPEECH / "her.ogg"
    state = model.get_voice_state(path.read_bytes())
    assert np.array_equal(state.layers, model.get_voice_state(path).layers)
    state.save(tmp_path / "her.safetensors")
    assert np.array_equal(model.get_voice_state((tmp_path / "her.safetensors").read_bytes()).layers, state.layers)
    for wrong, error in ((b"x" * 5000, AudioError), (b"\x08" + bytes(7) + b"{}" + b" " * 6 + bytes(50), VoiceError)):
        with pytest.raises(error) as raised:
            model.get_voice_state(wrong)
        assert str(raised.value).startswith("the recording ") and len(str(raised.value)) < 200


# --- the command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch, capsys, tiny_model):
    monkeypatch.setenv("POCKETTTS_VOICES", str(tmp_path / "mine"))

    def run(*args):
        code = main(["voices", *map(str, args), "--config", str(tiny_model)])
        return code, *capsys.readouterr()

    return run


def test_voices_are_added_listed_and_removed(command, tmp_path):
    soundfile.write(tmp_path / "rec 1.wav", HUM, 24_000)
    code, out, err = command("add", tmp_path / "rec 1.wav", "--name", "me")
    assert (code, out) == (0, "") and "speak with it as `--voice me`" in err
    assert command()[1].startswith("me (yours)\nalba (default)\n") and command("list")[1] == command()[1]
    code, _, err = command("add", SPEECH / "her.ogg", "--name", "me")
    assert code == 1 and "there is a voice 'me' already" in err
    assert command("add", SPEECH / "her.ogg", "--name", "me", "--force")[0] == 0
    assert os.listdir(tmp_path / "mine") == ["me.ogg"]
    assert command("add", SPEECH / "her.ogg")[0] == 0 and command()[1].startswith("her (yours)\nme (yours)\n")
    assert (
        "speak with it as `--voice 'in two words'`" in command("add", SPEECH / "her.ogg", "--name", "in two words")[2]
    )
    assert command("remove", "in two words")[0] == command("remove", "me")[0] == 0 and "me" not in command()[1].split()
    code, _, err = command("remove", "me")
    assert code == 1 and "has no voice 'me': there are her" in err


def test_voices_that_a_model_can_not_use_are_marked(command, tmp_path, capsys):
    assert command("add", SPEECH / "her.ogg")[0] == 0
    assert main(["voices", "--variant", "mini"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["heart (default)", "michael", "her (yours, for models that can clone voices, not mini)"]


def test_a_file_whose_name_begins_with_a_dash(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(SPEECH / "her.ogg", "-v.ogg")
    assert command("add", "-v.ogg", "--name", "me")[0] == 0 and command()[1].startswith("me (yours)\n")
    code, _, err = command("add", "-none.ogg")
    assert code == 2 and "'-none.ogg': no such option" in err


@pytest.mark.parametrize(
    "args, words",
    [
        (["add"], "give the file"),
        (["remove"], "give the name"),
        (["list", "x"], "unexpected argument"),
        (["add", "{}/none.wav"], "no such file"),
        (["add", "{}/text.wav"], "not a sound file"),
        (["add", "{}/text.safetensors"], "safetensors"),
        (["add", str(SPEECH / "her.ogg"), "--name", "../me"], "can't be the name of a voice"),
        (["remove", "../text.wav"], "has no voice"),
        (["drop", "x"], "invalid choice"),
    ],
)
def test_rejected_commands(command, tmp_path, args, words):
    for name in ("text.wav", "text.safetensors"):
        (tmp_path / name).write_text("no sound")
    code, out, err = command(*(arg.format(tmp_path) for arg in args))
    assert code in (1, 2) and out == "" and words in err and err.count("\n") == 1
    assert not (tmp_path / "mine").exists() and (tmp_path / "text.wav").exists()


def test_the_command_speaks_with_an_own_voice(command, tmp_path, tiny_model):
    assert command("add", SPEECH / "her.ogg", "--name", "me")[0] == 0
    for voice in ("me", str(SPEECH / "her.ogg")):
        args = [
            "Hello.",
            "-q",
            "-v",
            voice,
            "--config",
            str(tiny_model),
            "--seed",
            "1",
            "-o",
            str(tmp_path / f"{len(voice)}.wav"),
        ]
        assert main(args) == 0
    one, other = (path.read_bytes() for path in tmp_path.glob("*.wav"))
    assert one == other
