"""The command line: correct and incorrect use. Every error is one clear line and leaves nothing behind."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SPEECH
from hub_server import HubServer

import pockettts
from pockettts import TTSModel, __version__, cli
from pockettts.cli import generate
from pockettts.cli.progress import Progress
from pockettts.config.load import DEFAULT_MODEL, load_config, model_names
from pockettts.options import NUMBERS
from pockettts.voices.state import read_voice

ROOT = Path(pockettts.__file__).parents[1]  # where the package under test is, installed or not
NUMBERS_AS_OPTIONS = ["--" + name.replace("_", "-") for name in NUMBERS]
LONG = "One sentence after the other, so that there is something to do for a while. " * 400


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def voice(tmp_path_factory):
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    soundfile.write(path, *soundfile.read(SPEECH / "her.ogg"))
    return path


@pytest.fixture
def options(tiny_model, voice):
    """Options for reproducible speech without a network."""
    return ["--config", str(tiny_model), "--voice", str(voice), "--seed", "1"]


@pytest.fixture
def run(capsysbinary):
    """Run the command in this process; returns its exit code, stdout and stderr."""

    def run(*argv, stdin=b""):
        capsysbinary.readouterr()
        with Stdin(stdin):
            code = cli.main([str(arg) for arg in argv])
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run


class Stdin:
    """stdin as a pipe with these bytes, or a file."""

    def __init__(self, content):
        self.content = content

    def __enter__(self):
        self.old = os.dup(0)
        if isinstance(self.content, str):
            source = os.open(self.content, os.O_RDONLY)
        else:
            source, end = os.pipe()
            os.write(end, self.content)
            os.close(end)
        os.dup2(source, 0)
        os.close(source)

    def __exit__(self, *_):
        os.dup2(self.old, 0)
        os.close(self.old)


def start(*argv, **more):
    """Start the command in its own process, which can be interrupted even if the tests run in the background."""

    def prepare():
        signal.signal(signal.SIGINT, signal.default_int_handler)

    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    env = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {})
    command = [sys.executable, "-m", "pockettts", *map(str, argv)]
    return subprocess.Popen(command, env=env, **pipes | {"preexec_fn": prepare} | more)


def finish(process):
    """Wait for a started command; returns its exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.decode()


def assert_one_line(err, *words):
    assert re.fullmatch(r"pockettts: [^\n]+\n", err), err
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, expected", [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")], ids=["default", "the user's"]
)
def test_the_spin_time_of_openmp_is_set_before_it_is_loaded(options, here, given, expected):
    code, _, err = finish(
        start("Hello.", "-o", "a.wav", *options, cwd=here, env={"OMP_DISPLAY_ENV": "verbose"} | given)
    )
    assert code == 0
    if "GOMP_SPINCOUNT" not in err:
        pytest.skip("not libgomp")
    assert f"GOMP_SPINCOUNT = '{expected}'" in err and "OMP_WAIT_POLICY = 'PASSIVE'" in err


# --- speaking --------------------------------------------------------------------------------------------------------


def test_all_sources_of_text_give_the_same_speech(run, options, here):
    (here / "text.txt").write_bytes(b"\xef\xbb\xbfHello there, world!\n")
    ways = [
        ["Hello there, world!"],
        ["generate", "Hello there, world!"],
        ["--text", "Hello there, world!"],
        ["generate", "-t", "Hello there, world!"],
        ["--file", "text.txt"],
        ["-f", "text.txt"],
    ]
    piped = [["-"], ["--text", "-"], ["-f", "-"], []]
    for n, way in enumerate(ways + piped):
        stdin = b"Hello there, world!" if way in piped else b"not this"
        code, out, err = run(*way, *options, "-o", f"{n}.wav", stdin=stdin)
        assert (code, out) == (0, b""), err
        assert Path(f"{n}.wav").read_bytes() == Path("0.wav").read_bytes(), way


def test_options_may_come_first(run, options):
    assert run(*options, "Hello there.", "-q", "-o", "a.wav")[0] == 0
    assert run("generate", *options, "-o", "b.wav", "-q", "Hello there.")[0] == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_without_text_it_speaks_a_greeting(run, options, here):
    code, _, err = run(*options, stdin="/dev/null")
    assert code == 0 and (here / "output.wav").exists() and err.startswith("output.wav: ")
    assert run(*options, "--text", generate.GREETINGS["english"], "-o", "same.wav")[0] == 0
    assert Path("same.wav").read_bytes() == Path("output.wav").read_bytes()


def test_texts_that_look_like_options_or_commands(run, options):
    for text in (
        ["--text", "models"],
        ["--text=-1"],
        ["-1"],
        ["-5 degrees"],
        ["- an item"],
        ["--text", "- an item"],
        ["--", "-x"],
        ["generate", "voices"],
    ):
        code, out, err = run("-q", *options, *text) if text[0] != "generate" else run(*text, *options, "-q")
        assert (code, out, err) == (0, b"", ""), text


@pytest.mark.parametrize(
    "extension, format",
    [
        ("wav", "WAV"),
        ("FLAC", "FLAC"),
        ("ogg", "OGG"),
        ("opus", "OGG"),
        ("mp3", "MP3"),
    ],
)
def test_the_extension_selects_the_format(run, options, here, extension, format):
    name = f"a.{extension}"
    assert run("Hello.", *options, "-o", name)[0] == 0
    info = soundfile.info(name)
    assert (info.format, info.samplerate, info.channels) == (format, 24000, 1) and info.frames >= 7 * 1920
    assert os.listdir(here) == [name]


