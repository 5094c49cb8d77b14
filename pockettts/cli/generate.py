"""`pockettts generate`, the command where none is named: a text to sound files, to stdout, to the loudspeaker."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from ..errors import OptionError, TextError
from ..sound import formats
from ..storage.files import descriptor_of, is_stream
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
    print_message,
)
from .progress import Progress, clock

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
NUMBERS = (
    "temperature",
    "lsd_decode_steps",
    "eos_threshold",
    "noise_clamp",
    "frames_after_eos",
    "max_tokens",
    "gap",
    "speed",
    "loudness",
    "volume",
    "seed",
    "threads",
)

LEVEL = {"loudness", "volume"}  # applied where the sound goes out: of a file, the whole is known


def add_options(parser: argparse.ArgumentParser) -> None:
    text = parser.add_mutually_exclusive_group()
    text.add_argument("words", nargs="?", metavar="TEXT", help="what to say; `-` reads it from stdin")
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
    parser.add_argument("--list", action="store_true", help="list the chapters of a --file, and speak nothing")
    parser.add_argument("--chapters", metavar="N-M,...", help="speak only these chapters of a --file, such as 3-7,12")
    add_document_options(parser)
    parser.add_argument("--split", choices=("chapters",), help="of a --file: a sound file for each chapter")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a --file that was interrupted: after Ctrl-C, its output has what was spoken",
    )
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
    """Speak. What can be wrong is looked at before the model is downloaded and loaded."""
    from ..reading.chunks import check
    from ..reading.normalize import find_reading

    path = _path(args)
    config = config_of(args)
    if args.verify is None:  # to be heard at once, speech can't wait for the end of a chunk
        args.verify = path is not None and not args.play and not args.follow
    if args.timestamps:
        _check_timestamps(args, config)
    document = None if args.follow else _document(args, GREETINGS.get(config.language, GREETINGS["english"]))
    chapters = document.chapters if document else []
    if args.list:
        print(_listed(chapters))
        return
    reading = find_reading(config.language, args.verbatim, args.lexicon, args.emoji)
    for chapter in chapters:
        check(chapter.text, reading)  # raises TextError
    with ExitStack() as stack:
        job = _Job(args, config, path, _player(stack, config.mimi.sample_rate) if args.play else None)
        if args.follow:
            _follow(job)
        elif args.file not in (None, "-") and path is not None and not is_stream(path):
            _speak_book(job, document)
        elif document.cues:
            _speak_cues(job, document.cues)
        else:
            _speak(job, chapters)


def _player(stack: ExitStack, sample_rate: int):
    """The loudspeaker, until `stack` is left."""
    from ..sound.play import Player

    return stack.enter_context(Player(sample_rate))


def _path(args: argparse.Namespace) -> str | None:
    """The file to write; None: stdout, or only the loudspeaker. Raises OptionError for options that don't go together."""
    to_stdout = args.stream or args.output == "-"
    if to_stdout and (sys.stdout is None or sys.stdout.isatty()):
        raise OptionError("stdout is no pipe or file, where sound could go: add `| PLAYER` or `> FILE`, or use -o FILE")
    path = None if to_stdout else args.output if args.output is not None or args.play else OUTPUT
    if path is not None and (descriptor := descriptor_of(path)) is not None and _is_terminal(descriptor):
        raise OptionError(f"{path} is a terminal, not a pipe or file, where sound could go: use -o FILE")
    if (args.split or args.resume) and (path is None or is_stream(path) or args.file in (None, "-")):
        raise OptionError("--split and --resume are for text files that become sound files: give --file and --output")
    return path


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:  # it is not open; writing will say so
        return False


def _check_timestamps(args: argparse.Namespace, config) -> None:
    from ..words.timestamps import check_path

    if args.follow or args.split or args.resume:
        raise OptionError(
            "--timestamps is for one text that becomes one sound: leave out --follow, --split and --resume"
        )
    check_path(args.timestamps)
    if not config.alignment_heads and not args.quiet:
        print_message(
            f"pockettts: {config.name} has no alignment heads: {args.timestamps} will have the times of chunks, not of words"
        )


