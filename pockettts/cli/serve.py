"""`pockettts serve`: many voices at once over HTTP, until SIGTERM or Ctrl-C."""

import argparse
import json
import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from signal import SIGINT

from ..errors import OptionError
from ..options import Number
from .common import (
    add_model_options,
    add_numbers,
    add_official_options,
    add_precision,
    config_of,
    print_message,
    within,
)

NUMBERS = ("temperature", "lsd_decode_steps", "eos_threshold", "noise_clamp", "threads")
MB = 1 << 20


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 is all (default: %(default)s)"
    )
    _add(parser, Number("port", int, 0, 65535, "0 takes a free one"), 8000, "-p")
    add_official_options(parser)
    parser.add_argument(
        "--wyoming",
        type=within(Number("wyoming", int, 0, 65535, "")),
        metavar="PORT",
        help="speak Home Assistant's protocol, Wyoming, on this port too; needs pip install 'pockettts[wyoming]'",
    )
    parser.add_argument(
        "-v", "--voice", "--default-voice", help="of requests that name none, as for `pockettts generate`"
    )
    add_model_options(parser)
    add_precision(parser)
    add_numbers(parser, *NUMBERS)
    _add(parser, Number("max-streams", int, 1, 256, "texts to speak at once"), 8)
    _add(parser, Number("max-queue", int, 0, 1000, "texts that may wait for that; the rest is told to come again"), 32)
    _add(parser, Number("max-text", int, 1, 1_000_000, "characters of a text"), 20_000)
    _add(parser, Number("max-upload", int, 1, 1000, "MB of an uploaded voice"), 20)
    _add(parser, Number("max-seconds", float, 1, 86_400, "for a request, from its arrival to its last byte"), 1800)
    _add(parser, Number("drain-seconds", float, 0, 3600, "for live answers to end, when the server is stopped"), 30)
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help="what requests must show as `Authorization: Bearer KEY`; better set "
        "POCKETTTS_API_KEY, which `ps` does not show",
    )
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin use the server, such as https://chat.example; `*` is all; repeatable",
    )
    parser.add_argument(
        "--voice-map",
        action="append",
        default=[],
        metavar="NAME=VOICE,...",
        help="what names of other systems stand for; OpenAI's, such as alloy, have a voice already; repeatable",
    )
    parser.add_argument(
        "--remote-voices",
        action="store_true",
        help="let requests name voices by address (https://, hf://); never one of this machine or its network",
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="a line for each request (default: text)"
    )


def _add(parser: argparse.ArgumentParser, number: Number, default: float, *names: str) -> None:
    parser.add_argument(
        *names,
        "--" + number.name,
        type=within(number),
        default=default,
        metavar="N",
        help=f"{number.about} (default: {default})",
    )


def run(args: argparse.Namespace) -> None:
    from ..server import serve
    from ..server.settings import Settings
    from ..tts import TTSModel
    from ..voices import catalogue as voices

    if args.wyoming is not None and not find_spec("wyoming"):
        raise OptionError("--wyoming needs a package that is not here: pip install 'pockettts[wyoming]'")
    config = config_of(args)
    key = args.api_key or os.environ.get("POCKETTTS_API_KEY")
    limits = {
        name: getattr(args, name)
        for name in (
            "host",
            "port",
            "max_streams",
            "max_queue",
            "max_text",
            "max_seconds",
            "drain_seconds",
            "remote_voices",
        )
    }
    if key and args.wyoming is not None:
        logging.getLogger("pockettts").warning(
            "the Wyoming protocol has no keys: whoever reaches port %d may speak", args.wyoming
        )
    settings = Settings(
        wyoming_port=args.wyoming,
        max_upload=args.max_upload * MB,
        api_key=key or None,
        cors=tuple(args.cors),
        voice_map=_voice_map(args.voice_map, voices.names(config)),
        **limits,
    )
    tell = _set_up_log(args.log_format, args.quiet)
    model = TTSModel.load(
        config=config, precision=args.precision, **{number: getattr(args, number) for number in NUMBERS}
    )
    signal = serve(
        model,
        settings,
        args.voice,
        lambda urls: tell(f"serving {config.name} at {' and '.join(urls)} (Ctrl-C stops it)"),
    )
    tell("stopped")
    if signal == SIGINT:
        raise SystemExit(130)


def _voice_map(given: list[str], known: list[str]) -> dict[str, str]:
    pairs = {}
    for pair in filter(None, ",".join(given).split(",")):
        name, _, voice = (part.strip() for part in pair.partition("="))
        if not name or voice not in known:
            raise OptionError(f"--voice-map {pair[:60]!r}: write NAME=VOICE, with a voice of `pockettts voices`")
        pairs[name] = voice
    return pairs


def _set_up_log(format: str, quiet: bool) -> Callable[[str], None]:
    """Let requests be logged, and everything in this format. Returns what says other things."""
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
    """A line that is an object: `time` (seconds since 1970), `level`, and a request's fields or a `message`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info:
            fields = fields | {"traceback": self.formatException(record.exc_info)}
        return json.dumps({"time": round(record.created, 3), "level": record.levelname.lower(), **fields})
