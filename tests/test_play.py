"""--play and --follow, with a script as the player, and with ALSA's null device if it is installed."""

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import soundfile
from test_cli import LONG, assert_one_line, finish, here, options, run, start, voice  # noqa: F401 (fixtures)

from pockettts.sound.play import PLAYERS, Player


@pytest.fixture
def players(here, monkeypatch):  # noqa: F811
    """Makes scripts that are the only players on the PATH. Each has a name and a command for the sound on stdin."""
    monkeypatch.setenv("PATH", str(here / "bin"))
    (here / "bin").mkdir()

    def make(name="aplay", does="/bin/cat > heard"):
        path = here / "bin" / name
        path.write_text(f'#!/bin/sh\necho "$@" > arguments\n{does}\n')
        path.chmod(0o755)

    return make


def samples(path):
    return soundfile.read(path, dtype="<i2")[0].tobytes()


def test_play(run, options, here, players):  # noqa: F811
    players()
    code, out, err = run("Hello there.", *options, "--play")
    assert (code, out) == (0, b"") and err.startswith("played: ")
    assert (here / "arguments").read_text() == "-q -t raw -f S16_LE -c 1 -r 24000 -\n" and not (
        here / "output.wav"
    ).exists()
    assert run("Hello there.", *options, "-o", "x.wav", "--play", "-q")[0] == 0
    assert (here / "heard").read_bytes() == samples("x.wav")
    assert run("Hello there.", *options, "--play", "--stream", "-q")[1] == samples("x.wav")


@pytest.mark.parametrize("name", PLAYERS)
def test_each_player(run, options, here, players, name):  # noqa: F811
    players(name, '/bin/cp "$1" heard.wav' if name == "afplay" else "/bin/cat > heard")
    assert run("Hello.", *options, "--play", "-o", "x.wav", "-q") == (0, b"", "")
    assert (samples("heard.wav") if name == "afplay" else (here / "heard").read_bytes()) == samples("x.wav")
    assert name == "afplay" or "24000" in (here / "arguments").read_text()


def test_without_a_player(run, options, here, players):  # noqa: F811
    code, out, err = run("Hello.", *options, "--play")
    assert (code, out) == (1, b"")
    assert_one_line(err, "no audio player found", "aplay", "-o FILE")


def test_a_failing_player_is_skipped(run, options, here, players):  # noqa: F811
    players("aplay", "echo 'no sound card' >&2; exit 1")
    players("ffplay")
    assert run("Hello.", *options, "--play", "-o", "x.wav", "-q") == (0, b"", "")
    assert (here / "heard").read_bytes() == samples("x.wav")
    players("ffplay", "echo 'some'; echo 'no card either' >&2; exit 3")
    code, _, err = run("Hello.", *options, "--play", "-o", "y.wav")
    assert code == 1 and not (here / "y.wav").exists()
    assert_one_line(err, "ffplay can't play (no card either)", "-o FILE")


def test_ctrl_c_stops_the_player_at_once(options, here, players):  # noqa: F811
    players("aplay", "trap '' INT; echo $$ > pid; /bin/cat > heard; /bin/sleep 100")
    process = start("-t", LONG, *options, "--play", env={"PATH": os.environ["PATH"]})
    while not (here / "heard").exists() or (here / "heard").stat().st_size < 10_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, b"", "pockettts: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((here / "pid").read_text()), 0)


def test_the_sound_is_played_to_the_end(players, here):  # noqa: F811
    """The command does not exit before the end of the sound."""
    players("aplay", "/bin/cat > heard; /bin/sleep 0.2; echo done > finished")
    with Player(24000) as player:
        player.write(np.zeros(100, np.float32))
    assert (here / "finished").exists()


@pytest.mark.skipif(not shutil.which("aplay"), reason="alsa-utils is not here")
def test_alsa_plays_to_its_null_device(run, options, here, monkeypatch):  # noqa: F811
    (here / "asound.conf").write_text("pcm.!default { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(here / "asound.conf"))
    assert run("Hello.", *options, "--play", "-q") == (0, b"", "")


# --- following -------------------------------------------------------------------------------------------------------


def follow(options, *argv):  # noqa: F811
    return start("--follow", *options, *argv, "-q", stdin=subprocess.PIPE, env={"PATH": os.environ["PATH"]})


def say_line(process, line):
    process.stdin.write(line)
    process.stdin.flush()


def test_lines_are_spoken_as_they_arrive(options, run):  # noqa: F811
    process = follow(options, "--stream")
    for line in (b"Hello.\n", b"World, hello.\n"):
        say_line(process, line)
        assert run(line.decode(), *options, "-o", "x.wav", "-q")[0] == 0
        expected = samples("x.wav")
        assert process.stdout.read(len(expected)) == expected  # now, while stdin stays open
    say_line(process, b"\n  \n\x1b[31m\n\xff")  # blank, a color code and invalid UTF-8: it continues
    say_line(process, b"\nHello.\n")
    process.stdin.close()
    assert run("Hello.", *options, "-o", "x.wav", "-q")[0] == 0
    assert process.stdout.read()[-len(samples("x.wav")) :] == samples("x.wav")
    assert process.wait(timeout=30) == 0 and b"line 6 of stdin is not UTF-8" in process.stderr.read()


def test_each_line_is_played_before_the_next_arrives(options, here, players):  # noqa: F811
    """A player buffers half a second, so it is closed when no text is waiting, and plays to the end."""
    players("aplay", "/bin/cat > heard.$$; echo >> finished")
    process = follow(options, "--play")
    for count in (1, 2):
        say_line(process, b"Hello there.\n")
        while not (here / "finished").exists() or len((here / "finished").read_text()) < count:
            assert process.poll() is None
            time.sleep(0.01)
    process.stdin.close()
    assert (
        process.wait(timeout=30) == 0
        and len({path.read_bytes() for path in here.glob("heard.*") if path.stat().st_size}) == 1
    )


def test_ctrl_c_keeps_the_file_of_followed_lines(options, here, run):  # noqa: F811
    process = follow(options, "-o", "x.wav")
    say_line(process, b"Hello.\n")
    assert run("Hello.", *options, "-o", "y.wav", "-q")[0] == 0
    size = (here / "y.wav").stat().st_size
    while not any(path.stat().st_size >= size for path in here.glob(".*.wav")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130 and process.stderr.read() == b"pockettts: interrupted\n"
    process.stdin.close()
    assert (here / "x.wav").read_bytes() == (here / "y.wav").read_bytes()


def test_follow_reads_stdin_and_nothing_else(run, options):  # noqa: F811
    for argv in (["Hi", "--follow"], ["--follow", "-f", "x.txt"]):
        code, _, err = run(*argv, *options)
        assert code == 2
        assert_one_line(err, "not allowed with")