def test_stdout_gets_sound_and_nothing_else(run, options):
    assert run("Hello.", *options)[0] == 0
    samples = soundfile.read("output.wav", dtype="<i2")[0].tobytes()
    code, out, err = run("Hello.", *options, "--stream")
    assert code == 0 and out == samples and re.fullmatch(r"stdout: .*\n", err)
    code, out, err = run("Hello.", *options, "--output", "-")
    assert code == 0 and out[:4] == b"RIFF" and out[44:] == samples


def test_the_final_line_has_the_figures(run, options):
    code, out, err = run("Hello there.", *options, "-o", "x.wav")
    seconds, rtf, ttfa = re.fullmatch(r"x.wav: ([\d.]+) s of audio, RTF ([\d.]+), TTFA (\d+) ms\n", err).groups()
    assert abs(float(seconds) - soundfile.info("x.wav").duration) < 0.01 and float(rtf) < 10


def test_the_time_to_write_a_block_does_not_count():
    progress = Progress(100, 0, 100, quiet=True)
    for _ in progress.timed([(None, np.zeros(50))] * 4):
        time.sleep(0.05)
    assert re.match(r"2\.00 s of audio, RTF 0\.0[01]\d, TTFA 0 ms", progress.summary())


def test_quiet_and_debug_output(run, options):
    assert run("Hello.", *options, "-q") == (0, b"", "")
    assert run("Hello.", *options, "--quiet", "--temperature", "x")[2] != ""


def test_warnings_are_lines(run, options, voice):
    soundfile.write("long.wav", np.tile(soundfile.read(voice)[0], 31), 24000)
    code, _, err = run("Hello.", *options, "-v", "long.wav")
    assert code == 0 and err.startswith("pockettts: ") and "30 seconds" in err and err.count("\n") == 2
    assert run("Hello.", *options, "-v", "long.wav", "-q")[2] == ""


def test_every_option_reaches_the_model(run, options, monkeypatch):
    seen = {}

    def spy(owner, name, wrap=lambda function: function):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, wrap(lambda *args, **given: seen.update(given) or original(*args, **given)))

    spy(TTSModel, "load", staticmethod)
    wanted = {
        "temperature": 0.5,
        "lsd_decode_steps": 2,
        "eos_threshold": -3.5,
        "noise_clamp": 2.0,
        "precision": "f32",
        "frames_after_eos": 0,
        "max_tokens": 20,
        "gap": 0.5,
        "speed": 2.0,
        "seed": 7,
        "threads": 1,
        "lexicon": "list.txt",
        "emoji": "read",
    }
    Path("list.txt").write_text("Hello  hullo")
    given = [f"--{name.replace('_', '-')}={value}" for name, value in wanted.items()]
    assert run("Hello.", *options, *given)[0] == 0
    assert seen.pop("config") == load_config(options[1])
    assert seen == wanted | {"cache": True, "verbatim": False}
    assert run("Hello.", *options, "--verbatim")[0] == 0 and seen["verbatim"] is True


def test_a_seed_gives_the_same_bytes(run, options, here):
    """For the same text and options, with any number of threads, whole or in chunks, in every format."""
    text = "One sentence. And then another one, which is longer.[pause]The last."
    (here / "text.txt").write_text(text)
    for suffix in ("wav", "flac", "ogg", "opus", "mp3"):
        for n, extra in enumerate((["--threads", "1"], ["--threads", "2"], ["--threads", "5", "--no-cache"])):
            assert run(text, *options, *extra, "--max-tokens", "20", "-o", f"{n}.{suffix}")[0] == 0
        assert run("-f", "text.txt", *options, "--max-tokens", "20", "-o", f"3.{suffix}")[0] == 0
        assert len({Path(f"{n}.{suffix}").read_bytes() for n in range(4)}) == 1, suffix
    assert run(text, *options, "--max-tokens", "20", "--seed", "2", "-o", "other.wav")[0] == 0
    assert Path("other.wav").read_bytes() != Path("0.wav").read_bytes()


WHOLE = ["--eos-threshold=-1e9", "--frames-after-eos", "40", "--max-tokens", "500", "--no-verify"]


def test_times_of_words(run, following_model, voice, here):
    config = following_model(20)
    argv = ["--config", config, "--voice", voice, *WHOLE, "-o", "a.wav"]
    assert run("Red & blue", *argv, "--timestamps", "a.json")[0] == 0
    data = json.loads(Path("a.json").read_text())
    assert data["unit"] == "word" and [word["text"] for word in data["words"]] == ["Red", "&", "blue"]
    assert 0 <= data["words"][0]["start"] < data["words"][0]["end"] <= data["words"][1]["start"]
    (here / "text.txt").write_text("Red & blue")
    assert run("-f", "text.txt", *argv, "--timestamps", "b.json")[0] == 0  # chunk by chunk
    assert Path("b.json").read_text() == Path("a.json").read_text()
    assert run("Red & blue", *argv, "--timestamps", "a.srt")[2].startswith("a.wav: ")
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nRed & blue\n", Path("a.srt").read_text())
    assert run("Red & blue", *argv, "--timestamps", "a.vtt")[0] == 0
    assert re.match(
        r"WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\nRed ?<00:00:0[\d.]+>&amp; ?<00:00:0[\d.]+>blue\n",
        Path("a.vtt").read_text(),
    )


def test_each_word_has_one_time_with_any_punctuation(run, options, here):
    """Also for models without alignment heads."""
    text = "Tom & Jerry paid $3.50 \u2014 **each** & more, @home & so on; \u2605 e.g. 5 km."
    for extra in ([], ["--verbatim"]):
        assert run(text, *options, "--timestamps", "a.json", "-o", "a.wav", *extra)[0] == 0
        found = " ".join(word["text"] for word in json.loads(Path("a.json").read_text())["words"])
        assert found == (text if extra else text.replace("**", ""))


