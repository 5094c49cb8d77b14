"""Audiobooks with the command line: chapter marks, tags, voice marks, batches, JSON lines and --resume."""

import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SPEECH
from test_cli import assert_one_line, here, options, run, voice  # noqa: F401 (fixtures)
from test_epub import CONTAINER, HTML, OPF, opf, page
from test_long_text import interrupted

from pockettts import TTSModel
from pockettts.books.batch import voice_map
from pockettts.errors import OptionError
from pockettts.sound.decode import open_sound
from pockettts.sound.loudness import Meter

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
TITLES = ["Chapter 1", "Chapter 2", "Chapter 3"]


@pytest.fixture
def epub(here):  # noqa: F811
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" {HTML}/>' for n in (1, 2, 3))
    cover = '<item id="p" href="p.png" media-type="image/png" properties="cover-image"/>'
    with zipfile.ZipFile(here / "lamp.epub", "w") as book:
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr(OPF, opf(items + cover))
        book.writestr("OEBPS/p.png", PNG)
        for n in (1, 2, 3):
            book.writestr(f"OEBPS/c{n}.xhtml", page(n))
    return "lamp.epub"


def samples(path):
    with open_sound(path) as (rate, blocks):
        assert rate == 24_000
        return np.concatenate([block[:, 0] for block in blocks])


