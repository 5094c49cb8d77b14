"""Make utterances without recordings: phones from eSpeak NG, durations sampled from a corpus, latents from a regression.

    python synthetic.py RUN OUT --texts texts.tsv --phones FOLDER [--count 26000]

It uses the sentences of texts.tsv without a recording in RUN. The flow LM learns only to read from them (attention and
phones), since their latents are only a guess from the phones. OUT is a corpus without audio: corpus.npz, latents.npy,
align.npy, phones.npy.
"""

import argparse
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
from align import PHONES_PER_FRAME
from corpus import FRAMES_AFTER, Corpus, Tokenizer, prepare_folder, save_table
from phonemes import read_phone_set, read_phones
from texts import HELD_OUT, Sentence, read_texts

VOICE = "synth"
FITTED_FRAMES = 60_000  # frames to fit the regression to
RIDGE = 3
NOISE = 0.7  # standard deviation of the noise on latents, relative to the residuals of the regression
LEADING_SILENCE = 3  # thirds of a frame
PAUSE_MARKS, PAUSE = ",;:", (3, 10)  # thirds of a frame
FEWEST = 5  # with fewer observed durations of a phone, a default is used


class Utterance(NamedTuple):
    tokens: np.ndarray  # [N]
    letter_begins: np.ndarray  # frame at which each letter begins
    phones: np.ndarray  # [T, PHONES_PER_FRAME]
    speech_end: int  # frames


def observed_durations(corpus: Corpus, labels: np.ndarray, phones: int) -> list[np.ndarray]:
    """The durations of each phone of the first voice, in thirds of a frame. Empty for phones that it never speaks."""
    found: list[list[int]] = [[] for _ in range(phones)]
    for k in np.flatnonzero(corpus.voice == 0):
        x = labels[corpus.start[k] : corpus.end[k]].ravel()
        edges = np.concatenate([[0], np.flatnonzero(np.diff(x)) + 1, [len(x)]])
        for first, length in list(zip(edges[:-1], np.diff(edges), strict=True))[1:-1]:  # without silence at the ends
            found[int(x[first])].append(int(length))
    default = [3, 4]
    return [np.array(d if len(d) >= FEWEST else default if d else []) for d in found]


class LatentRegression:
    """Ridge regression of latents on the phones of three frames, for the first voice of a corpus."""

    def __init__(self, corpus: Corpus, labels: np.ndarray, latents: np.ndarray, phones: int) -> None:
        self.phones = phones
        own = [np.arange(corpus.start[k], corpus.end[k]) for k in np.flatnonzero(corpus.voice == 0)]
        frames = np.concatenate(own)[:FITTED_FRAMES]
        x, y = self.features(labels[frames]), latents[frames]
        self.mean = y.mean(0)
        penalty = RIDGE * np.eye(x.shape[1], dtype=np.float32)
        self.weight = np.linalg.solve(x.T @ x + penalty, x.T @ (y - self.mean))
        rest = y - self.mean - x @ self.weight
        self.spread = rest.std(0)
        print(f"latents: {1 - rest.var() / y.var():.0%} of the variance explained by phones")

    def features(self, labels: np.ndarray) -> np.ndarray:
        """Phones [T, 3] -> one-hot vectors of the previous, the current and the next frame, concatenated."""
        silence = np.full((1, PHONES_PER_FRAME), self.phones - 1)
        padded = np.concatenate([silence, labels, silence])
        hot = np.eye(self.phones, dtype=np.float32)[padded].reshape(len(padded), -1)
        return np.concatenate([hot[:-2], hot[1:-1], hot[2:]], 1)

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sample latents [T, 32] for phones [T, 3]."""
        noise = NOISE * self.spread * rng.standard_normal((len(labels), len(self.mean)))
        return (self.mean + self.features(labels) @ self.weight + noise).astype(np.float32)


def make_utterance(
    text: str, said: list[list[int]], tokenizer: Tokenizer, durations: list[np.ndarray], rng: np.random.Generator
) -> Utterance | None:
    """An utterance of a text; None if its words can't be matched with their phones, or the voice never speaks one of them."""
    words, silence = text.split(" "), len(durations) - 1
    tokens = np.array(tokenizer.model.encode(text))
    starts = np.flatnonzero(tokenizer.starts_word[tokens])
    speakable = all(len(durations[phone]) for word in said for phone in word)
    if not speakable or not len(words) == len(said) == len(starts):
        return None
    letters = [int(tokenizer.letters[part].sum()) for part in np.split(tokens, starts[1:])]
    labels, begins = [silence] * LEADING_SILENCE, []
    for w, word in enumerate(said):
        first = len(labels)
        for phone in word:
            labels += [phone] * int(rng.choice(durations[phone]))
        begins.append((first + (len(labels) - first) * np.arange(letters[w]) / letters[w]) / PHONES_PER_FRAME)
        if words[w][-1] in PAUSE_MARKS and w < len(words) - 1:
            labels += [silence] * int(rng.integers(*PAUSE))
    spoken = -(-len(labels) // PHONES_PER_FRAME)
    labels += [silence] * (PHONES_PER_FRAME * (spoken + FRAMES_AFTER) - len(labels))
    return Utterance(tokens, np.concatenate(begins), np.array(labels).reshape(-1, PHONES_PER_FRAME), spoken)


def synthesize(run: Path, out: Path, sentences: list[Sentence], phones: dict[int, list[list[int]]], count: int) -> None:
    """Write the corpus OUT of `sentences`. phones: by id of the sentence; count: the number of phones in the set."""
    rng = np.random.default_rng(0)
    corpus, tokenizer = Corpus(run), Tokenizer(run)
    labels, latents = np.load(run / "phones.npy"), np.load(run / "latents.npy")
    durations = observed_durations(corpus, labels, count)
    regression = LatentRegression(corpus, labels, latents, count)
    table, made, parts, frame = [], [], [], 0
    for sentence in sentences:
        u = make_utterance(sentence.text, phones[sentence.id], tokenizer, durations, rng)
        if u:
            made.append(u)
            parts.append(regression.sample(u.phones, rng))
            table.append((sentence.id, 0, frame, frame + u.speech_end, frame + len(u.phones)))
            frame += len(u.phones)
    if not made:
        raise SystemExit("no sentence without a recording can be used: add some to the table (sentences.py)")
    prepare_folder(out, run / "mini.yaml")
    save_table(out, table, [VOICE], [u.tokens for u in made])
    np.save(out / "latents.npy", np.concatenate(parts))
    np.save(out / "phones.npy", np.concatenate([u.phones for u in made]))
    np.save(out / "align.npy", np.concatenate([u.letter_begins for u in made]).astype(np.float32))
    print(f"{out}: {len(made)} of {len(sentences)} sentences, {frame} frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--phones", type=Path, required=True, help="folder of phones.tsv and phones.txt")
    parser.add_argument("--count", type=int, default=26_000, help="largest number of sentences")
    args = parser.parse_args()
    recorded = set(Corpus(args.run).ids.tolist())
    phones = read_phones(args.phones)
    unspoken = [s for s in read_texts(args.texts).values() if s.id not in recorded and s.id % HELD_OUT]
    unspoken = [s for s in unspoken if s.id in phones and not any(c.isdigit() for c in s.text)]
    random.Random(0).shuffle(unspoken)
    synthesize(args.run, args.out, unspoken[: args.count], phones, len(read_phone_set(args.phones)))


if __name__ == "__main__":
    main()
