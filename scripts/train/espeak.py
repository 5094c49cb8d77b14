"""Speak the sentences of a table with eSpeak NG (apt install espeak-ng): a robot's voice, but hours of it in minutes, well pronounced.

    python espeak.py texts.tsv FOLDER [--first 3795] [--count 16000]

For `lm.py --also`, which learns to read from it. What is held out is left out here, too. FOLDER/NNNNN.ogg; what is there is kept.
"""
import argparse
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from data import HELD_OUT, SAMPLE_RATE

PACE = 165                                                                      # words a minute
QUIET, ROUND = 0.003, (0.02, 0.05)                                              # silence is cut off, but for these seconds
SMALL = 0.95                                                                    # compression: 20 kbit/s


def speak(text: str, target: Path) -> None:
    if target.exists():
        return
    spoken = subprocess.run(["espeak-ng", "-v", "en-us", "-s", str(PACE), "--stdout", text], capture_output=True, check=True).stdout
    rate = int.from_bytes(spoken[24:28], "little")
    samples = np.frombuffer(spoken[44:], np.int16).astype(np.float32) / 32768   # the sizes in the header are not those of a stream
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    samples = samples[max(0, loud[0] - int(ROUND[0] * rate)) : loud[-1] + int(ROUND[1] * rate)]
    temporary = target.with_suffix(".tmp")
    samples = soxr.resample(samples, rate, SAMPLE_RATE)
    soundfile.write(temporary, samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=SMALL)
    os.replace(temporary, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0, help="line of the table")
    parser.add_argument("--count", type=int)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    rows = [line.rstrip("\n").split("\t") for line in args.texts.open(encoding="utf-8")][args.first :][: args.count]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda row: speak(row[2], args.folder / f"{row[0]}.ogg"), [row for row in rows if int(row[0]) % HELD_OUT]))


if __name__ == "__main__":
    main()
