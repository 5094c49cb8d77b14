"""Utterances: the order of parts, exact pauses, and chunks that do not depend on previous chunks or on other streams."""

from itertools import pairwise

import numpy as np
import pytest
from conftest import GOLDEN

from pockettts import TTSModel
from pockettts.reading.chunks import Chunk, Pause
from pockettts.sound.stretch import Stretcher
from pockettts.synthesis import Frame, Utterance


@pytest.fixture(scope="module")
def model(tiny_model):
    return TTSModel.load(config=tiny_model, threads=2)


@pytest.fixture(scope="module")
def voice(model):
    return model.get_voice_state((0.3 * np.sin(np.arange(30_000) / 20)).astype(np.float32))


@pytest.fixture(scope="module")
def chunks(model):
    return [Chunk(model.tokenizer.encode(text), text, 3) for text in ("One.", "And two.", "Then three of them.")]


@pytest.fixture
def speak(model, voice):
    """The blocks of the given parts."""

    def speak(parts, **options):
        utterance, items = Utterance(parts, voice, model.options.replace(**{"seed": 5} | options)), []
        while not utterance.finished:
            (made,) = model.stepper.step([utterance])
            if made is not None:
                items.append(model.stepper.decode(made) if isinstance(made, Frame) else made)
        return items

    return speak


def sound(items):
    return np.concatenate([samples for _, samples in items])


def test_pauses_are_silence_to_the_sample(speak, chunks):
    plain = sound(speak(chunks[:2]))
    first = sound(speak(chunks[:1]))
    parts = [Pause(0.1), chunks[0], Pause(1.00003), Pause(0), chunks[1], Pause(1 / 24_000)]
    items = speak(parts)
    expected = np.concatenate([np.zeros(2400), first, np.zeros(24_001), plain[len(first) :], np.zeros(1)])
    assert np.array_equal(sound(items), expected)
    assert max(len(samples) for take, samples in items if take is None) == 1920  # so nobody waits for a long pause
    assert sound(speak([Pause(0.5)])).tolist() == [0] * 12_000 and speak([]) == speak([Pause(0)]) == []


def test_a_chunk_does_not_depend_on_previous_chunks(speak, chunks):
    """Its noise depends only on its number, so it can be spoken again, or alone after an interruption."""
    long, short = speak(chunks), speak([chunks[1], *chunks[1:]])
    ends = [sound([item for item in items if item[0].chunk is chunks[2]]) for items in (long, short)]
    assert len(ends[0]) > 1920 and np.array_equal(*ends)
    same = speak([chunks[1], chunks[1]])
    takes = list(dict.fromkeys(take for take, _ in same))
    assert len(takes) == 2
    one, two = (sound([item for item in same if item[0] is take]) for take in takes)
    assert not np.array_equal(one[:1920], two[:1920])


def test_frames_show_where_a_chunk_begins_and_ends(speak, chunks):
    items = speak(chunks, eos_threshold=-1e9)  # EOS in frame 6 of each, and 3 frames more
    assert [take.chunk.text for take, _ in items] == [chunk.text for chunk in chunks for _ in range(9)]
    assert all(take.frames == take.end == 9 for take, _ in items)
    items = speak(chunks[:1], eos_threshold=1e9)
    assert items[0][0].end is None and len(items) == items[0][0].max_frames


def test_the_flow_lm_may_run_ahead_of_the_decoder(model, voice, speak, chunks):
    utterance, frames = Utterance(chunks, voice, model.options.replace(seed=5)), []
    while not utterance.finished:
        frames += model.stepper.step([utterance])
    late = np.concatenate([model.stepper.decode(frame).samples for frame in frames if frame])
    assert np.array_equal(late, sound(speak(chunks)))


