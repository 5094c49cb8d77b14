"""Word times end to end, with a model whose attention follows the text; detection of faults, and retakes."""

import json
import re

import numpy as np
import pytest

from pockettts import TTSModel
from pockettts.errors import OptionError, TextError
from pockettts.pipeline import decode
from pockettts.reading.chunks import split_text
from pockettts.reading.normalize import Normalizer
from pockettts.words import timestamps
from pockettts.words.alignment import Faults, Word, word_spans

TEXT = "hello there, \u201cold\u201d friend; it is 3.14 o'clock"
FRAME = 0.08


@pytest.fixture(scope="module")
def voice():
    return (0.3 * np.sin(np.arange(30_000) / 20)).astype(np.float32)


def tokens(model, text):
    """The text of each token of a single-chunk text."""
    (chunk,) = split_text(text, model.tokenizer, model.config, 500, 0, Normalizer("en"))
    return model.tokenizer.pieces(chunk.text)


@pytest.fixture(scope="module")
def following(following_model):
    def load(*args, **kwargs):
        return TTSModel.load(config=following_model(*args, **kwargs), threads=2, eos_threshold=-1e9, seed=1)

    return load


@pytest.fixture(scope="module")
def model(following, tiny_model):
    count = len(tokens(TTSModel.load(config=tiny_model), TEXT))
    model = following(count)
    model.options = model.options.replace(
        max_tokens=500, frames_after_eos=count - 6
    )  # EOS in frame 6: a frame for each token
    return model


def truth(model, text):
    """The first and last token of each written word, which are also its frames. "3.14" is spoken as four words."""
    found = word_spans(tokens(model, text))
    at = [span.text for span in found].index("three")
    words = [*([span] for span in found[:at]), found[at : at + 4], *([span] for span in found[at + 4 :])]
    return [(group[0].start, group[-1].stop) for group in words]


def test_word_times_follow_the_attention(model, voice):
    events = list(model.generate_events(TEXT, voice))
    words = [event for event in events if isinstance(event, Word)]
    assert [word.text for word in words] == [
        "hello",
        "there,",
        "\u201cold\u201d",
        "friend;",
        "it",
        "is",
        "3.14",
        "o'clock",
    ]
    assert [(round(word.start / FRAME, 3), round(word.end / FRAME, 3)) for word in words] == truth(model, TEXT)
    blocks = [event for event in events if not isinstance(event, Word)]
    np.testing.assert_array_equal(np.concatenate(blocks), model.generate(TEXT, voice))
    assert len(blocks) == len(tokens(model, TEXT)) and not any(
        isinstance(event, Word) for event in events[: len(blocks)]
    )


def test_attention_may_be_ahead_of_the_sound(following, model, voice):
    ahead = following(len(tokens(model, TEXT)), heads="[[0, 0]]\nalignment_lead: 2")
    ahead.options = model.options
    events = list(ahead.generate_events(TEXT, voice))
    end = sum(len(event) for event in events if not isinstance(event, Word)) / model.sample_rate
    found = [(word.start, word.end) for word in events if isinstance(word, Word)]
    later = [tuple(round(min(FRAME * (frame + 2), end), 3) for frame in frames) for frames in truth(model, TEXT)]
    assert found == later


@pytest.mark.parametrize("speed", [0.5, 1.7])
def test_speed_stretches_times(model, voice, speed):
    found = [event for event in model.generate_events(TEXT, voice, speed=speed) if isinstance(event, Word)]
    expected = [(FRAME * a / speed, FRAME * b / speed) for a, b in truth(model, TEXT)]
    np.testing.assert_allclose([(word.start, word.end) for word in found], expected, atol=0.02)


def test_pauses_and_chunks_before_a_word_count(model, voice):
    text = f"{TEXT} [pause:1.25s] {TEXT}\n\n{TEXT}"
    events = list(model.generate_events(text, voice, gap=0.1))
    words = [event for event in events if isinstance(event, Word)]
    chunk, n = len(tokens(model, TEXT)) * FRAME, len(truth(model, TEXT))
    first, second, third = (np.array([(word.start, word.end) for word in words[i * n : i * n + n]]) for i in range(3))
    np.testing.assert_allclose(second, first + chunk + 1.25, atol=1e-3)
    np.testing.assert_allclose(third, second + chunk + 0.5, atol=1e-3)
    assert [word.text for word in words] == 3 * [word.text for word in words[:n]]


