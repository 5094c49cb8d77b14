"""TTSModel: voices, options, seeds, abandoned streams, and invalid arguments."""

import sys
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from pockettts import TTSModel, VoiceState, ops
from pockettts.errors import ConfigError, OptionError, PocketTTSError, TextError, VoiceError
from pockettts.schedule import RUN, RUNS, Schedule
from pockettts.tts import _cores

TEXT = "One sentence. And then another one, which is longer."


@pytest.fixture(scope="module")
def model(tiny_model):
    return TTSModel.load(config=tiny_model, threads=2)


@pytest.fixture(scope="module")
def samples():
    return (0.3 * np.sin(np.arange(30_000) / 20)).astype(np.float32)


@pytest.fixture(scope="module")
def voice(model, samples):
    return model.get_voice_state(samples)


@pytest.fixture(params=[False, True], ids=["in turn", "ahead"])
def overlap(request, model, monkeypatch):
    monkeypatch.setattr(model.schedule, "ahead", request.param)


def test_a_seed_gives_the_same_speech_on_any_number_of_threads(model, voice, monkeypatch):
    speech = []
    for threads, ahead in ((1, False), (2, False), (2, True), (5, True), (2, None)):
        monkeypatch.setattr(model.schedule, "ahead", ahead)
        ops.set_threads(threads)
        speech.append(model.generate(TEXT, voice, seed=7))
    ops.set_threads(2)
    assert all(np.array_equal(speech[0], other) for other in speech[1:])
    assert not np.array_equal(speech[0], model.generate(TEXT, voice, seed=8)[: len(speech[0])])
    assert speech[0].dtype == np.float32 and len(speech[0]) % 1920 == 0