def test_times_of_chunks_without_alignment_heads(run, options, here):
    code, _, err = run("Hello. [pause] There.", *options, "--timestamps", "a.json", "-o", "a.wav", "--speed", "2")
    assert code == 0 and err.startswith(
        "pockettts: config has no alignment heads: a.json will have the times of chunks"
    )
    data = json.loads(Path("a.json").read_text())
    assert data["unit"] == "chunk" and [word["text"] for word in data["words"]] == ["Hello.", "There."]
    assert data["words"][1]["end"] == pytest.approx(soundfile.info("a.wav").duration, abs=0.01)


def test_files_are_verified_and_streams_are_not(run, options, here):
    endless = [*options, "--eos-threshold", "1e9"]

    def takes(*argv):
        (line,) = [line for line in run("Yes", *endless, *argv)[2].splitlines() if "length limit" in line]
        return int(re.search(r"best of (\d) takes", line)[1]) if "takes" in line else 1

    assert takes("-o", "a.wav") == 4 and takes("-o", "b.wav", "--no-verify") == 1
    assert takes("--stream") == takes("-o", "-") == 1 and takes("--stream", "--verify") == 4
    assert takes("-o", "c.wav", "--temperature", "0") == 1
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()  # all four are as bad, so it is the first


# --- the other commands ----------------------------------------------------------------------------------------------


def test_all_models_are_listed(run, monkeypatch, here):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(here))
    code, out, err = run("models")
    head, *lines = out.decode().splitlines()
    assert code == 0 and err == "" and head.split() == ["model", "size", "language", "cached"]
    assert [line.split()[0] for line in lines] == model_names()
    assert [line.split()[0] for line in lines if not line.endswith(" no")] == ["mini"] and lines[
        model_names().index("mini")
    ].endswith(" bundled")
    assert re.fullmatch(r"french_24l +\d+ MB +french +no", lines[model_names().index("french_24l")])
    monkeypatch.setattr("pockettts.config.load.is_downloaded", lambda config: config.name == "german")
    lines = run("models")[1].decode().splitlines()[1:]
    assert [line.split()[0] for line in lines if line.endswith("yes")] == ["german"]


def test_voices_are_listed_with_the_default_marked(run, monkeypatch):
    monkeypatch.setenv("POCKETTTS_MODEL", "mini")
    assert run("voices") == (0, b"heart (default)\nmichael\n", "")
    first = run("voices", "--variant", "b6369a24")[1].decode().splitlines()
    assert first[0] == "alba (default)" and len(first) == 8 and "marius" in first
    for option in ("--variant", "--model", "--language"):
        lines = run("voices", option, "french")[1].decode().splitlines()
        assert "estelle (default)" in lines and "alba" in lines and len(lines) > 20


def test_an_exported_voice_speaks_as_the_recording_does(run, options, tiny_model, voice, here):
    code, out, err = run("export-voice", voice, "me.safetensors", "--config", tiny_model)
    assert (code, out) == (0, b"") and err.startswith("me.safetensors: ") and os.listdir(here) == ["me.safetensors"]
    assert run("Hello.", *options, "-o", "a.wav")[0] == 0
    assert run("Hello.", *options, "-o", "b.wav", "-v", "me.safetensors")[0] == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_a_folder_of_recordings_becomes_one_of_voices(run, here, tiny_model, voice):
    (here / "in").mkdir()
    for name in ("b.OGG", "a.wav", "c.wav"):
        shutil.copy(voice if name == "a.wav" else SPEECH / "him.ogg", here / "in" / name)
    (here / "in" / "notes.txt").write_text("not a recording")
    code, out, err = run("export-voice", "in", "new/out", "--config", tiny_model)
    assert (code, out) == (0, b"") and err == "new/out: 3 voices for config\n"
    assert sorted(os.listdir("new/out")) == ["a.safetensors", "b.safetensors", "c.safetensors"]
    assert run("export-voice", voice, "a.safetensors", "--config", tiny_model)[0] == 0
    one, other = read_voice("new/out/a.safetensors"), read_voice("a.safetensors")
    assert one.weights == other.weights and np.array_equal(one.layers, other.layers)

    (here / "in" / "b.OGG").write_bytes(b"damaged")
    code, out, err = run("export-voice", "in", "again", "--config", tiny_model)
    assert (code, out) == (1, b"") and sorted(os.listdir("again")) == ["a.safetensors", "c.safetensors"]
    assert re.fullmatch(
        "pockettts: in/b.OGG [^\n]+\npockettts: 1 of 3 recordings could not be converted; the other voices are in again\n",
        err,
    )


def test_no_cache_stores_nothing(run, options, here, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(here / "assets"))
    assert run("Hello.", *options, "-o", "a.wav", "--no-cache")[0] == 0 and not Path("assets").exists()
    for name in ("b.wav", "c.wav"):
        assert run("Hello.", *options, "-o", name)[0] == 0 and len(list(Path("assets").rglob("*.safetensors"))) == 1
        assert Path(name).read_bytes() == Path("a.wav").read_bytes()


def test_a_bad_recording_is_warned_of(run, options, here):
    soundfile.write("tone.wav", 0.3 * np.sin(np.arange(24000) / 20), 24000)
    for extra in ([], ["-q"]):
        code, _, err = run("Hello.", *options, "-v", "tone.wav", *extra)
        warnings = [line for line in err.splitlines() if line.startswith("pockettts: tone.wav: ")]
        assert code == 0 and len(warnings) == (0 if extra else 2), err


