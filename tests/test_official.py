"""Compatibility with the official package: its Python names and its command-line options."""

import inspect
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from test_cli import run  # noqa: F401

import pockettts
from pockettts import TTSModel, cli, export_model_state
from pockettts.errors import AudioError, OptionError
from pockettts.sound.files import read


@pytest.fixture(scope="module")
def model():
    return TTSModel.load_model("mini", temp=0)


def test_the_arguments_and_their_order():
    """As in pocket-tts 4.0.1."""
    assert list(inspect.signature(TTSModel.load_model).parameters) == [
        "language", "config", "temp", "sampler_decode_steps", "noise_clamp", "eos_threshold", "quantize", "checkpoint",
        "lsd_decode_steps",
    ]  # fmt: skip
    assert list(inspect.signature(TTSModel.get_state_for_audio_prompt).parameters)[1:] == [
        "audio_conditioning",
        "truncate",
    ]
    assert list(inspect.signature(TTSModel.generate_audio).parameters)[1:] == [
        "model_state", "text_to_generate", "max_tokens", "frames_after_eos", "copy_state",
    ]  # fmt: skip
    assert list(inspect.signature(TTSModel.generate_audio_stream).parameters)[-1] == "stop"
    assert list(inspect.signature(export_model_state).parameters) == ["model_state", "dest"]


def test_a_script_of_the_official_readme(model, tmp_path):
    state = model.get_state_for_audio_prompt("heart")
    audio = model.generate_audio(state, "Hello world, this is a test.")
    assert type(audio.numpy()) is np.ndarray and audio.dtype == np.float32 and audio.dim() == 1
    assert model.device == "cpu" and audio.unsqueeze(0).shape == (1, len(audio))
    np.testing.assert_array_equal(audio.detach().cpu().numpy(), model.generate("Hello world, this is a test.", "heart"))
    export_model_state(state, tmp_path / "heart.safetensors")
    again = model.get_state_for_audio_prompt(tmp_path / "heart.safetensors", truncate=True)
    np.testing.assert_array_equal(model.generate_audio(again, "Hello world, this is a test."), audio)


SCRIPT = """
import inspect, os, sys, threading
import numpy as np
from pockettts import TTSModel, export_model_state

class Speaker:
    def __init__(self, cache):
        known = inspect.signature(TTSModel.load_model).parameters
        options = {name: value for name, value in {"language": "mini", "quantize": True, "gpu": 1}.items() if name in known}
        self.model = TTSModel.load_model(temp=0.0, lsd_decode_steps=1, eos_threshold=-4.0, **options)
        self.model.to("cpu")
        self.rate, self.cache, self.states = int(self.model.sample_rate), cache, {}

    def state(self, voice):
        if voice not in self.states:
            file = os.path.join(self.cache, voice + ".safetensors")
            if not os.path.exists(file):
                export_model_state(self.model.get_state_for_audio_prompt(voice, truncate=True), file + ".partial")
                os.replace(file + ".partial", file)
            self.states[voice] = self.model.get_state_for_audio_prompt(file)
        return self.states[voice]

    def pcm(self, text, voice, stop=None):
        stream = self.model.generate_audio_stream(
            model_state=self.state(voice), text_to_generate="... " + text, frames_after_eos=6, copy_state=True, stop=stop
        )
        while (chunk := next(stream, None)) is not None:
            yield (np.clip(chunk.detach().cpu().numpy(), -1.0, 1.0) * 32767).astype(np.int16).tobytes()

speaker = Speaker(sys.argv[1])
said = b"".join(speaker.pcm("Good morning.", "heart", threading.Event()))
again = b"".join(speaker.pcm("Good morning.", "heart"))
whole = speaker.model.generate_audio(speaker.state("heart"), "... Good morning.", frames_after_eos=6)
print(speaker.rate, len(said), said == again, len(whole.squeeze().numpy()) * 2)
"""


