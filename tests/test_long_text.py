"""Books: chapters, Ctrl-C and --resume, split files, memory, seams, progress."""

import json
import os
import resource
import signal
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
from test_cli import LONG, assert_one_line, finish, here, options, run, start, voice  # noqa: F401 (fixtures)

from pockettts import TTSModel
from pockettts.books.resume import HEADER, ResumeState
from pockettts.cli.progress import Progress, clock
from pockettts.sound.encode import from_pcm16, pcm16

BOOK = """\
A book

Chapter One: The Lamp

The keeper had never learned to swim. He said so to anyone who asked, and to many who did not.

Chapter Two

In winter the boat did not come. He ate beans for eleven days. There are worse things, he told the dog.
The dog did not think so, and went.
"""


@pytest.fixture
def book(here):  # noqa: F811
    (here / "book.txt").write_text(BOOK)
    return ["-f", "book.txt", "--max-tokens", "15"]


@contextmanager
def interrupted(chunks):
    """Interrupt with Ctrl-C after this number of stored chunks."""
    add, left = ResumeState.add, chunks

    def adding(resume_state, *args):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        add(resume_state, *args)

    with patch.object(ResumeState, "add", adding):
        yield


def test_ctrl_c_keeps_what_was_spoken_and_resume_gives_the_same_bytes(run, options, book, here):  # noqa: F811
    for name in ("x.wav", "x.mp3", "x.flac"):
        assert run(*book, *options, "-o", f"whole-{name}")[0] == 0
        whole, _ = soundfile.read(f"whole-{name}")
        for chunks in (1, 3):
            with interrupted(chunks):
                again = ["--resume"] if chunks > 1 else []
                code, out, err = run(*book, *options, "-o", name, *again)
            assert (code, out) == (130, b"")
            assert f"{name}: " in err and "--resume" in err and err.endswith("pockettts: interrupted\n")
            part, _ = soundfile.read(name)
            assert 9600 < len(part) < len(whole) and Path(f"{name}.resume").exists()
            if name != "x.mp3":
                assert np.array_equal(part, whole[: len(part)])
        code, _, err = run(*book, *options, "-o", name, "--resume")
        assert code == 0 and Path(name).read_bytes() == Path(f"whole-{name}").read_bytes(), name
    assert not list(here.glob("*.resume")) and not list(here.glob(".*"))


def test_without_a_seed_resume_takes_that_of_the_first_run(run, options, book):  # noqa: F811
    seedless = [option for option in options if option not in ("--seed", "1")]
    with interrupted(2):
        assert run(*book, *seedless, "-o", "x.wav")[0] == 130
    seed = json.loads(Path("x.wav.resume").read_bytes()[:HEADER])["facts"]["seed"]
    assert run(*book, *seedless, "-o", "x.wav", "--resume")[0] == 0
    assert run(*book, *seedless, "-o", "y.wav", "--seed", str(seed))[0] == 0
    assert Path("x.wav").read_bytes() == Path("y.wav").read_bytes()