@pytest.mark.parametrize(
    "siblings, limit, cores",
    [
        (["0,2", "1,3", "0,2", "1,3"], "max 100000", 2),  # two hyperthreads a core
        (["0", "1", "2", "3"], "150000 100000", 2),  # a container with a core and a half
        ([], "", 4),  # a system that says nothing
    ],
)
def test_default_threads_are_the_physical_cores_within_limits(monkeypatch, tmp_path, siblings, limit, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for cpu, line in enumerate(siblings):
        topology = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(line + "\n")
    (tmp_path / "fs/cgroup").mkdir(parents=True)
    (tmp_path / "fs/cgroup/cpu.max").write_text(limit + "\n")
    assert _cores(tmp_path) == cores


def test_int8_is_close_to_f32_on_any_number_of_threads(model, voice, tiny_model):
    rounded = TTSModel.load(config=tiny_model, precision="int8", threads=2)
    speech = rounded.generate(TEXT, voice, temperature=0)
    ops.set_threads(1)
    assert np.array_equal(speech, rounded.generate(TEXT, voice, temperature=0))
    ops.set_threads(2)
    exact, first = model.generate(TEXT, voice, temperature=0), slice(0, 5 * 1920)
    assert not np.array_equal(speech[first], exact[first])
    assert np.corrcoef(speech[first], exact[first])[0, 1] > 0.99


def test_a_stream_yields_the_frames_of_generate(model, voice, overlap):
    frames = list(model.generate_stream(TEXT, voice, seed=1))
    assert {frame.shape for frame in frames} == {(1920,)}
    assert np.array_equal(np.concatenate(frames), model.generate(TEXT, voice, seed=1))


def test_pauses_are_silent_to_the_sample(model, voice, overlap):
    """A pause at the start, at the end and between chunks, which does not change the chunks; and a gap."""
    hello, world = (model.generate(text, voice, temperature=0) for text in ("Hello.", "World."))

    def silence(seconds):
        return np.zeros(round(seconds * 24000), np.float32)

    spoken = model.generate("[pause:10ms]Hello.[pause:1.2345s]World.<break time='3s'/>", voice, temperature=0)
    assert np.array_equal(spoken, np.concatenate([silence(0.01), hello, silence(1.2345), world, silence(3)]))
    spoken = model.generate("Hello.\nWorld.", voice, temperature=0, gap=0.3)
    assert np.array_equal(spoken, np.concatenate([hello, silence(0.3), world]))
    assert np.array_equal(model.generate("[pause:1s]", voice), silence(1))


def test_concurrent_streams_are_independent(model, voice, overlap):
    alone = [model.generate(TEXT, voice, seed=seed) for seed in (1, 2)]
    both = list(zip(*(model.generate_stream(TEXT, voice, seed=seed) for seed in (1, 2)), strict=False))
    for i, whole in enumerate(alone):
        together = np.concatenate([pair[i] for pair in both])
        assert len(both) > 5 and np.array_equal(together, whole[: len(together)])


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_an_abandoned_stream_leaves_no_thread(model, voice, overlap, frames):
    before = threading.active_count()
    stream = model.generate_stream(TEXT, voice)
    for _ in range(frames):
        next(stream)
    del stream
    assert threading.active_count() == before and ops.get_threads() == 2


@pytest.mark.parametrize("cores", [2, 5])
def test_ahead_the_flow_lm_uses_half_of_the_cores(cores):
    """The decoder uses the other half. With two cores it gets both as soon as the next latent is ready."""
    ready, made, decoded = threading.Event(), [], []

    def items():
        for i in range(4):
            made.append(ops.get_threads())
            yield i
            if i:
                ready.wait(10)

    def decode(item):
        decoded.append(ops.get_threads())
        ready.set()
        while item and cores == 2 and ops.get_threads() < 2:
            threading.Event().wait(0.001)
        return -item

    ops.set_threads(cores)
    try:
        assert list(Schedule(ahead=True).run(items(), decode, bool)) == [(i, -i) for i in range(4)]
    finally:
        ops.set_threads(2)
    assert decoded[0] == cores  # the first frame gets all cores, for a short TTFA
    assert set(decoded[1:]) <= {cores - cores // 2, cores} and (cores == 2 or cores not in decoded[1:])
    assert made[0] == cores and set(made[2:]) == {cores // 2}


@pytest.mark.parametrize("faster", [False, True], ids=["in turn", "ahead"])
def test_the_faster_schedule_is_chosen(monkeypatch, faster):
    now, schedule = [0.0], Schedule()
    monkeypatch.setattr("pockettts.schedule.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def decode(item):
        ahead = schedule._scheduled // RUN % 2 == 1 if schedule.ahead is None else schedule.ahead
        now[0] += (0.01 if ahead == faster else 0.02) + (0.5 if item == 7 else 0)  # once something else was in the way
        return item

    items = RUN * RUNS + 3
    for i, _ in schedule.run(iter(range(items)), decode, lambda item: True):
        assert i < RUN * (RUNS - 1) or schedule.ahead in (None, faster)
    assert schedule.ahead is faster
    assert all(len(schedule.seconds[way]) >= RUN * RUNS // 2 - RUNS for way in (False, True))


def test_frames_of_a_slow_reader_do_not_count(monkeypatch):
    now = 0.0
    monkeypatch.setattr("pockettts.schedule.time", SimpleNamespace(perf_counter=lambda: now))
    schedule = Schedule()
    for _ in schedule.run(iter(range(40)), lambda item: item, lambda item: True):
        now += 1
    assert schedule.ahead is None and not any(schedule.seconds.values())


def test_threads_of_a_team():
    team = ops.Team(3)
    with ops.using_team(team):
        assert ops.get_threads() == 3
        team.size = 4
        assert ops.get_threads() == 4
        team.size = 0
        assert ops.get_threads() == 1
    assert ops.get_threads() == 2


def test_an_error_of_the_ahead_thread_is_raised():
    def items():
        yield 1
        raise ValueError("boom")

    stream = Schedule(ahead=True).run(items(), lambda item: item, bool)
    assert next(stream) == (1, 1)
    with pytest.raises(ValueError, match="boom"):
        next(stream)
    assert threading.active_count() == 1 or all("pockettts" not in t.name for t in threading.enumerate())


def test_options_change_the_speech(model, voice):
    still = model.generate(TEXT, voice, seed=1, temperature=0)
    assert np.array_equal(still, model.generate(TEXT, voice, seed=2, temperature=0))
    for frames_after_eos in (0, 3):  # EOS at once, but not before the 6th frame
        short = model.generate("Yes.", voice, eos_threshold=-1e9, frames_after_eos=frames_after_eos)
        assert len(short) == (6 + frames_after_eos) * 1920
    free = model.generate(TEXT, voice, seed=1, temperature=4)
    clamped = model.generate(TEXT, voice, seed=1, temperature=4, noise_clamp=1e-3)  # next to no noise
    n = min(map(len, (clamped, free, still)))
    assert np.abs(clamped[:n] - still[:n]).max() < np.abs(free[:n] - still[:n]).max() / 10


def test_the_model_has_default_options(model, voice, tiny_model):
    cold = TTSModel.load(config=tiny_model, temperature=0, max_tokens=20, seed=None)
    assert (cold.options.temperature, cold.options.eos_threshold, cold.options.max_tokens) == (
        0,
        model.options.eos_threshold,
        20,
    )
    assert np.array_equal(cold.generate(TEXT, voice), model.generate(TEXT, voice, temperature=0, max_tokens=20))
    assert np.array_equal(
        cold.generate(TEXT, voice, temperature=0.5, max_tokens=50, seed=3),
        model.generate(TEXT, voice, temperature=0.5, seed=3),
    )


@pytest.mark.parametrize("option", [
    {"temperature": -1}, {"temperature": float("nan")}, {"lsd_decode_steps": 0}, {"lsd_decode_steps": 10**9},
    {"eos_threshold": float("inf")}, {"noise_clamp": 0}, {"threads": 0}, {"precision": "int4"}, {"temperature": "hot"},
])  # fmt: skip
def test_invalid_options(tiny_model, option):
    with pytest.raises(OptionError, match=next(iter(option))):
        TTSModel.load(config=tiny_model, **option)


def test_other_invalid_arguments(model, voice, tiny_model, samples):
    with pytest.raises(OptionError, match="one"):
        TTSModel.load("english", config=tiny_model)
    with pytest.raises(ConfigError, match="english"):
        TTSModel.load("inglish")
    for text in ("", "  \n"):
        with pytest.raises(TextError):
            model.generate_stream(text, voice)  # at once, not at the first frame
    with pytest.raises(TextError):
        model.generate(b"bytes", voice)
    for options in ({"seed": -1}, {"frames_after_eos": -1}, {"max_tokens": 0}):
        with pytest.raises(OptionError, match=next(iter(options))):
            model.generate_stream(TEXT, voice, **options)
    for array in (samples[:0], samples[None], samples.astype(int), samples * np.nan):
        with pytest.raises(VoiceError):
            model.get_voice_state(array)
    with pytest.raises(VoiceError):
        model.get_voice_state(VoiceState(voice.layers[:1]))


def test_voices_from_a_file_an_array_and_a_state_are_equal(model, voice, samples, tmp_path):
    soundfile.write(tmp_path / "voice.wav", samples, model.sample_rate, subtype="FLOAT")
    voice.save(tmp_path / "voice.safetensors")
    expected = model.generate(TEXT, voice, seed=3)
    for source in (samples, tmp_path / "voice.wav", str(tmp_path / "voice.safetensors")):
        assert np.array_equal(model.generate(TEXT, source, seed=3), expected)


def test_only_the_start_of_a_long_recording_is_used(model, tmp_path, caplog):
    noise = np.random.default_rng(0).normal(0, 0.1, 31 * 24_000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, 24_000)
    offset = model.get_voice_state(tmp_path / "long.wav").offset
    assert offset <= 1 + 30 * 12.5 + 2 and "30 seconds" in caplog.text


def test_cloning_without_its_weights_gives_advice(model, samples, monkeypatch):
    monkeypatch.setattr(model.voices, "encoder", None)
    monkeypatch.setattr(model.voices, "cache", None)
    with pytest.raises(VoiceError, match="hf auth login"):
        model.get_voice_state(samples)


def test_memory_does_not_grow_with_the_number_of_chunks(model, voice):
    """Text is processed lazily: the first frame of a long text comes immediately."""
    stream = model.generate_stream("A sentence of some length, to be spoken. " * 2000, voice)
    assert len(next(stream)) == 1920
    stream.close()


def test_errors_share_a_base():
    assert issubclass(VoiceError, PocketTTSError)


def test_the_cost_per_second_does_not_grow_with_the_length(model, voice, monkeypatch):
    """The number of Python calls per frame and the memory per frame are constant, since chunks are independent."""
    monkeypatch.setattr(model.schedule, "ahead", False)  # in two threads the peak is a matter of chance

    def cost(sentences):
        calls = frames = 0

        def count(frame, event, arg):
            nonlocal calls
            calls += event == "call"

        tracemalloc.start()
        sys.setprofile(count)
        try:
            text = "The kettle is boiling now. " * sentences
            stream = model.generate_stream(text, voice, seed=1, eos_threshold=-1e9, frames_after_eos=2)
            next(stream)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            frames = 1 + sum(1 for _ in stream)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            sys.setprofile(None)
            tracemalloc.stop()
        return frames, calls / frames, peak

    short, long = cost(10), cost(150)
    assert long[0] > 10 * short[0]
    assert long[1] < 1.1 * short[1]
    assert long[2] < 1.2 * short[2]


def test_messages_do_not_contain_invalid_voices(tiny_model):
    model = TTSModel.load(config=tiny_model)
    with pytest.raises(PocketTTSError) as error:
        model.get_voice_state(b"RIFF" * 100_000)
    assert len(str(error.value)) < 300
    with pytest.raises(VoiceError, match="^a voice can't be int: give a name, a path"):
        model.get_voice_state(3)
