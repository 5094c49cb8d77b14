"""Concurrent streams: the same bits as single streams, limits, queue, slow and closed readers, errors, and shutdown."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pockettts import TTSModel, ops
from pockettts.engine import BUFFER, Engine, Histogram
from pockettts.errors import BusyError, OptionError, TextError
from pockettts.reading.chunks import Pause

TEXTS = [
    "One.",
    "And a second one, which is longer.",
    "Three. Sentences. Here.",
    "Five",
    "Six is a number. Seven is one too.",
    "The fourth of them says more than one thing, slowly.",
]
LONG = "This goes on and on, and then on again. " * 300
FOREVER = {"eos_threshold": 1e9}


@pytest.fixture(scope="module")
def model(tiny_model):
    return TTSModel.load(config=tiny_model, threads=2)


@pytest.fixture(scope="module")
def voices(model):
    return [model.get_voice_state((0.3 * np.sin(np.arange(n) / 20)).astype(np.float32)) for n in (30_000, 9_000)]


@pytest.fixture(autouse=True, params=[1, 2], ids=["one core", "two cores"])
def cores(request):
    """With two cores, the frames of several streams are decoded in their own threads."""
    before = ops.get_threads()
    ops.set_threads(request.param)
    yield
    ops.set_threads(before)


@pytest.fixture
def engine():
    engine = Engine(max_streams=3, max_queue=4)
    yield engine
    engine.close()
    assert not any("pockettts" in thread.name for thread in threading.enumerate())


def jobs(model, voices):
    """(text, voice, options), all different."""
    for i, text in enumerate(TEXTS):
        yield (
            text,
            voices[i % 2],
            model.options.replace(
                seed=i,
                temperature=0.2 * i,
                lsd_decode_steps=1 + i % 3,
                eos_threshold=(-4, 1e9)[i % 2],
                max_tokens=5 + 10 * i,
            ),
        )


def alone(model, job):
    text, voice, options = job
    return np.concatenate([block for _, block in model.speak(model.utterance(text, voice, options))])


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


def test_a_stream_has_the_same_bits_alone_and_batched(model, voices):
    work = list(jobs(model, voices)) * 3
    expected = {i: alone(model, job) for i, job in enumerate(work[: len(TEXTS)])}
    engine = Engine(max_streams=5, max_queue=100)
    with ThreadPoolExecutor(len(work)) as readers:  # more than there are places, so they come and go as others speak
        found = list(readers.map(lambda job: np.concatenate(list(engine.submit(model, *job))), work))
    stats = engine.stats()
    engine.close()
    for i, sound in enumerate(found):
        assert np.array_equal(sound, expected[i % len(TEXTS)]), i
    assert (
        stats.done == stats.ttfa.count == stats.rtf.count == len(work)
        and stats.live == stats.queued == stats.failed == 0
    )
    assert stats.audio == pytest.approx(sum(map(len, found)) / 24_000)


def test_speed_is_for_streams_too(model, voices, engine):
    job = (
        "One. [pause:0.5] And two, which is longer.",
        voices[0],
        model.options.replace(seed=1, speed=1.5, max_tokens=5),
    )
    assert np.array_equal(np.concatenate(list(engine.submit(model, *job))), alone(model, job))


def test_joining_and_leaving_does_not_change_other_streams(model, voices, engine):
    job = LONG, voices[0], model.options.replace(seed=1)
    expected = list(zip(range(60), (block for _, block in model.speak(model.utterance(*job))), strict=False))
    stream = engine.submit(model, *job)
    for i, block in expected:
        if i % 10 == 0:
            guest = engine.submit(model, "A guest comes, and goes again.", voices[1])
        if i % 10 == 5:
            next(guest)
            guest.close()
        assert np.array_equal(next(stream), block), i
    stream.close()


def test_a_closed_stream_frees_its_slot(model, voices, engine):
    streams = [engine.submit(model, LONG, voices[0]) for _ in range(7)]
    wait_for(lambda: engine.stats().live == 3)
    assert engine.stats().queued == 4
    with pytest.raises(BusyError, match="3 texts are being spoken and 4 more are waiting"):
        engine.submit(model, LONG, voices[0])
    streams[0].close()  # a live one: the next in the queue takes its place
    streams[4].close()  # one that waits
    assert len(next(streams[3])) == 1920
    stats = engine.stats()
    assert (stats.live, stats.queued, stats.left, stats.refused) == (3, 2, 2, 1)
    assert list(streams[0]) == list(streams[4]) == []
    for stream in streams:
        stream.close()
        stream.close()
    assert engine.stats().live == engine.stats().queued == 0 and engine.stats().left == 7


def test_a_slow_reader_delays_only_itself(model, voices, engine):
    slow = engine.submit(model, LONG, voices[0])
    wait_for(lambda: len(slow._blocks) == BUFFER)
    quick = engine.submit(model, LONG, voices[0])
    for _ in range(3 * BUFFER):
        next(quick)
    assert len(slow._blocks) == BUFFER
    for _ in range(2 * BUFFER):  # it reads again, and gets on
        next(slow)
    assert slow.rtf < 5 and quick.ttfa < slow.ttfa + 5


def test_idle_costs_nothing(model, voices, engine):
    stream = engine.submit(model, LONG, voices[0])
    wait_for(lambda: len(stream._blocks) == BUFFER)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_an_error_ends_only_its_own_stream(model, voices, engine, monkeypatch):
    def bad(*_):
        yield Pause(0.1)
        raise ValueError("boom")

    good = engine.submit(model, LONG, voices[0])
    with monkeypatch.context() as patch:
        patch.setattr("pockettts.tts.split_text", bad)
        stream = engine.submit(model, "Hello.", voices[0])
    with pytest.raises(ValueError, match="boom"):
        list(stream)
    for _ in range(2 * BUFFER):
        next(good)
    assert len(list(engine.submit(model, "And another.", voices[0]))) > 5
    assert engine.stats().failed == 1


def test_a_decoder_error_ends_only_its_own_stream(model, voices, engine, monkeypatch):
    good, bad = (engine.submit(model, LONG, voices[0]) for _ in range(2))
    next(bad)
    say = model.stepper.decode
    monkeypatch.setattr(
        model.stepper, "decode", lambda frame: say(frame) if frame.take is not bad._utterance.take else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        list(bad)
    for _ in range(2 * BUFFER):
        next(good)


def test_two_models_share_an_engine(model, voices, engine, tiny_model):
    """Their streams alternate: none waits for the end of the other, and the audio is that of single streams."""
    other = TTSModel.load(config=tiny_model, temperature=0.1)
    work = [(model, TEXTS[5], voices[0]), (other, TEXTS[4], voices[1])]
    expected = [m.generate(text, voice, seed=7) for m, text, voice in work]
    order = []

    def read(n):
        m, text, voice = work[n]
        blocks = []
        for block in engine.submit(m, text, voice, m.options.replace(seed=7)):
            order.append(n)
            blocks.append(block)
        return np.concatenate(blocks)

    with ThreadPoolExecutor(2) as readers:
        found = list(readers.map(read, range(2)))
    assert all(np.array_equal(one, alone) for one, alone in zip(found, expected, strict=True))
    assert {0, 1} == set(order[: len(order) // 2])


def test_an_engine_does_not_keep_models_alive(tiny_model, voices, engine):
    import gc
    import weakref

    passing = TTSModel.load(config=tiny_model)
    assert len(list(engine.submit(passing, "Hello.", voices[0]))) > 1
    gone = weakref.ref(passing)
    del passing

    def is_gone():
        gc.collect()
        return gone() is None

    wait_for(is_gone)


def test_a_stream_has_word_times(following_model, engine):
    text = "Hello there my friend. And this is the second one."
    model = TTSModel.load(config=following_model(8))
    voice = model.get_voice_state((0.3 * np.sin(np.arange(9_000) / 20)).astype(np.float32))
    options = model.options.replace(seed=3)
    expected = [word for word in model.generate_events(text, voice, seed=3) if not isinstance(word, np.ndarray)]
    stream = engine.submit(model, text, voice, options, with_words=True)
    told = []
    for _ in stream:
        told.append(len(stream.words))
    assert stream.words == expected and told[0] == 0 < len(expected)
    assert engine.submit(model, text, voice, options).words == []


def test_errors_are_raised_on_submit(model, voices, engine):
    with pytest.raises(TextError):
        engine.submit(model, " ", voices[0])
    with pytest.raises(OptionError):
        engine.submit(model, "Hi.", voices[0], model.options.replace(temperature=99))
    assert engine.stats().live == engine.stats().queued == 0


def test_closing_lets_active_streams_finish(model, voices):
    engine = Engine(max_streams=1)
    options = model.options.replace(seed=1, **FOREVER)
    streams = [engine.submit(model, TEXTS[5], voices[0], options) for _ in range(2)]
    next(streams[0])
    with ThreadPoolExecutor(1) as reader:
        rest = reader.submit(list, streams[0])
        engine.close(30)
        assert sum(map(len, rest.result())) + 1920 == len(model.generate(TEXTS[5], voices[0], seed=1, **FOREVER))
    with pytest.raises(BusyError, match="stopping"):  # it had no place yet
        list(streams[1])
    with pytest.raises(BusyError, match="stopping"):
        engine.submit(model, "Hi.", voices[0])


def test_closing_has_a_time_limit(model, voices):
    engine = Engine(max_streams=2)
    streams = [engine.submit(model, LONG, voices[0]) for _ in range(2)]
    next(streams[0])  # the other is never read
    start = time.monotonic()
    engine.close(0.2)
    assert time.monotonic() - start < 10
    for stream in streams:
        with pytest.raises(BusyError, match="stopping"):  # an error, not a short success
            list(stream)
    assert engine.stats().failed == 2


def test_a_waiting_reader_wakes_at_shutdown(model, voices):
    engine = Engine(max_streams=1)
    live, waits = (engine.submit(model, LONG, voices[0]) for _ in range(2))
    with ThreadPoolExecutor(1) as reader:
        future = reader.submit(next, waits)
        next(live)
        engine.close()
        with pytest.raises(BusyError):
            future.result(20)


def test_histogram():
    histogram = Histogram((0.1, 1))
    for value in (0.05, 0.1, 0.5, 7):
        histogram.observe(value)
    assert (histogram.counts, histogram.count, histogram.sum) == ([2, 3], 4, pytest.approx(7.65))
