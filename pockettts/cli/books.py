"""Documents, subtitles and batches for `pockettts generate`: options, the list of chapters, and the setup of the production."""

import argparse
import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import OptionError, TextError
from ..options import NUMBERS
from .common import apparatus_of, level_of, print_message

if TYPE_CHECKING:
    from ..books.plan import Job
    from ..books.speaker import Backend, Setup, Speaker
    from ..config.schema import Config
    from ..documents.reader import Document
    from .progress import DeferredLog

LEVEL = {"loudness", "volume"}  # applied to the whole file, not to chunks
FORMAT = "wav"


def add_options(parser: argparse.ArgumentParser) -> None:
    from ..sound.formats import FORMATS

    parser.add_argument("--list", action="store_true", help="list the chapters of files, and speak nothing")
    parser.add_argument("--chapters", metavar="N-M,...", help="speak only these chapters of a file, such as 3-7,12")
    parser.add_argument("--split", choices=("chapters",), help="of a file: a sound file for each chapter")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue interrupted files; after Ctrl-C, the output has the part that was spoken",
    )
    parser.add_argument(
        "-d",
        "--output-dir",
        "--output_dir",
        dest="directory",
        metavar="DIR",
        help="a folder for the sound files of several texts",
    )
    files = [form.name for form in FORMATS.values() if form.extensions]
    parser.add_argument("--format", choices=files, help=f"of the sound files in --output-dir (default: {FORMAT})")
    parser.add_argument(
        "--json-input",
        action="store_true",
        help='stdin has lines such as {"text": "Hi.", "speaker": "alba", "output_file": "hi.wav"}, as for piper',
    )
    parser.add_argument(
        "--voice-map",
        action="append",
        default=[],
        metavar="NAME=VOICE,...",
        help="voices for the [voice:NAME] marks of texts, or a JSON file of them",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="speak on the workers of a Dask cluster: its scheduler, such as tcp://host:8786",
    )


def find_files(args: argparse.Namespace) -> list[str]:
    """The files to be spoken: those of --file, or those given as arguments, which are removed from `args.words`. Raises OptionError."""
    from ..books.batch import expanded, is_path, warn_of_name

    words = args.words
    if args.file is not None:
        return [] if args.file == "-" else [args.file]
    if not words or words == ["-"]:
        return []
    option = _option_for_files(args)
    if not any(is_path(word) or (option or len(words) > 1) and os.path.exists(word) for word in words):
        if len(words) > 1:
            raise OptionError(f"{words[1][:40]!r}: one word too many: a text needs quotes")
        if option == "--output-dir":
            raise OptionError(
                f"{words[0][:40]!r} is not a file, and --output-dir is for files: for a text, give -o FILE"
            )
        if option:
            raise OptionError(f"{words[0][:40]!r} is not a file, and {option} is for files: for a text, leave it out")
        warn_of_name(words[0])
        return []
    args.words = []
    return expanded(words)


def _option_for_files(args: argparse.Namespace) -> str:
    """The first given option that only files can have; "" if there is none."""
    given = {
        "--list": args.list,
        "--chapters": args.chapters is not None,
        "--split": args.split,
        "--resume": args.resume,
        "--output-dir": args.directory is not None,
    }
    return next((option for option, value in given.items() if value), "")


def is_batch(args: argparse.Namespace) -> bool:
    """Whether the sound of each text gets a file of its own, in a folder or where a JSON line says."""
    return args.directory is not None or bool(args.json_input)


def check_options(args: argparse.Namespace, files: list[str]) -> None:
    """Raise OptionError for options that can't be combined."""
    if len(files) > 1 and args.directory is None and not args.list:
        raise OptionError(f"{len(files)} files need a folder for what becomes of them: give --output-dir DIR")
    if args.directory is not None and (args.output is not None or args.stream or args.play):
        raise OptionError("--output-dir: not with --output, --stream or --play: each text has a file of its own there")
    if args.directory is not None and not files and not args.json_input:
        raise OptionError("--output-dir is for files: name them, or give --json-input")
    if args.timestamps and (len(files) > 1 or args.directory is not None or args.json_input):
        raise OptionError(
            "--timestamps is for one text that becomes one sound: leave out --output-dir and --json-input"
        )
    if args.json_input and (args.output is not None or args.stream or args.play):
        raise OptionError(
            "--json-input makes a file of each line: give --output-dir in place of --output, --stream or --play"
        )
    if args.dask and not (files or args.json_input):
        raise OptionError("--dask is for files and --json-input")
    if args.format and args.directory is None and not args.json_input:
        raise OptionError("--format is for --output-dir: the name of an --output says its format")


