"""`pockettts generate`, the command where none is named: a text to a sound file, or to stdout."""
import argparse
import os
import sys
from collections.abc import Iterable

from ..errors import OptionError, TextError
from .common import add_cache_option, add_model_options, add_numbers, add_precision, model_of, say

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

NUMBERS = ("temperature", "lsd_decode_steps", "eos_threshold", "noise_clamp", "frames_after_eos", "max_tokens", "gap", "speed",
           "seed", "threads")


def add_options(parser: argparse.ArgumentParser) -> None:
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
    add_model_options(parser)
    add_precision(parser)
    add_cache_option(parser)
    add_numbers(parser, *NUMBERS)


def run(args: argparse.Namespace) -> None:
    """Speak. What can be wrong is looked at before the model is downloaded and loaded."""
    from contextlib import ExitStack

    from .. import audio, voices
    from ..text import check
    from ..tts import TTSModel

    to_stdout = args.stream or args.output == "-"
    if to_stdout and (sys.stdout is None or sys.stdout.isatty()):
        raise OptionError("stdout is no pipe or file, where sound could go: add `| PLAYER` or `> FILE`, or use -o FILE")
    name, config = model_of(args)
    text = _text(args, GREETINGS.get(config.language, GREETINGS["english"]))
    check(text)                        # raises TextError
    rate = config.mimi.sample_rate
    with ExitStack() as stack:
        if not to_stdout:
            out = stack.enter_context(audio.Writer(args.output, rate))
        voice = voices.find(voices.default_voice(config) if args.voice is None else args.voice, config)
        model = TTSModel.load(name, precision=args.precision, cache=args.cache, **{number: getattr(args, number) for number in NUMBERS})
        blocks = model.generate_stream(text, model.get_voice_state(voice))
        if to_stdout:                  # not before: after an error, nothing at all is on stdout
            out = stack.enter_context(audio.StreamWriter(sys.stdout.buffer, rate, raw=args.stream))
        figures = _write(blocks, out, show_progress=not args.quiet and sys.stderr is not None and sys.stderr.isatty())
    if not args.quiet:
        say(f"{'stdout' if to_stdout else args.output}: {figures}")


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
            say(f"{audio:.1f} s of audio", end="\r")
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
