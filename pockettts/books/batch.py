"""Batches: several files with an output folder, and JSON lines in the format of piper."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..documents.reader import OTHER_SUFFIXES, SUFFIXES, Chapter, Document
from ..errors import OptionError, TextError
from .plan import Job

MAX_NAME = 4096  # characters of a path
VOICE_KEYS = ("voice", "speaker", "speaker_id")  # keys of a JSON line; the first one with a value is used

logger = logging.getLogger("pockettts")


def is_path(word: str) -> bool:
    """Whether a word of the command line names a file or a folder; otherwise it is a text.

    A word names a file if the file exists and the word has a separator or an extension. A word without spaces also names a file, which is
    missing, if it starts like a path or ends in the extension of a document, a sound or a picture. `books` is a text even if there is a
    folder of this name, and "Read my book.epub" is a text if there is no such file.
    """
    if "\n" in word or len(word) > MAX_NAME:
        return False
    has_separator = any(sign in word for sign in (os.sep, os.altsep) if sign)
    if os.path.exists(word):
        return has_separator or bool(Path(word).suffix)
    if any(map(str.isspace, word)):
        return False
    is_rooted = has_separator and re.match(r"(?:\.{1,2}|~|[A-Za-z]:)?[/\\]", word) is not None
    return is_rooted or word.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES))


def warn_of_name(text: str) -> None:
    """Log a warning for a text that looks like the name of a file."""
    if "\n" not in text and len(text) <= MAX_NAME:
        if os.path.exists(text) and os.path.basename(text) not in ("", ".", ".."):
            kind = "folder" if os.path.isdir(text) else "file"
            logger.warning("%r is spoken as a text; to read the %s, write %s", text, kind, os.path.join(".", text))
        elif text.lower().endswith(SUFFIXES):
            logger.warning("there is no file %r: it is spoken as a text", text)


def expanded(names: Iterable[str]) -> list[str]:
    """The given files and the documents in the given folders. If some files exist, the missing ones stay in the list and fail later.

    Raises OptionError: a folder has no documents, or none of the files exists.
    """
    names = list(names)
    found: list[str] = []
    for name in names:
        if os.path.isdir(name):
            inside = sorted(
                str(path) for path in Path(name).iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
            )
            if not inside:
                raise OptionError(f"{name} has no documents: give a folder with {', '.join(SUFFIXES)} files")
            found += inside
        elif os.path.exists(name) or any(map(os.path.exists, names)):
            found.append(name)
        elif "://" in name:
            raise OptionError(f"{name} is an address: download it and give the file; --text speaks it as a text")
        else:
            raise OptionError(f"{name} does not exist: check the path; --text speaks it as a text")
    return found


def of_files(names: list[str], folder: str, suffix: str, read: Callable[[str], Document], job: Job) -> Iterator[Job]:
    """One job per file. The output has the name of the file, in `folder`. job: the settings that all jobs share."""
    used: set[str] = set()
    for name in names:
        stem, number = Path(name).stem or "output", 1
        while (unique := stem if number == 1 else f"{stem}-{number}").lower() in used:
            number += 1
        used.add(unique.lower())
        output = os.path.join(folder, unique + suffix)
        yield replace(job, name=name, output=output, read=_reading(read, name))


def _reading(read: Callable[[str], Document], name: str) -> Callable[[], Document]:
    return lambda: read(name)


def of_json_lines(
    lines: Iterable[bytes],
    folder: str | None,
    suffix: str,
    job: Job,
    is_voice: Callable[[str], bool],
    names: Sequence[str],
) -> Iterator[Job]:
    """One job per line, such as {"text": "Hello.", "speaker": "alba", "output_file": "hello.wav"}.

    Only `text` is required. The default file name is the number of the line. An invalid line becomes a job that fails.

    Args:
        folder: the outputs must be in this folder; None: they can be anywhere, as for piper.
        suffix: the extension of outputs without a name.
        job: the settings that all jobs share.
        is_voice: whether there is a voice of this name.
        names: the names of the voices. A number in a line is an index into them.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            default = replace(job, name=f"line {number}", output=os.path.join(folder or "", f"{number:04}{suffix}"))
            try:
                yield _of_line(line, folder, default, is_voice, names)
            except TextError as error:
                yield replace(default, read=_raising(error))


def _of_line(
    line: bytes, folder: str | None, default: Job, is_voice: Callable[[str], bool], names: Sequence[str]
) -> Job:
    """The job of a line. default: has the name of the line and its default output. Raises TextError."""
    name, output = default.name, default.output
    try:
        given = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise TextError(f'{name} is not JSON ({error}): write {{"text": "..."}}') from None
    if not isinstance(given, dict) or not isinstance(given.get("text"), str):
        raise TextError(f'{name} has no text: write {{"text": "..."}}')
    voice = _voice(given, is_voice, names)
    if voice and not is_voice(voice):
        raise TextError(
            f"{name}: there is no voice called {voice[:40]!r}: use one of `pockettts voices`, or map the name with --voice-map"
        )
    if given.get("output_file") is not None:
        output = _output_of(given["output_file"], folder, name)
    document = Document([Chapter("", given["text"])])
    return replace(default, output=output, read=lambda: document, voice=voice or default.voice)


def _output_of(file: Any, folder: str | None, name: str) -> str:
    """The path for the output_file of a line. Creates its folder. Raises TextError if the path is outside `folder`."""
    if not isinstance(file, str) or not file.strip() or "\0" in file:
        raise TextError(f"{name}: output_file is not the name of a file")
    output = file
    if folder is not None:  # lines may come from another program, so they can't name files elsewhere
        output = os.path.normpath(os.path.join(folder, file))
        if not Path(os.path.abspath(output)).is_relative_to(os.path.abspath(folder)):
            raise TextError(f"{name}: output_file {file[:60]!r} is outside {folder}: give a path within it")
    with suppress(OSError):  # the writer of the file reports the error
        os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
    return output


def _voice(given: dict[str, Any], is_voice: Callable[[str], bool], names: Sequence[str]) -> str:
    """The voice of a line. A number, as piper uses, is looked up in --voice-map and then in the list of voices."""
    voice = next((given[key] for key in VOICE_KEYS if given.get(key) is not None), "")
    if isinstance(voice, int) and not isinstance(voice, bool) and not is_voice(str(voice)) and 0 <= voice < len(names):
        return names[voice]
    return str(voice)


def _raising(error: TextError) -> Callable[[], Any]:
    def read() -> Document:
        raise error

    return read


def voice_map(given: Iterable[str]) -> dict[str, str]:
    """Parse --voice-map: `Ann=alba,Bob=marius`, or the path of a JSON file. Raises OptionError."""
    voices: dict[str, str] = {}
    for part in given:
        if os.path.isfile(part) and part.lower().endswith(".json"):
            try:
                table = json.loads(Path(part).read_text("utf-8-sig"))
                voices |= {str(name): str(voice) for name, voice in table.items()}
            except (OSError, ValueError, AttributeError):
                raise OptionError(f'--voice-map {part}: write {{"NAME": "VOICE", ...}}') from None
            continue
        for pair in re.split(r",(?=[^,=]*=)", part):
            name, sign, voice = (piece.strip() for piece in pair.partition("="))
            if not (name and sign and voice):
                raise OptionError(f"--voice-map {part[:40]!r}: write NAME=VOICE, such as Ann=alba,Bob=marius")
            voices[name] = voice
    return voices
