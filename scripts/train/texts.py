"""The table of sentences: texts.tsv, with the name of the recording, voice and sentence in each line."""

from pathlib import Path
from typing import NamedTuple

HELD_OUT = 97  # ids divisible by it are held out from all training


class Sentence(NamedTuple):
    """A line of texts.tsv."""

    id: int
    voice: str
    text: str


def read_texts(path: Path) -> dict[str, Sentence]:
    """Sentences by name of the recording; names that are numbers lose their leading zeros."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != 3 or not all(field.strip() for field in fields):
            raise SystemExit(
                f"{path}, line {number}: expected name, voice and sentence with tabs between: {line[:60]!r}"
            )
        rows.append((number, *fields))
    numbered = all(name.isdecimal() for _, name, _, _ in rows)
    result = {key_of(name): Sentence(int(name) if numbered else line, *rest) for line, name, *rest in rows}
    if len(result) < len(rows):
        raise SystemExit(f"{path}: a name is there twice; each sentence needs its own")
    return result


def key_of(name: str) -> str:
    """The name of a recording as read_texts has it."""
    return str(int(name)) if name.isdecimal() else name


def file_name(key: str) -> str:
    """The name, without suffix, that a script gives the recording `key`: numbers have five digits."""
    return f"{int(key):05d}" if key.isdecimal() else key
