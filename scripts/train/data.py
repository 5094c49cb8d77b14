"""The speech as one long recording: utterances with silence between them, at whole frames, those held out at the end.

    python data.py SPEECH... --texts texts.tsv --out RUN
    python data.py SPEECH... --bundle speech.tar --megabytes 55          # as much of it as may travel, what is held out first

SPEECH are folders or tar files of Ogg, FLAC or WAV files named by sentence id (00042.ogg); the table has lines of id, voice,
sentence. Ids divisible by 97 are held out: no training sees them. RUN gets audio.npy (int16), corpus.npz, and copies of the
config and the tokenizer.
"""
import argparse
import io
import shutil
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

SAMPLE_RATE, HOP, SUB = 24_000, 1920, 240                                       # samples a second, a latent, a feature vector
RATIO = HOP // SUB                                                              # feature vectors a latent
BEFORE, AFTER = 1, 6                                                            # frames of silence round an utterance
RMS = 0.06                                                                      # every utterance is made as loud as that
HELD_OUT = 97
HERE = Path(__file__).parent


class Corpus:
    """RUN/audio.npy and corpus.npz: samples [F * HOP] on `device`; per utterance id, voice, first frame, end of speech, end."""

    def __init__(self, run: Path, device: str = "cpu") -> None:
        self.audio = torch.from_numpy(np.load(run / "audio.npy", mmap_mode="c")).to(device)
        table = np.load(run / "corpus.npz")
        self.ids, self.voice, self.start, self.speech_end, self.end = (table[k] for k in ("ids", "voice", "start", "speech_end", "end"))
        self.tokens = np.split(table["tokens"], table["token_ends"][:-1])
        self.voices = list(table["voices"])
        self.training = np.flatnonzero(self.ids % HELD_OUT)                     # these come first
        self.frames, self.training_frames = len(self.audio) // HOP, int(self.end[self.training[-1]])

    def crops(self, starts: torch.Tensor, frames: int) -> torch.Tensor:
        """Samples [B, frames * HOP] from frames `starts` [B] on."""
        return crops(self.audio, starts * HOP, frames * HOP).float() / 32768

    def random_starts(self, n: int, frames: int) -> torch.Tensor:
        return torch.randint(self.training_frames - frames, (n,), device=self.audio.device)


class Pieces:
    """What a tokenizer's tokens are made of: letters [n_bins] int, 0 for a space by itself, and whether words begin with them [n_bins]."""

    def __init__(self, run: Path) -> None:
        import sentencepiece

        self.tokenizer = sentencepiece.SentencePieceProcessor(str(run / "tokenizer.model"))
        pieces = [self.tokenizer.id_to_piece(i) for i in range(self.tokenizer.vocab_size())]
        self.letters = np.array([len(piece.strip("▁")) for piece in pieces])
        self.starts = np.array([piece.startswith("▁") for piece in pieces])

    def begins(self, tokens: np.ndarray, letters: np.ndarray) -> np.ndarray:
        """When each token begins, of when each letter does."""
        first = np.cumsum(self.letters[tokens]) - self.letters[tokens]
        return letters[np.minimum(first, len(letters) - 1)]


def crops(long: torch.Tensor, starts: torch.Tensor, length: int) -> torch.Tensor:
    """[T, ...] -> [B, length, ...]: gathered where the data are, without work on the host."""
    return long[starts[:, None] + torch.arange(length, device=long.device)]


def read(name: str, content: bytes) -> np.ndarray:
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim > 1:
        raise SystemExit(f"{name}: has {rate} Hz and {samples.ndim} dimension(s); training wants {SAMPLE_RATE} Hz mono")
    samples *= RMS / max(1e-4, float(np.sqrt(np.mean(samples**2))))
    return (samples.clip(-0.99, 0.99) * 32767).astype(np.int16)


def files(source: Path):
    """(name, bytes) of each sound in a folder or tar file."""
    if source.is_dir():
        yield from ((p.name, p.read_bytes()) for p in sorted(source.iterdir()) if p.suffix in (".ogg", ".flac", ".wav"))
    else:
        with tarfile.open(source) as tar:
            yield from ((m.name, tar.extractfile(m).read()) for m in tar if m.isfile())


def bundle(sources: list[Path], target: Path, megabytes: float) -> None:
    """One tar file of what is held out and as many others as fit, in an order that mixes voices and lengths."""
    sounds = {int(Path(name).stem): (name, content) for source in sources for name, content in files(source)}
    order = sorted(sounds, key=lambda i: (i % HELD_OUT > 0, i * 7919 % 10007))
    size, count = 1024, 0
    with tarfile.open(target, "w") as tar:
        for name, content in (sounds[i] for i in order):
            size += 512 + -(-len(content) // 512) * 512
            if size > megabytes * 2**20:
                break
            header = tarfile.TarInfo(Path(name).name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
            count += 1
    print(f"{target}: {count} of {len(sounds)} utterances")


def pack(sources: list[Path], texts: Path, config: Path, run: Path, speaker: str | None) -> None:
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(str(config.parent / "tokenizer.model"))
    lines = (line.rstrip("\n").split("\t") for line in texts.open(encoding="utf-8"))
    rows = {int(i): (speaker or voice, text) for i, voice, text in lines}
    sounds = {int(Path(name).stem): content for source in sources for name, content in files(source)}
    order = sorted(sounds, key=lambda i: (i % HELD_OUT == 0, i))
    voices = sorted({rows[i][0] for i in order})
    parts, table, frame = [], [], 0
    with ProcessPoolExecutor() as pool:
        for i, samples in zip(order, pool.map(read, map(str, order), (sounds[i] for i in order), chunksize=32), strict=True):
            spoken = -(-len(samples) // HOP)
            parts.append(np.pad(samples, (BEFORE * HOP, (spoken + AFTER) * HOP - len(samples))))
            end = frame + BEFORE + spoken + AFTER
            table.append((i, voices.index(rows[i][0]), frame, frame + BEFORE + spoken, end))
            frame = end
    ids, voice, start, speech_end, end = np.array(table).T
    tokens = [tokenizer.encode(rows[i][1]) for i in order]
    run.mkdir(parents=True, exist_ok=True)
    shutil.copy(config, run / "mini.yaml")
    shutil.copy(config.parent / "tokenizer.model", run)
    np.save(run / "audio.npy", np.concatenate(parts))
    np.savez(run / "corpus.npz", ids=ids, voice=voice, start=start, speech_end=speech_end, end=end, voices=voices,
             tokens=np.concatenate(tokens), token_ends=np.cumsum([len(t) for t in tokens]))
    print(f"{len(ids)} utterances of {', '.join(voices)}: {frame * HOP / SAMPLE_RATE / 3600:.2f} h with the silence between them")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, nargs="+")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--config", type=Path, default=HERE / "mini.yaml", help="the tokenizer.model lies beside it")
    parser.add_argument("--voice", help="all of it is by this one, whatever the table says")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--megabytes", type=float, default=55)
    args = parser.parse_args()
    if args.bundle:
        bundle(args.speech, args.bundle, args.megabytes)
    elif args.texts and args.out:
        pack(args.speech, args.texts, args.config, args.out, args.voice)
    else:
        parser.error("give --texts and --out, or --bundle")
