"""Debian's speech-dispatcher, with its generic module and a pockettts server."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import load, serving, wait_for

from pockettts.sound.files import read

CONFIG = Path(__file__).parents[1] / "scripts" / "deploy" / "speech-dispatcher.conf"

PLUGINS = [*Path("/usr/lib").glob("**/speech-dispatcher*/spd_libao.so")]  # a sound device that is none

pytestmark = pytest.mark.skipif(
    not (PLUGINS and all(map(shutil.which, ("speech-dispatcher", "spd-say", "curl")))),
    reason="speech-dispatcher, its audio plugins or curl are not here",
)


@pytest.fixture
def dispatcher(tmp_path, tiny_model):
    """A separate dispatcher with our module. `aplay` is a script that writes the sound to heard.wav."""
    modules = tmp_path / "config" / "modules"
    modules.mkdir(parents=True)
    player = tmp_path / "bin" / "aplay"
    player.parent.mkdir()
    player.write_text(f"#!/bin/sh\ncat > {tmp_path}/part.wav && mv {tmp_path}/part.wav {tmp_path}/heard.wav\n")
    player.chmod(0o755)
    (tmp_path / "config" / "speechd.conf").write_text(
        'AudioOutputMethod "libao"\nAddModule "pockettts" "sd_generic" "pockettts.conf"\nDefaultModule pockettts\n'
    )
    (tmp_path / ".libao").write_text("default_driver=null\n")
    socket = tmp_path / "socket"
    model = load(tiny_model)
    model.options = model.options.replace(temperature=0)
    with serving(model) as server:
        module = CONFIG.read_text().replace("http://127.0.0.1:8000", server.url)
        (modules / "pockettts.conf").write_text(module)
        env = {"PATH": f"{player.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
        command = ["speech-dispatcher", "-s", "-C", tmp_path / "config", "-c", "unix_socket", "-S", socket, "-t", "0"]
        command += ["-L", tmp_path, "-P", tmp_path / "pid"]
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_for(socket.exists)
            yield env | {"SPEECHD_ADDRESS": f"unix_socket:{socket}"}
            process.terminate()


def test_spd_say_speaks(dispatcher, tmp_path):
    heard = tmp_path / "heard.wav"
    lengths = []
    for rate in ("0", "-70"):
        subprocess.run(["spd-say", "-r", rate, 'It\'s "here"; $HOME & all.'], env=dispatcher, check=True, timeout=30)
        wait_for(heard.exists)
        lengths.append(len(read(heard, 24000)[0]))
        heard.unlink()
    assert lengths[0] > 2400 and lengths[1] > 1.3 * lengths[0]
