"""What several commands share: which model, numbers within limits, and a line on stderr."""
import argparse
import sys
from collections.abc import Callable


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which model, for `model_of`."""
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--variant", "--model", "--language", dest="model", metavar="NAME",
                       help="a model of `pockettts models` (default: b6369a24)")
    model.add_argument("--config", dest="model", metavar="YAML", help="a model of your own: a path, hf:// or https://")


def model_of(args: argparse.Namespace) -> tuple:
    """The model's name, as `TTSModel.load` takes it, and its config."""
    from ..config import DEFAULT_MODEL, load_config

    name = DEFAULT_MODEL if args.model is None else args.model
    return name, load_config(name)


def number(kind: type, least: float, most: float) -> Callable[[str], float]:
    """A type for argparse: numbers of this kind, within limits."""
    def checked(given: str) -> float:
        try:
            if least <= (value := kind(given)) <= most:     # NaN is not
                return value
        except ValueError:
            pass
        whole = "whole " if kind is int else ""
        raise argparse.ArgumentTypeError(f"{given[:20]!r} is not a {whole}number from {least} to {most}")
    return checked


def say(message: str, end: str = "\n") -> None:
    """A line on stderr. Nothing fails because nobody reads it."""
    try:
        if sys.stderr is not None:     # else print would take stdout
            print(" ".join(message.splitlines()), end=end, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = None
