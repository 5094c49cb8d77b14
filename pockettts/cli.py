"""The command: `pockettts "text" -o out.wav` is `pockettts generate --text "text" --output out.wav`.

stdout carries only what was asked for, messages go to stderr. The exit code is 0; 1 after an error; 2 for arguments
that make no sense; 130 after Ctrl-C; 141 when the reader of stdout has gone; 143 when terminated. Modules are imported
where they are needed, so that `--help` waits for none.
"""
import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterable

from . import __version__
from .errors import OptionError, PocketTTSError, TextError, VoiceError

GREETINGS = {
    "english": "Hello! I am Pocket TTS, a small voice that any computer can run.",
    "french": "Bonjour ! Je suis Pocket TTS, une petite voix pour tous les ordinateurs.",
    "german": "Hallo! Ich bin Pocket TTS, eine kleine Stimme für jeden Computer.",
    "italian": "Ciao! Sono Pocket TTS, una piccola voce per ogni computer.",
    "spanish": "¡Hola! Soy Pocket TTS, una pequeña voz para cualquier computadora.",
    "portuguese": "Olá! Eu sou o Pocket TTS, uma pequena voz para qualquer computador.",
    "dutch": "Hallo! Ik ben Pocket TTS, een kleine stem voor elke computer.",
}
MAX_TEXT = 64 * 1024 * 1024            # bytes, more than any book; /dev/zero has no end

# Name, type, least, most, help. The limits are those of tts.py, so that a mistake shows before anything is loaded.
NUMBERS = [
    ("--temperature", float, 0, 10, "how much the speech varies; 0 is always the same (default: the model's)"),
    ("--lsd-decode-steps", int, 1, 1000, "steps of the sampler for each frame (default: 1)"),
    ("--eos-threshold", float, -(10**9), 10**9, "the higher, the later the speech ends (default: the model's)"),
    ("--noise-clamp", float, 1e-6, 10**6, "the largest noise for the sampler (default: no limit)"),
    ("--frames-after-eos", int, 0, 1000, "frames of 80 ms to keep after the end (default: 3 to 5, by length)"),
    ("--max-tokens", int, 1, 10_000, "of the chunks in which a text is spoken (default: 50)"),
    ("--seed", int, 0, 2**64 - 1, "the same seed gives the same sound (default: random)"),
    ("--threads", int, 1, 1024, "cores to use (default: all, at most 8)"),
]


