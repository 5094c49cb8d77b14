"""Compare this package with the official one. Prints the largest difference at each stage, relative to the stage's largest value.

    python scripts/parity.py                                     # 20 minutes, mostly for the official package
    python scripts/parity.py english odd --oracle ../oracle/bin/python --keep ../parity
    python scripts/parity.py english --rounding                  # the difference of int8 from f32, over 200 frames
    python scripts/parity.py mini                                # the bundled model, which has trained weights

Models have random weights (oracle.py), the temperature is 0, and each side feeds back its own latents, so errors may accumulate over
the frames. "speech" is whole sentences through `generate`: chunks, EOS, the frames after it, the length limit and the fade-in.
"bf16 = f32" is whether bf16 weights give the same bits as the same weights in f32. The script exits with 1 if these bits or the ids
differ, or a difference is above 1e-4. With `mini` both packages speak ten whole sentences; a rounding difference that is fed back for
a hundred frames may grow, so the limit is 2e-2.

The official package needs torch: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu keeps CUDA out of its venv.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

import pockettts
from pockettts import TTSModel
from pockettts.model.state import KVCache
from pockettts.sound.files import end_on_pause

MODELS = {  # model -> sampler steps
    "english": 1, "english_2m_2026-10": 1, "english_18m_2026-10": 1, "french_24l": 1, "odd": 3, "steep": 4, "bare": 1,
}  # fmt: skip
STAGES = ("conditioning", "hidden", "eos_logit", "latent", "audio", "speech")
LIMIT = 1e-4
BUNDLED, BUNDLED_LIMIT = "mini", 2e-2
PACKAGES = ("torch==2.13.0", "pocket-tts==4.0.1")
SCRIPTS = Path(__file__).parent
MINI_SENTENCES = SCRIPTS.parent / "tests" / "data" / "sentences" / "held_out.tsv"


def ours(folder: Path, official: dict[str, np.ndarray], precision: str | None = None) -> dict[str, np.ndarray]:
    """This package's results for the model in `folder`, under the names of `official`, the dump of the official package (oracle.py)."""
    steps = int(official["steps"])
    model = TTSModel.load(config=folder / "config.yaml", precision=precision, temperature=0, lsd_decode_steps=steps)
    lm, prompt = model.flow_lm, official["prompt"]
    ids = model.tokenizer.encode(str(official["text"]))
    conditioning = lm.embed_voice(model.voices.encoder.encode(end_on_pause(prompt, model.sample_rate)))
    voice = model.get_voice_state(prompt)

    state, codec = KVCache.restore(voice.layers, 0), model.decoder.init_state()
    lm.prefill(lm.embed_text(ids), state)
    latent, rows = None, []
    for _ in official["latent"]:
        hidden = lm.step(latent, state)
        latent = lm.sample(hidden, np.zeros_like(lm.bos_emb), steps)
        audio = model.decoder(latent * lm.emb_std + lm.emb_mean, codec)
        rows.append(dict(hidden=hidden[0], eos_logit=[lm.eos_logit(hidden)], latent=latent[0], audio=audio))
    out = dict(ids=np.array(ids), conditioning=conditioning) | {
        name: np.stack([row[name] for row in rows]) for name in rows[0]
    }

    if "speech" in official:
        speak = dict(eos_threshold=float(official["eos_threshold"]), max_tokens=int(official["max_tokens"]))
        out["speech"] = np.concatenate(
            [model.generate(str(text), voice, verbatim=True, **speak) for text in official["sentences"]]
        )
    return out


