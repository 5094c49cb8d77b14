"""`pockettts export-voice`: a recording as a voice file."""
import argparse
import os

from ..errors import OptionError, VoiceError
from .common import add_model_options, model_of, say


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("voice", metavar="IN", help="a sound file, a name of `pockettts voices`, hf:// or https://")
    parser.add_argument("output", metavar="OUT.safetensors", help="the file to write")
    add_model_options(parser)


def run(args: argparse.Namespace) -> None:
    from tempfile import TemporaryFile

    from .. import voices
    from ..files import cannot_write
    from ..tts import TTSModel

    if not args.output.endswith(".safetensors"):
        raise OptionError(f"{args.output} would not be known as a voice: let its name end in .safetensors")
    try:
        TemporaryFile(dir=os.path.dirname(args.output) or ".").close()      # better now than after all the work
    except OSError as error:
        raise VoiceError(cannot_write(args.output, error)) from None
    name, config = model_of(args)
    voice = voices.find(args.voice, config)
    TTSModel.load(name).get_voice_state(voice).save(args.output)
    if not args.quiet:
        say(f"{args.output}: a voice for {config.name}, {os.path.getsize(args.output) / 1e6:.1f} MB")
