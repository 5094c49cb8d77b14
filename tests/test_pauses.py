"""Explicit pauses, and pauses from the lines of a text; wrapped prose has no pauses at line ends."""

import textwrap

import pytest

from pockettts.reading.pauses import LINE, PARAGRAPH, SCENE, Pause, is_silent, split_at_pauses

PROSE = [
    "The keeper of the lighthouse at Hollow Point had never learned to swim. He said so to anyone who asked, and to many who did not, "
    "as if it were a rank that he had been given for long service; and when the mail boat came on Tuesdays, Captain Brandt would shout "
    "it up to him before he had even thrown the rope.",
    "In the winter of 1912 the boat did not come. Ice had closed the sound from Kettle Island to the mainland, and the keeper, whose "
    "name was Osgood, ate beans for eleven days. \"There are worse things,\" he told the dog. The dog did not think so.",
    "Mrs. Osgood lived in London with her sister. She wrote on the first of every month, in German, which he could not read well, and "
    "he answered in English, which she would not read at all. So they had been happy for thirty years.",
]  # fmt: skip


def test_lists_and_headings():
    assert split_at_pauses("Red\nBlue\nGreen") == ["Red", Pause(LINE), "Blue", Pause(LINE), "Green"]
    assert split_at_pauses("red\r\nblue\rgreen\n") == ["red", Pause(LINE), "blue", Pause(LINE), "green"]
    assert split_at_pauses("Things to buy:\n- milk\n* oats\n\u2022 [x] tea\n1. two of these") == [
        "Things to buy:", Pause(LINE), "milk", Pause(LINE), "oats", Pause(LINE), "tea", Pause(LINE), "1. two of these",
    ]  # fmt: skip
    assert split_at_pauses("Chapter One\nIt was late.\n\n\n\nHe slept.") == [
        "Chapter One", Pause(LINE), "It was late.", Pause(PARAGRAPH), "He slept.",
    ]  # fmt: skip
    assert split_at_pauses("Dear Ann,\nthank you.\nKind regards\nJohn")[1::2] == [Pause(LINE)] * 3
    assert split_at_pauses("He left.\n\n* * *\n\nHe came back.") == ["He left.", Pause(SCENE), "He came back."]


def test_long_list_items_are_not_prose():
    items = ["Buy a carton of milk from the shop on the corner", "Call the dentist about the visit next week",
             "Water the plants in the kitchen, not too much", "Sleep"]  # fmt: skip
    assert split_at_pauses("\n".join(items))[::2] == items
    wrapped = "- a first item that is so long that it had to be\n  wrapped at some column\n- and a second one"
    assert split_at_pauses(wrapped)[::2] == [
        "a first item that is so long that it had to be wrapped at some column",
        "and a second one",
    ]


@pytest.mark.parametrize("width", [45, 60, 65, 72, 80, 100, 2000])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_wrapped_prose_has_no_pauses_at_line_ends(width, ends):
    """The format of plain-text books, e-mails and README files."""
    text = "\n\n".join(textwrap.fill(paragraph, width) for paragraph in PROSE).replace("\n", ends)
    assert split_at_pauses(text) == [PROSE[0], Pause(PARAGRAPH), PROSE[1], Pause(PARAGRAPH), PROSE[2]]
    for paragraph in PROSE:
        assert split_at_pauses(textwrap.fill(paragraph, width)) == [paragraph]


@pytest.mark.parametrize("width", [60, 72, 80])
def test_indented_paragraphs(width):
    text = "\n".join(textwrap.fill(paragraph, width, initial_indent="    ") for paragraph in PROSE)
    assert split_at_pauses(text) == [PROSE[0], Pause(LINE), PROSE[1], Pause(LINE), PROSE[2]]


def test_a_book():
    """Headings, prose, verse and a list in one file have the right pauses."""
    prose = textwrap.fill(PROSE[0], 72)
    verse = "The tide comes in, the tide goes out,\nThe lamp goes round and round about,\nAnd no one knows."
    text = (
        f"CHAPTER I\nThe Lamp\n\n{prose}\n\n{verse}\n\nHe had\n1. a lamp\n2. a dog\n\n{textwrap.fill(PROSE[1], 72)}\n"
    )
    assert [piece for piece in split_at_pauses(text) if isinstance(piece, str)] == [
        "CHAPTER I", "The Lamp", PROSE[0], *verse.split("\n"), "He had", "1. a lamp", "2. a dog", PROSE[1],
    ]  # fmt: skip


def test_words_broken_at_line_ends():
    text = "The keeper had never learned to swim, and was proud of it as of well-\nearned leave that he had been given."
    assert split_at_pauses(text) == [text.replace("\n", "")]


@pytest.mark.parametrize("mark, seconds", [
    ("[pause]", 0.5), ("[pause:500ms]", 0.5), ("[pause:1.5s]", 1.5), ("[pause:1.5]", 1.5), ("[Pause: 2 s]", 2), ("[pause:.25]", 0.25),
    ("[pause:0]", 0), ("[pause:60]", 60), ("[pause][pause:1s]", 1.5), ('<break time="500ms"/>', 0.5), ("<break time='2s' />", 2),
    ("<break/>", 0.5), ("<break></break>", 0.5), ('<break strength="x-strong"/>', 1), ('<break strength="none"/>', 0),
    ('<BREAK strength="weak" time="1.25s"/>', 1.25),
])  # fmt: skip
def test_explicit_pauses(mark, seconds):
    assert split_at_pauses(f"One {mark}, two.") == ["One ", Pause(seconds), "two."]
    assert split_at_pauses(f"{mark}One.") == [Pause(seconds), "One."]
    assert split_at_pauses(f"One.{mark}") == ["One.", Pause(seconds)]
    assert split_at_pauses(f"One.\n\n{mark}\n\nTwo.") == [
        "One.",
        Pause(seconds),
        "Two.",
    ]  # exact: the blank lines do not add to it
    assert split_at_pauses(mark) == [Pause(seconds)]