def main(argv: list[str] | None = None) -> int:
    """Run the command with these arguments, by default the process's, and return its exit code.

    Whatever goes wrong is one line on stderr; with --debug, a traceback as well.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        _exit_on_signals()
        try:
            _run(argv)
        finally:
            _flush_stdout()
        return 0
    except SystemExit as stop:         # after --help, or a signal
        return int(stop.code or 0)
    except BaseException as error:
        if "--debug" in argv:
            import traceback

            traceback.print_exc()
        return _explain(error)


def _run(argv: list[str]) -> None:
    name, rest = (argv[0], argv[1:]) if argv and argv[0] in COMMANDS else ("generate", argv)
    command, add_options, about = COMMANDS[name]
    parser = _Parser("pockettts" if name == "generate" else f"pockettts {name}", description=f"{about}.",
                     formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    add_options(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--debug", action="store_true", help="log everything, and show tracebacks")
    args, rest = parser.parse_known_args(rest)
    if rest:
        what = "no such option" if rest[0].startswith("-") else "one word too many: a text needs quotes"
        parser.error(f"{rest[0]!r}: {what}")
    _log(args.quiet, args.debug)
    command(args)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise OptionError(f"{message} (see `{self.prog} --help`)")


# --- generate --------------------------------------------------------------------------------------------------------

def _generate_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = "pockettts [TEXT] [options]\n       pockettts COMMAND ..."
    commands = "\n".join(f"  {name:<14}{about[0].lower()}{about[1:]}" for name, (_, _, about) in COMMANDS.items())
    parser.epilog = (f"commands (`pockettts COMMAND --help` says more):\n{commands}\n\n"
                     "Without a text, the one that is piped in is spoken, or else a greeting.\n"
                     "A text that is a command's name, or looks like an option, is given as --text=models")
    parser.add_argument("--version", action="version", version=f"pockettts {__version__}")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("words", nargs="?", metavar="TEXT", help="what to say; `-` reads it from stdin")
    text.add_argument("-t", "--text", help="the same")
    text.add_argument("-f", "--file", help="a text file, in UTF-8; `-` is stdin")
    sound = parser.add_mutually_exclusive_group()
    sound.add_argument("-o", "--output", default="output.wav", metavar="FILE",
                       help="wav, flac, ogg, opus or mp3; `-` is a WAV to stdout (default: %(default)s)")
    sound.add_argument("--stream", action="store_true", help="raw sound to stdout: 16-bit little-endian mono at 24 kHz")
    parser.add_argument("-v", "--voice", help="a name of `pockettts voices`, a sound file, a .safetensors file, "
                                              "hf:// or https:// (default: the model's own)")
    _model_options(parser)
    parser.add_argument("--precision", choices=("bf16", "f32"), help="of the weights (default: as they are)")
    for name, kind, least, most, about in NUMBERS:
        parser.add_argument(name, type=_number(kind, least, most), metavar="N", help=about)


def _model_options(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--variant", "--model", "--language", dest="model", metavar="NAME",
                       help="a model of `pockettts models` (default: b6369a24)")
    model.add_argument("--config", dest="model", metavar="YAML", help="a model of your own: a path, hf:// or https://")


def _number(kind: type, least: float, most: float) -> Callable[[str], float]:
    """A type for argparse: numbers of this kind, within limits."""
    def number(given: str) -> float:
        try:
            if least <= (value := kind(given)) <= most:     # NaN is not
                return value
        except ValueError:
            pass
        whole = "whole " if kind is int else ""
        raise argparse.ArgumentTypeError(f"{given[:20]!r} is not a {whole}number from {least} to {most}")
    return number


def _generate(args: argparse.Namespace) -> None:
    """Speak. What can be wrong is looked at before the model is downloaded and loaded."""
    from contextlib import ExitStack

    from . import audio, voices
    from .text import prepare
    from .tts import TTSModel

    to_stdout = args.stream or args.output == "-"
    if to_stdout and (sys.stdout is None or sys.stdout.isatty()):
        raise OptionError("stdout is no pipe or file, where sound could go: add `| PLAYER` or `> FILE`, or use -o FILE")
    name, config = _model(args)
    text = _text(args, GREETINGS.get(config.language, GREETINGS["english"]))
    prepare(text, config)              # raises TextError
    rate = config.mimi.sample_rate
    with ExitStack() as stack:
        if not to_stdout:
            out = stack.enter_context(audio.Writer(args.output, rate))
        voice = voices.find(voices.default_voice(config) if args.voice is None else args.voice, config)
        model = TTSModel.load(name, **_chosen(args, "temperature", "lsd_decode_steps", "eos_threshold", "noise_clamp",
                                              "precision", "threads"))
        state = model.get_voice_state(voice)
        blocks = model.generate_stream(text, state, **_chosen(args, "seed", "frames_after_eos", "max_tokens"))
        if to_stdout:                  # not before: after an error, nothing at all is on stdout
            out = stack.enter_context(audio.StreamWriter(sys.stdout.buffer, rate, raw=args.stream))
        figures = _write(blocks, out, show_progress=not args.quiet and sys.stderr is not None and sys.stderr.isatty())
    if not args.quiet:
        _say(f"{'stdout' if to_stdout else args.output}: {figures}")


def _chosen(args: argparse.Namespace, *names: str) -> dict:
    return {name: getattr(args, name) for name in names}


def _write(blocks: Iterable, out, show_progress: bool) -> str:
    """Write blocks as they come. Returns figures; during a write the clock stands, since players take their time."""
    from time import perf_counter

    audio = work = first = 0.0         # seconds: of sound, to make it, to make the first block
    start = perf_counter()
    for block in blocks:
        work += perf_counter() - start
        first = first or work
        audio += len(block) / out.sample_rate
        out.write(block)
        if show_progress:              # whatever is said next is longer, and takes its place
            _say(f"{audio:.1f} s of audio", end="\r")
        start = perf_counter()
    work += perf_counter() - start
    return f"{audio:.2f} s of audio, RTF {work / audio:.3f}, TTFA {1000 * first:.0f} ms"


def _text(args: argparse.Namespace, greeting: str) -> str:
    """The text of the arguments, of a file or of stdin; else the greeting.

    With a terminal or /dev/null on stdin there is no text. A pipe that is empty is somebody's mistake.
    """
    text = args.words if args.text is None else args.text
    source = args.file
    if "-" in (text, source) or text is None and source is None and _is_piped():
        source = 0
    elif source is None:
        return greeting if text is None else text
    name = "stdin" if source == 0 else source
    try:
        with open(source, "rb", closefd=source != 0) as file:
            content = file.read(MAX_TEXT + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise TextError(f"can't read {name} ({error.strerror}): give a text file") from None
    except UnicodeDecodeError as error:
        raise TextError(f"{name} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from None
    if len(content) > MAX_TEXT or "\0" in text:
        raise TextError(f"{name} is not text, or longer than {MAX_TEXT >> 20} MB: give a text file")
    if not text.strip():
        raise TextError(f"{name} is empty: give at least one word")
    return text


def _is_piped() -> bool:
    """Whether stdin is a pipe, a file or a socket."""
    import stat

    try:
        return not stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError:                    # it is closed
        return False


# --- the other commands ----------------------------------------------------------------------------------------------

def _voices(args: argparse.Namespace) -> None:
    from . import voices

    _, config = _model(args)
    for name in voices.names(config):
        print(name + " (default)" * (name == voices.default_voice(config)))


def _models(args: argparse.Namespace) -> None:
    from .config import is_downloaded, load_config, model_names

    print(f"{'model':<26} {'size':>8}  {'language':<10}  cached")
    for config in map(load_config, model_names()):
        size, cached = f"{2 * config.parameters / 1e6:.0f} MB", "yes" if is_downloaded(config) else "no"   # of a bf16 file
        print(f"{config.name:<26} {size:>8}  {config.language:<10}  {cached}")


def _export_voice_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("voice", metavar="IN", help="a sound file, a name of `pockettts voices`, hf:// or https://")
    parser.add_argument("output", metavar="OUT.safetensors", help="the file to write")
    _model_options(parser)


def _export_voice(args: argparse.Namespace) -> None:
    from tempfile import TemporaryFile

    from . import voices
    from .files import cannot_write
    from .tts import TTSModel

    if not args.output.endswith(".safetensors"):
        raise OptionError(f"{args.output} would not be known as a voice: let its name end in .safetensors")
    try:
        TemporaryFile(dir=os.path.dirname(args.output) or ".").close()      # better now than after all the work
    except OSError as error:
        raise VoiceError(cannot_write(args.output, error)) from None
    name, config = _model(args)
    voice = voices.find(args.voice, config)
    TTSModel.load(name).get_voice_state(voice).save(args.output)
    if not args.quiet:
        _say(f"{args.output}: a voice for {config.name}, {os.path.getsize(args.output) / 1e6:.1f} MB")


def _download_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model of `pockettts models`, or your own: a YAML file")
    parser.add_argument("voices", metavar="VOICE", nargs="*", help="voices to fetch with it (default: the model's own)")


def _download(args: argparse.Namespace) -> None:
    from . import hub, voices
    from .config import download_model

    _, config = _model(args)
    wanted = [voices.find(voice, config) for voice in args.voices or [voices.default_voice(config)]]
    files = download_model(config, map(str, wanted))
    for file in files:
        print(file)
    if not args.quiet:
        size = sum(file.stat().st_size for file in files) / 1e6
        _say(f"{config.name}: {len(files)} files, {size:.1f} MB, which is all it takes to speak without a network")
        if config.weights_path and not hub.is_cached(config.weights_path):
            _say(f"to clone voices as well, accept the terms at {voices.gated_page(config)}, log in with "
                 "`hf auth login`, and run this again")


def _model(args: argparse.Namespace) -> tuple:
    """The model's name, as `TTSModel.load` takes it, and its config."""
    from .config import DEFAULT_MODEL, load_config

    name = DEFAULT_MODEL if args.model is None else args.model
    return name, load_config(name)


