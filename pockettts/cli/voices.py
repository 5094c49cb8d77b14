"""`pockettts voices`: lists the voices of a model and your own, and adds and removes your own."""

import argparse
import shlex
from typing import TYPE_CHECKING

from ..errors import OptionError, VoiceError
from .common import add_model_options, config_of, print_message

if TYPE_CHECKING:
    from ..voices.folders import VoiceFolder

MAX_BYTES = 100 << 20  # largest recording to add; 30 seconds are enough for a voice


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "pockettts voices [options]\n"
        "       pockettts voices add FILE [--name NAME]\n"
        "       pockettts voices remove NAME"
    )
    parser.add_argument("action", nargs="?", choices=("list", "add", "remove"), help="what to do (default: list)")
    parser.add_argument(
        "what",
        nargs="?",
        metavar="FILE|NAME",
        help="add: a recording or a .safetensors voice; remove: the name of a voice",
    )
    parser.add_argument("--name", help="the name of the added voice (default: that of the file)")
    parser.add_argument("--force", action="store_true", help="replace a voice of the same name")
    parser.add_argument(
        "--voices-dir",
        metavar="DIR",
        help="the folder of your own voices (default: POCKETTTS_VOICES, or one for each user)",
    )
    add_model_options(parser)


def run(args: argparse.Namespace) -> None:
    from ..voices.folders import VoiceFolder

    own = VoiceFolder(args.voices_dir)
    if args.action in ("add", "remove") and not args.what:
        raise OptionError(f"voices {args.action}: give the {'file' if args.action == 'add' else 'name'} of a voice")
    if args.action == "add":
        _add(args, own)
    elif args.action == "remove":
        _remove(args, own)
    elif args.what:
        raise OptionError(f"voices list {args.what!r}: unexpected argument")
    else:
        _list(args, own)


def _list(args: argparse.Namespace, own: "VoiceFolder") -> None:
    from ..voices import catalog
    from ..voices.loader import names

    config, mine = config_of(args), own.voices()
    usable = names(config, own)
    for name in usable + [name for name in mine if name not in usable]:
        notes = ["default"] * (name == catalog.default_voice(config)) + ["yours"] * (name in mine)
        notes += [f"for models that can clone voices, not {config.name}"] * (name not in usable)
        print(name + f" ({', '.join(notes)})" * bool(notes))


def _add(args: argparse.Namespace, own: "VoiceFolder") -> None:
    """Copy a file into the folder, if it can be a voice."""
    from ..sound.files import read
    from ..sound.formats import RECORDINGS
    from ..storage import hub
    from ..voices.folders import STATE, check_name
    from ..voices.state import read_voice

    path = hub.local_path(args.what)
    suffix = path.suffix.lower()
    name = check_name(path.stem if args.name is None else args.name)
    if path.stat().st_size > MAX_BYTES:
        raise VoiceError(f"{args.what} is larger than {MAX_BYTES >> 20} MB: 30 seconds are enough for a voice")
    if suffix == STATE:
        read_voice(path)
    else:
        read(path, 24_000, 1)
    voice = own.add(name, path.read_bytes(), suffix if suffix in (STATE, *RECORDINGS) else ".wav", args.force)
    if not args.quiet:
        models = "" if suffix == STATE else ", with a model that can clone voices"
        print_message(f"{voice.path}: speak with it as `--voice {shlex.quote(voice.name)}`{models}")


def _remove(args: argparse.Namespace, own: "VoiceFolder") -> None:
    voice = own.find(args.what)
    if voice is None or not own.remove(args.what, voice.uploaded):
        mine = ", ".join(own.voices()) or "none"
        raise VoiceError(f"{own.path} has no voice {args.what!r}: there are {mine}")
    if not args.quiet:
        print_message(f"{voice.path} is removed")
