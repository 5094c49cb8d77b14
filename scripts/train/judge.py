"""Judge the voice on held-out sentences beside the teacher: word error rate of a recogniser, predicted opinion, length.

    python judge.py RUN --texts texts.tsv [--config RUN/mini/mini.yaml] [--sounds FOLDER] [-n 40]

It is run where pockettts is installed, and `pip install pocketsphinx speechmos librosa soxr`. What was said is left in RUN/said/. With
--sounds FOLDER it judges NNNNN.wav in there instead (decoder.py --speak leaves what the codec makes of the same sentences).
The recogniser is a weak listener: quote its errors beside the teacher's.
"""
import argparse
import re
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE, HOP, HELD_OUT = 24_000, 1920, 97


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower().replace("-", " ")).split()


def distance(a: list[str], b: list[str]) -> int:
    """Words to put in, leave out or change."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def hear(samples: np.ndarray) -> tuple[list[str], float]:
    """What the recogniser hears, and the predicted opinion (1 to 5)."""
    from pocketsphinx import Decoder
    from speechmos import dnsmos

    sound = soxr.resample(samples / max(1e-6, float(np.abs(samples).max())) * 0.8, SAMPLE_RATE, 16000).astype(np.float32)
    decoder = Decoder(samprate=16000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw((sound * 32000).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    return words(heard.hypstr if heard else ""), float(dnsmos.run(np.clip(sound, -1, 1), 16000)["ovrl_mos"])


def held_out(run: Path, texts: Path, n: int) -> dict[int, tuple[str, str, np.ndarray]]:
    """Voice, sentence and the teacher's sound, by id."""
    table, audio = np.load(run / "corpus.npz"), np.load(run / "audio.npy", mmap_mode="r")
    rows = {int(i): text for i, _, text in (line.rstrip("\n").split("\t") for line in texts.open(encoding="utf-8"))}
    picked = np.flatnonzero(table["ids"] % HELD_OUT == 0)[:n]
    return {int(table["ids"][k]): (str(table["voices"][table["voice"][k]]).split("_")[-1], rows[int(table["ids"][k])],
            audio[(table["start"][k] + 1) * HOP : table["speech_end"][k] * HOP].astype(np.float32) / 32768) for k in picked}


def speak(config: Path, sentences: dict, folder: Path, seed: int, **options) -> None:
    from pockettts import TTSModel

    folder.mkdir(exist_ok=True)
    model = TTSModel.load(config=config, threads=1, cache=False, **options)
    for i, (voice, text, _) in sentences.items():
        soundfile.write(folder / f"{i:05d}.wav", model.generate(text, voice, seed=seed), SAMPLE_RATE)


def judge(sounds: dict[int, np.ndarray], sentences: dict) -> dict[int, tuple[int, int, float, float, list[str]]]:
    """Errors, words, opinion, seconds, heard words; by id."""
    result = {}
    for i, samples in sounds.items():
        said = words(sentences[i][1])
        heard, opinion = hear(samples)
        result[i] = distance(said, heard), len(said), opinion, len(samples) / SAMPLE_RATE, heard
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--sounds", type=Path)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--lsd-decode-steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-n", type=int, default=40, help="sentences at most")
    args = parser.parse_args()
    sentences = held_out(args.run, args.texts, args.n)
    folder = args.sounds or args.run / "said"
    if not args.sounds:
        speak(args.config or args.run / "mini" / "mini.yaml", sentences, folder, args.seed, temperature=args.temperature,
              lsd_decode_steps=args.lsd_decode_steps)
    ours = judge({i: soundfile.read(folder / f"{i:05d}.wav", dtype="float32")[0] for i in sentences}, sentences)
    teacher = judge({i: sound for i, (_, _, sound) in sentences.items()}, sentences)
    for i, (_, text, _) in sentences.items():
        print(f"{i:05d} {ours[i][3]:5.2f} s ({teacher[i][3]:.2f})  {text}\n{'':22}{' '.join(ours[i][4])}")
    wer = [sum(r[0] for r in rows.values()) / sum(r[1] for r in rows.values()) for rows in (ours, teacher)]
    opinion = [np.mean([r[2] for r in rows.values()]) for rows in (ours, teacher)]
    near = np.mean([abs(ours[i][3] / teacher[i][3] - 1) < 0.25 for i in sentences])
    print(f"| {len(sentences)} held-out sentences | ours | teacher |\n| --- | --- | --- |")
    print(f"| word error rate | {wer[0]:.1%} | {wer[1]:.1%} |\n| DNSMOS | {opinion[0]:.2f} | {opinion[1]:.2f} |")
    print(f"| length within 25% of the teacher's | {near:.0%} | |")


if __name__ == "__main__":
    main()
