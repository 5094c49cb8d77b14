"""Pack recordings into a corpus: one long recording with silence between the utterances, and a table of the utterances.

    python corpus.py RUN SPEECH... --texts texts.tsv [--voice NAME]

SPEECH are folders or tar files of recordings (wav, flac, ogg, opus, mp3; any rate). texts.tsv has one line for each
sentence: name of the recording without its suffix, voice, sentence, with tabs between. Ids divisible by 97 are held
out from all training; an id is the name if all names are numbers, else the number of the line.

RUN gets audio.npy (int16, 24 kHz), corpus.npz, and copies of the configuration and the tokenizer.
"""

import argparse
import io
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import yaml
from texts import HELD_OUT, key_of, read_texts

SAMPLE_RATE = 24_000
HOP = 1920  # samples per frame, i.e. per latent
MEL_HOP = 240  # samples per mel spectrum
MELS_PER_FRAME = HOP // MEL_HOP
FRAMES_BEFORE, FRAMES_AFTER = 1, 6  # silence around an utterance
RMS = 0.06  # each utterance is scaled to it
SILENCE = 10 ** (-50 / 20)  # relative to the peak
MARGIN = 0.5  # seconds; longer silences at the ends are trimmed to it
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
HERE = Path(__file__).parent


class Corpus:
    """RUN/audio.npy and corpus.npz.

    `audio` holds samples [frames * HOP], int16, on `device`. Each utterance has an id, a voice (index into `voices`),
    tokens, and frame numbers: `start`, `speech_end`, `end`. Held-out utterances come last. A corpus of sentences without
    recordings (synthetic.py) has no audio.
    """

    def __init__(self, run: Path, device: str = "cpu") -> None:
        if not (run / "corpus.npz").exists():
            raise SystemExit(f"{run} has no corpus.npz: make it with corpus.py")
        audio, table = run / "audio.npy", np.load(run / "corpus.npz")
        samples = np.load(audio, mmap_mode="c") if audio.exists() else np.zeros(0, np.int16)
        self.audio = torch.from_numpy(samples).to(device)
        self.ids, self.voice = table["ids"], table["voice"]
        self.start, self.speech_end, self.end = table["start"], table["speech_end"], table["end"]
        self.tokens = np.split(table["tokens"], table["token_ends"][:-1])
        self.voices = [str(name) for name in table["voices"]]
        self.training = np.flatnonzero(self.ids % HELD_OUT)
        self.held_out = np.flatnonzero(self.ids % HELD_OUT == 0)
        self.frames = int(self.end.max())
        self.training_frames = int(self.end[self.training[-1]])

    def crops(self, starts: torch.Tensor, frames: int) -> torch.Tensor:
        """Samples [B, frames * HOP], f32, beginning at the frames `starts` [B]."""
        return crops(self.audio, starts * HOP, frames * HOP).float() / 32768

    def random_starts(self, count: int, frames: int) -> torch.Tensor:
        """Random start frames [count] of crops of `frames` frames from the training speech."""
        return torch.randint(self.training_frames - frames, (count,), device=self.audio.device)


class Tokenizer:
    """RUN/tokenizer.model, with the number of letters of each token, and whether it begins a word."""

    def __init__(self, run: Path) -> None:
        import sentencepiece

        self.model = sentencepiece.SentencePieceProcessor(str(run / "tokenizer.model"))
        pieces = [self.model.id_to_piece(i) for i in range(self.model.vocab_size())]
        self.letters = np.array([len(piece.strip("▁")) for piece in pieces])
        self.starts_word = np.array([piece.startswith("▁") for piece in pieces])

    def begins(self, tokens: np.ndarray, letter_begins: np.ndarray) -> np.ndarray:
        """The frame at which each token begins, from the frames at which the letters begin."""
        first = np.cumsum(self.letters[tokens]) - self.letters[tokens]
        return letter_begins[np.minimum(first, len(letter_begins) - 1)]


def crops(sequence: torch.Tensor, starts: torch.Tensor, length: int) -> torch.Tensor:
    """[T, ...] -> [B, length, ...], gathered on the device."""
    return sequence[starts[:, None] + torch.arange(length, device=sequence.device)]