@pytest.mark.parametrize("name", ["tiny", "tiny_flow_matching", "tiny_pointwise"])
@pytest.mark.parametrize("tokens", [3, 1000])
def test_batched_utterances_equal_single_utterances(name, tokens):
    model = TTSModel.load(config=GOLDEN / name / "config.yaml", threads=2)
    voice = model.get_voice_state(np.load(GOLDEN / name / "dump.npz")["prompt"])
    texts = ["One.", "And a second one, which is longer.", "Three. Sentences. Here."]
    jobs = [
        (text, voice, model.options.replace(seed=i, max_tokens=8, lsd_decode_steps=1 + i % 2))
        for i, text in enumerate(texts)
    ]
    alone = [np.concatenate([block for _, block in model.speak(model.utterance(*job))]) for job in jobs]
    utterances = [model.utterance(*job) for job in jobs]
    found = [[] for _ in jobs]
    while any(not utterance.finished for utterance in utterances):
        live = [i for i, utterance in enumerate(utterances) if not utterance.finished]
        for i, frame in zip(live, model.stepper.step([utterances[i] for i in live], tokens), strict=True):
            if frame:
                found[i].append(model.stepper.decode(frame).samples)
    for i, blocks in enumerate(found):
        assert np.array_equal(np.concatenate(blocks), alone[i]), i


def test_text_is_prefilled_in_slices(model, voice, chunks):
    """A step has a limit of tokens, in the order of the utterances; utterances without waiting text continue."""
    three = [Utterance(chunks[i:], voice, model.options) for i in (1, 2, 0)]
    waiting = []
    for _ in range(9):
        made = model.stepper.step(three, 4)
        waiting.append(sum(len(utterance.take.waiting) for utterance in three))
        assert all(
            (item is None) == bool(len(utterance.take.waiting)) for item, utterance in zip(made, three, strict=True)
        )
    assert waiting[0] + 4 == sum(len(chunk.ids) for chunk in chunks) and waiting[-1] == 0
    assert all(a - b == min(4, a) for a, b in pairwise(waiting))
    assert [utterance.take.frames for utterance in three] == sorted((u.take.frames for u in three), reverse=True)


def test_each_chunk_fades_in(speak, chunks):
    starts = {}
    for take, block in speak(chunks):
        starts.setdefault(take, block)
    assert len(starts) == 3 and all(block[0] == 0 != block[-1] for block in starts.values())


def test_without_a_seed_each_utterance_draws_one(model, voice, chunks):
    seeds = {Utterance(chunks, voice, model.options).seed for _ in range(8)}
    assert len(seeds) == 8 and all(0 <= seed < 2**64 for seed in seeds)


def test_an_utterance_can_begin_at_any_chunk(model, voice, speak, chunks):
    parts = [chunks[0], Pause(0.1), chunks[1], Pause(0.2), chunks[2], Pause(0.3)]
    whole, options = sound(speak(parts)), model.options.replace(seed=5)
    for count in range(5):
        utterance = Utterance(parts, voice, options)
        utterance.skip(count)
        rest = [block for _, block in model.speak(utterance)]
        rest = np.concatenate([np.zeros(0, np.float32), *rest])
        assert np.array_equal(rest, whole[len(whole) - len(rest) :])
        assert count == 0 or np.array_equal(rest[: round(count * 2400)], np.zeros(min(len(rest), count * 2400)))


@pytest.mark.parametrize("speed", [0.5, 1.7])
def test_speed_is_that_of_each_take_and_not_of_pauses(model, voice, chunks, speed):
    def spoken(parts, speed):
        utterance = Utterance(parts, voice, model.options.replace(seed=5, speed=speed))
        return [block for _, block in model.speak(utterance)]

    def stretched(parts):
        stretcher = Stretcher(speed, 24000)
        return np.concatenate([*map(stretcher.write, spoken(parts, 1)), stretcher.flush()])

    one, both = stretched(chunks[:1]), stretched(chunks[:2])
    blocks = spoken([Pause(0.1), chunks[0], Pause(0.25)], speed)
    assert np.array_equal(np.concatenate(blocks), np.concatenate([np.zeros(2400), one, np.zeros(6000)])) and all(
        map(len, blocks)
    )
    together = np.concatenate(spoken(chunks[:2], speed))
    assert np.array_equal(together[: len(one)], one) and abs(len(together) - len(both)) <= 1
