"""Reading and writing sound files, including damaged ones."""

import io
import os
import resource
import stat
import struct
import threading
import wave
from contextlib import contextmanager

import av
import numpy as np
import pytest
import soundfile

from pockettts.errors import AudioError
from pockettts.sound.decode import open_sound
from pockettts.sound.encode import Encoder, pcm16, wav_header
from pockettts.sound.files import StreamWriter, Writer, end_on_pause, read
from pockettts.sound.formats import FORMATS as FORMATS_TABLE, extensions

RATE = 24_000
BY_SNDFILE = [form.suffix[1:] for form in FORMATS_TABLE.values() if form.extensions and form.writer != "av"]
FORMATS = [suffix[1:] for suffix in extensions()]


def tone(seconds=1.0, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write(path, audio, rate=RATE):
    with Writer(path, rate) as file:
        for start in range(0, len(audio), 1920):
            file.write(audio[start : start + 1920])


def says(path, words, call):
    """Assert that the call fails with one line that has the path and these words."""
    with pytest.raises(AudioError) as error:
        call()
    assert str(path) in str(error.value) and words in str(error.value) and "\n" not in str(error.value)


@contextmanager
def small_disk(size):
    """No file can grow, as on a full disk. This includes pytest's own files, so use it only briefly."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Reading.


@pytest.mark.parametrize(
    ("subtype", "exact"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("FLOAT", 0), ("DOUBLE", 0)],
)
def test_reads_wav_of_every_width(tmp_path, subtype, exact):
    soundfile.write(tmp_path / "x.wav", tone(), RATE, subtype)
    audio, cut = read(tmp_path / "x.wav", RATE)
    assert audio.dtype == np.float32 and audio.shape == (RATE,) and not cut
    assert np.abs(audio - tone()).max() <= exact


@pytest.mark.parametrize("suffix", [*BY_SNDFILE, "aiff", "au"])
def test_reads_every_format_with_any_name(tmp_path, suffix):
    made, named = tmp_path / f"x.{suffix}", tmp_path / "voix d'été.bin"
    if suffix == "opus":
        soundfile.write(made, tone(), RATE, "OPUS", format="OGG")
    else:
        soundfile.write(made, tone(), RATE)
    made.rename(named)
    audio, _ = read(named, RATE)
    assert abs(len(audio) - RATE) < 2000
    assert 0.3 < np.abs(audio[2000:-2000]).max() < 0.6


def test_averages_channels(tmp_path):
    left, right = tone(), tone(hertz=300)
    soundfile.write(tmp_path / "x.wav", np.stack([left, right, right], axis=1), RATE, "FLOAT")
    audio, _ = read(tmp_path / "x.wav", RATE)
    np.testing.assert_allclose(audio, (left + 2 * right) / 3, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_resamples(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", tone(rate=rate), rate, "FLOAT")
    audio, _ = read(tmp_path / "x.wav", RATE)
    assert audio.dtype == np.float32 and abs(len(audio) - RATE) <= 1
    np.testing.assert_allclose(audio[2000:22000], tone()[2000:22000], atol=1e-3)


def test_cuts_at_max_seconds(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(2.0, 48_000), 48_000, "FLOAT")
    assert not read(tmp_path / "x.wav", 48_000, 2.0)[1]
    audio, cut = read(tmp_path / "x.wav", 48_000, 1.5)
    assert cut
    np.testing.assert_array_equal(audio, tone(1.5, 48_000))


def test_reads_no_more_than_requested(tmp_path):
    samples = 10 * 3600 * RATE  # ten hours, a file with a hole
    (tmp_path / "x.wav").write_bytes(wav_header(RATE, samples))
    os.truncate(tmp_path / "x.wav", 44 + 2 * samples)
    audio, cut = read(tmp_path / "x.wav", RATE, 30)
    assert len(audio) == 30 * RATE and cut


def test_reads_streamed_wav(tmp_path):
    official = bytearray(wav_header(RATE, 1_000_000_000))  # the official package promises this many samples
    for header in (wav_header(RATE), official):
        (tmp_path / "x.wav").write_bytes(header + pcm16(tone()))
        assert len(read(tmp_path / "x.wav", RATE)[0]) == RATE


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "flac", "caf"])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.6, 0.99])
def test_truncated_file(tmp_path, suffix, share):
    path = tmp_path / f"x.{suffix}"
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.5, 0.5, RATE), RATE)
    if suffix == "caf" and share == 0.99:
        pytest.skip("libsndfile gives no sign of it")
    os.truncate(path, int(os.path.getsize(path) * share))
    says(path, "", lambda: read(path, RATE))


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.flac", "x.raw", "x"])
@pytest.mark.parametrize("data", [b"", b"RIFF", b"hello, this is text\n" * 500, bytes(5000), os.urandom(20_000)])
def test_not_a_sound_file(tmp_path, name, data, capfd):
    (tmp_path / name).write_bytes(data)
    says(tmp_path / name, "empty" if not data else "not a sound file", lambda: read(tmp_path / name, RATE))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32_768.0, 1e300])
def test_invalid_sample_values(tmp_path, value):
    audio = tone().astype(np.float64)
    audio[-1] = value
    soundfile.write(tmp_path / "x.wav", np.stack([audio, -audio], axis=1), RATE, "DOUBLE")
    says(tmp_path / "x.wav", "not sound", lambda: read(tmp_path / "x.wav", RATE))


@pytest.mark.parametrize("samples", [0, 1])
def test_files_without_sound(tmp_path, samples):
    soundfile.write(tmp_path / "x.wav", tone()[:samples], 96_000)
    says(tmp_path / "x.wav", "has no sound", lambda: read(tmp_path / "x.wav", RATE))


@pytest.mark.parametrize("rate", [1, 999, 2_000_000_000])
def test_absurd_rate(tmp_path, rate):
    (tmp_path / "x.wav").write_bytes(struct.pack("<24sI16s", wav_header(RATE, 100)[:24], rate, wav_header(1, 100)[28:]))
    with open(tmp_path / "x.wav", "ab") as file:
        file.write(bytes(200))
    says(tmp_path / "x.wav", "samples per second", lambda: read(tmp_path / "x.wav", RATE))


def test_missing_file(tmp_path):
    says(tmp_path / "x.wav", "does not exist", lambda: read(tmp_path / "x.wav", RATE))
    says(tmp_path, "is not a file", lambda: read(tmp_path, RATE))
    says("x" * 5000, "does not exist", lambda: read("x" * 5000, RATE))
    says("/dev/null", "is not a file", lambda: read("/dev/null", RATE))


def wav(subtype="PCM_16", samples=RATE):
    """The bytes of a WAV file, and where its data chunk is."""
    file = io.BytesIO()
    soundfile.write(file, tone()[:samples], RATE, subtype, format="WAV")
    return file.getvalue(), file.getvalue().index(b"data")


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_piped_wav_is_read_to_its_end(tmp_path, subtype, size):
    data, at = wav(subtype)
    for riff in (0, 0xFFFFFFFF, len(data) - 8):
        head = data[:4] + struct.pack("<I", riff) + data[8 : at + 4] + struct.pack("<I", size)
        (tmp_path / "x.wav").write_bytes(head + data[at + 8 :])
        audio, cut = read(tmp_path / "x.wav", RATE)
        np.testing.assert_allclose(audio, tone(), atol=2**-14)
        assert not cut


def test_empty_wav_is_empty_with_any_following_chunks(tmp_path):
    data, _ = wav(samples=0)
    (tmp_path / "x.wav").write_bytes(data + b"LIST" + struct.pack("<I", 4) + b"INFO")
    says(tmp_path / "x.wav", "has no sound", lambda: read(tmp_path / "x.wav", RATE))


def test_piped_flac_is_read_to_its_end(tmp_path):
    encoder = Encoder("flac", RATE)
    (tmp_path / "x.flac").write_bytes(encoder.write(tone()) + encoder.close())
    np.testing.assert_allclose(read(tmp_path / "x.flac", RATE)[0], tone(), atol=2**-14)


def test_mp3_messages_are_suppressed_and_others_kept(tmp_path, capfd):
    """libmpg123 writes about a damaged tag and a wrong length to stderr."""
    soundfile.write(tmp_path / "x.mp3", tone(5.0), RATE)
    data = (tmp_path / "x.mp3").read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00TXXX\xff\xff\xff\xff\x00\x00" + bytes(246)
    (tmp_path / "x.mp3").write_bytes(tag + data + b"hello" * 1000)
    with soundfile.SoundFile(tmp_path / "x.mp3"):
        assert capfd.readouterr().err, "the case is none any more"
    with open_sound(tmp_path / "x.mp3") as (_, blocks):
        os.write(2, b"from elsewhere\n")
        assert sum(map(len, blocks)) >= 5 * RATE
    assert capfd.readouterr() == ("", "from elsewhere\n")


@pytest.mark.parametrize("suffix, container, codec", [
    ("m4a", "ipod", "aac"), ("webm", "webm", "libopus"), ("aac", "adts", "aac"), ("mka", "matroska", "libopus"),
])  # fmt: skip
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_reads_through_pyav(tmp_path, suffix, container, codec, layout):
    path = tmp_path / f"x.{suffix}"
    with av.open(str(path), "w", container) as file:
        stream = file.add_stream(codec, rate=48_000, layout=layout)
        channels = len(stream.layout.channels)
        samples = np.repeat(tone(2.0, 48_000), channels)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
        frame.rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    path.rename(tmp_path / "recording")
    audio, cut = read(tmp_path / "recording", RATE)
    assert abs(len(audio) - 2 * RATE) < 2500 and not cut
    assert abs(np.sqrt(np.square(audio[4000:40000]).mean()) - 0.5 / np.sqrt(2)) < 0.02
    assert read(tmp_path / "recording", RATE, 1.0)[1]


def test_without_pyav(tmp_path, monkeypatch):
    path = tmp_path / "x.m4a"
    write(path, tone())
    monkeypatch.setattr("pockettts.sound.decode.has_extra", lambda extra: False)
    monkeypatch.setattr("pockettts.sound.formats.has_extra", lambda extra: False)
    says(path, "pip install 'pockettts[av]'", lambda: read(path, RATE))
    with pytest.raises(AudioError, match=r"m4b needs the extra av: pip install 'pockettts\[av\]'"):
        Writer(tmp_path / "x.m4b", RATE)


@pytest.mark.parametrize("keep", [0.01, 0.5])
def test_damaged_m4a(tmp_path, keep):
    write(tmp_path / "x.m4a", tone())
    os.truncate(tmp_path / "x.m4a", int(os.path.getsize(tmp_path / "x.m4a") * keep))
    says(tmp_path / "x.m4a", "damaged", lambda: read(tmp_path / "x.m4a", RATE))


def test_a_playlist_is_rejected(tmp_path):
    """FFmpeg would open the files in it."""
    write(tmp_path / "x.m4a", tone())
    for text in (f"#EXTM3U\n{tmp_path}/x.m4a\n", f"ffconcat version 1.0\nfile {tmp_path}/x.m4a\n"):
        (tmp_path / "x.m3u8").write_text(text)
        says(tmp_path / "x.m3u8", "not a sound file", lambda: read(tmp_path / "x.m3u8", RATE))


# The end of a voice prompt.


def test_end_on_pause_equals_the_official_package():
    """Golden: the result of `pocket_tts.data.audio_utils.end_on_pause` 4.0.1 for this signal."""
    rng = np.random.default_rng(7)
    audio = rng.standard_normal(2_000).astype(np.float32)
    audio[1_300:] *= 1e-3
    ended = end_on_pause(audio, 8_000)
    assert ended.dtype == np.float32 and len(ended) == 2_080
    golden = {
        1_280: -0.6003964, 1_281: -0.5342647, 1_300: 7.44548e-05, 1_358: -0.000110431945, 1_359: -0.00016452729,
        1_360: 0.00084921013, 1_361: -0.00016601056, 1_420: -8.987322e-05, 1_438: -2.7790531e-06, 1_439: 0,
    }  # fmt: skip
    np.testing.assert_array_equal(ended[list(golden)], np.array(list(golden.values()), np.float32))
    np.testing.assert_array_equal(ended[:1_280], audio[:1_280])
    assert not ended[1_440:].any()


def test_end_on_pause_of_very_short_sound():
    short = tone()[:479]
    assert end_on_pause(short, RATE) is short
    assert len(end_on_pause(tone()[:480], RATE)) == 480 + 1920
    assert len(end_on_pause(np.zeros(RATE, np.float32), RATE)) == RATE + 1920


# Writing.


def test_pcm16_clips_and_truncates():
    block = np.array([0, 1, -1, 1.5, -7, 0.99999, -0.00004, 0.5], np.float32)
    assert np.frombuffer(pcm16(block), "<i2").tolist() == [0, 32767, -32767, 32767, -32767, 32766, -1, 16383]


def test_wav_has_a_correct_header_and_pcm16(tmp_path):
    audio = tone() * 2.5
    write(tmp_path / "x.wav", audio)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getparams()[:4] == (1, 2, RATE, RATE)
        assert file.readframes(2 * RATE) == pcm16(audio)


@pytest.mark.parametrize("suffix", FORMATS)
def test_writes_every_format(tmp_path, suffix):
    path = tmp_path / f"x.{suffix.upper()}"
    write(path, tone() * 1.9)  # just within full scale
    assert os.listdir(tmp_path) == [path.name]
    if suffix in BY_SNDFILE:
        info = soundfile.info(path)
        assert info.format == {"ogg": "OGG", "opus": "OGG"}.get(suffix, suffix.upper()) and info.samplerate == RATE
    audio, _ = read(path, RATE)
    assert abs(len(audio) - RATE) < 2000
    assert abs(np.sqrt(np.square(audio[2000:20000]).mean()) - 0.95 / np.sqrt(2)) < 0.02


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_sound_gives_the_same_bytes(tmp_path, suffix):
    for seconds in (1.0, 15.0, 0.0):  # many pages, and those that have nothing but a header
        files = [tmp_path / f"{n}.{suffix}" for n in range(2)]
        for file in files:
            write(file, tone(seconds))
        assert files[0].read_bytes() == files[1].read_bytes()
        if seconds:  # libogg drops pages whose checksum is wrong
            assert len(read(files[0], RATE)[0]) >= seconds * RATE


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_block_of_many_minutes(tmp_path, suffix):
    """libsndfile's Vorbis encoder crashes on such a block."""
    with Writer(tmp_path / f"x.{suffix}", RATE) as file:
        file.write(np.zeros(RATE * 150, np.float32))  # silence: it is encoded fast
    assert abs(len(read(tmp_path / f"x.{suffix}", RATE)[0]) / RATE - 150) < 0.1


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_blocks(tmp_path, suffix):
    write(tmp_path / f"x.{suffix}", tone(0))
    assert os.listdir(tmp_path) == [f"x.{suffix}"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("suffix", FORMATS)
def test_an_interrupted_file_leaves_nothing(tmp_path, suffix, error):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(error, match="stop"), Writer(path, RATE) as file:
        file.write(tone())
        assert path.read_bytes() == b"old"
        raise error("stop")
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"old"


@pytest.mark.parametrize("suffix", FORMATS)
def test_full_disk(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.3, 0.3, 2 * RATE).astype(np.float32)
    write(path, noise)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 200, len(whole) - 1):
        with small_disk(size):
            says(path, "write elsewhere", lambda: write(path, noise))
        assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == whole


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_device_without_space():
    says("/dev/full", "No space left", lambda: write("/dev/full", tone()))


def test_existing_file_is_replaced_with_usual_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        write(tmp_path / "x.wav", tone(0.1))
        write(tmp_path / "x.wav", tone(0.2))
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat(tmp_path / "x.wav").st_mode) == 0o640
    assert soundfile.info(tmp_path / "x.wav").frames == len(tone(0.2))