@pytest.fixture
def hub(monkeypatch, tiny_model, voice):
    """A simulated hub with a voice and the tiny model of `remote.yaml` in the working folder."""
    with HubServer() as hub:
        hub.point(monkeypatch, Path("home").absolute())
        hub.add("us/closed", "model.safetensors", (tiny_model.parent / "model.safetensors").read_bytes())
        hub.add("us/open", "model.safetensors", (tiny_model.parent / "model.safetensors").read_bytes())
        hub.add("us/open", "tokenizer.model", (tiny_model.parent / "tokenizer.model").read_bytes())
        hub.add("us/open", "voices/ann.wav", voice.read_bytes())
        text = tiny_model.read_text().replace("tokenizer_path: ", "tokenizer_path: hf://us/open/")
        text = re.sub(
            "(?m)^weights_path: .*",
            "weights_path: hf://us/closed/model.safetensors\n"
            "weights_path_without_voice_cloning: hf://us/open/model.safetensors",
            text,
        )
        Path("remote.yaml").write_text(text + "\nvoices_path: hf://us/open/voices/{voice}.wav\nvoice_names: [ann]\n")
        yield hub


def test_download_fetches_everything_needed_to_speak(run, hub):
    code, out, err = run("download", "remote.yaml")
    names = [Path(line).name for line in out.decode().splitlines()]
    assert code == 0 and names == ["model.safetensors", "tokenizer.model", "ann.wav"]
    assert all(Path(line).is_file() for line in out.decode().splitlines())
    assert re.fullmatch(r"remote: 3 files, [\d.]+ MB, .* without a network\n", err)
    hub.close()
    code, _, err = run("Hello.", "--config", "remote.yaml")
    assert code == 0 and err.startswith("output.wav: ") and err.count("\n") == 1  # no word of the hub's client


def test_download_explains_gated_files(run, hub):
    hub.gated["us/closed"] = 403
    code, out, err = run("download", "remote.yaml", "ann")
    assert code == 0 and out.count(b"\n") == 3
    assert "accept the terms at https://huggingface.co/us/closed" in err and err.count("\n") == 2
    assert run("download", "remote.yaml", "ann", "-q") == (0, out, "")


def test_nothing_is_downloaded_after_a_usage_error(run, hub):
    for argv in (["download", "remote.yaml", "anne"], ["Hi", "--config", "remote.yaml", "-v", "anne"]):
        code, out, err = run(*argv)
        assert (code, out) == (1, b"")
        assert_one_line(err, "'anne'", "did you mean ann?")
    for argv in (["Hi", "-o", "nowhere/x.wav"], ["Hi", "-o", "x.xyz"], [" "]):
        code, out, err = run(*argv, "--config", "remote.yaml")
        assert (code, out) == (1, b"")
        assert_one_line(err)
    assert hub.requests == []


def test_without_a_network_it_is_one_line(run, hub):
    hub.close()
    for argv in (["Hi", "--config"], ["download"], ["export-voice", "ann", "x.safetensors", "--config"]):
        code, out, err = run(*argv, "remote.yaml")
        assert (code, out) == (1, b"")
        assert_one_line(err, "hf://us/open/voices/ann.wav")


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def not_loaded(monkeypatch):
    """These errors are found before any model is loaded."""
    monkeypatch.setattr(TTSModel, "load", lambda *_, **__: pytest.fail("the model was loaded"))