def test_a_plugin_as_for_the_official_package(tmp_path):
    """The calls of public plugins. docs/usage.md names five that were tested."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.check_output([sys.executable, "-c", SCRIPT, tmp_path], env=env, text=True).split()
    assert told[0] == "24000" and told[2] == "True" and told[1] == told[3] and int(told[1]) > 24000
    assert [file.name for file in tmp_path.iterdir()] == ["heart.safetensors"]


def test_samples_convert_as_tensors_do(model):
    audio = model.generate_audio(model.get_state_for_audio_prompt("heart"), "Loud.")
    pcm = ((audio * 9).clamp(-1.0, 1.0) * 32767).to(np.int16).numpy()
    assert pcm.dtype == np.int16 and pcm.max() <= 32767 and abs(pcm).max() == 32767
    assert audio.clamp(min=0).min() == 0 and audio.clamp(max=0).max() == 0
    assert audio.to("cpu") is audio and audio.float().dtype == np.float32 and audio.contiguous() is audio

    class Dtype:  # as torch's print themselves
        __module__ = "torch"
        __str__ = lambda self: "torch.int16"  # noqa: E731

    assert (audio * 100).to(Dtype()).dtype == np.int16


def test_a_model_stays_on_the_cpu(model, caplog):
    assert model.to("cpu") is model and not caplog.records
    assert model.to("cuda") is model and "device cuda: this package runs on the CPU" in caplog.text


def test_a_stream_ends_at_the_stop_event(model):
    stop = threading.Event()
    blocks = []
    for block in model.generate_audio_stream(
        model.get_state_for_audio_prompt("heart"), "A text of some length.", stop=stop
    ):
        blocks.append(block)
        stop.set()
    assert len(blocks) == 1 and blocks[0].shape == (1920,)


def test_mono_samples_are_a_voice(tiny_model):
    model = TTSModel.load_model(config=tiny_model)
    samples = np.sin(np.arange(24000, dtype=np.float32))
    alone, channel = (model.get_state_for_audio_prompt(s) for s in (samples, samples[None]))
    np.testing.assert_array_equal(alone.layers[0], channel.layers[0])
    assert model.get_state_for_audio_prompt(alone) is alone
    with pytest.raises(AudioError, match="^the recording is damaged or not a sound file"):
        model.get_state_for_audio_prompt(b"no sound" * 1000)


def test_a_training_checkpoint_is_rejected():
    with pytest.raises(OptionError, match="checkpoint step.pt is a PyTorch file"):
        TTSModel.load_model("mini", checkpoint="step.pt")


def test_all_names_exist():
    assert all(hasattr(pockettts, name) for name in pockettts.__all__)


@pytest.mark.parametrize(
    "options",
    [
        ["--output-path", "x.wav", "--sampler-decode-steps", "1", "--device", "cpu", "--language", "mini"],
        ["--output", "x.wav", "--variant", "mini", "--quantized"],
        ["--no-quantize", "--quiet", "--output-path", "x.wav", "--language", "mini"],
    ],
)
def test_options_of_other_packages(run, tmp_path, monkeypatch, options):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    code, out, err = run("generate", "--text", "Hi there.", *options)
    assert (code, out) == (0, b"")
    assert err == "" if "--quiet" in options else err.startswith("x.wav: ") and err.count("\n") == 1
    assert len(read("x.wav", 24000)[0]) > 5000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--text", "hi", "--outputpath", "x.wav"], "'--outputpath': no such option; did you mean --output-path?"),
        (["--text", "hi", "--nope", "x.wav"], "'--nope': no such option"),
        (["hi", "-x", "3"], "'-x': no such option (see"),
        (["hi", "--temp", "1"], "'--temp': no such option; did you mean --temperature?"),
        (["--hello there"], "'--hello there': no such option (see"),
        (["serve", "--qqqq"], "'--qqqq': no such option (see"),
        (["voices", "add", "none.wav", "--nam", "me"], "'--nam': no such option; did you mean --name?"),
        (["--text", "hi", "--checkpoint", "a.pt"], "the checkpoint a.pt is a PyTorch file"),
        (["wasm-demo"], "there is no command wasm-demo"),
        (["serve", "-p", "70000"], "'70000' is not a whole number from 0 to 65535"),
    ],
)
def test_unknown_options_are_reported_first(run, given, words):  # noqa: F811
    code, out, err = run(*given)
    assert code == 2 and out == b"" and words in err and err.count("\n") == 1


def test_negative_numbers_are_not_options(run, tmp_path):  # noqa: F811
    code, _, err = run("Hi.", "--variant", "mini", "--eos-threshold", "-4", "-o", tmp_path / "x.wav")
    assert code == 0, err


def test_another_device_is_warned_of(run, tmp_path):  # noqa: F811
    code, _, err = run("Hi.", "--variant", "mini", "--device", "cuda", "-o", tmp_path / "x.wav")
    assert code == 0 and "device cuda: this package runs on the CPU" in err and cli.COMMANDS
