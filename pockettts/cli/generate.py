"""`pockettts generate`, the default command: speak a text to a file, to stdout or to the loudspeaker."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import OptionError, TextError
from ..options import NUMBERS
from ..sound import formats
from ..storage.files import descriptor_of, is_stream
from . import books
from .common import (
    add_cache_option,
    add_document_options,
    add_model_options,
    add_numbers,
    add_official_options,
    add_precision,
    add_reading_options,
    apparatus_of,
    config_of,
    level_of,
    print_message,
)

if TYPE_CHECKING:
    import numpy as np

    from ..books.speaker import Speaker
    from ..config.schema import Config
    from ..documents.reader import Chapter, Document
    from ..documents.subtitles import Cue
    from ..sound.loudness import Loudness
    from ..sound.play import Player
    from ..synthesis import Block, Utterance
    from ..words.timestamps import Timeline
    from .progress import Progress

GREETINGS = {
    "english": "Hello! I am Pocket TTS, a small voice that any computer can run.",
    "french": "Bonjour ! Je suis Pocket TTS, une petite voix pour tous les ordinateurs.",
    "german": "Hallo! Ich bin Pocket TTS, eine kleine Stimme für jeden Computer.",
    "italian": "Ciao! Sono Pocket TTS, una piccola voce per ogni computer.",
    "spanish": "¡Hola! Soy Pocket TTS, una pequeña voz para cualquier computadora.",
    "portuguese": "Olá! Eu sou o Pocket TTS, uma pequena voz para qualquer computador.",
    "dutch": "Hallo! Ik ben Pocket TTS, een kleine stem voor elke computer.",
}
OUTPUT = "output.wav"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TEXT",
        help="what to say, or the names of files to read; `-` reads a text from stdin",
    )
    text = parser.add_mutually_exclusive_group()
    text.add_argument("-t", "--text", help="the same")
    text.add_argument("-f", "--file", help="a text, Markdown, HTML, EPUB, PDF, DOCX, SRT or VTT file; `-` is stdin")
    text.add_argument("--follow", action="store_true", help="speak line by line what comes in on stdin, as it comes")
    sound = parser.add_mutually_exclusive_group()
    sound.add_argument(
        "-o",
        "--output",
        "--output-path",
        dest="output",
        metavar="FILE",
        help=f"{formats.names()}; `-` is a WAV to stdout (default: {OUTPUT}, unless it is played)",
    )
    sound.add_argument("--stream", action="store_true", help="raw sound to stdout: 16-bit little-endian mono at 24 kHz")
    parser.add_argument("--play", action="store_true", help="play it, through aplay, paplay, ffplay, pw-play or afplay")
    books.add_options(parser)
    add_document_options(parser)
    parser.add_argument("--timestamps", metavar="FILE", help="when each word is spoken: .json, .srt or .vtt")
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="speak again, up to 3 times, a chunk that loses or repeats words or does not end (default: for files)",
    )
    parser.add_argument(
        "-v",
        "--voice",
        help="a name of `pockettts voices`, a sound file, a .safetensors file, "
        "hf:// or https:// (default: the model's own)",
    )
    add_reading_options(parser)
    add_model_options(parser)
    add_precision(parser)
    add_cache_option(parser)
    add_official_options(parser)
    add_numbers(parser, *NUMBERS)


def run(args: argparse.Namespace) -> None:
    """Speak. Options and texts are checked before the model is downloaded and loaded."""
    from ..books.plan import with_chapters
    from .progress import DeferredLog

    files = _sources(args)
    if args.list:
        books.list_chapters(files or _only_files("--list"), partial(books.read_file, args), args.chapters)
        return
    path = None if books.is_batch(args) else _path(args, files)
    is_book = books.is_batch(args) or bool(files) and path is not None and not is_stream(path)
    if args.verify is None:  # checking delays the sound until the end of a chunk
        args.verify = is_book and not args.play or path is not None and not args.play and not args.follow
    checked: list[Document | None] = []
    with DeferredLog(args.quiet) as log, ExitStack() as stack:
        config = config_of(args, lambda config: checked.append(_checked(args, config, files, path)))
        document = checked[0]
        if args.timestamps and not config.alignment_heads and not args.quiet:
            print_message(
                f"pockettts: {config.name} has no alignment heads: {args.timestamps} will have the times of chunks, not of words"
            )
        player = _player(stack, config.mimi.sample_rate) if args.play else None
        if is_book:
            live = _leveled(player, args, config.mimi.sample_rate) if player else None
            books.speak_files(args, config, files, document, path, player, live, log)
            return
        log.end()
        job = _Job(args, config, path, player)
        if document is None:
            _follow(job)
        elif document.cues:
            _speak_cues(job, document.cues)
        else:
            _speak(job, with_chapters(document, args.chapters).chapters)


def _checked(args: argparse.Namespace, config: "Config", files: list[str], path: str | None) -> "Document | None":
    """Check the options and the text, so that mistakes are reported before messages about the model.

    Returns: the text; None for a batch and for --follow, which read their texts later.
    """
    from ..books.plan import with_chapters
    from ..reading.chunks import check
    from ..reading.normalize import find_normalizer
    from ..sound.files import check_output

    if args.timestamps:
        _check_timestamps(args)
    if path is not None:
        check_output(path)
    books.check(args, config)
    normalizer = find_normalizer(config.language, args.verbatim, args.lexicon, args.emoji)
    if books.is_batch(args) or args.follow:
        return None
    document = _read(args, files, GREETINGS.get(config.language or "", GREETINGS["english"]))
    for chapter in with_chapters(document, args.chapters).chapters:
        check(chapter.text, normalizer)
    return document


def _sources(args: argparse.Namespace) -> list[str]:
    """The files to speak. Raises OptionError for texts and files that can't be combined."""
    given = [
        name
        for name, value in (("--text", args.text), ("--file", args.file), ("--follow", args.follow or None))
        if value is not None
    ]
    given += ["--json-input"] if args.json_input else []
    if args.words and given:
        raise OptionError(f"{given[0]}: not allowed with argument TEXT (see `pockettts --help`)")
    if len(given) > 1:
        raise OptionError(f"{given[1]}: not allowed with argument {given[0]} (see `pockettts --help`)")
    files = books.find_files(args)
    books.check_options(args, files)
    return files