def test_a_chunk_is_one_word_without_alignment_heads(following, model, voice):
    plain = following(1, heads="")
    plain.options = model.options
    events = list(plain.generate_events(f"{TEXT}[pause]{TEXT}", voice))
    words = [event for event in events if isinstance(event, Word)]
    chunk = len(tokens(model, TEXT)) * FRAME
    assert [word.text for word in words] == [" ".join(TEXT.split())] * 2
    np.testing.assert_allclose(
        [(w.start, w.end) for w in words], [(0, chunk), (chunk + 0.5, 2 * chunk + 0.5)], atol=1e-3
    )


# --- verify ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def takes(monkeypatch):
    """The takes passed to `take_faults`, with its results."""
    asked = []
    look = timestamps.take_faults

    def spy(take, tokenizer):
        asked.append((take, look(take, tokenizer)))
        return asked[-1][1]

    monkeypatch.setattr(timestamps, "take_faults", spy)
    return asked


@pytest.fixture(params=[False, True], ids=["in turn", "ahead"])
def overlap(request, model, monkeypatch):
    monkeypatch.setattr(model.schedule, "ahead", request.param)


def test_good_chunks_are_spoken_once(model, voice, takes, caplog, overlap):
    text = f"{TEXT} [pause:1.25s] {TEXT}"
    np.testing.assert_array_equal(model.generate(text, voice, verify=True), model.generate(text, voice))
    assert len(takes) == 2 and not caplog.text


def test_missed_words_are_detected(following, model, voice, takes, caplog):
    words = word_spans(tokens(model, TEXT))
    deaf = following(len(tokens(model, TEXT)), skipped=words[1].stop)
    deaf.options = model.options
    audio = deaf.generate(TEXT, voice, verify=True)
    missed = [word.text for word in words[:2]]
    assert [found.missed for _, found in takes] == [missed] * 4
    (record,) = caplog.records
    assert " ".join(missed) + " was left out" in record.message and "the best of 4 takes is kept" in record.message
    np.testing.assert_array_equal(audio, deaf.generate(TEXT, voice))  # all are as bad, so it is the first


@pytest.mark.parametrize("good", [1, 2, 3])
def test_the_first_good_take_is_kept(model, voice, monkeypatch, caplog, overlap, good):
    text = f"{TEXT}[pause:0.1]{TEXT}"
    verdicts = {0: [Faults()], 1: [Faults(["old"])] * good + [Faults()]}
    monkeypatch.setattr(timestamps, "take_faults", lambda take, _: verdicts[take.number].pop(0))
    audio = model.generate(text, voice, verify=True)
    assert not any(verdicts.values()) and len(caplog.records) == 1 and f"take {good + 1} is good" in caplog.text
    as_it_was, n = model.generate(text, voice), len(tokens(model, TEXT)) * 1920
    np.testing.assert_array_equal(audio[: n + 2400], as_it_was[: n + 2400])  # the first chunk and the pause
    assert len(audio) == len(as_it_was) and not np.array_equal(audio[n + 2400 :], as_it_was[n + 2400 :])
    verdicts |= {0: [Faults()], 1: [Faults(["old"])] * good + [Faults()]}
    np.testing.assert_array_equal(audio, model.generate(text, voice, verify=True))


def test_the_best_of_bad_takes_is_kept(model, voice, monkeypatch, caplog):
    verdicts = [Faults(["a", "b"]), Faults(ran_on=True), Faults([], ["c"]), Faults(["d"])]
    monkeypatch.setattr(timestamps, "take_faults", lambda take, _: verdicts.pop(0))
    utterance = model.utterance(TEXT, voice, model.options.replace(verify=True))
    kept = list(model.speak(utterance))
    third = list(decode(model.stepper, utterance.retake(kept[0][0], 2), model.schedule))
    np.testing.assert_array_equal([block for _, block in kept], [block for _, block in third])
    assert "the best of 4 takes is kept, in which c was said twice" in caplog.text


def test_the_length_limit_is_detected_without_heads(tiny_model, voice, takes, caplog):
    plain = TTSModel.load(config=tiny_model, threads=2, eos_threshold=1e9, seed=1)
    plain.generate("Yes", voice, verify=True)
    assert len(takes) == 4 and all(found == Faults(ran_on=True) for _, found in takes)
    assert len(caplog.records) == 1 and "'Yes.': it ran to the length limit; the best of 4" in caplog.text


def test_without_noise_there_is_no_retake(model, voice, takes, monkeypatch):
    monkeypatch.setattr(model, "options", model.options.replace(temperature=0, eos_threshold=1e9))
    model.generate(TEXT, voice, verify=True)
    assert len(takes) == 1 and takes[0][1].ran_on