def test_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "x.wav").symlink_to(tmp_path / "far" / "y.wav")
    for _ in range(2):  # first it points to nothing
        write(tmp_path / "x.wav", tone())
        assert (tmp_path / "x.wav").is_symlink() and os.listdir(tmp_path / "far") == ["y.wav"]
    assert soundfile.info(tmp_path / "far" / "y.wav").frames == RATE


def test_device_is_written_in_place():
    write("/dev/null", tone())
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_pipe_gets_a_streamed_wav(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write(tmp_path / "pipe", tone())
    reader.join()
    assert got == [wav_header(RATE) + pcm16(tone())]
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_descriptors_are_written_in_place(tmp_path):
    """For `-o /dev/stdout >> FILE` and `-o >(cat)`: there is no temporary file, and existing content stays."""
    with open(tmp_path / "out", "w+b") as out:
        out.write(b"before")
        out.flush()
        write(f"/dev/fd/{out.fileno()}", tone())
        write(f"/proc/self/fd/{out.fileno()}", tone(0))
        out.seek(0)
        assert out.read() == b"before" + wav_header(RATE) + pcm16(tone()) + wav_header(RATE)
    assert os.listdir(tmp_path) == ["out"]
    says("/dev/fd/987", "open it in the shell first", lambda: write("/dev/fd/987", tone()))


def test_a_closed_pipe_is_raised_to_the_caller():
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        write(f"/dev/fd/{writing}", tone())
    os.close(writing)


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != "wav"])
def test_pipe_takes_every_format_as_a_stream(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    os.mkfifo(path)
    got = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    write(path, tone())
    reader.join(20)
    (tmp_path / "got").write_bytes(got[0])
    heard, _ = read(tmp_path / "got", RATE)
    assert abs(len(heard) - RATE) < 3000 and 0.3 < np.abs(heard[2000:-3000]).max() < 0.6


def test_paths_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "x.flac").mkdir()
    for path, words in [
        (tmp_path, "give the name of a file"),
        (tmp_path / "x.flac", "give the name of a file"),
        (tmp_path / "none" / "x.wav", "make its folder first"),
        (tmp_path / "file" / "x.wav", "make its folder first"),
        (tmp_path / "x.xyz", "use one of .wav, .flac"),
        (tmp_path / "x", "use one of .wav, .flac"),
        (tmp_path / ("x" * 300 + ".wav"), "too long"),
    ]:
        says(path, words, lambda path=path: write(path, tone()))
    assert sorted(os.listdir(tmp_path)) == ["file", "x.flac"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_paths_that_must_not_be_written(tmp_path):
    (tmp_path / "x.wav").touch(0o444)
    says(tmp_path / "x.wav", "where you may write", lambda: write(tmp_path / "x.wav", tone()))
    tmp_path.chmod(0o555)
    says(tmp_path / "y.wav", "where you may write", lambda: write(tmp_path / "y.wav", tone()))
    tmp_path.chmod(0o755)


def test_unsupported_sample_rate(tmp_path):
    says("opus", "22,050 samples per second", lambda: write(tmp_path / "x.opus", tone(), 22_050))
    assert os.listdir(tmp_path) == []


# Streams.


class Pipe(io.BytesIO):
    """Counts the bytes at each flush."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def flush(self):
        self.sent.append(len(self.getvalue()))


def test_stream_sends_each_block_at_once():
    pipe = Pipe()
    with StreamWriter(pipe, RATE, form="pcm") as stream:
        stream.write(tone()[:1920])
        stream.write(tone()[1920:])
    assert pipe.sent == [3840, 48_000] and pipe.getvalue() == pcm16(tone())


def test_streamed_wav_has_a_header_of_unknown_length():
    pipe = Pipe()
    with StreamWriter(pipe, RATE) as stream:
        stream.write(tone())
    assert pipe.sent == [44, 44 + 48_000] and pipe.getvalue() == wav_header(RATE) + pcm16(tone())
    assert (
        struct.unpack_from("<I", wav_header(RATE), 4) == struct.unpack_from("<I", wav_header(RATE), 40) == (2**32 - 1,)
    )
    assert soundfile.SoundFile(io.BytesIO(pipe.getvalue())).read().shape == (RATE,)


def test_a_closed_stream_is_raised_to_the_caller():
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), open(writing, "wb", buffering=0) as pipe, StreamWriter(pipe, RATE):
        pass
