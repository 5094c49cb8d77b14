"""`pockettts mcp`: let assistants speak, over the Model Context Protocol on stdin and stdout (extra `mcp`)."""

import argparse
import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import OptionError, PocketTTSError
from .common import add_cache_option, add_model_options, add_numbers, add_precision, check_voice, config_of

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from ..tts import TTSModel

NUMERIC_OPTIONS = ("temperature", "lsd_decode_steps", "eos_threshold", "noise_clamp", "threads")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--voice", help="the default voice (default: that of the model)")
    add_model_options(parser)
    add_precision(parser)
    add_cache_option(parser)
    add_numbers(parser, *NUMERIC_OPTIONS)


def run(args: argparse.Namespace) -> None:
    if not find_spec("mcp"):
        raise OptionError("this command needs the extra mcp: pip install 'pockettts[mcp]'")
    from ..tts import TTSModel

    config = config_of(args, partial(check_voice, args))
    numbers = {number: getattr(args, number) for number in NUMERIC_OPTIONS}
    model = TTSModel.load(config=config, precision=args.precision, cache=args.cache, **numbers)
    server(model, args.voice or model.default_voice).run("stdio")


def server(model: "TTSModel", default_voice: str) -> "MCPServer":
    """An MCP server with the tools `speak` and `list_voices`.

    Args:
        model: speaks, one text at a time.
        default_voice: of calls that name none.
    """
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    from .. import __version__
    from ..voices import loader

    mcp = MCPServer("pockettts", version=__version__, instructions="Speak texts aloud, or save them as sound files.")
    one_at_a_time = Lock()

    @mcp.tool()
    def speak(text: str, voice: str | None = None, output: str | None = None, speed: float = 1.0) -> str:
        """Speak a text through the loudspeaker, or write it to a sound file.

        Args:
            text: what to say.
            voice: a name of list_voices, or the path of a recording or a .safetensors voice.
            output: the absolute path of a file to write (wav, flac, ogg, opus, mp3); without it the text is played.
            speed: from 0.25 to 4; 2 is twice as fast.
        """
        try:
            with one_at_a_time:
                seconds = _speak(model, text, voice or default_voice, output, speed)
        except PocketTTSError as error:
            raise ToolError(str(error)) from None
        return f"{'wrote ' + output if output else 'played'}: {seconds:.1f} s of speech"

    @mcp.tool()
    def list_voices() -> list[str]:
        """The names of the voices, the default voice first."""
        names = loader.names(model.config, model.voices.own)
        return [name for name in names if name == default_voice] + [name for name in names if name != default_voice]

    return mcp


def _speak(model: "TTSModel", text: str, voice: str, output: str | None, speed: float) -> float:
    """Speak a text to a file or to the loudspeaker. Returns its length in seconds."""
    from ..sound.files import Writer
    from ..sound.play import Player

    if output is not None and not os.path.isabs(output):
        raise OptionError(f"the output {output} is not an absolute path: give one, such as {Path.home() / output}")
    samples = 0
    with Writer(output, model.sample_rate) if output else Player(model.sample_rate) as out:
        for block in model.generate_stream(text, voice, speed=speed, verify=output is not None):
            out.write(block)
            samples += len(block)
    return samples / model.sample_rate
