"""Installation: the README's first command, and the content of the built packages.

These tests are slow and need a network for pip. CI runs them with `make test-install`; `make test` does not include them.
"""

import os
import re
import shlex
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import soundfile

pytestmark = pytest.mark.install
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
OFFLINE = [sys.executable, str(ROOT / "scripts" / "offline.py")]
LARGEST = 27e6  # bytes of a package


def run(command, folder, **environment):
    """The output of a command, which must succeed."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "POCKETTTS_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=keep | environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the repository."""
    folder = tmp_path_factory.mktemp("clone")
    done = subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"not a git checkout: {done.stderr}")
    return folder


@pytest.fixture(scope="module")
def first_commands():
    """The commands of the README's first block; the last one speaks."""
    block = re.search(r"```sh\n(.*?)\n```", (ROOT / "README.md").read_text("utf-8"), re.S)
    *install, speak = block[1].splitlines()[0].split("&&")
    assert (
        install and "pip install ." in install[-1] and "pockettts" in speak and '"Hello, world!" -o hello.wav' in speak
    )
    return [shlex.split(command) for command in install], shlex.split(speak)


@pytest.fixture(scope="module")
def installed(clone, first_commands, tmp_path_factory):
    """The clone after the README's first line without its last command. `python3` is the Python of these tests."""
    bin = tmp_path_factory.mktemp("bin")
    (bin / "python3").symlink_to(sys._base_executable)
    for command in first_commands[0]:
        run(command, clone, PATH=f"{bin}:{os.environ['PATH']}")
    return clone


@pytest.fixture(scope="module")
def packages(installed, tmp_path_factory):
    """The sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run([".venv/bin/pip", "install", "--quiet", "build"], installed)
    run([".venv/bin/python", "-m", "build", "--sdist", "--outdir", folder], installed)
    (sdist,) = folder.glob("*.tar.gz")
    run([".venv/bin/pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sdist], installed)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def speak(command, folder, home):
    """Run a command without a network and with an empty cache. Returns the lines of stderr and the seconds that it took."""
    start = time.monotonic()
    said = run([*OFFLINE, *command], folder, HOME=str(home))
    assert said.stdout == ""
    return said.stderr.splitlines(), time.monotonic() - start


def test_the_first_command_of_the_readme_speaks_without_a_network(installed, first_commands, tmp_path):
    listening = pytest.importorskip("listening", reason="pip install '.[test]' installs the recognizer")
    lines, seconds = speak(first_commands[1], installed, tmp_path / "empty")
    assert len(lines) == 2, lines
    assert "this is mini, the small bundled voice" in lines[0] and "pockettts download english" in lines[0]
    assert lines[1].startswith("hello.wav: ")
    _, named = speak([*first_commands[1], "--variant", "mini", "--seed", "1"], installed, tmp_path / "other")
    assert seconds < 2 * named + 1, "no time is lost in looking for a network"
    sound, rate = soundfile.read(installed / "hello.wav", dtype="float32")
    assert listening.words(listening.transcribe(sound, rate)) == ["hello", "world"]


def test_built_packages_contain_the_model_once(packages):
    sdist, wheel = packages
    with tarfile.open(sdist) as tar, zipfile.ZipFile(wheel) as zip:
        for names in (tar.getnames(), zip.namelist()):
            assert sum(name.endswith("mini/model.safetensors") for name in names) == 1
            assert sum(name.endswith("mini/mini.json") for name in names) == 1
            assert sum("mini/voices/" in name and name.endswith(".safetensors") for name in names) == 2
        large = [name.filename for name in zip.infolist() if name.file_size > 5e6]
    assert len(large) == 1 and sdist.stat().st_size < LARGEST and wheel.stat().st_size < LARGEST


def test_git_contains_the_model_once(clone):
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert sum((clone / name).stat().st_size > 5e6 for name in files if name) == 1


def test_the_wheel_installs_without_a_compiler_and_speaks(packages, first_commands, tmp_path):
    _, wheel = packages  # built from the sdist, as `pip install SDIST` would build it
    run([sys._base_executable, "-m", "venv", tmp_path / "venv"], tmp_path)
    bare = {"PATH": str(tmp_path / "venv/bin"), "CC": "false"}  # no compiler, and no program but Python
    run([tmp_path / "venv/bin/pip", "install", "--quiet", wheel], tmp_path, **bare)
    lines, _ = speak([tmp_path / "venv/bin/pockettts", *first_commands[1][1:]], tmp_path, tmp_path / "empty")
    assert len(lines) == 2 and (tmp_path / "hello.wav").stat().st_size > 24_000