def marks(path):
    """The chapters of a sound file as read by FFmpeg, like most players: (title, start, end)."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as file:
        return [
            (c["metadata"]["title"], float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
            for c in file.chapters()
        ]


def tags(path):
    av = pytest.importorskip("av")
    with av.open(str(path)) as file:
        found = dict(file.metadata) | {key: value for stream in file.streams for key, value in stream.metadata.items()}
        pictures = [stream for stream in file.streams if stream.type == "video"]
        return {key.lower(): value for key, value in found.items()}, len(pictures)


@pytest.mark.parametrize("suffix", ["m4b", "mp3", "opus", "flac", "ogg"])
def test_a_book_has_chapters_tags_and_a_cover(run, options, epub, suffix):  # noqa: F811
    path = f"lamp.{suffix}"
    assert run(epub, *options, "-o", path)[0] == 0
    found = marks(path)
    length = len(samples(path)) / 24_000
    assert [title for title, _, _ in found] == TITLES and found[0][1] == 0
    assert all(start < end for _, start, end in found) and abs(found[-1][2] - length) < 0.1
    assert all(before[2] == after[1] for before, after in zip(found, found[1:], strict=False))
    about, pictures = tags(path)
    assert (about["title"], about["artist"], pictures) == ("The Book", "Ann Author", 1)
    assert about["language"] in ("en", "eng")


@pytest.mark.parametrize("suffix", ["m4b", "mp3"])
def test_a_file_for_each_chapter_has_its_own_tags(run, options, epub, here, suffix):  # noqa: F811
    pytest.importorskip("av")
    assert run(epub, *options, "-o", f"lamp.{suffix}", "--split", "chapters", "--chapters", "2-3")[0] == 0
    names = [f"lamp-02-chapter-2.{suffix}", f"lamp-03-chapter-3.{suffix}"]
    assert sorted(path.name for path in here.glob(f"*.{suffix}")) == names
    for number, name in enumerate(names, 2):
        about, pictures = tags(name)
        assert (about["title"], about["album"], about["artist"]) == (f"Chapter {number}", "The Book", "Ann Author")
        assert about["track"] == f"{number}/3" and pictures == 1


@pytest.mark.parametrize(
    "suffix, more", [("m4b", []), ("m4b", ["--split", "chapters"]), ("mp3", ["--loudness", "-18"])]
)
def test_all_formats_go_on_to_the_same_bytes(run, options, epub, here, suffix, more):  # noqa: F811
    pytest.importorskip("av")
    command = [epub, *options, "--max-tokens", "15", "-q", *more]
    for name in ("whole", "parts"):
        (here / name).mkdir()
    assert run(*command, "-o", f"whole/x.{suffix}")[0] == 0
    for chunks, again in ((1, []), (3, ["--resume"])):
        with interrupted(chunks):
            assert run(*command, "-o", f"parts/x.{suffix}", *again)[0] == 130
    assert run(*command, "-o", f"parts/x.{suffix}", "--resume")[0] == 0
    names = sorted(os.listdir("whole"))
    assert sorted(os.listdir("parts")) == names
    for name in names:
        assert (here / "parts" / name).read_bytes() == (here / "whole" / name).read_bytes(), name


def test_the_chapters_are_listed(run, epub):  # noqa: F811
    code, out, err = run(epub, "--list")
    lines = out.decode().splitlines()
    assert code == 0 and not err and lines[0] == "The Book by Ann Author (en)"
    assert [re.split(r"  +", line.strip()) for line in lines[1:4]] == [
        [str(n), "7 words", "0.0 min", f"Chapter {n}"] for n in (1, 2, 3)
    ]
    assert lines[4].split() == ["21", "words", "0.1", "min", "in", "all"]


def test_what_can_not_be_read_does_not_end_a_list(run, epub, here):  # noqa: F811
    (here / "bad.epub").write_bytes(b"no zip")
    code, out, err = run("bad.epub", epub, "--list")
    assert code == 1 and b"Chapter 3" in out and err.count("\n") == 2 and "1 of 2" in err


@pytest.mark.parametrize("given", ["0", "4", "3-2", "1-9", "x", "1;2", ""])
def test_chapters_that_are_not_there(run, options, epub, given):  # noqa: F811
    code, _, err = run(epub, *options, "-o", "x.wav", f"--chapters={given}")
    assert code == 2
    assert_one_line(err, "from 1 to 3", "--list")


# --- voices ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(here):  # noqa: F811
    """A second, louder voice."""
    sound, rate = soundfile.read(SPEECH / "her.ogg")
    soundfile.write(here / "bob.wav", np.clip(2 * sound[::-1], -1, 1), rate)
    return "bob.wav"


def test_marks_change_the_voice_and_each_is_loaded_once(run, options, two, here, monkeypatch):  # noqa: F811
    (here / "a.txt").write_text(
        "I am the teller. [voice:Bob] I am Bob. [/voice] So he said. [voice: BOB ] I did. [voice] He did."
    )
    loaded = []
    load = TTSModel.get_voice_state
    monkeypatch.setattr(TTSModel, "get_voice_state", lambda self, source: loaded.append(source) or load(self, source))
    assert run("a.txt", *options, "-o", "a.wav", "--voice-map", f"Bob={two}")[0] == 0
    assert sorted(map(str, loaded)) == sorted([options[3], two])
    for text, voice_of, number in (("I am the teller.", options[3], 0), ("I am Bob.", two, 1)):
        # The same chunk alone, with the noise of its number.
        (here / "b.txt").write_text("X. [voice:x] " * number + text)
        assert (
            run(
                "b.txt",
                "--config",
                options[1],
                "--seed",
                "1",
                "--voice",
                voice_of,
                "-o",
                "b.wav",
                "--voice-map",
                f"x={voice_of}",
            )[0]
            == 0
        )
    (here / "plain.txt").write_text("I am the teller. I am Bob.")
    assert run("plain.txt", *options, "-o", "c.wav")[0] == 0
    assert (here / "a.wav").read_bytes() != (here / "c.wav").read_bytes()


def test_a_voice_that_is_not_known_costs_nothing_but_a_line(run, options, here):  # noqa: F811
    (here / "a.txt").write_text("One. [voice:zoe] Two. [Voice: a man shouts] Three.")
    (here / "b.txt").write_text("One. Two. [Voice: a man shouts] Three.")
    code, _, err = run("a.txt", *options, "-o", "a.wav")
    assert code == 0 and err.count("zoe") == 1 and "--voice-map" in err
    assert run("b.txt", *options, "-o", "b.wav")[0] == 0
    assert soundfile.info("a.wav").frames > 0 and (here / "b.wav").exists()
    code, _, err = run("a.txt", *options, "-o", "c.wav", "--voice-map", "zoe=missing.wav")
    assert code == 1 and "missing.wav" in err and not (here / "c.wav").exists()


def test_voice_maps(tmp_path):
    (tmp_path / "map.json").write_text('\ufeff{"Ann": "alba", "Bob": "marius"}', "utf-8")
    expected = {"Ann": "alba", "Bob": "marius"}
    assert voice_map(["Ann=alba,Bob=marius"]) == voice_map(["Ann = alba", "Bob=marius"]) == expected
    assert voice_map([str(tmp_path / "map.json")]) == expected
    assert voice_map(["Ann=https://x.org/a,b.wav,Bob=marius"]) == {"Ann": "https://x.org/a,b.wav", "Bob": "marius"}
    (tmp_path / "bad.json").write_text("[1]")
    for bad in ("Ann", "=alba", "Ann=", str(tmp_path / "bad.json")):
        with pytest.raises(OptionError, match="--voice-map"):
            voice_map([bad])


def test_all_voices_of_a_book_are_equally_loud(run, options, two, here):  # noqa: F811
    sentence = "The keeper had never learned to swim, and he said so to anyone who asked. "
    (here / "a.md").write_text(f"# One\n\n{sentence * 2}\n\n# Two\n\n[voice:Bob] {sentence * 2}\n")
    argv = ["a.md", *options, "--voice-map", f"Bob={two}", "--loudness", "-20"]
    assert run(*argv, "-o", "a.flac")[0] == 0
    assert run(*argv, "-o", "b.flac", "--split", "chapters")[0] == 0
    whole = samples("a.flac")
    (_, _, middle), _ = marks("a.flac")
    parts = [
        whole[: round(middle * 24_000)],
        whole[round(middle * 24_000) :],
        *map(samples, sorted(here.glob("b-*.flac"))),
    ]
    for part in [whole, *parts]:
        meter = Meter(24_000)
        meter.write(part)
        assert abs(meter.integrated() + 20) < 0.7


# --- subtitles -------------------------------------------------------------------------------------------------------------

SRT = """1
00:00:03,000 --> 00:00:04,000
Hello.