def list_chapters(files: list[str], read: Any, chapters: str | None) -> None:
    """Print a table of the selected chapters with their words and minutes, at 150 words a minute.

    Several files are listed one after the other. Those that can't be read are reported, and TextError is raised at the end.

    Args:
        read: returns the document of a file.
        chapters: such as "3-7,12"; None: all.

    Raises:
        TextError, OptionError: a file can't be read, or has no such chapters.
    """
    from ..books.plan import select_chapters

    failed = 0
    for number, name in enumerate(files):
        try:
            document = read(name)
            count = len(document.chapters)
            numbers = range(count) if chapters is None else select_chapters(chapters, count)
        except (TextError, OptionError) as error:
            if len(files) == 1:
                raise
            failed += 1
            print_message(f"pockettts: {error}" if name in str(error) else f"pockettts: {name}: {error}")
            continue
        if len(files) > 1:
            print(f"{chr(10) * bool(number)}{name}")
        about = [
            document.title,
            document.author and f"by {document.author}",
            document.language and f"({document.language})",
        ]
        if any(about):
            print(" ".join(filter(None, about)))
        listed = [(n + 1, document.chapters[n]) for n in numbers]
        rows = [(n, len(chapter.text.split()), chapter.title or "(no title)") for n, chapter in listed]
        for n, words, title in rows:
            print(f"{n:4}  {words:8,} words  {words / 150:7.1f} min  {title}")
        total = sum(words for _, words, _ in rows)
        print(f"      {total:8,} words  {total / 150:7.1f} min  in all")
    if failed:
        raise TextError(f"{failed} of {len(files)} can't be listed")


def read_file(args: argparse.Namespace, name: str) -> "Document":
    from ..documents.reader import read_document

    return read_document(name, apparatus_of(args))


class Voices:
    """The voices that a text can use: those of the model, and those of --voice-map.

    Attributes:
        names: of the model's voices, in order.
        map: the voices of --voice-map, by name in lower case.
        sources: the name, path or address of each voice, by its name in texts (lower case); "" is the default voice.
    """

    def __init__(self, args: argparse.Namespace, config: "Config") -> None:
        from ..books.batch import voice_map
        from ..voices import catalog

        usual = catalog.default_voice(config) if args.voice is None else args.voice
        self.map = {name.lower(): voice for name, voice in voice_map(args.voice_map).items()}
        self.names = catalog.names(config)
        self.sources = {name.lower(): name for name in self.names} | self.map | {"": usual}
        self._config = config

    def known(self, name: str) -> bool:
        """Whether there is a voice of this name."""
        return name.lower() in self.sources

    def check(self) -> None:
        """Raise VoiceError if the default voice, or a voice of --voice-map, does not exist. Nothing is downloaded."""
        from ..voices.loader import locate

        for source in self._used():
            locate(source, self._config)

    def find(self) -> None:
        """Download the default voice and the voices of --voice-map, if necessary. Raises VoiceError, DownloadError."""
        from ..voices.loader import find

        for source in self._used():
            find(source, self._config)

    def _used(self) -> list[str]:
        return list(dict.fromkeys([self.sources[""], *self.map.values()]))