class _Job:
    """What all ways of speaking need: where the sound goes, and the model, loaded when it is needed."""

    def __init__(self, args: argparse.Namespace, config, path: str | None, player) -> None:
        self.args, self.config, self.path, self.player = args, config, path, player
        self.sample_rate: int = config.mimi.sample_rate
        self._loaded = self._timeline = None

    @property
    def loaded(self) -> tuple:
        """The model, and the voice's state."""
        from ..tts import TTSModel
        from ..voices import catalogue as voices

        if self._loaded is None:
            args = self.args
            voice = voices.find(voices.default_voice(self.config) if args.voice is None else args.voice, self.config)
            numbers = {number: getattr(args, number) for number in NUMBERS if number not in LEVEL}
            how = {"verbatim": args.verbatim, "lexicon": args.lexicon, "emoji": args.emoji}
            model = TTSModel.load(config=self.config, precision=args.precision, cache=args.cache, **numbers, **how)
            self._loaded = model, model.get_voice_state(voice)
        return self._loaded

    def utterance(self, text: str, **options: float | None):
        model, voice = self.loaded
        if self.args.timestamps:
            self._timeline = model.timeline()
        return model.utterance(
            text, voice, model.options.replace(verify=self.args.verify, **options), bool(self.args.timestamps)
        )

    def spoken(self, utterance) -> Iterator[tuple]:
        """(take, block) pairs of an utterance, while the times of its words are noted if they are wanted."""
        spoken = self.loaded[0].speak(utterance)
        return self._timeline.follow(spoken) if self._timeline else spoken

    def write_timestamps(self) -> None:
        from ..words.timestamps import write

        if self._timeline:
            write(self.args.timestamps, self._timeline.words, bool(self.config.alignment_heads))

    def progress(self, total: int, done: int = 0) -> Progress:
        return Progress(total, done, self.sample_rate, self.args.quiet)

    def file(self, stack: ExitStack) -> list:
        """The file to write, opened. It appears when `stack` is left without an error."""
        from ..sound.files import Writer

        return [] if self.path is None else [stack.enter_context(Writer(self.path, self.sample_rate, **self.level))]

    def others(self, stack: ExitStack) -> list:
        """The loudspeaker and stdout. To be called late: after an error, nothing at all is on stdout."""
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
        return [self.levelled(out) for out in stream + ([self.player] if self.player else [])]

    @property
    def level(self) -> dict:
        """`loudness` and `volume` for a `Writer`."""
        return {"loudness": self.args.loudness, "volume": 1.0 if self.args.volume is None else self.args.volume}

    def levelled(self, out):
        """An output that is heard while it is made, at the loudness that is asked for."""
        if self.args.loudness is None and self.args.volume in (None, 1):
            return out
        from ..sound.loudness import Loudness

        return _Levelled(out, Loudness(self.level["loudness"], self.sample_rate, self.level["volume"]))

    def report(self, progress: Progress, files: str | None = None) -> None:
        progress.clear()
        if not self.args.quiet:
            place = files or self.path or ("stdout" if self.args.stream or self.args.output == "-" else "played")
            print_message(f"{place}: {progress.figures()}")


def _speak(job: _Job, chapters: list) -> None:
    """A text, block by block."""
    from ..reading.documents import whole

    text = whole(chapters)
    progress = job.progress(len(text))
    with ExitStack() as stack:
        outs = job.file(stack)
        utterance = job.utterance(text)
        outs += job.others(stack)
        _write(progress.timed(job.spoken(utterance)), outs)
        job.write_timestamps()
    if job.player:
        job.player.finish()
    job.report(progress)


class _Levelled:
    """An output behind a change of loudness."""

    def __init__(self, out, loudness) -> None:
        self._out, self._loudness = out, loudness

    def write(self, block) -> None:
        self._out.write(self._loudness.write(block))

    def flush(self) -> None:
        """Send what is held back, some 45 ms: at the end of a text or chunk."""
        self._out.write(self._loudness.flush())


def _write(spoken: Iterable[tuple], outs: list) -> None:
    for _, block in spoken:
        for out in outs:
            out.write(block)
    _flush(outs)


def _flush(outs: list) -> None:
    for out in outs:
        if isinstance(out, _Levelled):
            out.flush()


