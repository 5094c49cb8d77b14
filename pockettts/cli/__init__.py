"""The command: `pockettts "text" -o out.wav` is `pockettts generate --text "text" --output out.wav`.

stdout carries only what was asked for; messages go to stderr. Exit codes: 0 for success, 1 after an error, 2 for invalid
arguments, 130 after Ctrl-C, 141 if the reader of stdout has gone, 143 after SIGTERM.

Each command is a module of this package with two functions, `add_options(parser)` and `run(args)`. Only the module of the command
that runs is imported. `run` imports heavy modules itself, so `--help` is fast.
"""

import argparse
import errno
import os
import re
import sys
from importlib import import_module
from typing import NoReturn

from .. import __version__
from ..errors import OptionError, PocketTTSError
from .common import check_official_options, print_message

COMMANDS = {
    "generate": "Speak a text or a book; the default command",
    "serve": "Speak over HTTP to many clients, with OpenAI's API and a web page",
    "normalize": "Show how a text is read: numbers, dates and abbreviations as words",
    "voices": "List, add and remove voices",
    "models": "List the models, and which are on this machine",
    "export-voice": "Convert a recording to a voice file, which loads faster",
    "download": "Fetch a model and voices, to speak without a network",
    "mcp": "Let assistants speak, over the Model Context Protocol",
    "bench": "Measure the speed of a model on this machine, with the limits of the hardware",
}