def check(args: argparse.Namespace, config: "Config") -> None:
    """Raise OptionError, AudioError or VoiceError for options whose values are invalid. Makes the folder of --output-dir.

    With --dask, it asks whether there is a scheduler.
    """
    from ..sound.formats import FORMATS
    from ..storage.files import check_place

    FORMATS[args.format or FORMAT].check()
    Voices(args, config).check()
    if args.directory is not None:
        try:
            os.makedirs(args.directory, exist_ok=True)
            check_place(os.path.join(args.directory, "file"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OptionError(
                f"--output-dir {args.directory}: can't write there ({reason}): give another folder"
            ) from None
    if args.dask is not None:
        from ..books.cluster import check_scheduler

        check_scheduler(args.dask)


def speak_files(
    args: argparse.Namespace,
    config: "Config",
    files: list[str],
    document: "Document | None",
    path: str | None,
    player: Any,
    live: Any,
    log: "DeferredLog",
) -> None:
    """Make the sound files of documents, or of JSON lines. Raises TextError if any of several failed, or if there is no line.

    Args:
        document: the only one, unless it is a batch.
        player: the loudspeaker, if the sound is played.
        live: the output that gets the sound for the loudspeaker.
        log: holds warnings until the end.
    """
    from ..books.production import Production, Settings
    from ..reading.normalize import find_normalizer
    from .progress import BookProgress

    voices = Voices(args, config)
    voices.find()
    normalizer = find_normalizer(config.language, args.verbatim, args.lexicon, args.emoji)
    backend = _backend(args, config, voices)
    settings = Settings(
        sample_rate=config.mimi.sample_rate,
        split=_splitter(args, config, normalizer),
        is_voice=voices.known,
        check=_checker(normalizer),
        facts=partial(_facts, args, config.name, voices),
        writer=level_of(args),
        live=live,
        with_marks=not args.verbatim,
    )
    in_batch = is_batch(args)
    observer = BookProgress(args, config.mimi.sample_rate, len(files) if in_batch else 0, bool(config.alignment_heads))
    production = Production(backend, settings, observer, resume=args.resume, skip_finished=in_batch)
    log.begin(observer)
    failures = production.run(observer.counted(_jobs(args, files, document, path, voices)))
    log.end()
    if player:
        player.finish()
    if not observer.jobs:
        raise TextError('--json-input: stdin has no line: write {"text": "..."}')
    if not in_batch:
        for _, error in failures:
            raise error
    for job, error in failures:
        print_message(f"pockettts: {error}" if job.name in str(error) else f"pockettts: {job.name}: {error}")
    if failures:
        others = ", the others are done" if len(failures) < observer.jobs else ""
        raise TextError(f"{len(failures)} of {observer.jobs} failed{others}")


def _jobs(
    args: argparse.Namespace, files: list[str], document: "Document | None", path: str | None, voices: Voices
) -> Iterator["Job"]:
    from ..books.batch import of_files, of_json_lines
    from ..books.plan import Job
    from ..sound.formats import FORMATS

    read = partial(read_file, args)
    form = FORMATS[args.format or FORMAT]
    by_chapter = args.split is not None
    shared = Job("", "", lambda: read(""), by_chapter=by_chapter, may_be_whole=True, chapters=args.chapters)
    if args.json_input:
        yield from of_json_lines(_lines_of_stdin(), args.directory, form.suffix, shared, voices.known, voices.names)
    elif args.directory is not None:
        yield from of_files(files, args.directory, form.suffix, read, shared)
    else:
        assert path is not None and document is not None
        yield Job(files[0], path, lambda: document, by_chapter=by_chapter, chapters=args.chapters)


def _lines_of_stdin() -> Iterator[bytes]:
    """The lines of stdin, as they arrive. Raises OptionError: stdin is closed."""
    try:
        with open(0, "rb", closefd=False) as file:
            yield from file
    except OSError as error:
        raise OptionError(f"--json-input: can't read stdin ({error.strerror}): give lines of JSON there") from None


def _backend(args: argparse.Namespace, config: "Config", voices: Voices) -> "Backend":
    """This machine, or a cluster."""
    from ..books.speaker import ThisMachine

    setup = _setup(args, config, voices)
    if args.dask is None:
        return ThisMachine(setup)
    from dataclasses import replace

    from ..books.cluster import Cluster
    from ..default import VARIABLE

    return Cluster(replace(setup, model=args.model or os.environ.get(VARIABLE) or config.name), args.dask)


def local_speaker(args: argparse.Namespace, config: "Config", voices: Voices) -> "Speaker":
    """The model and the voices for speech that is streamed."""
    from ..books.speaker import Speaker

    voices.find()
    return Speaker(_setup(args, config, voices))


def _setup(args: argparse.Namespace, config: "Config", voices: Voices) -> "Setup":
    from ..books.speaker import Setup

    options = {name: getattr(args, name) for name in NUMBERS if name not in {*LEVEL, "threads"}}
    return Setup(
        model=config,
        voices=voices.sources,
        precision=args.precision,
        threads=args.threads,
        cache=args.cache,
        options={"verbatim": args.verbatim, "lexicon": args.lexicon, "emoji": args.emoji} | options,
        verify=args.verify,
        with_words=bool(args.timestamps),
    )


def _splitter(args: argparse.Namespace, config: "Config", normalizer: Any) -> Any:
    """The function that splits a text into chunks. It loads the tokenizer at its first call."""
    from ..options import Options
    from ..reading.chunks import split_text
    from ..reading.tokenizer import load_tokenizer
    from ..storage import hub

    table = config.flow_lm.lookup_table
    loaded: list[Any] = []

    def split(text: str) -> Iterator[Any]:
        if not loaded:
            loaded.append(load_tokenizer(hub.local_path(table.tokenizer_path), table.n_bins))
        max_tokens = Options.max_tokens if args.max_tokens is None else args.max_tokens
        return split_text(text, loaded[0], config, max_tokens, args.gap or 0.0, normalizer)

    return split


def _checker(normalizer: Any) -> Any:
    from ..reading.chunks import check

    return lambda text: check(text, normalizer)


def _facts(args: argparse.Namespace, model: str, voices: Voices, job: "Job", texts: list[str]) -> dict[str, Any]:
    """The values that --resume requires to be unchanged."""
    import json
    from hashlib import sha256

    from ..reading.lexicon import find_lexicon

    facts = {"text": sha256("\0".join(texts).encode()).hexdigest(), "model": args.model or model}
    options = {"split", "precision", "verify", "verbatim", "emoji", *NUMBERS} - {"threads", *LEVEL}
    entries = find_lexicon("" if args.verbatim else args.lexicon).entries
    facts["voice map"] = sha256(json.dumps(voices.map, sort_keys=True).encode()).hexdigest() if voices.map else None
    facts["lexicon"] = sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    return facts | {"voice": job.voice or args.voice} | {option: getattr(args, option) for option in sorted(options)}