def _follow(job: _Job) -> None:
    """Lines of stdin, each as soon as it is there. A file is kept after Ctrl-C, which is how this usually ends.

    A line that can't be spoken is named, and the next goes on. Raises TextError if none could be.
    """
    progress = job.progress(0)
    interrupted = False
    failed: TextError | None = None
    with ExitStack() as stack:
        outs = job.file(stack)
        job.loaded  # noqa: B018
        outs += job.others(stack)
        try:
            for line, is_last in _lines():
                try:
                    if isinstance(line, TextError):
                        raise line
                    _write(progress.timed(job.spoken(job.utterance(line))), outs)
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
    """Lines of stdin with something to say, as they come, and whether none is waiting behind them.

    A line that is not UTF-8 is an error in its place. Raises TextError if stdin is UTF-16, as its first bytes say.
    """
    from queue import SimpleQueue
    from threading import Thread

    from ..reading.documents import decoded

    queue: SimpleQueue[str | TextError | None] = SimpleQueue()

    def read() -> None:
        with open(0, "rb", closefd=False) as file:
            for number, line in enumerate(file, 1):
                try:
                    queue.put(decoded(line, "stdin" if number == 1 else f"line {number} of stdin").strip())
                except TextError as error:
                    queue.put(error)
                    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                        break
        queue.put(None)

    Thread(target=read, daemon=True).start()
    while (line := queue.get()) is not None:
        if line:
            yield line, queue.empty()


def _speak_book(job: _Job, document) -> None:
    """Speak a document chunk by chunk. The resume file keeps what was spoken, so Ctrl-C leaves a file with that."""
    import secrets

    from ..sound.files import Writer
    from .resume import ResumeState

    if document.cues:
        with ExitStack() as stack:
            _speak_cues(job, document.cues, job.file(stack))
        return
    sections = _sections(job.args, job.path, document.chapters)
    resume_state = ResumeState(job.path, _facts(job.args, job.config.name, [text for _, text in sections]))
    if job.args.resume:
        resume_state.reopen()
    else:
        if resume_state.path.exists() and not job.args.quiet:
            print_message(
                f"pockettts: {resume_state.path} of an earlier run is there, and --resume would go on from it; this begins anew"
            )
        if job.args.seed is None:
            resume_state.facts["seed"] = secrets.randbits(64)
    progress = job.progress(sum(len(text) for _, text in sections), resume_state.characters)
    is_finished = False
    try:
        for number, (path, text) in enumerate(sections[resume_state.chapter :], resume_state.chapter):
            with Writer(path, job.sample_rate, tags=_tags(document, path, number, len(sections)), **job.level) as file:
                utterance = job.utterance(text, seed=resume_state.facts["seed"])
                utterance.skip(resume_state.chunks)
                for block in resume_state.blocks():
                    file.write(block)
                outs = [file, job.levelled(job.player)] if job.player else [file]
                interrupted = _write_chunks(progress.timed(job.spoken(utterance)), outs, resume_state)
                job.write_timestamps()
            if interrupted:
                raise KeyboardInterrupt
            resume_state.next_chapter()
        is_finished = True
    finally:
        progress.clear()
        if resume_state.is_begun and not is_finished and not job.args.quiet:
            print_message(
                f"{job.path}: {clock(progress.audio)} of audio, not to the end: with --resume the same command goes on from there"
            )
        resume_state.close(is_finished)
    if job.player:
        job.player.finish()
    job.report(progress, f"{sections[0][0]} to {sections[-1][0]}" if len(sections) > 1 else sections[0][0])


def _tags(document, path: str, number: int, files: int):
    """What a sound file says about the document. number: of the file, from 0."""
    from ..sound.formats import of_path
    from ..sound.tags import Tags, missing_extra

    title = document.chapters[number].title if files > 1 else document.title
    track = {"track": number + 1, "tracks": files} if files > 1 else {}
    tags = Tags(
        title=title,
        author=document.author,
        album=document.title,
        language=document.language,
        cover=document.cover,
        **track,
    )
    if missing_extra(of_path(path), tags):  # a book needs no tags
        return None
    return tags


def _speak_cues(job: _Job, cues, outs: list | None = None) -> None:
    """Speak subtitles at their times: silence up to the start of each, and one after the other if a speech is too long."""
    import numpy as np

    progress = job.progress(sum(len(cue.text) for cue in cues))
    with ExitStack() as stack:
        outs = [*job.file(stack), *job.others(stack)] if outs is None else outs
        written = 0
        for cue in cues:
            missing = round(cue.start * job.sample_rate) - written
            while missing > 0:
                silence = np.zeros(min(missing, job.sample_rate), np.float32)
                for out in outs:
                    out.write(silence)
                written, missing = written + len(silence), missing - len(silence)
            for _, block in progress.timed(job.spoken(job.utterance(cue.text))):
                written += len(block)
                for out in outs:
                    out.write(block)
            _flush(outs)
    if job.player:
        job.player.finish()
    job.report(progress)


