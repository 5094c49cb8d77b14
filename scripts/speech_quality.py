"""Measure the speech of `mini`: word error rates, the limits of --verify, the error of word times. Prints Markdown tables.

    python scripts/speech_quality.py                      # all measurements, half an hour on two cores
    python scripts/speech_quality.py temperature speed    # some of them
    python scripts/speech_quality.py long --seconds 3600

A speech recognizer (listening.py) transcribes the sentences in tests/data/sentences, which `mini` was not trained on.
docs/speech-quality.md has the results.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from listening import errors_per_text, spoken_error_rate, transcribe, word_times, words

from pockettts import TTSModel
from pockettts.synthesis import Block, Frame, Take
from pockettts.words import alignment
from pockettts.words.alignment import Span, find_faults, word_frames, word_spans

SENTENCES = Path(__file__).parents[1] / "tests" / "data" / "sentences" / "held_out.tsv"
SHORT = ("Hi.", "Yes.", "No.", "OK.", "3", "Hello!", "Thank you.", "Good morning.")
NONSENSE = (
    "Xq zzt brrk vlmp.", "Fjord fjord fjord fjord fjord fjord fjord fjord.", "Aaaaaaaaaaaaaaaaaaaaaaaa.", "Qwrtp sdfgh zxcvb nmlkj.",
    "Bzz bzz bzz bzz bzz bzz bzz bzz bzz bzz.", "Ptkptk lrlrlr mnmnmn.", "Uhuhuhuhuhuhuhu oeoeoeoeoeoe.", "Kxkx gzgz hjhj wvwv.",
)  # fmt: skip
NEVER = 1e9  # an EOS threshold that no logit reaches
ONE_CHUNK = 1000  # tokens


class Sentence(NamedTuple):
    voice: str
    text: str


def sentences(count: int = 40) -> list[Sentence]:
    rows = [line.split("\t") for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    return [Sentence(voice, text) for _, voice, text in rows[:count]]


def spoken(model: TTSModel, **options: float) -> list[np.ndarray]:
    return [model.generate(one.text, one.voice, **options) for one in sentences()]


def error_rate(sounds: list[np.ndarray]) -> float:
    return spoken_error_rate([one.text for one in sentences()], sounds, 24000)


def table(*rows: tuple[object, ...]) -> None:
    """Print rows; the first is the header."""
    for number, row in enumerate(rows):
        print("|", " | ".join(map(str, row)), "|")
        if number == 0:
            print("|", " | ".join("---" for _ in row), "|")
    print(flush=True)


# --- word error rates --------------------------------------------------------------------------------------------------------


def temperature(args: argparse.Namespace) -> None:
    """Word error rate by temperature"""
    model = TTSModel.load("mini")
    rows: list[tuple[object, ...]] = [("temperature", "word error rate, per seed", "seconds")]
    for value, seeds in ((0, 1), (0.1, args.seeds), (0.2, 1), (0.4, 1), (0.7, 1)):
        takes = [spoken(model, temperature=value, seed=seed) for seed in range(1, seeds + 1)]
        rates = ", ".join(f"{error_rate(sounds):.1%}" for sounds in takes)
        rows.append((value, rates, f"{sum(map(len, takes[0])) / 24000:.0f}"))
    table(*rows)


def speed(args: argparse.Namespace) -> None:
    """Word error rate by --speed"""
    model = TTSModel.load("mini")
    rows: list[tuple[object, ...]] = [("speed", "word error rate", "length x speed, relative to speed 1")]
    whole = 0
    for value in (1, 0.5, 0.75, 1.5, 2):
        sounds = spoken(model, temperature=0, speed=value)
        whole = whole or sum(map(len, sounds))
        rows.append((value, f"{error_rate(sounds):.1%}", f"{sum(map(len, sounds)) * value / whole:.4f}"))
    table(*rows)


def precision(args: argparse.Namespace) -> None:
    """Word error rate and spectral distance by precision"""
    reference = TTSModel.load("mini", temperature=0)
    truth = [frames_of(reference, one) for one in sentences()]
    rows: list[tuple[object, ...]] = [("precision", "word error rate", "log-spectral distance to bf16, dB")]
    for name in ("bf16", "int8"):
        model = TTSModel.load("mini", precision=name, temperature=0)
        rate = error_rate(spoken(model))
        distances = []
        for one, frames in zip(sentences(), truth, strict=True):
            latents = [frame.latent for frame in frames]
            distances.append(
                spectral_distance(decoded(reference, latents), decoded(model, forced(model, one, latents)[0]))
            )
        rows.append((name, f"{rate:.1%}", f"{np.mean(distances):.2f}"))
    table(*rows)


def frames_of(model: TTSModel, one: Sentence, **options: float | None) -> list[Frame]:
    """The frames of a text, spoken as one chunk."""
    utterance = model.utterance(
        one.text, one.voice, model.options.replace(max_tokens=ONE_CHUNK, **options), with_attention=True
    )
    frames = []
    while not utterance.finished:
        (event,) = model.stepper.step([utterance])
        if isinstance(event, Frame):
            frames.append(event)
    return frames


def forced(model: TTSModel, one: Sentence, latents: list[np.ndarray]) -> tuple[list[np.ndarray], Take]:
    """Teacher forcing: the latent that a model predicts after each of the given latents, and the take, with its attention."""
    options = model.options.replace(temperature=0, eos_threshold=NEVER, max_tokens=ONE_CHUNK)
    utterance = model.utterance(one.text, one.voice, options, with_attention=True)
    frames: list[Frame] = []
    while len(frames) < len(latents) and not utterance.finished:
        (event,) = model.stepper.step([utterance])
        if isinstance(event, Frame):
            frames.append(event)
            event.take.latent = latents[len(frames) - 1]
    return [frame.latent for frame in frames], frames[0].take


def decoded(model: TTSModel, latents: list[np.ndarray]) -> np.ndarray:
    """The sound of latents, float32 [samples]."""
    lm, codec = model.flow_lm, model.decoder.init_state()
    return np.concatenate([model.decoder(latent * lm.emb_std + lm.emb_mean, codec) for latent in latents])


def spectral_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The log-spectral distance of two sounds in dB: the RMS difference over bands of about 1/3 octave from 40 Hz to 12 kHz, averaged over
    windows of 43 ms. Windows in which the first sound is 50 dB below its loudest window do not count.
    """
    n = min(len(a), len(b)) // 512 * 512
    power = []
    for sound in (a, b):
        windows = np.lib.stride_tricks.sliding_window_view(sound[:n], 1024)[::512] * np.hanning(1024)
        power.append(np.square(np.abs(np.fft.rfft(windows))))
    edges = np.unique(np.geomspace(2, 512, 28).astype(int))
    bands = [10 * np.log10(np.add.reduceat(spectra[:, :512], edges[:-1], axis=1) + 1e-7) for spectra in power]
    loud = power[0].sum(axis=1) > 1e-5 * power[0].sum(axis=1).max()
    return float(np.sqrt(np.square(bands[0] - bands[1])[loud].mean(axis=1)).mean())