def _only_files(option: str) -> NoReturn:
    raise OptionError(f"{option} is for files: name one")


def _player(stack: ExitStack, sample_rate: int) -> "Player":
    """The loudspeaker. It is closed with `stack`."""
    from ..sound.play import Player

    return stack.enter_context(Player(sample_rate))


def _path(args: argparse.Namespace, files: list[str]) -> str | None:
    """The file to write; None: stdout, or only the loudspeaker. Raises OptionError for options that can't be combined."""
    to_stdout = args.stream or args.output == "-"
    if to_stdout and (sys.stdout is None or sys.stdout.isatty()):
        raise OptionError("stdout is not a pipe or a file: add `| PLAYER` or `> FILE`, or use -o FILE")
    path = None if to_stdout else args.output if args.output is not None or args.play else OUTPUT
    if path is not None and (descriptor := descriptor_of(path)) is not None and _is_terminal(descriptor):
        raise OptionError(f"{path} is a terminal, not a pipe or file, where sound could go: use -o FILE")
    if (args.split or args.resume) and (path is None or is_stream(path) or not files):
        raise OptionError("--split and --resume are for text files that become sound files: give --file and --output")
    return path


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:  # it is not open; writing reports that
        return False


def _check_timestamps(args: argparse.Namespace) -> None:
    from ..words.timestamps import check_path

    if args.follow or args.split or args.resume:
        raise OptionError(
            "--timestamps is for one text that becomes one sound: leave out --follow, --split and --resume"
        )
    check_path(args.timestamps)