COMMANDS = {
    "generate": (_generate, _generate_options, "Speak a text: the command where none is named"),
    "voices": (_voices, _model_options, "List the voices of a model"),
    "models": (_models, lambda parser: None, "List the models, and which are on this machine"),
    "export-voice": (_export_voice, _export_voice_options, "Make a recording a voice file, which loads at once"),
    "download": (_download, _download_options, "Fetch a model and voices, to speak without a network"),
}


# --- messages and signals --------------------------------------------------------------------------------------------

def _say(message: str, end: str = "\n") -> None:
    """A line on stderr. Nothing fails because nobody reads it."""
    try:
        if sys.stderr is not None:     # else print would take stdout
            print(" ".join(message.splitlines()), end=end, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = None


def _explain(error: BaseException) -> int:
    """Say in one line what went wrong; the exit code."""
    if isinstance(error, BrokenPipeError):
        return 141
    code, message = 1, f"unexpected {type(error).__name__}: {error} (--debug says where)"
    if isinstance(error, KeyboardInterrupt):
        code, message = 130, "interrupted"
    elif isinstance(error, PocketTTSError):
        code, message = 2 if isinstance(error, OptionError) else 1, str(error)
    elif isinstance(error, MemoryError):
        message = "out of memory: take a shorter text or a smaller model"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message = f"can't write to stdout ({error.strerror})"       # writers of files have errors of their own
    _say(f"pockettts: {message}")
    return code


def _log(quiet: bool, debug: bool) -> None:
    """Our own warnings go to stderr; with --debug, all that any library says."""
    import logging
    import warnings

    from . import hub

    hub.show_progress(not quiet)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if debug else "pockettts: %(message)s"))
    if not debug:
        handler.addFilter(logging.Filter("pockettts"))
        warnings.simplefilter("ignore")
    logging.basicConfig(handlers=[handler], force=True,
                        level=logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING)


def _flush_stdout() -> None:
    """Find out now, not when Python exits, whether stdout took everything."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)        # or Python would try again, and complain
        raise


def _exit_on_signals() -> None:
    """When terminated, or when the terminal is closed, clean up as after an error."""
    import signal

    for name in ("SIGTERM", "SIGHUP"):                      # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