# --- short and long texts, pauses ------------------------------------------------------------------------------------------


def short(args: argparse.Namespace) -> None:
    """Short texts"""
    model = TTSModel.load("mini")
    rows: list[tuple[object, ...]] = [("text", "seconds", f"correct of {2 * args.seeds}", "transcripts")]
    for text in SHORT:
        sounds = [
            model.generate(text, voice, seed=seed) for voice in ("heart", "michael") for seed in range(args.seeds)
        ]
        heard = [" ".join(words(transcribe(sound, 24000))) for sound in sounds]
        lengths = [len(sound) / 24000 for sound in sounds]
        right = sum(one == " ".join(words(text)) for one in heard)
        others = ", ".join(f"{one or '(nothing)'} {count}" for one, count in Counter(heard).most_common(4))
        rows.append((text, f"{min(lengths):.1f} to {max(lengths):.1f}", right, others))
    table(*rows)


def pauses(args: argparse.Namespace) -> None:
    """Pauses: the longest run of silence for each pause mark"""
    model = TTSModel.load("mini", temperature=0)
    rows: list[tuple[object, ...]] = [("text", "longest run of zeros, samples", "requested")]
    for mark, wanted in (
        ("[pause:500ms]", 12000),
        ("[pause:1.5s]", 36000),
        ('<break time="250ms"/>', 6000),
        ("\n\n", 12000),
    ):
        sound = model.generate(f"The dog sleeps.{mark}The bell rings.", "heart")
        runs = [len(list(run)) for is_zero, run in groupby(sound == 0) if is_zero]
        rows.append((repr(f"... {mark} ..."), max(runs), wanted))
    table(*rows)