def _write_chunks(spoken: Iterable[tuple], outs: list, resume_state) -> bool:
    """Write and note each chunk when it is finished. Returns whether Ctrl-C came when there was something to keep."""
    from ..pipeline import by_chunk

    try:
        for blocks, chunk in by_chunk(spoken):
            for out in outs:
                for block in blocks:
                    out.write(block)
            _flush(outs)
            if chunk:
                resume_state.add(blocks, chunk.characters)
    except KeyboardInterrupt:
        if resume_state.chunks == 0:
            raise
        return True
    return False


def _sections(args: argparse.Namespace, path: str, chapters: list) -> list[tuple[str, str]]:
    """The files to write, and the text of each."""
    from ..reading.documents import whole

    if not args.split:
        return [(path, whole(chapters))]
    if len(chapters) == 1:
        raise TextError(f"{args.file} has no chapters that can be told apart: leave --split out")
    digits, target = len(str(len(chapters))), Path(path)
    sections = []
    for number, chapter in enumerate(chapters, 1):
        title = re.sub(r"[\W_]+", "-", chapter.title)[:40].strip("-").lower()
        name = "-".join([target.stem, f"{number:0{max(2, digits)}}", *([title] if title else [])])
        sections.append((str(target.with_name(name + target.suffix)), chapter.text))
    return sections


def _facts(args: argparse.Namespace, model: str, texts: list[str]) -> dict:
    """What must be the same for --resume."""
    import json
    from hashlib import sha256

    from ..reading.lexicon import find_lexicon

    facts = {"text": sha256("\0".join(texts).encode()).hexdigest(), "model": args.model or model}
    options = {"voice", "split", "precision", "verify", "verbatim", "emoji", *NUMBERS} - {"threads", *LEVEL}
    entries = find_lexicon("" if args.verbatim else args.lexicon).entries
    facts["lexicon"] = sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    return facts | {option: getattr(args, option) for option in sorted(options)}


def _listed(chapters: list) -> str:
    """A table of chapters with their words and minutes, at 150 words a minute."""
    rows = [(n, len(chapter.text.split()), chapter.title or "(no title)") for n, chapter in enumerate(chapters, 1)]
    lines = [f"{n:4}  {words:8,} words  {words / 150:7.1f} min  {title}" for n, words, title in rows]
    total = sum(words for _, words, _ in rows)
    return "\n".join([*lines, f"      {total:8,} words  {total / 150:7.1f} min  in all"])


def _chosen(given: str, count: int) -> list[int]:
    """The chapters that `--chapters 3-7,12` names, from 0. Raises OptionError."""
    chosen: list[int] = []
    for part in given.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d*))?\s*", part)
        first = int(match[1]) if match else 0
        last = first if match and match[2] is None else int((match and match[2]) or count)
        if not match or not 1 <= first <= last <= count:
            raise OptionError(
                f"--chapters {given[:40]!r}: write numbers and ranges from 1 to {count}, such as 3-7,12; --list shows them"
            )
        chosen += range(first - 1, last)
    return sorted(set(chosen))


def _document(args: argparse.Namespace, greeting: str):
    """The document of the arguments, with the chapters that were chosen."""
    from dataclasses import replace

    document = _read(args, greeting)
    if args.chapters is None:
        return document
    return replace(document, chapters=[document.chapters[n] for n in _chosen(args.chapters, len(document.chapters))])


def _read(args: argparse.Namespace, greeting: str):
    """The text of the arguments, of a file or of stdin; else the greeting.

    With a terminal or /dev/null on stdin there is no text. A pipe that is empty is somebody's mistake.
    """
    from ..reading.documents import Chapter, Document, read_document

    apparatus = apparatus_of(args)
    text = args.words if args.text is None else args.text
    if "-" in (text, args.file) or text is None and args.file is None and _is_piped():
        return read_document(0, apparatus)
    if args.file is not None:
        return read_document(args.file, apparatus)
    return Document([Chapter("", greeting if text is None else text)])


def _is_piped() -> bool:
    """Whether stdin is a pipe, a file or a socket."""
    import stat

    try:
        return not stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError:  # it is closed
        return False
