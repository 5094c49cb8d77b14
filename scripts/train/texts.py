"""The table of sentences, texts.tsv: each line has the name of the recording, the voice and the sentence."""

from pathlib import Path
from typing import NamedTuple

HELD_OUT = 97  # sentences with an id divisible by it are held out from all training


class Sentence(NamedTuple):
    """A line of texts.tsv."""

    id: int
    voice: str
    text: str


def read_texts(path: Path) -> dict[str, Sentence]:
    """The sentences by name of the recording. Leading zeros of numeric names are removed."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 3 or not all(field.strip() for field in fields):
            raise SystemExit(
                f"{path}, line {number}: expected name, voice and sentence, separated by tabs: {line[:60]!r}"
            )
        rows.append((number, *fields))
    numbered = all(name.isdecimal() for _, name, _, _ in rows)
    result = {key_of(name): Sentence(int(name) if numbered else line, *rest) for line, name, *rest in rows}
    if len(result) < len(rows):
        raise SystemExit(f"{path}: a name is there twice; each sentence needs a unique name")
    return result


def key_of(name: str) -> str:
    """The key of a recording in the result of read_texts."""
    return str(int(name)) if name.isdecimal() else name


def file_name(key: str) -> str:
    """The file name, without suffix, for a recording with this key: numbers have five digits."""
    return f"{int(key):05d}" if key.isdecimal() else key