@pytest.mark.parametrize(
    "argv, code, words",
    [
        ([""], 1, "at least one word"),
        ([" \n\t "], 1, "at least one word"),
        (["--text", ""], 1, "at least one word"),
        (["\udcff"], 1, "Unicode"),
        (["-f", "blank.txt"], 1, "blank.txt is empty"),
        (["-f", "latin.txt"], 1, "latin.txt is not UTF-8 text (byte 4)"),
        (["-f", "binary.txt"], 1, "binary.txt is not text"),
        (["-f", "/dev/zero"], 1, "/dev/zero is not text"),
        (["-f", "voice.flac"], 1, "voice.flac is a FLAC file"),
        (["-f", "nowhere.txt"], 1, "can't read nowhere.txt (No such file"),
        (["-f", "stdin"], 1, "can't read stdin (No such file"),
        (["-f", "."], 1, "can't read . (Is a directory)"),
        (["-"], 1, "stdin is empty"),
        ([], 1, "stdin is empty"),
        (["Hi", "-f", "latin.txt"], 2, "--file: not allowed with"),
        (["Hi", "-t", "Ho"], 2, "--text: not allowed with"),
        (["Hi", "there"], 2, "'there': one word too many: a text needs quotes"),
        (["Hi", "--tempo", "3"], 2, "'--tempo': no such option"),
        (["Hi", "--temp", "1"], 2, "--temp"),
        (["Hi", "--seed"], 2, "--seed: expected one argument"),
        (["Hi", "-o", "."], 1, "can't write . (Is a directory)"),
        (["Hi", "-o", "folder.wav"], 1, "can't write folder.wav (Is a directory)"),
        (["Hi", "-o", ""], 1, "can't"),
        (
            ["Hi", "-o", "nowhere/x.wav"],
            1,
            "can't write nowhere/x.wav (No such file or directory): make its folder first",
        ),
        (["Hi", "-o", "latin.txt/x.wav"], 1, "can't write latin.txt/x.wav (Not a directory)"),
        (["Hi", "-o", "x.xyz"], 1, "x.xyz"),
        (["Hi", "-o", "x.wav", "--stream"], 2, "not allowed with"),
        (["Hi", "-v", "nowhere.wav"], 1, "nowhere.wav does not exist"),
        (["Hi", "-v", "."], 1, ". is not a file"),
        (["Hi", "-v", ""], 1, "voice"),
        (["Hi", "-v", "Albo"], 1, "'Albo'; did you mean alba"),
        (["Hi", "-v", "ftp://x/y.wav"], 1, "ftp://x/y.wav"),
        (["Hi", "--variant", "englsh"], 1, "'englsh'; did you mean english"),
        (["Hi", "--variant", ""], 1, "no model is called ''"),
        (["Hi", "--variant", "english", "--config", "x.yaml"], 2, "not allowed with"),
        (["Hi", "--config", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["Hi", "--config", "bad.yaml"], 1, "bad.yaml: flow_ml"),
        (["Hi", "--precision", "int4"], 2, "--precision"),
        (["voices", "--variant", "frensh"], 1, "did you mean french"),
        (["models", "all"], 2, "'all'"),
        (["download"], 2, "MODEL"),
        (["download", "frensh"], 1, "did you mean french"),
        (["Hi", "--timestamps", "a.txt"], 2, ".json, .srt, .vtt"),
        (["Hi", "--timestamps", "nowhere/a.srt"], 1, "can't write nowhere/a.srt"),
        (["--follow", "--timestamps", "a.srt"], 2, "--timestamps is for one text"),
        (["export-voice", "alba"], 2, "OUT"),
        (["export-voice", "folder.wav", "out"], 1, "folder.wav has no sound files"),
        (["export-voice", "twins", "out"], 1, "x.ogg and x.wav would both become out/x.safetensors"),
        (["export-voice", "twins", "latin.txt"], 1, "latin.txt"),
        (["export-voice", "twins", "latin.txt/out"], 1, "latin.txt/out"),
        (["export-voice", "alba", "x.wav"], 2, "x.wav"),
        (["export-voice", "alba", "."], 2, ". would not be"),
        (["export-voice", "alba", "nowhere/x.safetensors"], 1, "can't write nowhere/x.safetensors"),
        (["export-voice", "albo", "x.safetensors"], 1, "did you mean alba"),
    ],
)
def test_a_usage_error_is_one_line(run, options, here, not_loaded, argv, code, words, tiny_model):
    (here / "blank.txt").write_bytes(b"\xef\xbb\xbf \n")
    (here / "latin.txt").write_bytes("Caf\xe9".encode("latin-1"))
    (here / "binary.txt").write_bytes(b"text\0text")
    (here / "bad.yaml").write_text("flow_ml: {}")
    (here / "folder.wav").mkdir()
    (here / "twins").mkdir()
    for name in ("x.ogg", "x.wav"):
        (here / "twins" / name).touch()
    soundfile.write("voice.flac", np.zeros(2400), 24000)
    before = sorted(os.listdir(here))
    if not {"-v", "--variant", "--config", "voices", "models", "download", "export-voice"} & set(argv):
        argv = [*argv, *options]
    got, out, err = run(*argv)
    assert (got, out) == (code, b""), err
    assert_one_line(err, words)
    assert sorted(os.listdir(here)) == before


@pytest.fixture
def inputs(here):
    """Files and folders whose names could be texts."""
    soundfile.write("song.mp3", np.zeros(24000), 24000)
    Path("photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    Path("data.bin").write_bytes(bytes(100))
    Path("my song.wav").write_bytes(Path("song.mp3").read_bytes())
    for name in ("books", "docs"):
        Path(name).mkdir()
    Path("docs/one.txt").write_text("Hello.")
    Path("README").write_text("Hello.")


@pytest.mark.parametrize(
    "argv, code, words",
    [
        (["song.mp3"], 1, "song.mp3 is an MP3 file"),
        (["./song.mp3"], 1, "song.mp3 is an MP3 file"),
        (["photo.jpg"], 1, "photo.jpg is a JPEG image"),
        (["data.bin"], 1, "data.bin is not text"),
        (["my song.wav"], 1, "my song.wav is an MP3 file"),
        (["books/"], 2, "books/ has no documents"),
        (["missing.epub"], 2, "missing.epub does not exist"),
        (["missing.mp3"], 2, "missing.mp3 does not exist"),
        (["./missing"], 2, "./missing does not exist"),
        (["/missing/x y".replace(" ", "")], 2, "/missing/xy does not exist"),
        (["missing/*.txt"], 2, "missing/*.txt does not exist"),
        (["one.epub", "two.epub"], 2, "one.epub does not exist"),
        (["https://example.org/book.epub"], 2, "is an address"),
        (["song.mp3", "-d", "out"], 1, "song.mp3"),
    ],
)
def test_a_path_is_never_spoken(run, options, inputs, not_loaded, argv, code, words):
    got, out, err = run(*argv, *options)
    assert (got, out) == (code, b"") and words in err and "Traceback" not in err, err
    assert not Path("output.wav").exists()
    if "-d" not in argv:
        assert_one_line(err, words)


@pytest.mark.parametrize(
    "text, words",
    [
        ("books", "'books' is spoken as a text; to read the folder, write ./books"),
        ("README", "to read the file, write ./README"),
        ("Read my missing.epub", "there is no file 'Read my missing.epub'"),
        ("e.g. this", ""),
        ("and/or", ""),
        ("Node.js", ""),
        ("Hello.", ""),
        ("Dr. Who/Doctor Who", ""),
        ("a/b.txt and c", ""),
        ("A sentence, short. " * 300 + "a.txt", ""),
        ("two\nlines.txt", ""),
    ],
)
def test_a_text_may_look_like_a_path(run, options, inputs, text, words):
    code, _, err = run(text, *options)
    assert code == 0 and soundfile.info("output.wav").frames
    assert words in err and err.count("\n") == (2 if words else 1)


def test_a_path_is_read(run, options, inputs):
    assert run("Hello.", *options, "-o", "a.wav")[0] == 0
    for word in ("docs/", "./docs", "docs/one.txt", "./README"):
        code, _, err = run(word, *options, "-o", "b.wav")
        assert code == 0 and Path("a.wav").read_bytes() == Path("b.wav").read_bytes(), err


@pytest.mark.parametrize(
    "word, code, words",
    [
        ("docs/one.txt", 0, "Hello.\n"),
        ("./README", 0, "Hello.\n"),
        ("books", 0, "books\n"),
        ("Dr. Who", 0, "Doctor Who\n"),
        ("song.mp3", 1, "song.mp3 is an MP3 file"),
        ("missing.epub", 2, "missing.epub does not exist"),
        ("docs/", 1, "can't read docs/"),
    ],
)
def test_normalize_takes_the_same_paths(run, inputs, word, code, words):
    got, out, err = run("normalize", word, stdin=b"from stdin")
    assert got == code and words in (err if code else out.decode())
    assert not (code and out)


@pytest.mark.parametrize(
    "argv, near",
    [
        (["normalise"], "normalize"),
        (["normalise", "x"], "normalize"),
        (["server"], "serve"),
        (["server", "--voice", "alba"], "serve"),
        (["server", "--port", "80"], "serve"),
        (["voice", "add", "x.wav"], "voices"),
        (["model"], "models"),
        (["export"], "export-voice"),
        (["export_voice", "a", "b", "-o", "x.wav"], "export-voice"),
        (["benchmark"], "bench"),
        (["dowload", "english"], "download"),
        (["help"], "--help"),
        (["version"], "--version"),
    ],
)
def test_a_near_miss_of_a_command_is_not_spoken(run, not_loaded, here, argv, near):
    code, out, err = run(*argv)
    assert (code, out) == (2, b"")
    assert_one_line(err, f"did you mean `pockettts {near}`?")
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    "argv",
    [["server", "-o", "a.wav"], ["Server"], ["server."], ["The server"], ["beach"], ["nerve"], ["venerate"], ["gene"], ["--text=server"],
     ["generate", "server"], ["voice of mine"], ["help me"]],
)  # fmt: skip
def test_a_word_like_a_command_can_be_spoken(run, options, here, argv):
    assert run(*argv, *options)[0] == 0 and len(os.listdir(here)) == 1


@pytest.mark.parametrize("option", NUMBERS_AS_OPTIONS)
@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400", "9" * 5000, "-" + "9" * 30, "0x10", "", "1,5"])
def test_numbers_are_checked(run, not_loaded, option, number):
    code, out, err = run("Hi", f"{option}={number}")
    assert (code, out) == (2, b"") and len(err) < 200
    assert_one_line(err, option, "number from")


@pytest.fixture
def damaged(here, tiny_model, voice):
    """Damaged voices and models."""
    shutil.copytree(tiny_model.parent, here / "model")
    whole = (here / "model" / "model.safetensors").read_bytes()
    (here / "model" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    (here / "cut.wav").write_bytes(voice.read_bytes()[:9000])
    (here / "cut.safetensors").write_bytes(whole[:5000])
    (here / "other.safetensors").write_bytes(whole)
    (here / "text.wav").write_text("This is no sound.")
    (here / "empty.wav").write_bytes(b"")
    (here / "empty.safetensors").write_bytes(b"")
    soundfile.write(here / "silent.wav", np.zeros(0), 24000)


@pytest.mark.parametrize("argv, words", [
    (["-v", "cut.wav"], "cut.wav"), (["-v", "text.wav"], "text.wav"), (["-v", "empty.wav"], "empty.wav"),
    (["-v", "silent.wav"], "silent.wav"), (["-v", "cut.safetensors"], "cut.safetensors"),
    (["-v", "empty.safetensors"], "empty.safetensors"), (["-v", "other.safetensors"], "other.safetensors"),
    (["--config", "model/config.yaml"], "model.safetensors"),
])  # fmt: skip
def test_damaged_files_are_named_and_old_output_stays(run, options, damaged, here, argv, words):
    (here / "x.wav").write_text("old")
    before = sorted(os.listdir(here))
    code, out, err = run("Hi", *options, *argv, "-o", "x.wav")
    assert (code, out) == (1, b"")
    assert_one_line(err, words)
    assert sorted(os.listdir(here)) == before and (here / "x.wav").read_text() == "old"
    assert run("Hi", *options, *argv, "--stream")[:2] == (1, b"")  # not even a header


def test_a_failed_export_leaves_the_old_voice(run, damaged, here, tiny_model):
    (here / "me.safetensors").write_text("old")
    before = sorted(os.listdir(here))
    code, _, err = run("export-voice", "cut.wav", "me.safetensors", "--config", tiny_model)
    assert code == 1 and (here / "me.safetensors").read_text() == "old" and sorted(os.listdir(here)) == before
    assert_one_line(err, "cut.wav")


@pytest.mark.parametrize(
    "error, words",
    [
        (MemoryError(), "out of memory"),
        (RecursionError("maximum\ndepth"), "unexpected RecursionError: maximum depth"),
        (ValueError("odd"), "unexpected ValueError: odd (--debug"),
        (OSError(errno.EIO, "Input/output error"), "Input/output"),
        (OSError(errno.ENOSPC, "No space"), "can't write to stdout (No space)"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_an_unexpected_error_is_one_line(run, monkeypatch, error, words):
    def fail(_):
        raise error

    monkeypatch.setattr("pockettts.cli.models.run", fail)
    expected = 130 if isinstance(error, KeyboardInterrupt) else 1
    code, out, err = run("models")
    assert (code, out) == (expected, b"")
    assert_one_line(err, words)
    code, out, err = run("models", "--debug")
    assert code == expected and "Traceback" in err and err.splitlines()[-1].startswith("pockettts: ")


# --- a process of its own: pipes, signals, full disks ----------------------------------------------------------------


def test_a_whole_run(options, here):
    assert finish(start("Hello.", *options, "-q")) == (0, b"", "")
    code, out, err = finish(start("Hello.", *options, "-o", "b.wav"))
    assert (code, out) == (0, b"") and re.fullmatch(r"b.wav: [^\n]*\n", err)
    assert Path("b.wav").read_bytes() == Path("output.wav").read_bytes()
    assert sorted(os.listdir(here)) == ["b.wav", "output.wav"]


@pytest.mark.parametrize("argv", [["--stream"], ["-o", "-"]])
def test_a_closed_pipe_ends_quietly(options, argv):
    process = start("-f", "-", *options, *argv, stdin=subprocess.PIPE)
    process.stdin.write(LONG.encode())
    process.stdin.close()
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    assert process.wait(timeout=60) == 141 and process.stderr.read() == b""


@pytest.mark.parametrize("argv", [["models"], ["--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_listings_quietly(argv, unbuffered):
    read, write = os.pipe()
    os.close(read)
    process = start(*argv, stdout=write, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(write)
    code, _, err = finish(process)
    assert err == "" and code in ((141,) if argv == ["models"] else (0, 141))  # some argparses hide it


@pytest.mark.parametrize(
    "number, code, line",
    [
        (signal.SIGINT, 130, "pockettts: interrupted\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
    ],
)
@pytest.mark.parametrize("name", ["x.wav", "x.mp3"])
def test_a_signal_leaves_nothing_behind(options, here, name, number, code, line):
    (here / name).write_text("old")
    process = start("-t", LONG, *options, "-o", name)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 20_000 for path in here.glob(".*")):  # it is being written
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    assert finish(process) == (code, b"", line)
    assert os.listdir(here) == [name] and (here / name).read_text() == "old"


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
def test_a_full_disk_leaves_nothing_behind(options, here, name):
    """A limit on the size of files simulates it, without privileges."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, out, err = finish(start("-t", LONG[:4000], *options, "-o", name, preexec_fn=limit))
    assert (code, out) == (1, b"") and os.listdir(here) == []
    assert_one_line(err, f"can't write {name} (File too large)")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout(options, unbuffered):
    for argv in (["Hi", *options, "--stream"], ["models"]):
        with open("/dev/full", "wb") as full:
            code, _, err = finish(start(*argv, stdout=full, env={"PYTHONUNBUFFERED": unbuffered}))
        assert code == 1
        assert_one_line(err, "can't write to stdout (No space left on device)")


def test_stderr_may_be_closed(options, here):
    for closed in ("2>&-", "2>/dev/full"):
        command = f'exec "$0" -m pockettts Hello. "$@" -o - {closed}'
        process = subprocess.run(
            ["sh", "-c", command, sys.executable, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        assert process.returncode == 0 and process.stdout[:4] == b"RIFF" and (len(process.stdout) - 44) % 3840 == 0


def test_on_a_terminal(options, here):
    """Progress is one line that is rewritten. Sound is not written to a terminal."""
    pty = pytest.importorskip("pty")
    leader, terminal = pty.openpty()
    process = start(*options, "-t", "Hello there, you.", stdin=terminal, stderr=terminal)
    assert process.wait(timeout=60) == 0 and process.stdout.read() == b""
    shown = os.read(leader, 100_000).decode()
    assert re.fullmatch(r"(\d+\.\d s of audio *\r)+ +\routput.wav: [^\r\n]*\r?\n", shown)
    for argv in (["--stream"], ["-o", "-"]):
        code, _, err = finish(start("Hello.", *options, *argv, stdout=terminal))
        assert code == 2
        assert_one_line(err, "stdout", "-o FILE")
    os.close(terminal)
    os.close(leader)


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_is_instant():
    costs = []
    for _ in range(3):  # the best of three, for noisy machines
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code, out, err = finish(start("--help"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert code == 0 and err == "" and out.startswith(b"usage: pockettts")
    assert min(costs) < 0.2


def test_help_loads_nothing_heavy():
    code = "import sys; from pockettts.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    for argv in (["--help"], ["generate", "-h"], ["download", "--help"], ["--version"]):
        command = [sys.executable, "-c", code, *argv]
        process = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        loaded = set(process.stderr.split())
        assert process.returncode == 0 and process.stdout and "pockettts.cli" in loaded
        assert not loaded & {"numpy", "yaml", "huggingface_hub", "soundfile", "logging"}
        own = {name for name in loaded if name.startswith("pockettts.")}
        commands = {name for name in own if name.startswith("pockettts.cli.")}
        assert own - commands <= {
            "pockettts.cli", "pockettts.errors", "pockettts.options",
            "pockettts.sound", "pockettts.sound.formats", "pockettts.storage", "pockettts.storage.files",
        }  # fmt: skip
        assert len(commands) <= 3  # itself, and what they share


def test_the_first_sound_needs_few_imports(options, voice):
    """The modules imported before the first sound with a voice file, where imports take most of the time."""
    assert finish(start("export-voice", voice, "voice.safetensors", *options[:2]))[0] == 0
    code = """if True:
        import sys
        from pockettts import cli
        from pockettts.sound import encode as audio
        send = audio.pcm16
        def first(block):
            audio.pcm16 = send
            print(*sys.modules, file=sys.stderr)
            return send(block)
        audio.pcm16 = first
        sys.exit(cli.main(sys.argv[1:]))
    """
    command = [sys.executable, "-c", code, "Hello.", "-o", "-", "-q", *options[:2], "--voice", "voice.safetensors"]
    process = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60)
    loaded = set(process.stderr.decode().split())
    assert process.returncode == 0 and process.stdout.startswith(b"RIFF") and {"numpy", "pockettts.tts"} < loaded
    assert not loaded & {
        "asyncio",
        "bottle",
        "concurrent.futures",
        "difflib",
        "html",
        "huggingface_hub.utils",
        "markdown_it",
        "safetensors",
        "soundfile",
        "soxr",
        "statistics",
        "subprocess",
        "tqdm",
        "urllib.request",
        "xml",
    }
    assert not loaded & {
        f"pockettts.{name}"
        for name in ("align", "bench", "encode", "engine", "journal", "markup", "play", "server", "timestamps")
    }


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux shows them")
@pytest.mark.parametrize("threads", [1, 3])
def test_only_threads_that_speak_run(options, threads):
    """NumPy's BLAS would start its own threads, which spin."""
    with start("--stream", "--threads", threads, "-t", LONG, *options) as process:
        assert process.stdout.read(1)
        running = len(os.listdir(f"/proc/{process.pid}/task"))
        process.kill()
    assert running <= threads


def test_help_lists_commands_and_options(run):
    code, out, err = run("--help")
    text = out.decode()
    assert code == 0 and err == "" and f"(default: {DEFAULT_MODEL}; the bundled mini" in " ".join(text.split())
    assert all(f"  {name} " in text for name in cli.COMMANDS) and all(
        f"  {option} N " in text for option in NUMBERS_AS_OPTIONS
    )
    for name in cli.COMMANDS:
        code, out, err = run(name, "--help")
        assert code == 0 and err == "" and out.startswith(b"usage: pockettts")
    assert run("--version") == (0, f"pockettts {__version__}\n".encode(), "")


# --- streams in place, loudness, odd names ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_output_to_a_descriptor_is_written_in_place(options, here, path):
    code, whole, _ = finish(start(*options, "Hi.", "-q", "-o", "-"))
    assert code == 0 and finish(start(*options, "Hi.", "-q", "-o", path)) == (0, whole, "")
    with open("file", "wb") as file:
        file.write(b"before")
        file.flush()
        assert finish(start(*options, "Hi.", "-q", "-o", path, stdout=file))[0] == 0
    assert Path("file").read_bytes() == b"before" + whole
    assert os.listdir() == ["file"]


def test_process_substitution(options, here):
    reading, writing = os.pipe()
    process = start(*options, "Hi.", "-q", "-o", f"/dev/fd/{writing}", pass_fds=[writing])
    os.close(writing)
    with open(reading, "rb") as pipe:
        data = pipe.read()
    assert finish(process)[0] == 0 and data[:4] == b"RIFF" and data[40:44] == b"\xff" * 4 and len(data) > 10_000
    assert os.listdir() == []


def test_loudness_of_files_and_streams(options, run, here):
    from pockettts.sound.loudness import Meter

    def loudness(samples):
        meter = Meter(24_000)
        meter.write(samples.astype(np.float32))
        return meter.integrated()

    code, _, err = run(*options, "Hello there. And more.", "-q", "-o", "x.wav", "--loudness", "-25")
    assert (code, err) == (0, "") and abs(loudness(soundfile.read("x.wav")[0]) + 25) < 0.2
    assert (
        run(*options, "Hello there. And more.", "-q", "-o", "half.wav", "--loudness", "-25", "--volume", "0.5")[0] == 0
    )
    assert abs(loudness(soundfile.read("half.wav")[0]) + 31) < 0.2
    plain = run(*options, "Hello there. And more.", "-q", "--stream")[1]
    quiet = run(*options, "Hello there. And more.", "-q", "--stream", "--volume", "0.25")[1]
    assert len(quiet) == len(plain)
    ratio = np.frombuffer(quiet, "<i2").astype(float).std() / np.frombuffer(plain, "<i2").astype(float).std()
    assert abs(ratio - 0.25) < 0.01
    code, _, err = run(*options, "Hi.", "--loudness", "3")
    assert code == 2 and "'3' is not a number from -70 to -5" in err


@pytest.mark.parametrize(
    "name", ["two\nlines.wav", "-dash.wav", "été.wav", "name.with.dots", "50%d.wav", "a 'b' \"c\".wav", "x:y"]
)
def test_voice_with_an_odd_name(options, run, voice, here, name):
    Path(name).write_bytes(voice.read_bytes())
    code, _, err = run(*options, "--voice", name, "Hi.", "-q", "-o", "x.wav")
    assert (code, err) == (0, "")


# --- lines as they come ------------------------------------------------------------------------------------------------------


def test_follow_reads_utf_8_and_utf_16(run, options, here):
    follow = [*options, "--follow", "-o"]
    assert run("Red.", *options, "-o", "red.wav")[0] == 0
    for content, complaint in ((b"\xef\xbb\xbfRed.\n", ""), (b"Red.\ncaf\xe9\n", "line 2 of stdin is not UTF-8")):
        code, _, err = run(*follow, "a.wav", stdin=content)
        assert code == 0 and complaint in err
        np.testing.assert_array_equal(soundfile.read("a.wav")[0], soundfile.read("red.wav")[0])
    for encoding in ("utf-16", "utf-16-be"):
        assert run(*follow, "a.wav", stdin="\ufeffRed.\n".encode(encoding))[0] == 0
        np.testing.assert_array_equal(soundfile.read("a.wav")[0], soundfile.read("red.wav")[0])
    code, _, err = run(*follow, "b.wav", stdin=b"caf\xe9\n")
    assert code == 1 and "stdin is not UTF-8" in err and not Path("b.wav").exists()
    assert run(*options, "-o", "b.wav", "-", stdin=b"caf\xe9\n")[0] == 1  # as without --follow


def test_silent_lines_and_brackets_are_not_fatal(run, options, here):
    code, _, err = run(*options, "--follow", "-o", "a.wav", stdin="Red.\n\u25a0\n[Pause: the lights dim.]\n".encode())
    assert code == 0 and "not a pause" in err