# --- files -------------------------------------------------------------------------------------------------------------------

WORDS = [
    Word("One", 0, 0.25),
    Word("&", 0.25, 0.25),
    Word("<two>.", 0.25, 0.9),
    Word("Then", 0.9, 1.5),
    Word("three", 3661.5, 3662),
    *(Word(f"word{i}", 3662 + i / 4, 3662.2 + i / 4) for i in range(40)),
]
CLOCK = r"(\d\d):([0-5]\d):([0-5]\d)"


def seconds(clock):
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def parsed_srt(content):
    """(start, end, lines) of each subtitle, parsed strictly."""
    cues = []
    for n, block in enumerate(content.strip("\n").split("\n\n"), 1):
        number, line, *lines = block.split("\n")
        start, end = re.fullmatch(rf"({CLOCK},\d\d\d) --> ({CLOCK},\d\d\d)", line).group(1, 5)
        assert number == str(n) and lines and all(lines)
        cues.append((seconds(start), seconds(end), lines))
    return cues


def parsed_vtt(content):
    """(start, end, lines without tags, inner times) of each subtitle, parsed strictly."""
    head, *blocks = content.strip("\n").split("\n\n")
    assert head == "WEBVTT"
    cues = []
    for block in blocks:
        line, *lines = block.split("\n")
        start, end = map(seconds, re.fullmatch(rf"({CLOCK}\.\d\d\d) --> ({CLOCK}\.\d\d\d)", line).group(1, 5))
        times = [seconds(at) for at in re.findall(rf"<({CLOCK}\.\d\d\d)>", " ".join(lines)) for at in at[:1]]
        plain = [re.sub(r"<[\d:.]+>", "", line) for line in lines]
        assert not re.search("[<>]|&(?!amp;|lt;|gt;)|-->", " ".join(plain)) and times == sorted(set(times))
        assert all(start < at < end for at in times)
        cues.append((start, end, plain, times))
    return cues


def test_subtitles():
    srt, vtt = parsed_srt(timestamps.as_srt(WORDS, True)), parsed_vtt(timestamps.as_vtt(WORDS, True))
    assert [cue[2] for cue in srt[:3]] == [["One & <two>."], ["Then"], srt[2][2]]
    assert vtt[0][2] == ["One &amp; &lt;two&gt;."] and vtt[0][3] == [0.25]
    assert [cue[:2] for cue in srt] == [cue[:2] for cue in vtt]
    assert " ".join(" ".join(cue[2]) for cue in srt).split() == [word.text for word in WORDS]
    for (start, end, lines), following in zip(srt, [*srt[1:], (1e9,)], strict=True):
        assert start < end <= following[0] and end - start <= timestamps.MAX_CUE_SECONDS + 0.3
        assert len(lines) <= 2 and max(map(len, lines)) <= 42


def test_subtitles_of_whole_chunks_and_of_nothing():
    text = "A sentence that goes on and on, and that takes more than the two lines that there should be, at the very least."
    ((start, end, lines),) = parsed_srt(timestamps.as_srt([Word(text, 1, 9)], False))
    assert (start, end) == (1, 9) and " ".join(lines) == text and max(map(len, lines)) <= 42
    assert timestamps.as_srt([], True) == "" and timestamps.as_vtt([], True) == "WEBVTT\n"
    ((start, end, _),) = parsed_srt(timestamps.as_srt([Word("x", 1, 1)], True))
    assert end > start  # else no player shows it


def test_json():
    for words in (WORDS, []):
        data = json.loads(timestamps.as_json(words, True))
        assert data == {"unit": "word", "words": [{"text": w.text, "start": w.start, "end": w.end} for w in words]}


def test_files_are_whole_or_not_at_all(tmp_path):
    for name, start in (("a.srt", "1\n"), ("a.VTT", "WEBVTT"), ("a.json", '{"unit": "chunk"')):
        timestamps.write(tmp_path / name, WORDS, name == "a.srt")
        assert (tmp_path / name).read_text("utf-8").startswith(start)
    with pytest.raises(TextError, match="make its folder first"):
        timestamps.write(tmp_path / "none" / "a.srt", WORDS, True)
    for name in ("a.txt", "srt", ""):
        with pytest.raises(OptionError, match=r"\.json, \.srt, \.vtt"):
            timestamps.check_path(name)
    assert len(list(tmp_path.iterdir())) == 3