def recordings(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name without suffix and the content of each recording in a folder or tar file."""
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                yield path.stem, path.read_bytes()
    else:
        with tarfile.open(source) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content and Path(member.name).suffix.lower() in SUFFIXES:
                    yield Path(member.name).stem, content.read()


def decode(name: str, content: bytes) -> np.ndarray:
    """Decode a recording to mono samples at 24 kHz, int16, without long silences at the ends, scaled to the RMS of the corpus."""
    import soundfile
    import soxr

    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise SystemExit(f"recording {name}: {error}") from None
    mono = samples.mean(1) if samples.shape[1] > 1 else samples[:, 0]
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(mono) > SILENCE * np.abs(mono).max(initial=0))
    if not len(loud):
        raise SystemExit(f"recording {name} is silent: remove it from the table")
    margin = int(MARGIN * SAMPLE_RATE)
    mono = mono[max(0, loud[0] - margin) : loud[-1] + margin]
    mono = mono * (RMS / max(1e-4, float(np.sqrt(np.mean(mono**2)))))
    return (mono.clip(-0.99, 0.99) * 32767).astype(np.int16)


def pack(run: Path, sources: list[Path], texts: Path, config: Path, voice: str | None = None) -> None:
    """Write the corpus. `voice` replaces the voices of the table."""
    import sentencepiece

    prepare_folder(run, config)
    tokenizer = sentencepiece.SentencePieceProcessor(str(run / "tokenizer.model"))
    sentences = read_texts(texts)
    found = {key_of(name): content for source in sources for name, content in recordings(source)}
    unknown = [name for name in found if name not in sentences]
    if unknown:
        print(f"{len(unknown)} recordings have no line in {texts}, e.g. {unknown[0]}, and are left out")
    spoken = sorted((sentences[name], found[name]) for name in found if name in sentences)
    spoken.sort(key=lambda row: row[0].id % HELD_OUT == 0)
    if not spoken or spoken[0][0].id % HELD_OUT == 0:
        raise SystemExit(f"no recording in {', '.join(map(str, sources))} has a line in {texts} and is not held out")
    voices = sorted({voice or sentence.voice for sentence, _ in spoken})
    parts, table, frame = [], [], 0
    with ProcessPoolExecutor() as pool:
        names = [str(sentence.id) for sentence, _ in spoken]
        decoded = pool.map(decode, names, (content for _, content in spoken), chunksize=32)
        for (sentence, _), samples in zip(spoken, decoded, strict=True):
            length = -(-len(samples) // HOP)
            parts.append(np.pad(samples, (FRAMES_BEFORE * HOP, (length + FRAMES_AFTER) * HOP - len(samples))))
            speech_end = frame + FRAMES_BEFORE + length
            index = voices.index(voice or sentence.voice)
            table.append((sentence.id, index, frame, speech_end, speech_end + FRAMES_AFTER))
            frame = speech_end + FRAMES_AFTER
    np.save(run / "audio.npy", np.concatenate(parts))
    save_table(run, table, voices, [np.array(tokenizer.encode(sentence.text)) for sentence, _ in spoken])
    hours = frame * HOP / SAMPLE_RATE / 3600
    print(f"{run}: {len(table)} utterances of {', '.join(voices)}: {hours:.2f} h with the silence between them")


def prepare_folder(run: Path, config: Path) -> None:
    """Make RUN, with copies of the configuration and its tokenizer."""
    run.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(config.read_text())
    table = content["flow_lm"]["lookup_table"]
    shutil.copyfile(config.parent / table["tokenizer_path"], run / "tokenizer.model")
    table["tokenizer_path"] = "tokenizer.model"
    (run / "mini.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def save_table(run: Path, table: list[tuple[int, ...]], voices: list[str], tokens: list[np.ndarray]) -> None:
    """Write RUN/corpus.npz. Rows of `table`: id, voice, start, speech_end, end."""
    columns = dict(zip(("ids", "voice", "start", "speech_end", "end"), np.array(table).T, strict=True))
    ends = np.cumsum([len(t) for t in tokens])
    np.savez(run / "corpus.npz", **columns, voices=np.array(voices), tokens=np.concatenate(tokens), token_ends=ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("speech", type=Path, nargs="+")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=HERE / "mini.yaml")
    parser.add_argument("--voice", help="replaces the voices of the table")
    args = parser.parse_args()
    pack(args.run, args.speech, args.texts, args.config, args.voice)


if __name__ == "__main__":
    main()