# Environment variables that libraries read when they are loaded. Values set by the user stay.
THREAD_SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",  # nothing here calls NumPy's BLAS, but its threads would spin
    # OpenMP's threads spin for about half a millisecond, then they sleep. By default they spin for up to 20 ms, which slows down
    # other processes; if they slept at once, each kernel would have to wake them.
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "10000",  # GCC's libgomp: iterations
    "KMP_BLOCKTIME": "1",  # LLVM's libomp: milliseconds
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code. Every error is one line on stderr; --debug adds a traceback.

    Args:
        argv: the arguments; None: those of the process.
    """
    argv = sys.argv[1:] if argv is None else argv
    for name, value in THREAD_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        _exit_on_signals()
        try:
            _run(argv)
        finally:
            _flush_stdout()
        return 0
    except SystemExit as stop:  # after --help, or a signal
        return int(stop.code or 0)
    except BaseException as error:
        if "--debug" in argv:
            import traceback

            traceback.print_exc()
        return _report_error(error)


def _run(argv: list[str]) -> None:
    if argv[:1] == ["wasm-demo"]:
        raise OptionError(
            "there is no command wasm-demo: `pockettts serve` has a web page; --text=wasm-demo speaks the word"
        )
    name, rest = (argv[0], argv[1:]) if argv and argv[0] in COMMANDS else ("generate", argv)
    command = import_module(f".{name.replace('-', '_')}", __name__)
    parser = _Parser(
        "pockettts" if name == "generate" else f"pockettts {name}",
        description=f"{COMMANDS[name]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if name == "generate":
        _describe_all(parser)
    command.add_options(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    parser.add_argument("--debug", action="store_true", help="log everything and show tracebacks")
    rest = _mark_files(parser, rest)
    near = _near_command(argv[0]) if name == "generate" and argv and argv[0] != name else ""
    _check_options(parser, rest, near and f"; did you mean `{near}`?")
    args, rest = parser.parse_known_args(rest)
    if rest and name == "generate":  # texts or files behind options
        args.words, rest = args.words + rest, []
    if near and args.words[:1] == argv[:1]:
        _refuse_near_command(args, near)
    if rest:
        parser.error(f"{rest[0]!r}: unexpected argument; put quotes around a text")
    _log(args.quiet, args.debug)
    check_official_options(args)
    command.run(args)


def _near_command(word: str) -> str:
    """The command that a lower-case word was meant to be, such as `serve` for "server"; "" if it can only be a text."""
    word = word.replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z-]{3,}", word):
        return ""
    if word in ("help", "version"):
        return f"pockettts --{word}"
    for name in COMMANDS:
        longer = len(word) - len(name)
        if (
            word.startswith(name)
            and longer <= 4
            or name.startswith(word)
            and longer >= -1
            or word == name.split("-")[0]
        ):
            return f"pockettts {name}"
    # Spellings such as "normalise", of long names only: "beach" is a word, although it is like "bench".
    alike = [name for name in COMMANDS if len(name) > 6 and name[0] == word[0]]
    if not alike:
        return ""
    from difflib import get_close_matches

    return "".join(f"pockettts {name}" for name in get_close_matches(word, alike, 1, 0.85))


def _refuse_near_command(args: argparse.Namespace, near: str) -> None:
    """Raise OptionError if a word that is like a command is alone, or followed by other words.

    An output option says that it is a text.
    """
    word = args.words[0]
    has_output = args.output is not None or args.directory is not None or args.stream or args.play
    if not os.path.exists(word) and (len(args.words) > 1 or not has_output):
        raise OptionError(f"there is no command {word}: did you mean `{near}`? --text={word} speaks the word")


def _check_options(parser: argparse.ArgumentParser, given: list[str], advice: str) -> None:
    """Raise OptionError for an unknown option, before argparse complains about what follows it.

    advice: what to do; "": name the option that is most like it.
    """
    known = parser._option_string_actions
    for word in given:
        if word == "--":
            return
        option = word.split("=")[0] if word.startswith("--") else word[:2]
        is_text = not word.startswith("-") or re.fullmatch(
            r"-|-\.?\d.*|-+\s.*", word, re.DOTALL
        )  # a number, or an item of a list
        if not is_text and option not in known:
            parser.error(f"{word!r}: no such option{advice or _similar_option(option, list(known))}")


def _similar_option(option: str, known: list[str]) -> str:
    """Advice for an unknown option: the known one that starts like it, or else is most similar to it."""
    from ..config.parse import similar_names

    name, names = option[2:], [other[2:] for other in known if other.startswith("--")]
    is_name = re.fullmatch(r"[\w-]+", name)
    similar = is_name and ([other for other in names if other.startswith(name)] or similar_names(name, names, 1))
    return f"; did you mean --{similar[0]}?" if similar else ""


def _mark_files(parser: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    """Turn `-odd.wav` into `./-odd.wav` if there is such a file, which argparse would take for an option."""
    known = parser._option_string_actions
    return [
        f"./{word}" if word.startswith("-") and word not in known and os.path.isfile(word) else word for word in argv
    ]


def _describe_all(parser: argparse.ArgumentParser) -> None:
    """Add to the help of `pockettts` what the help of `pockettts generate` does not have."""
    parser.usage = "pockettts [TEXT] [options]\n       pockettts COMMAND ..."
    commands = "\n".join(f"  {name:<14}{about[0].lower()}{about[1:]}" for name, about in COMMANDS.items())
    parser.epilog = (
        f"commands (see `pockettts COMMAND --help`):\n{commands}\n\n"
        "Without a text, stdin is spoken if it is a pipe; otherwise a greeting.\n"
        "If a text is the name of a command or begins with a dash, use --text=TEXT."
    )
    parser.add_argument("--version", action="version", version=f"pockettts {__version__}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message} (see `{self.prog} --help`)")


# --- messages and signals --------------------------------------------------------------------------------------------


def _report_error(error: BaseException) -> int:
    """Print one line about an error. Returns the exit code."""
    if isinstance(error, BrokenPipeError):
        return 141
    code, message = 1, f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    if isinstance(error, KeyboardInterrupt):
        code, message = 130, "interrupted"
    elif isinstance(error, PocketTTSError):
        code, message = 2 if isinstance(error, OptionError) else 1, str(error)
    elif isinstance(error, MemoryError):
        message = "out of memory: use a shorter text or a smaller model"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message = f"can't write to stdout ({error.strerror})"  # writers of files raise AudioError
    print_message(f"pockettts: {message}")
    return code


def _log(quiet: bool, debug: bool) -> None:
    """Log our own warnings to stderr; with --debug, log everything from all libraries."""
    import logging
    import warnings

    from ..storage import hub

    hub.show_progress(not quiet)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if debug else "pockettts: %(message)s"))
    if not debug:
        handler.addFilter(logging.Filter("pockettts"))
        warnings.simplefilter("ignore")
    logging.basicConfig(
        handlers=[handler], force=True, level=logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING
    )


def _flush_stdout() -> None:
    """Flush stdout now, so that a failed write is reported."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes again at exit; this avoids a second error
        raise


def _exit_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit, so that files are cleaned up."""
    import signal

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