def long(args: argparse.Namespace) -> None:
    """A long text: the same sentences repeated as one text, first and last passes compared"""
    model = TTSModel.load("mini")
    once = sentences()
    count = round(sum(map(len, spoken(model, seed=1))) / 24000)
    passes = max(2, round(args.seconds / count))
    utterance = model.utterance(
        " ".join(one.text for one in once * passes), "heart", model.options.replace(seed=1), with_attention=True
    )
    chunks = [
        collected(take, blocks) for take, blocks in groupby(model.speak(utterance), lambda block: block.take) if take
    ]
    per_pass = len(chunks) / passes
    rows: list[tuple[object, ...]] = [
        ("pass", "seconds", "word error rate", "RMS, dB", "takes with faults", "at the length limit")
    ]
    for number in sorted({0, 1, passes // 2, passes - 2, passes - 1}):
        part = chunks[round(number * per_pass) : round((number + 1) * per_pass)]
        sounds = [sound for _, sound in part]
        found = [take_faults(model, take) for take, _ in part]
        level = 10 * np.log10(np.mean(np.square(np.concatenate(sounds))))
        rows.append((
            f"{number + 1} of {passes}", f"{sum(map(len, sounds)) / 24000:.0f}",
            f"{spoken_error_rate([take.chunk.text for take, _ in part], sounds, 24000):.1%}", f"{level:.1f}",
            sum(map(bool, found)), sum(one.ran_on for one in found),
        ))  # fmt: skip
    table(*rows)
    print(f"{sum(len(sound) for _, sound in chunks) / 24000:.0f} seconds, {len(chunks)} chunks\n")


def collected(take: Take, blocks: Iterator[Block]) -> tuple[Take, np.ndarray]:
    return take, np.concatenate([block.samples for block in blocks])


def take_faults(model: TTSModel, take: Take) -> alignment.Faults:
    from pockettts.words.timestamps import take_faults as found

    return found(take, model.tokenizer)


# --- times of words ----------------------------------------------------------------------------------------------------------


def word_starts(args: argparse.Namespace) -> None:
    """Errors of word starts"""
    model = TTSModel.load("mini")
    rows: list[tuple[object, ...]] = [("reference", "words", "median", "90th percentile", "mean, signed")]
    for name, found in (("joined sentences", joined(model)), ("recognizer", recognized(model))):
        wrong = np.array(found)
        size = np.abs(wrong)
        rows.append((
            name, len(wrong), f"{np.median(size):.0f} ms", f"{np.percentile(size, 90):.0f} ms", f"{wrong.mean():+.0f} ms",
        ))  # fmt: skip
    table(*rows)


def joined(model: TTSModel, groups: int = 13) -> list[float]:
    """Errors in ms against known times: three sentences are spoken one by one and their latents are joined.

    The model then gets all three as one text, with the joined latents fed back. So the true starts of the second and the third sentence
    are known: the position of their latents, plus the silence at their beginning.
    """
    wrong = []
    mine = [one for one in sentences() if len(one.text) < 50 and one.voice == "heart"]
    for start in range(min(groups, len(mine))):
        group = [mine[(start + i) % len(mine)] for i in range(3)]
        takes = [[frame.latent for frame in frames_of(model, one, seed=start)] for one in group]
        text = " ".join(one.text for one in group)
        _, take = forced(model, Sentence("heart", text), [latent for one in takes for latent in one])
        found, marks = attended(model, take)
        begin = 0
        for one, before, latents in zip(group[1:], takes, takes[1:], strict=False):
            begin += len(before)
            word = sum(
                len(word_spans([f" {word}" for word in other.text.split()])) for other in group[: group.index(one)]
            )
            first = found[word][0] + (model.config.alignment_lead or 0)
            wrong.append(1000 * (first * 0.08 - begin * 0.08 - onset(decoded(model, latents))))
    return wrong


def attended(model: TTSModel, take: Take) -> tuple[list[tuple[int, int]], list[Span]]:
    """The frames of each word of a take according to its attention, and the words."""
    weights, marks = take.attention(), word_spans(model.tokenizer.pieces(take.chunk.text))
    assert weights is not None
    return word_frames(weights, marks), marks


def onset(sound: np.ndarray) -> float:
    """Seconds until a sound is within 26 dB of its loudest 10 ms."""
    level = np.square(sound[: len(sound) // 240 * 240]).reshape(-1, 240).mean(axis=1)
    return float(np.argmax(level > level.max() / 400)) / 100


def recognized(model: TTSModel) -> list[float]:
    """Errors in ms against the recognizer's times, which are accurate to about 50 ms, in sentences that it transcribed correctly."""
    wrong = []
    for one in sentences():
        events = list(model.generate_events(one.text, one.voice, seed=1))
        heard = word_times(np.concatenate([event for event in events if isinstance(event, np.ndarray)]), 24000)
        told = [event for event in events if not isinstance(event, np.ndarray)]
        if [words(word.text) for word in told] == [words(text) for text, _, _ in heard]:
            wrong += [1000 * (word.start - start) for word, (_, start, _) in zip(told, heard, strict=True)]
    return wrong


# --- the limits of --verify --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A take to check: its kind, its attention, its words, and whether it reached the length limit."""

    kind: str
    weights: np.ndarray
    words: list[Span]
    ran_on: bool


def cases(model: TTSModel, seeds: int) -> Iterator[Case]:
    """Takes that are clearly good or clearly faulty.

    Good: at most a quarter of the words are wrong in the transcript. Faulty on purpose: the keys and values of a word are removed; the end
    is cut off; the latents of three words are repeated; the attention goes back by three words. Faulty by themselves: at least half of the
    words are wrong, a few at the default temperature and most at a high one; and nonsense texts.
    """
    for seed in range(1, seeds + 1):
        for temperature in (None, 2.0):
            spoken = [frames_of(model, one, seed=seed, temperature=temperature) for one in sentences()]
            sounds = [decoded(model, [frame.latent for frame in frames]) for frames in spoken]
            wrong = errors_per_text([one.text for one in sentences()], sounds, 24000)
            for one, frames, count in zip(sentences(), spoken, wrong, strict=True):
                part, take = count / len(words(one.text)), frames[0].take
                if temperature is None and part <= 0.25:
                    yield case(model, "good", take)
                    if seed == 1:
                        yield from broken(model, one, take, [frame.latent for frame in frames])
                elif part >= 0.5:
                    yield case(model, "misheard" if temperature is None else "high temperature", take)
    for text in NONSENSE:
        for seed in range(2 * seeds):
            yield case(model, "nonsense", frames_of(model, Sentence("heart", text), seed=seed)[0].take)


def broken(model: TTSModel, one: Sentence, take: Take, latents: list[np.ndarray]) -> Iterator[Case]:
    """A good take, made faulty in several ways."""
    good = case(model, "", take)
    if len(good.words) < 5:
        return
    for word in (1, len(good.words) // 2, len(good.words) - 2):
        yield case(model, "word removed from the cache", without(model, one, good.words[word]), zeros=good.words[word])
    places = word_frames(good.weights, good.words)
    early = places[-2][0]  # the last two words are missing
    yield good._replace(kind="end cut off", weights=good.weights[:early])
    start, stop = places[1][0], places[4][0]  # three words
    sound = forced(model, one, latents[:stop] + latents[start:])[1]
    yield case(model, "latents repeated", sound)._replace(ran_on=False)
    yield from looked_back(model, one, good.words)


def looked_back(model: TTSModel, one: Sentence, single: list[Span]) -> Iterator[Case]:
    """A take whose attention goes back: three words are in the text twice, and the attention to the second place is moved to the first."""
    parts = one.text.split()
    text = " ".join([*parts[:4], *parts[1:4], *parts[4:]])
    double = case(model, "attention goes back", frames_of(model, Sentence(one.voice, text), seed=1)[0].take)
    first, last = single[1].start, single[4].start
    count = last - first
    if double.weights.shape[1] == double.words[-1].stop + 1 and double.words[4].start == last:
        weights = np.delete(double.weights, range(last, last + count), axis=1)
        weights[:, first:last] += double.weights[:, last : last + count]
        if weights.shape[1] >= single[-1].stop:
            yield double._replace(weights=weights, words=single)


def without(model: TTSModel, one: Sentence, word: Span) -> Take:
    """A take of a text without the keys and values of a word: its rows are removed from the KV caches."""
    utterance = model.utterance(one.text, one.voice, model.options.replace(seed=1), with_attention=True)
    model.stepper.prepare(utterance)
    take = utterance.take
    assert take is not None
    model.stepper.step([utterance], tokens=len(take.waiting) - 1)  # all but the last token
    first, last = utterance.voice.offset + word.start, utterance.voice.offset + word.stop
    for cache in take.caches:
        for rows in (cache.keys, cache.values):
            rows[:, first : cache.length - (last - first)] = rows[:, last : cache.length].copy()
        cache.length -= last - first
        if cache.probe:
            cache.probe.stop -= last - first
    while not utterance.finished:
        model.stepper.step([utterance])
    return take


def case(model: TTSModel, kind: str, take: Take, zeros: Span | None = None) -> Case:
    """The case of a take. zeros: tokens that were removed from the KV caches; their attention is 0."""
    weights = take.attention()
    assert weights is not None
    if zeros:
        weights = np.insert(weights, [zeros.start] * (zeros.stop - zeros.start), 0, axis=1)
    return Case(kind, weights, word_spans(model.tokenizer.pieces(take.chunk.text)), take.end is None)


def verify(args: argparse.Namespace) -> None:
    """Takes in which --verify finds faults, by kind of take and by limits"""
    model = TTSModel.load("mini")
    found = sorted(cases(model, args.seeds), key=lambda one: one.kind)
    kinds = {kind: list(group) for kind, group in groupby(found, key=lambda one: one.kind)}
    if args.keep:
        import pickle

        args.keep.write_bytes(pickle.dumps([tuple(one) for one in found]))
    columns = [f"{kind}, {len(group)}" for kind, group in kinds.items()]
    rows: list[tuple[object, ...]] = [
        ("limits", *columns),
        ("length limit reached", *map(percent_ran_on, kinds.values())),
    ]
    for missed in (0.1, 0.15, 0.2, 0.25, 0.3):
        rows.append((f"MISSED {missed}, no repeats", *rejected(kinds, missed, alignment.CERTAIN_PEAK, 1000)))
    for sure in (0.3, 0.5, 0.7):
        for back in (2, 4, 6):
            rows.append((f"SURE {sure}, RETURN {back}, none missed", *rejected(kinds, 0, sure, back)))
    rows.append(
        ("current limits", *rejected(kinds, alignment.MISSED_PEAK, alignment.CERTAIN_PEAK, alignment.REPEATED_FRAMES))
    )
    table(*rows)


def percent_ran_on(group: list[Case]) -> str:
    return f"{np.mean([one.ran_on for one in group]):.0%}"


def rejected(kinds: dict[str, list[Case]], missed: float, sure: float, back: int) -> list[str]:
    """The share of takes of each kind in which faults are found with these limits."""
    before = alignment.MISSED_PEAK, alignment.CERTAIN_PEAK, alignment.REPEATED_FRAMES
    alignment.MISSED_PEAK, alignment.CERTAIN_PEAK, alignment.REPEATED_FRAMES = missed, sure, back
    try:
        return [
            f"{np.mean([bool(find_faults(one.weights, one.words)) for one in group]):.0%}" for group in kinds.values()
        ]
    finally:
        alignment.MISSED_PEAK, alignment.CERTAIN_PEAK, alignment.REPEATED_FRAMES = before


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "temperature": temperature, "precision": precision, "speed": speed, "pauses": pauses, "short": short, "long": long,
    "words": word_starts, "verify": verify,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(MEASUREMENTS)
    parser.add_argument("measurements", nargs="*", metavar="NAME", help=f"one of {names} (default: all)")
    parser.add_argument("--seeds", type=int, default=4, help="takes per text where the noise matters (default: 4)")
    parser.add_argument("--seconds", type=float, default=3600, help="length of the long text (default: 3600)")
    parser.add_argument("--keep", type=Path, help="write the attention of the takes of `verify` to this file")
    args = parser.parse_args()
    for name in args.measurements or MEASUREMENTS:
        if name not in MEASUREMENTS:
            sys.exit(f"{name}: no such measurement; use one of {names}")
        print(f"## {MEASUREMENTS[name].__doc__}\n")
        MEASUREMENTS[name](args)


if __name__ == "__main__":
    main()