2
00:00:12,000 --> 00:00:14,000
Bye. And bye again.

3
00:00:12,500 --> 00:00:14,000
Late.
"""


def test_subtitles_are_spoken_at_their_times(run, options, here):  # noqa: F811
    (here / "a.txt").write_text(SRT)
    code, _, err = run("a.txt", *options, "-o", "a.wav", "--max-tokens", "5", "--timestamps", "a.json")
    assert code == 0 and "the next begins later" in err
    sound = samples("a.wav")
    for start in (3, 12):
        at = round(start * 24_000)
        assert not sound[at - 12_000 : at].any() and np.abs(sound[at : at + 24_000]).max() > 0.001
    with interrupted(4):  # silence, "Hello.", silence, ...
        assert run("a.txt", *options, "-o", "b.wav", "--max-tokens", "5")[0] == 130
    assert run("a.txt", *options, "-o", "b.wav", "--max-tokens", "5", "--resume")[0] == 0
    assert (here / "b.wav").read_bytes() == (here / "a.wav").read_bytes()


def test_speakers_of_subtitles_have_their_voices(run, options, two, here):  # noqa: F811
    (here / "a.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.000\n<v Bob>Hello.\n")
    (here / "b.txt").write_text("[voice:Bob] Hello.")
    for name in ("a.vtt", "b.txt"):
        assert run(name, *options, "-o", f"{name}.wav", "--voice-map", f"Bob={two}")[0] == 0
    assert np.array_equal(samples("a.vtt.wav")[12_000:], samples("b.txt.wav"))


def test_a_text_after_days_is_refused(run, options, here):  # noqa: F811
    (here / "a.srt").write_text(SRT.replace("00:00:12,500", "99:00:00,000"))
    code, _, err = run("a.srt", *options, "-o", "a.wav")
    assert code == 1 and not (here / "a.wav").exists()
    assert_one_line(err, "a.srt", "24 hours")


# --- batches ---------------------------------------------------------------------------------------------------------------


def test_several_files_become_several_in_a_folder(run, options, here):  # noqa: F811
    (here / "in").mkdir()
    for name in ("in/a.txt", "in/A.md", "in/-odd name ü.txt", "in/bad.epub", "in/picture.jpg", "b.txt"):
        (here / name).write_text(f"Words of {name[-5]}.")
    code, out, err = run("in", "b.txt", "missing.txt", *options, "-d", "out", "--format", "flac")
    assert code == 1 and not out
    assert sorted(os.listdir("out")) == ["-odd name ü.flac", "A.flac", "a-2.flac", "b.flac"]
    assert "bad.epub" in err and "missing.txt" in err and err.endswith("2 of 6 failed, the others are done\n")
    assert "Traceback" not in err and "picture" not in err


def test_a_batch_is_split_where_there_are_chapters(run, options, here):  # noqa: F811
    (here / "a.txt").write_text("One.")
    (here / "b.md").write_text("# One\n\nA.\n\n# Two\n\nB.\n")
    assert run("a.txt", "b.md", *options, "-d", "out", "--split", "chapters", "-q")[0] == 0
    assert sorted(os.listdir("out")) == ["a.wav", "b-01-one.wav", "b-02-two.wav"]


def test_a_batch_goes_on_where_it_was_interrupted(run, options, here):  # noqa: F811
    names = ["a.txt", "b.txt", "c.txt"]
    for name in names:
        (here / name).write_text(f"Words of {name}. There are more. And then some.")
    command = [*names, *options, "--max-tokens", "8", "-q"]
    assert run(*command, "-d", "whole")[0] == 0
    with interrupted(4):
        assert run(*command, "-d", "parts")[0] == 130
    first = (here / "parts" / "a.wav").stat().st_mtime_ns
    assert run(*command, "-d", "parts", "--resume")[0] == 0
    assert (here / "parts" / "a.wav").stat().st_mtime_ns == first
    assert sorted(os.listdir("parts")) == ["a.wav", "b.wav", "c.wav"]
    for name in os.listdir("whole"):
        assert (here / "parts" / name).read_bytes() == (here / "whole" / name).read_bytes(), name


def test_lines_of_json(run, options, two, here):  # noqa: F811
    lines = [
        {"text": "First.", "output_file": "first.wav"}, {"text": "Second.", "speaker": "Bob"}, {"text": "Third.", "speaker_id": 7},
        {"text": "Fourth.", "speaker": "nobody"}, {"speaker": "Bob"}, {"text": " "}, {"text": "Eighth.", "output_file": "more/x.flac"},
        {"text": "Ninth.", "output_file": 3}, {"text": "Tenth.", "output_file": "x.xyz"},
    ]  # fmt: skip
    stdin = "\n".join(map(json.dumps, lines)).encode() + b"\n\nno json\n\xff\n"
    maps = ["--voice-map", f"bob={two},7={two}"]
    code, out, err = run("--json-input", *options, *maps, "-d", "out", "-q", stdin=stdin)
    assert code == 1 and not out, err
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*")) == [
        "0002.wav", "0003.wav", "first.wav", "more/x.flac",
    ]  # fmt: skip
    for number in (4, 5, 6, 8, 9, 11, 12):
        assert err.count(f"line {number}") == 1, err
    assert "7 of 11 failed" in err
    (here / "b.txt").write_text("Second.")
    assert run("b.txt", "-q", "--config", options[1], "--seed", "1", "--voice", two, "-o", "b.wav")[0] == 0
    assert (here / "b.wav").read_bytes() == (here / "out" / "0002.wav").read_bytes()


@pytest.mark.parametrize("argv, words", [
    (["a.txt", "b.txt"], "--output-dir"), (["a.txt", "-d", "out", "-o", "x.wav"], "--output-dir"), (["Hi.", "-d", "out"], "does not exist"),
    (["--json-input", "-o", "x.wav"], "--json-input"), (["--json-input", "a.txt"], "--json-input"), (["-d", "out"], "--output-dir"),
    (["a.txt", "-d", "a.txt"], "--output-dir"), (["empty", "-d", "out"], "no documents"), (["a.txt", "-o", "x.wav", "--format", "mp3"], "--format"),
    (["Hi.", "--dask", "tcp://localhost:1"], "--dask"), (["a.txt", "-d", "out", "--timestamps", "x.srt"], "--timestamps"),
])  # fmt: skip
def test_what_does_not_go_together(run, options, here, argv, words):  # noqa: F811
    (here / "a.txt").write_text("A.")
    (here / "b.txt").write_text("B.")
    (here / "empty").mkdir()
    code, out, err = run(*argv, *options)
    assert code == 2 and not out
    assert_one_line(err, words)


def test_two_runs_do_not_spoil_each_others_files(run, options, here):  # noqa: F811
    from pockettts.books.resume import ResumeState

    (here / "a.txt").write_text("One. Two.")
    assert run("a.txt", *options, "-o", "whole.wav", "-q")[0] == 0
    add, inner = ResumeState.add, []

    def adding(state, *given):
        add(state, *given)
        if not inner:
            inner.append(None)
            inner[0] = run("a.txt", *options, "-o", "x.wav")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumeState, "add", adding)
        assert run("a.txt", *options, "-o", "x.wav")[0] == 0
    code, _, err = inner[0]
    assert code in (1, 2) and "x.wav.resume is in use" in err
    assert (here / "x.wav").read_bytes() == (here / "whole.wav").read_bytes() and not (here / "x.wav.resume").exists()


def test_the_reported_length_includes_the_silence_between_subtitles(run, options, here):  # noqa: F811
    (here / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n\n00:05.000 --> 00:06.000\nWorld.\n")
    code, _, err = run("a.vtt", *options, "-o", "a.wav")
    assert code == 0 and f"a.wav: {len(samples('a.wav')) / 24_000:.2f} s of audio" in err
