"""Speak sentences with eSpeak NG (apt install espeak-ng): a synthetic voice that generates hours of speech in minutes.

    python robot.py texts.tsv FOLDER [--without SPEECH...] [--count 6000]      # FOLDER/NAME.ogg; existing files are kept

The flow LM learns to read from this speech (lm.py --also). Held-out sentences and sentences with a recording in SPEECH are
left out. eSpeak NG is GPL-3.0 software and used as a tool: the model learns from its speech, and no part of it is copied.
"""

import argparse
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from corpus import SAMPLE_RATE, recordings
from texts import HELD_OUT, file_name, key_of, read_texts

PACE = 165  # words per minute
SILENCE = 0.003  # samples below this are silence
MARGINS = (0.02, 0.05)  # seconds of silence to keep before and after the speech
COMPRESSION = 0.95  # level of Opus: about 20 kbit/s
WAV_HEADER, RATE_AT = 44, slice(24, 28)  # bytes; the sizes in the header of a stream are wrong


def speak(text: str, target: Path, language: str) -> None:
    """Speak a text to the file `target`, which is written completely or not at all."""
    if target.exists():
        return
    command = ["espeak-ng", "-v", language, "-s", str(PACE), "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    rate = int.from_bytes(wav[RATE_AT], "little")
    samples = np.frombuffer(wav[WAV_HEADER:], np.int16).astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    if not len(loud):
        raise SystemExit(f"eSpeak NG has no speech for {text!r}: remove it from the table")
    before, after = (int(margin * rate) for margin in MARGINS)
    samples = soxr.resample(samples[max(0, loud[0] - before) : loud[-1] + after], rate, SAMPLE_RATE)
    temporary = target.with_suffix(".tmp")
    options = {"format": "OGG", "subtype": "OPUS", "compression_level": COMPRESSION}
    soundfile.write(temporary, samples, SAMPLE_RATE, **options)
    os.replace(temporary, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="folders or tar files of recordings")
    parser.add_argument("--count", type=int, default=6000, help="number of sentences, from the end of the table")
    parser.add_argument("--language", default="en-us", help="a voice of eSpeak NG")
    args = parser.parse_args()
    if not shutil.which("espeak-ng"):
        parser.error("espeak-ng is missing: apt install espeak-ng")
    args.folder.mkdir(parents=True, exist_ok=True)
    recorded = {key_of(name) for source in args.without for name, _ in recordings(source)}
    free = {n: s for n, s in read_texts(args.texts).items() if n not in recorded and s.id % HELD_OUT}
    chosen = list(free.items())[-args.count :]
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(speak, s.text, args.folder / f"{file_name(name)}.ogg", args.language) for name, s in chosen]
    for job in jobs:
        job.result()
    print(f"{args.folder}: {len(jobs)} sentences")


if __name__ == "__main__":
    main()