class _Job:
    """The outputs and the model of a command without a book. The model is loaded when it is needed."""

    def __init__(self, args: argparse.Namespace, config: "Config", path: str | None, player: "Player | None") -> None:
        self.args, self.config, self.path, self.player = args, config, path, player
        self.sample_rate: int = config.mimi.sample_rate
        self.voices = books.Voices(args, config)
        self._speaker: Speaker | None = None
        self._timeline: Timeline | None = None

    @property
    def speaker(self) -> "Speaker":
        """The model and the voices."""
        if self._speaker is None:
            self._speaker = books.local_speaker(self.args, self.config, self.voices)
        return self._speaker

    def load(self) -> None:
        """Load the model and the default voice."""
        self.speaker.voice("")

    def utterances(self, text: str) -> list[tuple[float, "Utterance"]]:
        """The utterances of a text: one for each part with its own voice, with the seconds of silence before it."""
        from ..reading.voice_marks import split_at_voices

        args = self.args
        parts = [("", text, 0.0)] if args.verbatim else split_at_voices(text, self.voices.known)
        if args.timestamps:
            self._timeline = self.speaker.model.timeline()
        model = self.speaker.model
        options = model.options.replace(verify=args.verify, seed=args.seed)
        return [
            (gap, model.utterance(part, self.speaker.voice(voice), options, bool(args.timestamps)))
            for voice, part, gap in parts
        ]

    def spoken(self, utterances: "list[tuple[float, Utterance]]") -> "Iterator[Block]":
        """The blocks of utterances. With --timestamps, the times of their words are recorded."""
        blocks = self._blocks(utterances)
        return self._timeline.follow(blocks) if self._timeline else blocks

    def _blocks(self, utterances: "list[tuple[float, Utterance]]") -> "Iterator[Block]":
        import numpy as np

        from ..synthesis import Block

        chunks = 0  # the noise of a chunk depends on its number
        for gap, utterance in utterances:
            if gap:
                yield Block(None, np.zeros(round(gap * self.sample_rate), np.float32))
            utterance.chunks = chunks
            yield from self.speaker.model.speak(utterance)
            chunks = utterance.chunks

    def write_timestamps(self) -> None:
        from ..words.timestamps import write

        if self._timeline:
            write(self.args.timestamps, self._timeline.words, bool(self.config.alignment_heads))

    def progress(self, total: int, done: int = 0) -> "Progress":
        from .progress import Progress

        return Progress(total, done, self.sample_rate, self.args.quiet)

    def file(self, stack: ExitStack) -> list[Any]:
        """Open the file to write. It appears when `stack` ends without an error."""
        from ..sound.files import Writer

        if self.path is None:
            return []
        return [stack.enter_context(Writer(self.path, self.sample_rate, **level_of(self.args)))]

    def others(self, stack: ExitStack) -> list[Any]:
        """The loudspeaker and stdout. Call this after all checks, so that nothing is written to stdout after an error."""
        from ..sound.files import StreamWriter

        to_stdout = self.args.stream or self.args.output == "-"
        stream = (
            [
                stack.enter_context(
                    StreamWriter(sys.stdout.buffer, self.sample_rate, form="pcm" if self.args.stream else "wav")
                )
            ]
            if to_stdout
            else []
        )
        return [_leveled(out, self.args, self.sample_rate) for out in stream + ([self.player] if self.player else [])]

    def report(self, progress: "Progress", files: str | None = None) -> None:
        progress.clear()
        if not self.args.quiet:
            place = files or self.path or ("stdout" if self.args.stream or self.args.output == "-" else "played")
            print_message(f"{place}: {progress.summary()}")


def _speak(job: _Job, chapters: "list[Chapter]") -> None:
    """Speak a text block by block."""
    from ..documents.reader import whole

    text = whole(chapters)
    progress = job.progress(len(text))
    with ExitStack() as stack:
        outs = job.file(stack)
        utterances = job.utterances(text)
        outs += job.others(stack)
        _write(progress.timed(job.spoken(utterances)), outs)
        job.write_timestamps()
    if job.player:
        job.player.finish()
    job.report(progress)


def _leveled(out: Any, args: argparse.Namespace, sample_rate: int) -> Any:
    """A live output with the loudness and volume of the options."""
    if args.loudness is None and args.volume in (None, 1):
        return out
    from ..sound.loudness import Loudness

    return _Leveled(out, Loudness(args.loudness, sample_rate, level_of(args)["volume"]))


class _Leveled:
    """An output whose loudness is adjusted."""

    def __init__(self, out: Any, loudness: "Loudness") -> None:
        self._out, self._loudness = out, loudness

    def write(self, block: "np.ndarray") -> None:
        self._out.write(self._loudness.write(block))

    def flush(self) -> None:
        """Send the delayed samples, about 45 ms. Call this at the end of a text or chunk."""
        self._out.write(self._loudness.flush())