@pytest.mark.parametrize("room", [20_000, 300_000])
def test_a_full_disk(options, book, here, room):  # noqa: F811
    """Stored chunks stay for --resume; if there are none, nothing is left."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    code, _, err = finish(start(*book, *options, "-o", "x.wav", preexec_fn=limit))
    assert code == 1 and "can't write x.wav" in err and "File too large" in err
    assert sorted(os.listdir(here)) == ["book.txt"] + ["x.wav.resume"] * (room > 100_000)
    assert finish(start(*book, *options, "-o", "y.wav", "-q"))[0] == 0
    if room > 100_000:
        assert "--resume" in err and finish(start(*book, *options, "-o", "x.wav", "--resume", "-q"))[0] == 0
        assert Path("x.wav").read_bytes() == Path("y.wav").read_bytes()


def test_sigterm_leaves_the_journal_and_nothing_else(options, here):  # noqa: F811
    (here / "long.txt").write_text(LONG)
    process = start("-f", "long.txt", *options, "-o", "x.mp3", "-q")
    while not (here / "x.mp3.resume").exists():
        assert process.poll() is None
    process.terminate()
    assert finish(process) == (143, b"", "") and set(os.listdir(here)) <= {"long.txt", "x.mp3.resume"}


def test_without_resume_it_begins_anew_and_says_so(run, options, book, here):  # noqa: F811
    with interrupted(2):
        run(*book, *options, "-o", "x.wav")
    code, _, err = run(*book, *options, "-o", "x.wav")
    assert code == 0 and "x.wav.resume of an earlier run exists" in err and not (here / "x.wav.resume").exists()


def test_a_device_has_no_journal(run, options, book):  # noqa: F811
    assert run(*book, *options, "-o", "/dev/null", "-q") == (0, b"", "")
    code, _, err = run(*book, *options, "-o", "/dev/null", "--resume")
    assert code == 2
    assert_one_line(err, "--resume")


def test_what_resume_refuses(run, options, book, here):  # noqa: F811
    code, _, err = run(*book, *options, "-o", "x.wav", "--resume")
    assert code == 2
    assert_one_line(err, "x.wav.resume is not there", "leave --resume out")
    with interrupted(1):
        run(*book, *options, "-o", "x.wav")
    before = sorted(os.listdir(here))
    code, _, err = run(*book, *options, "-o", "x.wav", "--resume", "--temperature", "0.1")
    assert code == 2
    assert_one_line(err, "another temperature", "it was the default")
    (here / "book.txt").write_text(BOOK + "The end.")
    code, _, err = run(*book, *options, "-o", "x.wav", "--resume")
    assert code == 2
    assert_one_line(err, "another text")
    for damage in (b"{}", b"\0" * HEADER, b"[]"):
        (here / "x.wav.resume").write_bytes(damage)
        code, _, err = run(*book, *options, "-o", "x.wav", "--resume")
        assert code == 2
        assert_one_line(err, "x.wav.resume is damaged")
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize("argv", [
    ["--resume", "Hi"], ["--resume", "-f", "-"], ["--split", "chapters", "Hi"], ["-f", "book.txt", "--resume", "--stream"],
    ["-f", "book.txt", "--split", "chapters", "-o", "-"],
])  # fmt: skip
def test_what_is_for_files_only(run, options, book, argv):  # noqa: F811
    code, _, err = run(*argv, *options)
    assert code in (1, 2)
    assert_one_line(err)


def test_a_file_for_each_chapter(run, options, book, here):  # noqa: F811
    code, _, err = run(*book, *options, "-o", "a.flac", "--split", "chapters")
    names = ["a-01.flac", "a-02-chapter-one-the-lamp.flac", "a-03-chapter-two.flac"]
    assert code == 0 and sorted(here.glob("*.flac")) == [here / name for name in names] and "a-01.flac to a-03" in err
    with interrupted(6):
        assert run(*book, *options, "-o", "b.flac", "--split", "chapters")[0] == 130
    assert len(list(here.glob("b-*"))) == 3 or not (here / "b-03-chapter-two.flac").exists()
    written = (here / "b-01.flac").stat().st_mtime_ns
    assert run(*book, *options, "-o", "b.flac", "--split", "chapters", "--resume")[0] == 0
    for name in names:
        assert (here / name).read_bytes() == (here / name.replace("a-", "b-", 1)).read_bytes()
    assert (here / "b-01.flac").stat().st_mtime_ns == written and not (here / "b.flac.resume").exists()
    (here / "plain.txt").write_text("No chapters.")
    code, _, err = run("-f", "plain.txt", *options, "-o", "c.wav", "--split", "chapters")
    assert code == 1
    assert_one_line(err, "plain.txt has no chapters")


def test_a_real_ctrl_c(options, here):  # noqa: F811
    """It keeps whole chunks. Until the first one is finished, an older file stays."""
    (here / "long.txt").write_text(LONG)
    process = start("-f", "long.txt", *options, "-o", "x.mp3")
    while not (here / "x.mp3.resume").exists() or (here / "x.mp3.resume").stat().st_size < 500_000:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130 and out == b"" and re_lines(err) == ["x.mp3: ", "pockettts: interrupted"]
    assert soundfile.info("x.mp3").duration > 5 and sorted(os.listdir(here)) == ["long.txt", "x.mp3", "x.mp3.resume"]


def re_lines(err):
    return [line[: len("x.mp3: ")] if line.startswith("x.mp3: ") else line for line in err.splitlines()]


def test_before_the_first_chunk_ctrl_c_leaves_nothing(run, options, book, here):  # noqa: F811
    (here / "x.wav").write_text("old")
    with interrupted(0):
        code, _, err = run(*book, *options, "-o", "x.wav")
    assert code == 130 and err == "pockettts: interrupted\n"
    assert sorted(os.listdir(here)) == ["book.txt", "x.wav"] and (here / "x.wav").read_text() == "old"


def test_memory_is_flat(tiny_model, voice):  # noqa: F811
    """A text ten times as long takes the same memory, since chunks and sound are processed one by one."""
    model = TTSModel.load(config=tiny_model, threads=1)
    state = model.get_voice_state(voice)

    def peak(text):
        tracemalloc.start()
        for _ in model.generate_stream(text, state, seed=1, eos_threshold=-1e9):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    paragraph = "It is late, and nobody is here but the dog.\n\n"
    short, long = peak(paragraph * 5), peak(paragraph * 100)
    assert long < short + 30 * 100 * len(
        paragraph
    )  # the text itself, its lines and its pieces; 100 times its sound is 8 MB


def test_seams_have_no_click(tiny_model, voice):  # noqa: F811
    """The step between the last sample of a chunk and the first of the next is not larger than within chunks."""
    model = TTSModel.load(config=tiny_model, threads=1)
    utterance = model.utterance(
        "One. Two is next. And three. Four, at last.", voice, model.options.replace(seed=1, max_tokens=5)
    )
    takes, steps, seams, last = set(), [], [], None
    for take, block in model.speak(utterance):
        if take not in takes:
            takes.add(take)
            assert block[0] == 0  # it fades in, over 5 ms
            seams.append(0 if last is None else abs(last))
        steps.append(np.abs(np.diff(block)).max())
        last = block[-1]
    assert len(seams) > 3 and max(seams) <= max(steps)


def test_pcm_of_a_journal_is_exact():
    pcm = np.arange(-32767, 32768, dtype="<i2").tobytes()
    assert pcm16(from_pcm16(pcm)) == pcm and from_pcm16(pcm).dtype == np.float32


def test_progress_knows_the_time_left(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr("pockettts.cli.progress.perf_counter", lambda: now)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    class Take:
        def __init__(self, length):
            self.chunk = type("Chunk", (), {"characters": length})

    progress = Progress(1000, 200, 100, quiet=False)  # 200 of the characters were spoken before
    takes = [Take(200), Take(200), Take(400)]
    for take, _ in progress.timed((take, np.zeros(100)) for take in takes):
        now += 60 if take is takes[0] else 1
    shown = capsys.readouterr().err.split("\r")
    assert shown[0].rstrip() == "1.0 s of audio"
    assert shown[1].startswith("[############                  ]  40%, 3:00 left, 2.0 s of audio")
    assert "60%, 1:01 left, 3.0 s" in shown[2]
    progress.clear()
    assert capsys.readouterr().err.strip() == ""
    endless = Progress(0, 0, 100, quiet=False)  # what --follow says
    for _ in endless.timed((take, np.zeros(100)) for take in takes):
        now += 1
    assert [line.rstrip() for line in capsys.readouterr().err.split("\r")] == [
        "1.0 s of audio",
        "2.0 s of audio",
        "3.0 s of audio",
        "",
    ]
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3600, 36_061)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:00:00",
        "10:01:01",
    ]
