"""What several commands share: options for the model, numbers within limits, messages on stderr."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from ..options import EMOJI, NUMBERS, PRECISIONS, Number

if TYPE_CHECKING:
    from ..config.schema import Config
    from ..documents.blocks import Apparatus

OTHER_NAMES = {"lsd_decode_steps": ["--sampler-decode-steps"]}  # names of options in the official package


def add_model_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Options that choose the model, for `config_of`. default: a name; None: what `default_config` chooses."""
    parser.set_defaults(model=default)
    model = parser.add_mutually_exclusive_group()
    usual = default or "english; the bundled mini if english is not on this machine and there is no network"
    model.add_argument(
        "--variant",
        "--model",
        "--language",
        dest="model",
        metavar="NAME",
        help=f"a model of `pockettts models` (default: {usual})",
    )
    model.add_argument("--config", dest="model", metavar="YAML", help="a model of your own: a path, hf:// or https://")


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """--no-cache: `args.cache` as `TTSModel.load` takes it."""
    parser.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="neither read nor write the cache of packed weights and cloned voices",
    )


def config_of(args: argparse.Namespace, check: "Callable[[Config], None]" = lambda config: None) -> "Config":
    """The config of the model that was chosen. Raises ConfigError, DownloadError.

    check: see `default_config`.
    """
    from ..config.load import load_config
    from ..default import default_config

    if args.model is None:
        return default_config(getattr(args, "voice", None), check)
    config = load_config(args.model)
    check(config)
    return config


def check_voice(args: argparse.Namespace, config: "Config") -> None:
    """Raise VoiceError if there is no voice as --voice names. Nothing is downloaded."""
    from ..voices.folders import VoiceFolder
    from ..voices.loader import locate

    if args.voice is not None:
        locate(args.voice, config, VoiceFolder(getattr(args, "voices_dir", None)))


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Options for reading texts: `args.verbatim`, `args.lexicon`, `args.emoji`."""
    parser.add_argument(
        "--verbatim",
        action="store_true",
        help="read texts like the official package: without rules for numbers, abbreviations, markup and pauses",
    )
    parser.add_argument(
        "--lexicon",
        metavar="FILE",
        help="a pronunciation list: a word, two spaces and its respelling per line (default: your own, if there is one)",
    )
    parser.add_argument(
        "--emoji", choices=EMOJI, default="drop", help="drop emoji, or read their names (default: drop)"
    )


def add_document_options(parser: argparse.ArgumentParser) -> None:
    """Options for what is read in addition to the text of documents, for `apparatus_of`."""
    parser.add_argument(
        "--notes", choices=("skip", "read"), default="skip", help="footnotes and endnotes of a file (default: skip)"
    )
    parser.add_argument(
        "--alt", choices=("skip", "read"), default="skip", help="the alternative texts of pictures (default: skip)"
    )


def apparatus_of(args: argparse.Namespace) -> "Apparatus":
    from ..documents.blocks import Apparatus

    return Apparatus(notes=args.notes == "read", alt=args.alt == "read")


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Options for the precision of the weights: `args.precision`."""
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the weights (default: that of the file; int8 is the fastest)",
    )
    precision.add_argument(
        "--quantize",
        "--quantized",
        dest="precision",
        action="store_const",
        const="int8",
        help="the same as --precision int8",
    )
    precision.add_argument("--no-quantize", dest="precision", action="store_const", const=None, help=argparse.SUPPRESS)


def add_numbers(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add numeric options of `NUMBERS`. Values outside their limits are refused before anything is loaded."""
    for name in names:
        number, kind = NUMBERS[name], number_type(NUMBERS[name])
        parser.add_argument("--" + name.replace("_", "-"), type=kind, metavar="N", help=number.about)
        for other in OTHER_NAMES.get(name, []):
            parser.add_argument(other, dest=name, type=kind, help=argparse.SUPPRESS)


def add_official_options(parser: argparse.ArgumentParser) -> None:
    """Options of the official package that have no meaning here, for `check_official_options`. They are not in the help."""
    parser.add_argument("--device", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--reload", action=argparse.BooleanOptionalAction, help=argparse.SUPPRESS)


def check_official_options(args: argparse.Namespace) -> None:
    """Warn of official options that have no effect here. Raises OptionError for one that can't be ignored."""
    if getattr(args, "checkpoint", None):
        from ..official import no_checkpoint

        raise no_checkpoint(args.checkpoint)
    if getattr(args, "device", None) not in (None, "cpu"):
        from ..official import warn_of_device

        warn_of_device(args.device)
    if getattr(args, "reload", False):
        import logging  # a slow import, which --help does not need

        logging.getLogger("pockettts").warning("--reload has no effect here: restart the server after a change")


def level_of(args: argparse.Namespace) -> dict[str, Any]:
    """`loudness` and `volume` for a `sound.files.Writer`."""
    return {"loudness": args.loudness, "volume": 1.0 if args.volume is None else args.volume}


def number_type(number: Number) -> Callable[[str], float]:
    """A type for argparse: a number within its limits."""

    def checked(given: str) -> float:
        try:
            return number.check(number.kind(given))
        except (ValueError, OptionError):
            raise argparse.ArgumentTypeError(f"{given[:20]!r} is not {number.range}") from None

    return checked


def print_message(message: str, end: str = "\n") -> None:
    """Print a line on stderr. A closed stderr is not an error."""
    try:
        if sys.stderr is not None:  # else print would take stdout
            print(" ".join(message.splitlines()), end=end, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = None
