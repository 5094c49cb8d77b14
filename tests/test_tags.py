"""Titles, covers and chapters of sound files, read with ffprobe and mutagen."""

import base64
import io
import json
import logging
import shutil
import struct
import subprocess
import wave
import zlib

import mutagen
import numpy as np
import pytest

from pockettts.sound.files import Writer
from pockettts.sound.formats import extensions
from pockettts.sound.tags import Chapter, Tags, check_cover, list_info

RATE = 24_000


def png():
    """A PNG image of one gray pixel."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")


CHAPTERS = [Chapter("Één – first", 0.0, 1.25), Chapter("Second", 1.25, 3.0)]
TAGS = Tags(title="Emma & Söhne", author="Jane Austen", album="Works", language="en-GB", track=2, tracks=12,
            cover=png(), chapters=CHAPTERS)  # fmt: skip


def made(path, tags=TAGS, seconds=3.0):
    tone = (0.3 * np.sin(np.arange(int(seconds * RATE)) / 9)).astype(np.float32)
    with Writer(path, RATE) as file:
        for start in range(0, len(tone), 1920):
            file.write(tone[start : start + 1920])
        file.tags = tags  # the times of chapters are known late
    return path


def probed(path):
    """The results of ffprobe: tags of the file or its stream, in lower case; chapters; kinds of streams; seconds."""
    command = ["ffprobe", "-v", "error", "-print_format", "json", "-show_format", "-show_streams", "-show_chapters"]
    info = json.loads(subprocess.run([*command, path], capture_output=True, check=True).stdout)
    tags = {}
    for part in (*info["streams"], info["format"]):
        tags |= {key.lower(): value for key, value in part.get("tags", {}).items()}
    chapters = [(c["tags"]["title"], float(c["start_time"]), float(c["end_time"])) for c in info["chapters"]]
    return tags, chapters, info["streams"], float(info["format"]["duration"])


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe")
@pytest.mark.parametrize("suffix", ["mp3", "m4a", "m4b", "flac", "ogg", "opus", "wav"])
def test_as_ffprobe_reads_them(tmp_path, suffix):
    tags, chapters, streams, seconds = probed(made(tmp_path / f"x.{suffix}"))
    assert (tags["title"], tags["artist"]) == ("Emma & Söhne", "Jane Austen") and abs(seconds - 3) < 0.15
    assert tags.get("album", tags.get("iprd")) == "Works"
    if suffix != "wav":
        assert tags["track"].split("/")[0] == "2"
        assert any(stream["disposition"]["attached_pic"] for stream in streams)
        assert [title for title, _, _ in chapters] == ["Één – first", "Second"]
        np.testing.assert_allclose([chapter[1:] for chapter in chapters], [(0, 1.25), (1.25, 3)], atol=0.01)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus"])
def test_vorbis_comments(tmp_path, suffix):
    file = mutagen.File(made(tmp_path / f"x.{suffix}"))
    assert file["LANGUAGE"] == ["en-GB"] and file["TRACKNUMBER"] == ["2"] and file["TRACKTOTAL"] == ["12"]
    assert file["CHAPTER001"] == ["00:00:01.250"] and file["CHAPTER001NAME"] == ["Second"]
    pictures = (
        file.pictures
        if suffix == "flac"
        else [mutagen.flac.Picture(base64.b64decode(data)) for data in file["METADATA_BLOCK_PICTURE"]]
    )
    (picture,) = pictures
    assert (picture.data, picture.mime, picture.type) == (png(), "image/png", 3)


def test_id3(tmp_path):
    tags = mutagen.File(made(tmp_path / "x.mp3")).tags
    assert tags["TLAN"].text == ["eng"] and tags["TRCK"].text == ["2/12"] and tags["APIC:"].data == png()
    second = tags["CHAP:" + tags["CTOC:toc"].child_element_ids[1]]
    assert second.start_time == 1250 and second.sub_frames["TIT2"].text == ["Second"]


def test_audiobook(tmp_path):
    file = mutagen.File(made(tmp_path / "x.m4b"))
    assert file["stik"] == [2] and file["trkn"] == [(2, 12)] and bytes(file["covr"][0]) == png()
    assert file["----:com.apple.iTunes:LANGUAGE"] == [b"en-GB"]


def test_wav_with_tags_is_whole(tmp_path):
    path = made(tmp_path / "x.wav")
    with wave.open(str(path)) as file:
        assert file.getnframes() == 3 * RATE
    data = path.read_bytes()
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8 and data.endswith(list_info(TAGS))
    assert list_info(Tags()) == list_info(Tags(cover=png())) == b""


@pytest.mark.parametrize("suffix", [suffix[1:] for suffix in extensions()])
def test_tags_are_reproducible_and_no_tags_change_nothing(tmp_path, suffix):
    one, two = (made(tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert one == two
    bare, none = (
        made(tmp_path / f"{name}.{suffix}", tags).read_bytes()
        for name, tags in (("c", Tags()), ("d", Tags(chapters=[])))
    )
    assert bare == none and (bare != one) == (suffix != "aac")


def test_an_invalid_cover_does_not_fail_the_file(tmp_path, caplog):
    path = made(tmp_path / "x.mp3", TAGS.replace(cover=b"<svg>"))
    assert "the cover is not a JPEG or PNG image" in caplog.text and str(path) in caplog.text
    assert mutagen.File(path).tags["TIT2"].text == ["Emma & Söhne"]
    assert "make it smaller" in check_cover(png() + bytes(9 << 20)) and check_cover(png()) is None
    assert Tags(cover=b"\xff\xd8\xff\xe0").cover_type == "image/jpeg"


def test_without_mutagen(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("pockettts.sound.tags.has_extra", lambda extra: False)
    with caplog.at_level(logging.WARNING):
        path = made(tmp_path / "x.opus")
        made(tmp_path / "x.wav")
        made(tmp_path / "y.opus", Tags())
    assert len(caplog.records) == 1 and "pip install 'pockettts[tags]'" in caplog.text
    assert mutagen.File(path).info.length >= 3


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe")
def test_many_chapters(tmp_path):
    chapters = [Chapter(f"Chapter {n}", n / 100, (n + 1) / 100) for n in range(300)]
    for suffix in ("m4b", "mp3", "opus"):
        path = made(tmp_path / f"x.{suffix}", Tags(title="Long", chapters=chapters))
        assert [title for title, _, _ in probed(path)[1]] == [chapter.title for chapter in chapters]


def test_a_stream_has_no_tags():
    pipe = io.BytesIO()
    from pockettts.sound.files import StreamWriter

    with StreamWriter(pipe, RATE, "mp3") as stream:
        stream.write(np.zeros(RATE, np.float32))
    assert not pipe.getvalue().startswith(b"ID3")
