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
    from ..books.speaker import Crew, Setup, Speaker
    from ..config.schema import Config
    from ..reading.documents import Document

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
    from ..books.batch import expanded
    from ..reading.documents import SUFFIXES

    words = args.words
    if args.file is not None:
        return [] if args.file == "-" else [args.file]
    wants_files = (
        args.list or args.chapters or args.split or args.resume or args.directory is not None or len(words) > 1
    )
    if not words or words == ["-"]:
        return []
    if not wants_files:
        word = words[0]
        is_name = word.lower().endswith(SUFFIXES) and "\n" not in word and len(word) < 4096
        if not is_name or not os.path.isfile(word) and any(map(str.isspace, word)):
            return []
    elif len(words) > 1 and not any(map(os.path.exists, words)):
        raise OptionError(f"{words[1]!r}: one word too many: a text needs quotes")
    args.words = []
    return expanded(words)


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


def list_chapters(files: list[str], read: Any) -> None:
    """Print a table of chapters with their words and minutes, at 150 words a minute. Raises TextError if a file can't be read.

    Of several files, those that can be read are listed first.
    """
    failed = 0
    for number, name in enumerate(files):
        try:
            document = read(name)
        except TextError as error:
            if len(files) == 1:
                raise
            failed += 1
            print_message(f"pockettts: {error}")
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
        rows = [
            (n, len(chapter.text.split()), chapter.title or "(no title)")
            for n, chapter in enumerate(document.chapters, 1)
        ]
        for n, words, title in rows:
            print(f"{n:4}  {words:8,} words  {words / 150:7.1f} min  {title}")
        total = sum(words for _, words, _ in rows)
        print(f"      {total:8,} words  {total / 150:7.1f} min  in all")
    if failed:
        raise TextError(f"{failed} of {len(files)} can't be read, the others are listed")


def read_file(args: argparse.Namespace, name: str) -> "Document":
    from ..reading.documents import read_document

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
        """Raise VoiceError or DownloadError if the default voice, or a voice of --voice-map, does not exist."""
        from ..voices.loader import find

        for source in dict.fromkeys([self.sources[""], *self.map.values()]):
            find(source, self._config)


def speak_files(
    args: argparse.Namespace, config: "Config", files: list[str], path: str | None, player: Any, playback: Any
) -> None:
    """Make the sound files of documents, or of JSON lines. Raises TextError if any of several failed.

    Args:
        player: the loudspeaker, if the sound is played.
        playback: the output for the loudspeaker, with the level of the options; None: no playback.
    """
    from ..books.production import Production, Style
    from ..reading.normalize import find_normalizer
    from .progress import BookProgress, deferred_log

    voices = Voices(args, config)
    voices.check()
    normalizer = find_normalizer(config.language, args.verbatim, args.lexicon, args.emoji)
    crew = _crew(args, config, voices)
    style = Style(
        sample_rate=config.mimi.sample_rate,
        split=_splitter(args, config, normalizer),
        known=voices.known,
        check=_checker(normalizer),
        facts=partial(_facts, args, config.name, voices),
        writer=level_of(args),
        heard=playback,
        with_marks=not args.verbatim,
    )
    is_batch = args.directory is not None or args.json_input
    observer = BookProgress(args, config.mimi.sample_rate, len(files) if is_batch else 0, bool(config.alignment_heads))
    production = Production(crew, style, observer, resume=args.resume, skip_finished=is_batch)
    jobs = list(_jobs(args, files, path, voices)) if not args.json_input else _jobs(args, files, path, voices)
    with deferred_log(args.quiet, observer):
        failures = production.run(observer.counted(jobs))
    if player:
        player.finish()
    if not is_batch:
        for _, error in failures:
            raise error
    for job, error in failures:
        print_message(f"pockettts: {error}" if job.name in str(error) else f"pockettts: {job.name}: {error}")
    if failures:
        raise TextError(f"{len(failures)} of {observer.jobs} failed, the others are done")


def _jobs(args: argparse.Namespace, files: list[str], path: str | None, voices: Voices) -> Iterator["Job"]:
    from ..books.batch import of_files, of_json_lines
    from ..books.plan import Job
    from ..sound.formats import FORMATS

    read = partial(read_file, args)
    form = FORMATS[args.format or FORMAT].check()
    by_chapter = args.split is not None
    shared = Job("", "", lambda: read(""), by_chapter=by_chapter, may_be_whole=True, chapters=args.chapters)
    if args.directory is not None:
        try:
            os.makedirs(args.directory, exist_ok=True)
        except OSError as error:
            raise OptionError(f"--output-dir {args.directory}: can't make this folder ({error.strerror})") from None
    if args.json_input:
        yield from of_json_lines(
            _lines_of_stdin(), args.directory or "", form.suffix, shared, voices.known, voices.names
        )
    elif args.directory is not None:
        yield from of_files(files, args.directory, form.suffix, read, shared)
    else:
        assert path is not None
        yield Job(files[0], path, partial(read, files[0]), by_chapter=by_chapter, chapters=args.chapters)


def _lines_of_stdin() -> Iterator[bytes]:
    """The lines of stdin, as they arrive. Raises OptionError: stdin is closed."""
    try:
        with open(0, "rb", closefd=False) as file:
            yield from file
    except OSError as error:
        raise OptionError(f"--json-input: can't read stdin ({error.strerror}): give lines of JSON there") from None


def _crew(args: argparse.Namespace, config: "Config", voices: Voices) -> "Crew":
    """This machine, or a cluster."""
    from ..books.speaker import ThisMachine

    setup = _setup(args, config, voices)
    if args.dask is None:
        return ThisMachine(setup)
    from dataclasses import replace

    from ..books.cluster import Cluster

    return Cluster(replace(setup, model=args.model or config.name), args.dask)


def local_speaker(args: argparse.Namespace, config: "Config", voices: Voices) -> "Speaker":
    """The model and the voices for speech that is streamed."""
    from ..books.speaker import Speaker

    voices.check()
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
