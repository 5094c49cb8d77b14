"""Write the phones of sentences, with eSpeak NG (pip install phonemizer espeakng_loader).

    python phonemes.py texts.tsv FOLDER [--language en-us]      # FOLDER/phones.tsv, FOLDER/phones.txt

phones.tsv has one line per sentence: its id, and its phones, separated by spaces, with " | " between words. phones.txt is
the set of phones: the id of a phone is its line number, and the last line is silence. An existing phones.txt is kept,
since models were trained with its ids; other phones are left out. The file beside this script is the set of `mini`, for
en-us.

eSpeak NG is GPL-3.0 software. It is used as a tool: no part of it becomes part of a model.
"""

import argparse
import shutil
from collections import Counter
from pathlib import Path

from texts import read_texts

SILENCE = "sil"
MAX_PHONES = 64  # number of outputs of the phone classifier
HERE = Path(__file__).parent


def phonemize(texts: list[str], language: str) -> list[list[list[str]]]:
    """The phones of each word of each text, without stress marks."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper
    from phonemizer.separator import Separator

    EspeakBackend.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    espeak = EspeakBackend(language, with_stress=False, preserve_punctuation=False, language_switch="remove-flags")
    spoken = espeak.phonemize(texts, separator=Separator(phone=" ", word=" | "), strip=True, njobs=1)
    return [[word.split() for word in line.split("|") if word.strip()] for line in spoken]


def make_phone_set(sentences: list[list[list[str]]]) -> list[str]:
    """The most frequent phones in alphabetical order, then silence."""
    counts = Counter(phone for words in sentences for word in words for phone in word)
    return [*sorted(phone for phone, _ in counts.most_common(MAX_PHONES - 1)), SILENCE]


def read_phone_set(folder: Path) -> list[str]:
    """The set of phones in FOLDER/phones.txt."""
    names = (folder / "phones.txt").read_text(encoding="utf-8").split()
    if names[-1:] != [SILENCE] or len(names) > MAX_PHONES:
        raise SystemExit(f"{folder / 'phones.txt'}: expected at most {MAX_PHONES} phones, the last one {SILENCE}")
    return names


def read_phones(folder: Path) -> dict[int, list[list[int]]]:
    """The phone ids of each word in FOLDER/phones.tsv, by id of the sentence."""
    index = {name: i for i, name in enumerate(read_phone_set(folder))}
    result = {}
    for line in (folder / "phones.tsv").read_text(encoding="utf-8").splitlines():
        sentence, spoken = line.split("\t")
        words = [[index[phone] for phone in word.split() if phone in index] for word in spoken.split("|")]
        result[int(sentence)] = [word for word in words if word]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--language", default="en-us", help="a voice of eSpeak NG")
    args = parser.parse_args()
    sentences = list(read_texts(args.texts).values())
    phones = phonemize([sentence.text for sentence in sentences], args.language)
    args.folder.mkdir(parents=True, exist_ok=True)
    phone_set = args.folder / "phones.txt"
    if not phone_set.exists() and args.language == "en-us":
        shutil.copyfile(HERE / "phones.txt", phone_set)
    elif not phone_set.exists():
        phone_set.write_text("\n".join(make_phone_set(phones)) + "\n", encoding="utf-8")
    with (args.folder / "phones.tsv").open("w", encoding="utf-8") as table:
        for sentence, words in zip(sentences, phones, strict=True):
            table.write(f"{sentence.id}\t{' | '.join(' '.join(word) for word in words)}\n")
    print(f"{len(sentences)} sentences, {len(read_phone_set(args.folder))} phones")


if __name__ == "__main__":
    main()