def _write(spoken: "Iterable[Block]", outs: list[Any]) -> None:
    for _, block in spoken:
        for out in outs:
            out.write(block)
    _flush(outs)


def _flush(outs: list[Any]) -> None:
    for out in outs:
        if isinstance(out, _Leveled):
            out.flush()


def _follow(job: _Job) -> None:
    """Speak the lines of stdin as they arrive. After Ctrl-C, the usual end, the file is kept.

    A line that can't be spoken is reported and skipped. Raises TextError if no line could be spoken.
    """
    progress = job.progress(0)
    interrupted = False
    failed: TextError | None = None
    with ExitStack() as stack:
        outs = job.file(stack)
        job.load()
        outs += job.others(stack)
        try:
            for line, is_last in _lines():
                try:
                    if isinstance(line, TextError):
                        raise line
                    _write(progress.timed(job.spoken(job.utterances(line))), outs)
                except TextError as error:
                    failed = error
                    progress.clear()
                    print_message(f"pockettts: {error}")
                if job.player and is_last:
                    job.player.finish()
        except KeyboardInterrupt:
            if not progress.audio:
                raise
            interrupted = True
        if failed and not progress.audio:
            raise TextError("no line of stdin could be spoken")
    job.report(progress)
    if interrupted:
        raise KeyboardInterrupt


def _lines() -> Iterator[tuple[str | TextError, bool]]:
    """The non-empty lines of stdin as they arrive, and for each whether no other line is waiting.

    A line that is neither UTF-8 nor, if stdin begins with its byte order mark, UTF-16 is an error in its place.
    """
    from codecs import BOM_UTF16_BE, BOM_UTF16_LE
    from io import TextIOWrapper
    from queue import SimpleQueue
    from threading import Thread

    from ..documents.reader import decoded

    queue: SimpleQueue[str | TextError | None] = SimpleQueue()

    def read() -> None:
        with open(0, "rb", closefd=False) as file:
            lines: Iterable[bytes] = file
            if file.peek(2)[:2] in (BOM_UTF16_BE, BOM_UTF16_LE):
                lines = (line.encode() for line in TextIOWrapper(file, "utf-16", errors="replace"))
            for number, line in enumerate(lines, 1):
                try:
                    queue.put(decoded(line, "stdin" if number == 1 else f"line {number} of stdin").strip())
                except TextError as error:
                    queue.put(error)
        queue.put(None)

    Thread(target=read, daemon=True).start()
    while (line := queue.get()) is not None:
        if line:
            yield line, queue.empty()


def _speak_cues(job: _Job, cues: "Sequence[Cue]") -> None:
    """Speak subtitles at their times, with silence before each. If one takes too long, the next starts later."""
    import numpy as np

    progress = job.progress(sum(len(cue.text) for cue in cues))
    with ExitStack() as stack:
        outs = [*job.file(stack), *job.others(stack)]
        written = 0
        for cue in cues:
            missing = round(cue.start * job.sample_rate) - written
            while missing > 0:
                silence = np.zeros(min(missing, job.sample_rate), np.float32)
                for out in outs:
                    out.write(silence)
                written, missing = written + len(silence), missing - len(silence)
                progress.audio += len(silence) / job.sample_rate
            for _, block in progress.timed(job.spoken(job.utterances(cue.text))):
                written += len(block)
                for out in outs:
                    out.write(block)
            _flush(outs)
    if job.player:
        job.player.finish()
    job.report(progress)


def _read(args: argparse.Namespace, files: list[str], greeting: str) -> "Document":
    """The text of the arguments, of a file or of stdin; otherwise the greeting.

    A terminal or /dev/null on stdin has no text. Raises TextError for an empty pipe.
    """
    from ..documents.reader import Chapter, Document, read_document

    if files:
        return books.read_file(args, files[0])
    text = args.text if args.text is not None else args.words[0] if args.words else None
    if "-" in (text, args.file) or text is None and args.file is None and _is_piped():
        return read_document(0, apparatus_of(args))
    return Document([Chapter("", greeting if text is None else text)])


def _is_piped() -> bool:
    """Whether stdin is a pipe, a file or a socket."""
    import stat

    try:
        return not stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError:  # it is closed
        return False
