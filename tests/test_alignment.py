"""Alignment with known results: artificial attention that follows given words at given frames, clean and noisy."""

import itertools

import numpy as np
import pytest

from pockettts.words.alignment import Faults, Span, align, find_faults, word_frames, word_spans

RNG = np.random.default_rng(0)
WORDS = [Span(f"w{i}", 2 * i, 2 * i + 2) for i in range(12)]


def spoken(order, frames_each=4, tokens=24, noise=0.0, on_text=0.8):
    """Attention that follows the tokens in this order. noise: the largest weight of all other tokens."""
    rows = np.zeros((len(order) * frames_each, tokens), np.float32)
    rows[np.arange(len(rows)), np.repeat(order, frames_each)] = on_text
    return rows + noise * RNG.random(rows.shape, np.float32)


# --- words -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [" ", "\u2581"])
def test_pieces_make_words(space):
    pieces = [" He", "llo", ",", " ", "world", " -", " it", "'", "s", " 3", ".", "14", "!", " )", " \U0001f600"]
    found = word_spans(["", *(piece.replace(" ", space) for piece in pieces)])  # "" is the start token
    assert [(word.text, word.start, word.stop) for word in found] == [
        ("Hello,", 1, 3),
        ("world -", 5, 6),
        ("it's", 7, 10),
        ("3.14! ) \U0001f600", 10, 13),
    ]


def test_characters_may_be_spelled_in_bytes():
    pieces = [
        "\u2581",
        "<0xC3>",
        "<0xA9>",
        "t",
        "\u2581",
        "<0x26>",
        "\u2581",
        "<0xF0>",
        "<0x9F>",
        "<0x98>",
        "<0x80>",
        "<0x5A>",
    ]
    assert word_spans(pieces) == [Span("\u00e9t &", 1, 4), Span("\U0001f600Z", 11, 12)]


def test_marks_before_the_first_word_belong_to_it():
    assert word_spans(["\u2581" * 8, "\u2581\u201c", "\u2581Yes", "."]) == [Span("\u201c Yes.", 2, 3)]
    assert word_spans(["\u2581...", "!"]) == word_spans([]) == []


# --- times -------------------------------------------------------------------------------------------------------------------


def test_the_path_is_the_best_of_all():
    for _ in range(30):
        weights = RNG.random((5, 4))
        ways = [way for way in itertools.product(range(4), repeat=5) if list(way) == sorted(way)]
        best = max(ways, key=lambda way: weights[range(5), way].sum())
        assert tuple(align(weights)) == best


@pytest.mark.parametrize("noise", [0, 0.2, 0.5])
def test_times_are_those_of_the_words(noise):
    found = word_frames(spoken(range(24), noise=noise), WORDS)
    assert found == [(8 * i, 8 * i + 8) for i in range(12)]


def test_pauses_are_not_part_of_words():
    words = [Span("One,", 0, 1), Span("two.", 2, 3)]  # tokens 1 and 3 are the comma and the period
    assert word_frames(spoken(range(4), tokens=4), words) == [(0, 4), (8, 12)]


def test_single_frames_of_attention_elsewhere_change_nothing():
    weights = spoken(range(24))
    weights[[10, 50]] = weights[[70, 2]]
    assert word_frames(weights, WORDS) == [(8 * i, 8 * i + 8) for i in range(12)]


def test_every_word_has_a_duration():
    found = word_frames(spoken([*range(6), *range(8, 24)]), WORDS)  # word 3 was left out
    assert found[2:5] == [(16, 24), (24, 25), (25, 32)] and found[-1] == (80, 88)
    found = word_frames(spoken(range(20)), WORDS)  # words 10 and 11 were left out
    assert found[9:] == [(72, 78), (78, 79), (79, 80)]
    for frames in (12, 13, 30):
        found = word_frames(RNG.random((frames, 24)), WORDS)
        assert all(first < last for first, last in found) and found[-1][1] <= frames
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))
    assert word_frames(RNG.random((5, 24)), WORDS)[-5:] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


def test_empty_input():
    assert word_frames(np.zeros((0, 24), np.float32), WORDS) == [(0, 0)] * 12
    assert not find_faults(np.zeros((0, 24), np.float32), WORDS) and not find_faults(spoken(range(24)), [])


def test_a_long_chunk_is_aligned_quickly():
    weights = spoken(range(1000), tokens=1000)
    assert align(weights)[-1] == 999


# --- faults ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0, 0.05, 0.15])
def test_good_speech_has_no_faults(noise):
    for frames_each in (2, 4, 9):
        assert str(find_faults(spoken(range(24), frames_each, noise=noise), WORDS)) == ""
    assert not find_faults(
        spoken(range(24), 4, noise=noise) * 0.1, WORDS
    )  # heads that look at the voice most of the time


def test_words_may_be_short_or_faint():
    weights = spoken(range(24))
    weights[24:32] *= 0.4  # word 3
    assert not find_faults(weights, WORDS)
    quick = np.delete(spoken(range(24)), range(25, 32), axis=0)  # one frame for word 3
    assert not find_faults(quick, WORDS)


@pytest.mark.parametrize("noise", [0, 0.05])
def test_skipped_words_are_reported(noise):
    found = find_faults(spoken([*range(6), *range(10, 24)], noise=noise), WORDS)
    assert found == Faults(["w3", "w4"]) and len(found) == 2 and str(found) == "w3 w4 was left out"


@pytest.mark.parametrize("noise", [0, 0.05])
def test_repeated_words_are_reported(noise):
    again = [*range(12), *range(6, 24)]  # words 3, 4 and 5 once more; 5 is not two back when it comes
    found = find_faults(spoken(again, noise=noise), WORDS)
    assert found.repeated == ["w3"] and not found.missed and "w3 was said twice" in str(found)
    assert find_faults(spoken([*range(20), *range(4, 24)], noise=noise), WORDS).repeated == [
        f"w{i}" for i in range(2, 8)
    ]


def test_a_single_frame_back_is_not_a_repetition():
    weights = spoken(range(24))
    weights[60:62] = weights[4:6]
    assert not find_faults(weights, WORDS)
    weights[62] = weights[6]
    assert find_faults(weights, WORDS).repeated == ["w0"]


def test_reaching_the_length_limit_is_worse_than_two_missed_words():
    assert len(Faults(ran_on=True)) > len(Faults(["a", "b"], ["c"])) > len(Faults()) == 0
    assert str(Faults(["a"], ["b"], True)) == "a was left out, b was said twice, it ran to the length limit"
