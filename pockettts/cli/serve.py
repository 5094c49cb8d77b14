"""`pockettts serve`: text to speech over HTTP, until SIGTERM or Ctrl-C."""

import argparse
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING

from ..errors import OptionError, PocketTTSError
from ..options import Number
from .common import (
    add_numbers,
    add_official_options,
    add_precision,
    add_reading_options,
    check_voice,
    number_type,
    print_message,
)

if TYPE_CHECKING:
    from ..config.schema import Config
    from ..server.models import Source

NUMERIC_OPTIONS = ("temperature", "lsd_decode_steps", "eos_threshold", "noise_clamp", "loudness", "volume", "threads")
SETTINGS = (
    "host", "port", "zeroconf", "voice", "max_streams", "max_queue", "max_models", "max_text", "max_seconds", "drain_seconds",
    "remote_voices", "allow_uploads", "max_uploaded",
)  # fmt: skip
CONFIGS = (".yaml", ".yml", ".json")  # suffixes of configs
MB = 1 << 20

logger = logging.getLogger("pockettts")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 means all (default: %(default)s)"
    )
    _add(parser, Number("port", int, 0, 65535, "the port; 0 takes a free one"), 8000, "-p")
    add_official_options(parser)
    parser.add_argument(
        "--wyoming",
        type=number_type(Number("wyoming", int, 0, 65535, "")),
        metavar="PORT",
        help="also serve Home Assistant's protocol, Wyoming, on this port; needs pip install 'pockettts[wyoming]'",
    )
    parser.add_argument(
        "--zeroconf",
        nargs="?",
        const="pockettts",
        metavar="NAME",
        help="announce the Wyoming port in the local network, where Home Assistant finds it (default name: %(const)s); "
        "needs pip install 'pockettts[zeroconf]'",
    )
    parser.add_argument(
        "-v", "--voice", "--default-voice", help="the voice of requests that name none, as for `pockettts generate`"
    )
    parser.add_argument(
        "--voices-dir",
        metavar="DIR",
        help="a folder of recordings and .safetensors files, each a voice named after its file (default: that of `pockettts voices`)",
    )
    _add_models(parser)
    add_precision(parser)
    add_reading_options(parser)
    add_numbers(parser, *NUMERIC_OPTIONS)
    _add(parser, Number("max-streams", int, 1, 256, "texts that are spoken at once"), 8)
    _add(parser, Number("max-queue", int, 0, 1000, "texts that wait for a place; more than that get 503"), 32)
    parser.add_argument(
        "--max-models",
        type=number_type(Number("max-models", int, 1, 1000, "")),
        metavar="N",
        help="models in memory at once; the least recently used one is dropped (default: all)",
    )
    _add(parser, Number("max-text", int, 1, 1_000_000, "characters of a text"), 20_000)
    _add(parser, Number("max-upload", int, 1, 1000, "size of an uploaded voice, MB"), 20)
    parser.add_argument(
        "--allow-uploads",
        action="store_true",
        help="let requests add voices to the folder of voices (POST /v1/audio/voices), and remove the added ones",
    )
    _add(parser, Number("max-uploaded", int, 1, 100_000, "voices that requests may add"), 100)
    _add(
        parser,
        Number("max-seconds", float, 1, 86_400, "time limit of a request, from its arrival to its last byte"),
        1800,
    )
    _add(
        parser, Number("drain-seconds", float, 0, 3600, "time for responses in progress when the server is stopped"), 30
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help="the key that requests must send as `Authorization: Bearer KEY`; the environment variable POCKETTTS_API_KEY does the same "
        "and is not visible in `ps`",
    )
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin use the server, such as https://chat.example; `*` means all; repeatable",
    )
    parser.add_argument(
        "--voice-map",
        action="append",
        default=[],
        metavar="NAME=VOICE,...",
        help="voices for the names of other systems; OpenAI's names, such as alloy, work without it; repeatable",
    )
    parser.add_argument(
        "--remote-voices",
        action="store_true",
        help="let requests name voices by URL (https://, hf://), but never one of this machine or its network",
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="of the line for each request (default: text)"
    )


def _add(parser: argparse.ArgumentParser, number: Number, default: float, *names: str) -> None:
    parser.add_argument(
        *names,
        "--" + number.name,
        type=number_type(number),
        default=default,
        metavar="N",
        help=f"{number.about} (default: {default})",
    )


def _add_models(parser: argparse.ArgumentParser) -> None:
    """The options that choose models: those of other commands, but repeatable."""
    for flags, metavar, about in (
        (
            ("--variant", "--model", "--language"),
            "NAME",
            "a model of `pockettts models`; repeatable: requests choose among them",
        ),
        (("--config",), "YAML", "a model of your own: a path, hf:// or https://; repeatable"),
    ):
        parser.add_argument(*flags, dest="models", action="append", metavar=metavar, help=about)
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        help="models of your own: each DIR/NAME.yaml, and each DIR/NAME/ with a config in it",
    )