def differences(values: dict[str, np.ndarray], official: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference at each stage, relative to the stage's largest value; inf if the shapes differ."""
    return {
        name: float(np.abs(values[name] - official[name]).max() / np.abs(official[name]).max())
        if values[name].shape == official[name].shape
        else np.inf
        for name in STAGES
        if name in official
    }


def made(name: str, bf16: bool, oracle: str, keep: Path) -> Path:
    """A model's folder in `keep`. The model is made if it is missing or older than oracle.py."""
    folder = keep / (name + "-bf16" * bf16)
    if is_stale(folder / "config.yaml"):
        run_oracle(oracle, "make", name, folder, *["--bf16"] * bf16)
    return folder


def dumped(name: str, bf16: bool, oracle: str, keep: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A model's folder, and the results of the official package for it."""
    folder = made(name, bf16, oracle, keep)
    if is_stale(folder / "dump.npz"):
        run_oracle(oracle, "dump", folder, "--steps", str(MODELS[name]))
    return folder, dict(np.load(folder / "dump.npz"))


def is_stale(file: Path) -> bool:
    sources = [SCRIPTS / "oracle.py", SCRIPTS / "shapes.yaml"]
    return not file.exists() or file.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def run_oracle(oracle: str, *command: str | Path) -> None:
    done = subprocess.run([oracle, SCRIPTS / "oracle.py", *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def compare(name: str, bf16: bool, oracle: str, keep: Path) -> bool:
    """Print a row of the table. Returns whether all values are within the limits."""
    folder, official = dumped(name, bf16, oracle, keep)
    values = ours(folder, official)
    found = differences(values, official)
    same_ids = np.array_equal(values["ids"], official["ids"])
    same_bits = True
    if bf16:
        widened = ours(folder, official, "f32")
        same_bits = all(np.array_equal(values[stage], widened[stage]) for stage in values)
    cells = [
        name,
        "bf16" if bf16 else "f32",
        "equal" if same_ids else "differ",
        *(f"{found[stage]:.0e}" for stage in STAGES),
        ("yes" if same_bits else "no") if bf16 else "",
    ]
    print("|", " | ".join(cells), "|", flush=True)
    return same_ids and same_bits and all(d < LIMIT for d in found.values())  # False for NaN


def compare_bundled(oracle: str, keep: Path) -> bool:
    """Print a row for each sentence, spoken by both packages with the bundled model. Returns whether all are within the limit."""
    file = keep / f"{BUNDLED}.npz"
    if is_stale(file):
        run_oracle(oracle, "speak", Path(pockettts.__file__).parent / "models" / BUNDLED, file)
    official, model = np.load(file), TTSModel.load(BUNDLED, temperature=0)
    found = []
    print("\n| mini, sentence | samples | largest difference |\n| --- | --- | --- |")
    for line in MINI_SENTENCES.read_text().splitlines():
        number, voice, text = line.split("\t")
        if number in official:
            difference = differences(dict(speech=model.generate(text, voice)), dict(speech=official[number]))["speech"]
            print(f"| {number} | {len(official[number])} | {difference:.0e} |", flush=True)
            found.append(difference)
    return all(difference < BUNDLED_LIMIT for difference in found)


def frames(model: TTSModel, ids: list[int], prompt: np.ndarray, latents: np.ndarray) -> dict[str, np.ndarray]:
    """The flow LM's results for a voice, a text and given previous latents: hidden, EOS logit, and latent with fixed noise."""
    lm = model.flow_lm
    state = KVCache.restore(model.get_voice_state(prompt).layers, 0)
    lm.prefill(lm.embed_text(ids), state)
    noise = np.random.default_rng(0).standard_normal(latents.shape).astype(np.float32) * np.float32(0.7**0.5)
    rows = []
    for i in range(len(latents)):
        hidden = lm.step(latents[[i - 1]] if i else None, state)
        rows.append(dict(hidden=hidden[0], latent=lm.sample(hidden, noise[[i]])[0], eos_logit=[lm.eos_logit(hidden)]))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def rounding(name: str, oracle: str, keep: Path, count: int = 200) -> None:
    """Print a row that compares int8 with f32 for the same inputs: the cosine similarity of each frame (mean and minimum) and of all
    logits, and the signal-to-noise ratio of the sound in dB."""
    folder = made(name, True, oracle, keep)
    speak = dict(config=folder / "config.yaml", eos_threshold=1e9, temperature=0.7)
    models = [TTSModel.load(precision=precision, **speak) for precision in ("f32", "int8")]
    prompt = (0.1 * np.random.default_rng(0).standard_normal(5 * models[0].sample_rate)).astype(np.float32)
    ids = models[0].tokenizer.encode(
        "The quick brown fox jumps over the lazy dog, and then it walks home through the quiet streets."
    )
    latents = np.zeros((count, models[0].flow_lm.bos_emb.shape[1]), np.float32)
    for _ in range(2):  # realistic latents: the second pass is fed with those of the first
        latents = frames(models[0], ids, prompt, latents)["latent"]
    a, b = (frames(model, ids, prompt, latents) for model in models)
    cells = [name]
    for stage in ("hidden", "latent"):
        cosines = [cosine(x, y) for x, y in zip(a[stage], b[stage], strict=True)]
        cells.append(f"{np.mean(cosines):.5f} ({np.min(cosines):.5f})")
    exact, rounded = a["eos_logit"][:, 0], b["eos_logit"][:, 0]
    cells += [f"{cosine(exact, rounded):.5f}", f"{np.abs(exact - rounded).mean() / exact.std():.3f}"]
    lm = models[0].flow_lm
    sound, other = (model.decoder(latents * lm.emb_std + lm.emb_mean, model.decoder.init_state()) for model in models)
    cells.append(f"{10 * np.log10(np.square(sound).mean() / np.square(other - sound).mean()):.1f}")
    print("|", " | ".join(cells), "|", flush=True)


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def oracle_python(keep: Path, *more: str) -> str:
    """The Python of a venv in `keep` with the official package and the packages `more`. The venv is created if it is missing."""
    python = keep.resolve() / "oracle" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"installing the official package into {keep / 'oracle'}", file=sys.stderr)
        venv.create(keep / "oracle", with_pip=True)
    if subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES, *more]).returncode:
        sys.exit(f"{keep / 'oracle'}: pip could not install {', '.join([*PACKAGES, *more])}")
    return str(python)


def program(given: str) -> str:
    """An executable, as a type for argparse."""
    if shutil.which(given) is None:
        raise argparse.ArgumentTypeError(f"{given!r} is not an executable")
    return given


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", default=[*MODELS, BUNDLED], metavar="MODEL", help=f"one of {', '.join(MODELS)}, {BUNDLED}"
    )
    parser.add_argument("--oracle", type=program, help="a Python with the official package (default: create a venv)")
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path(tempfile.gettempdir()) / "pockettts-parity",
        help="folder of the venv, the models and the official results, for the next run",
    )
    parser.add_argument("--rounding", action="store_true", help="compare int8 with f32 of this package instead")
    options = parser.parse_args()
    if unknown := set(options.models) - {*MODELS, BUNDLED}:
        parser.error(f"{', '.join(unknown)}: not among {', '.join(MODELS)}, {BUNDLED}")
    logging.getLogger("pockettts").setLevel(logging.ERROR)  # one chunk reaches its length limit on purpose
    options.keep.mkdir(parents=True, exist_ok=True)
    keep = options.keep.resolve()
    oracle = options.oracle or oracle_python(keep)
    if options.rounding:
        print(
            "| model | hidden | latent | EOS logit | its mean difference, in standard deviations | sound, dB |\n"
            + "| --- " * 6
            + "|"
        )
        for name in [name for name in options.models if name in MODELS]:
            rounding(name, oracle, keep)
        return 0
    print("| model | weights | ids |", " | ".join(STAGES).replace("eos_logit", "EOS logit"), "| bf16 = f32 |")
    print("| --- " * (len(STAGES) + 4) + "|")
    good = [compare(name, bf16, oracle, keep) for name in options.models if name in MODELS for bf16 in (False, True)]
    if BUNDLED in options.models:
        good.append(compare_bundled(oracle, keep))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