@pytest.mark.parametrize("mark, seconds", [
    ("[PAUSE 2s]", 2), ("[pause=1s]", 1), ("[pause_500]", 0.5), ("[pause 1.0]", 1), ("[pause:]", 0.5), ("[pause: ]", 0.5),
    ("[pause:1,5s]", 1.5), ("[pause-250ms]", 0.25), ("[pause 2 seconds]", 2), ("[pause: 300 msec]", 0.3), ("[pause:750]", 0.75),
    ("[ pause 1 sec. ]", 1),
])  # fmt: skip
def test_misspelled_pause_marks_are_pauses(mark, seconds, caplog):
    assert split_at_pauses(f"One {mark} two.") == ["One ", Pause(seconds), "two."] and not caplog.text


@pytest.mark.parametrize("mark", [
    "[Pause: the lights dim.]", "[pause:long]", "[pause:-1s]", "[pause:5m]", "[pause:1e3]", "[pause:nan]", "[pause here]",
    "[pause_for_effect]",
])  # fmt: skip
def test_other_brackets_are_text(mark, caplog):
    assert split_at_pauses(f"One.\nTwo {mark} three.") == ["One.", Pause(LINE), f"Two {mark} three."]
    assert mark in caplog.text and "not a pause" in caplog.text


@pytest.mark.parametrize("mark, seconds", [
    ("[pause:60.1s]", 60), ("[pause:" + "9" * 400 + "]", 60), ("[pause 100000s]", 60), ('<break time="soon"/>', 0.5),
    ('<break time="2min"/>', 0.5), ('<break strength="huge"/>', 0.5), ('<break time="61s"/>', 60),
])  # fmt: skip
def test_impossible_pauses_are_changed_with_a_warning(mark, seconds, caplog):
    assert split_at_pauses(f"One {mark} two.") == ["One ", Pause(seconds), "two."]
    assert mark[:30] in caplog.text and len(caplog.messages[0]) < 200


@pytest.mark.parametrize("text", [
    "a < b and c > d", "[pauses] are [paused]", "<s> x </s>", "see <https://example.com> now", "if x<breakpoint then y", "- one line",
    "AT&amp;T", "a  b", "1. this", "[1] note",
])  # fmt: skip
def test_other_texts_on_one_line_are_unchanged(text, caplog):
    assert split_at_pauses(text) == [text] and not caplog.text


def test_ssml(caplog):
    text = """<?xml version="1.0"?><!-- no
    words --><speak version="1.1"><p>Tom &amp; Ann</p><p>went
    <emphasis level="strong">home</emphasis>.<break time="1s"/></p> <s>A &lt; B.</s></speak>"""
    assert split_at_pauses(text) == ["Tom & Ann", Pause(PARAGRAPH), "went home.", Pause(1), "A < B."]
    assert caplog.messages == [
        "of SSML, only <break>, <sub> and <say-as> have an effect: <emphasis> are left out, their words are spoken"
    ]


@pytest.mark.parametrize(
    "text", ["Use the <speak> tag", "a <break> b", "<speak>no end", "Say <prosody rate='slow'>this</prosody>"]
)
def test_outside_a_document_other_tags_are_not_pauses(text):
    assert split_at_pauses(text) == [text]


@pytest.mark.parametrize(
    "text", ["\u25a0", "\U0001f60a", "\u2042", "\u2605\u2605\u2605\u2605\u2606", "\u203d", "\u0000"]
)
def test_symbols_alone_are_a_pause(text):
    assert is_silent(text) and split_at_pauses(f"One.\n{text}\nTwo.") == ["One.", Pause(SCENE), "Two."]
    assert is_silent("\U0001f60a") and not is_silent("\U0001f60a", "read") and is_silent("\u25a0", "read")


def test_gap():
    assert split_at_pauses("Red\nBlue\n\nGreen[pause:0.1]Tan", 0.4) == [
        "Red", Pause(0.4), "Blue", Pause(PARAGRAPH), "Green", Pause(0.1), "Tan",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["\u2026", "...", "?!", "***", "\u00ab \u00bb", " - \n\n --"])
def test_punctuation_alone_is_a_pause(text):
    assert is_silent(text) and split_at_pauses(text) == [Pause(0.5)]


def test_nothing():
    assert split_at_pauses("") == split_at_pauses(" \n\t\n") == []
    assert not is_silent("3") and not is_silent("\u20ac") and not is_silent("&") and not is_silent("\u4e16")


@pytest.mark.parametrize("line", [
    "word ", "a\n", "\n", "<", "[pause", "<speak>", "[pause:1]", "- x\n", ". ", "<speak><!--",
    "<break ", "<break/>", "[ ", '."', "x" * 45 + "\n",
])  # fmt: skip
def test_any_text_of_any_length(line):
    """If the time were not linear, this would take minutes."""
    split_at_pauses(line * 40_000)