def run(args: argparse.Namespace) -> None:
    from ..server import serve
    from ..server.settings import Settings

    for option, package in ((args.wyoming, "wyoming"), (args.zeroconf, "zeroconf")):
        if option is not None and not find_spec(package):
            raise OptionError(f"--{package} needs a package that is not installed: pip install 'pockettts[{package}]'")
    if args.zeroconf is not None and args.wyoming is None:
        raise OptionError("--zeroconf announces the Wyoming port: give that too, such as --wyoming 10200")
    voices_dir = _voices_dir(args)
    configs = _configs(args)
    key = args.api_key or os.environ.get("POCKETTTS_API_KEY")
    if key and args.wyoming is not None:
        logger.warning("the Wyoming protocol has no keys: anyone who reaches port %d may speak", args.wyoming)
    settings = Settings(
        wyoming_port=args.wyoming,
        max_upload=args.max_upload * MB,
        api_key=key or None,
        cors=tuple(args.cors),
        voice_map=_voice_map(args, configs),
        voices_dir=voices_dir,
        **{name: getattr(args, name) for name in SETTINGS},
    )
    tell = _set_up_log(args.log_format, args.quiet)
    names = ", ".join(config.name for config in configs)
    signal = serve(
        [_source(config, args) for config in configs],
        settings,
        lambda urls: tell(f"serving {names} at {' and '.join(urls)} (Ctrl-C stops it)"),
    )
    tell("stopped")
    if signal == SIGINT:
        raise SystemExit(130)


def _configs(args: argparse.Namespace) -> list["Config"]:
    """The models in the given order; those of a folder come last. Raises ConfigError, OptionError, and TextError for --lexicon."""
    from ..config.load import load_config
    from ..default import default_config
    from ..reading.normalize import find_normalizer

    def check(config: "Config") -> None:
        find_normalizer(config.language, args.verbatim, args.lexicon, args.emoji)
        if not configs:  # of several models, some may not have the voice
            check_voice(args, config)

    configs = [load_config(source) for source in args.models or ()]
    if args.models_dir is not None:
        configs += _models_of(Path(args.models_dir))
    for config in configs:
        check(config)
    configs = configs or [default_config(args.voice, check)]
    names = [config.name for config in configs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(f"two models are called {twice}: give one of them a `name:` in its config")
    return configs


def _models_of(folder: Path) -> list["Config"]:
    """The models in a folder, by name: NAME.yaml, or a folder NAME with one config, named after it or config.yaml."""
    from ..config.load import load_config

    if not folder.is_dir():
        raise OptionError(f"--models-dir {folder}: no such folder")
    configs = []
    for path in sorted(folder.iterdir()):
        places = (
            [path / (name + suffix) for name in (path.name, "config") for suffix in CONFIGS]
            if path.is_dir()
            else [path]
        )
        for file in [file for file in places if file.is_file() and file.suffix in CONFIGS][:1]:
            try:
                config = load_config(file)
            except PocketTTSError as error:
                logger.warning("%s; this model is left out", error)
                continue
            configs.append(replace(config, name=path.name) if config.name == "config" else config)
    if not configs:
        raise OptionError(f"--models-dir {folder}: there is no model in it: put NAME.yaml or NAME/config.yaml there")
    return configs


def _source(config: "Config", args: argparse.Namespace) -> "Source":
    from ..server.models import Source
    from ..tts import TTSModel, default_options

    numbers = {option: getattr(args, option) for option in (*NUMERIC_OPTIONS, "verbatim", "lexicon", "emoji")}
    options = {name: value for name, value in numbers.items() if name != "threads"}

    def load() -> TTSModel:
        return TTSModel.load(config=config, precision=args.precision, voices_dir=args.voices_dir, **numbers)

    return Source(config, default_options(config, **options), load)


def _voices_dir(args: argparse.Namespace) -> Path | None:
    if args.voices_dir is None:
        return None
    folder = Path(args.voices_dir)
    if not folder.is_dir() and not (args.allow_uploads and not folder.exists()):
        raise OptionError(f"--voices-dir {folder}: no such folder")
    return folder


def _voice_map(args: argparse.Namespace, configs: list["Config"]) -> dict[str, str]:
    """The pairs of --voice-map: names in other systems -> names here. Raises OptionError."""
    from ..voices.folders import VoiceFolder
    from ..voices.loader import names

    own = VoiceFolder(args.voices_dir)
    known = {name for config in configs for name in names(config, own)}
    pairs = {}
    for pair in filter(None, ",".join(args.voice_map).split(",")):
        name, _, voice = (part.strip() for part in pair.partition("="))
        if not name or voice not in known:
            raise OptionError(f"--voice-map {pair[:60]!r}: write NAME=VOICE, with a voice of `pockettts voices`")
        pairs[name] = voice
    return pairs


def _set_up_log(format: str, quiet: bool) -> Callable[[str], None]:
    """Log requests, in this format. Returns a function that prints other messages."""
    if format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_Json())
    if quiet:
        return lambda message: None
    requests = logging.getLogger("pockettts.requests")
    requests.setLevel(logging.INFO)
    if format == "json":
        return requests.info
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    requests.handlers, requests.propagate = [handler], False
    return lambda message: print_message(f"pockettts: {message}")


class _Json(logging.Formatter):
    """Formats a record as a JSON object: `time` (seconds since 1970), `level`, and the fields of a request or a `message`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info:
            fields = fields | {"traceback": self.formatException(record.exc_info)}
        return json.dumps({"time": round(record.created, 3), "level": record.levelname.lower(), **fields})
